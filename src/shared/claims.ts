/**
 * Who takes which record, where several threads share a subscription without order, or one thread has several
 * deliveries in flight. Every thread walks every record of the lane; a record is delivered by the one whose
 * compare-and-swap writes its claimant into the record's slot.
 *
 * The wanted records of a lane are numbered from where the subscription started to read it. Everybody counts the same
 * records, so everybody knows a record's number. Slot of number n: n & mask. It tells the lap of n:
 *   the lap before, done    free: still what that lap has left there
 *   lap of n, held          in the hands of the claimant
 *   lap of n, done          it has its outcome
 * Every number gets an outcome, so every slot is written once each lap; and nobody is a lap ahead of anybody: n + slots is
 * published only when record n has left the ring, which waits for everybody's gating position. A bit would do to tell two
 * laps apart, but for a thread that was given up and lingers: nobody waits for that, and what it finds is of any later lap.
 * It would have to be 256 laps late to take one for another.
 *
 *   K1 CAS(slot, free → claimant)      the record is ours
 *   D1 to D3                           in flight, outcome decided: see delivery.ts
 *   K2 CAS(slot, claimant → done)      in the place of D5, and only who succeeds goes on to
 *   D4                                 outcome counted
 * A thread that dies between K1 and K2 leaves its claimant in the slot. `inherit`, run by the main thread, hands the slot
 * to the successor, which walks from the gating position, comes past it, and finds it its own.
 *
 * A thread that was given up may linger, and do any of this late. Its blocks are read as they were at one moment, T, in
 * between two runs of `inherit`, the second of which found nothing (`Member.finish`). Claimants are numbered by incarnation
 * and never used again. So of its records, each has one outcome:
 *   K2 before the first run   D4 came before T, or D3 did, and the main thread makes D4
 *   K1 before, K2 after       K2 fails: not counted. The slot is the successor's
 *   K1 after the second run   D4, if any, came after T: not counted. The slot tells a fenced claimant, done or not: the
 *                             successor takes it (`fenced`); for all others it is taken
 * K1 between the two runs, and the second would have found it.
 * Test: test/interleaving/claims
 */
import type { ClaimBlock } from './layout.js';

const LAP_MASK = 0xff;
/** Not set: done. A fresh slot is, in the lap before the first. */
const HELD_BIT = 0x100;
const CLAIMANT_SHIFT = 9;
export const MAX_CLAIMANT = 2 ** 23 - 1;

export class Claims {
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #lapShift: number;
  readonly #lapMask: number;
  readonly #claimant: number;
  readonly #fenced: readonly number[];

  /**
   * @param claimant From 1 to MAX_CLAIMANT, this incarnation's own.
   * @param fenced Predecessors that may still run: what they claim is ours, whatever they have made of it.
   */
  constructor(block: ClaimBlock, claimant: number, fenced: readonly number[] = []) {
    this.#slots = block.slots;
    this.#mask = block.slots.length - 1;
    this.#lapShift = Math.log2(block.slots.length);
    // Numbers have 32 bits: where slots are very many, there are fewer laps until they start anew.
    this.#lapMask = (2 ** (32 - this.#lapShift) - 1) & LAP_MASK;
    this.#claimant = claimant;
    this.#fenced = fenced;
  }

  /** K1. @returns Whether the record with this number is ours to deliver. Asked once for each by one claimant. */
  take(number: number): boolean {
    const slots = this.#slots;
    const index = number & this.#mask;
    const lap = this.#lapOf(number);
    const word = Atomics.load(slots, index);
    const ours = (this.#claimant << CLAIMANT_SHIFT) | HELD_BIT | lap;
    if ((word & LAP_MASK) === lap) {
      if (word === ours) return true; // it was our predecessor's
      if (this.#fenced.length === 0 || !this.#fenced.includes(word >>> CLAIMANT_SHIFT)) return false;
    } else if ((word & (HELD_BIT | LAP_MASK)) !== ((lap - 1) & this.#lapMask)) {
      return false;
    }
    return Atomics.compareExchange(slots, index, word, ours) === word || this.take(number);
  }

  /** K2. @returns False when the record has been taken from us. */
  done(number: number): boolean {
    const ours = (this.#claimant << CLAIMANT_SHIFT) | HELD_BIT | this.#lapOf(number);
    return Atomics.compareExchange(this.#slots, number & this.#mask, ours, ours & ~HELD_BIT) === ours;
  }

  /**
   * Takes over what a dead claimant holds.
   * @param lingers Whether it may still run: then what it has done is taken over too, and stays done. Whatever bears its
   * number later is known by that.
   * @returns How many slots bore its number.
   */
  inherit(dead: number, lingers: boolean): number {
    const slots = this.#slots;
    let found = 0;
    for (let index = 0; index < slots.length; index++) {
      const word = Atomics.load(slots, index);
      if (word >>> CLAIMANT_SHIFT !== dead || (!lingers && (word & HELD_BIT) === 0)) continue;
      const heirs = (this.#claimant << CLAIMANT_SHIFT) | (word & (LAP_MASK | HELD_BIT));
      if (Atomics.compareExchange(slots, index, word, heirs) !== word) index--; // it, or whoever took its slot, was faster
      found++;
    }
    return found;
  }

  /** Slots start at 0, as if the lap before had left them: the first is lap 1. */
  #lapOf(number: number): number {
    return ((number >>> this.#lapShift) + 1) & this.#lapMask;
  }
}

/** Slots for the claims on a lane: as many as it holds records at once. */
export function claimSlots(capacityBytes: number, smallestRecordBytes: number): number {
  return 2 ** Math.ceil(Math.log2(capacityBytes / smallestRecordBytes));
}
