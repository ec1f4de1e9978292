/**
 * Who takes which record, where several threads share a subscription without order, or one thread has several
 * deliveries in flight. Every thread walks every record of the lane; a record is delivered by the one whose
 * compare-and-swap writes its claimant into the record's slot.
 *
 * The wanted records of a lane are numbered from where the subscription started to read it. Everybody counts the same
 * records, so everybody knows a record's number. Slot of number n: n & mask. Its lowest bit tells the lap:
 *   lap bit of n differs           free: still what lap - 1 has left there
 *   lap bit of n, not done         in the hands of the claimant
 *   lap bit of n, done             it has its outcome
 * One bit is enough. Every number gets an outcome, so every slot is written once each lap; and nobody is a lap ahead of
 * anybody: n + slots is published only when record n has left the ring, which waits for everybody's gating position.
 *
 *   K1 CAS(slot, free → claimant)      the record is ours
 *   D1 to D4                           in flight, outcome counted: see dispatch.ts
 *   K2 CAS(slot, claimant → done)      in the place of D5
 * A thread that dies between K1 and K2 leaves its claimant in the slot. `inherit`, run by the main thread when the
 * thread's outcomes have been completed, hands the slot to the successor, which walks from the gating position, comes
 * past it, and finds it its own. Claimants are numbered by incarnation, never used again: a thread that lingers after
 * that can neither mark the slot done (K2 fails) nor keep a record that it claims later (`fenced`: the successor takes it).
 * Test: test/interleaving/claims
 */
import type { ClaimBlock } from './layout.js';

const LAP_BIT = 1;
const DONE_BIT = 2;
const CLAIMANT_SHIFT = 2;

export class Claims {
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #lapShift: number;
  readonly #claimant: number;
  readonly #fenced: readonly number[];

  /**
   * @param claimant From 1 to 2^29 - 1, this incarnation's own.
   * @param fenced Predecessors that may still run: what they claim is ours.
   */
  constructor(block: ClaimBlock, claimant: number, fenced: readonly number[] = []) {
    this.#slots = block.slots;
    this.#mask = block.slots.length - 1;
    this.#lapShift = Math.log2(block.slots.length);
    this.#claimant = claimant;
    this.#fenced = fenced;
  }

  /** K1. @returns Whether the record with this number is ours to deliver. Asked once for each by one claimant. */
  take(number: number): boolean {
    const slots = this.#slots;
    const index = number & this.#mask;
    const lap = this.#lapOf(number);
    const word = Atomics.load(slots, index);
    const ours = (this.#claimant << CLAIMANT_SHIFT) | lap;
    if ((word & LAP_BIT) === lap) {
      if (word === ours) return true; // it was our predecessor's
      if (this.#fenced.length === 0 || (word & DONE_BIT) !== 0) return false;
      if (!this.#fenced.includes(word >>> CLAIMANT_SHIFT)) return false;
    }
    return Atomics.compareExchange(slots, index, word, ours) === word || this.take(number);
  }

  /** K2. Has no effect on a record that has been taken from us. */
  done(number: number): void {
    const ours = (this.#claimant << CLAIMANT_SHIFT) | this.#lapOf(number);
    Atomics.compareExchange(this.#slots, number & this.#mask, ours, ours | DONE_BIT);
  }

  /** Hands over what a dead claimant holds. Its decided outcomes have been completed before, with `done`. */
  inherit(dead: number): void {
    const slots = this.#slots;
    for (let index = 0; index < slots.length; index++) {
      const word = Atomics.load(slots, index);
      if (word >>> CLAIMANT_SHIFT !== dead || (word & DONE_BIT) !== 0) continue;
      Atomics.compareExchange(slots, index, word, (this.#claimant << CLAIMANT_SHIFT) | (word & LAP_BIT));
    }
  }

  /** Slots start at 0, as if lap -1 had left them: the bit of lap 0 is 1. */
  #lapOf(number: number): number {
    return ((number >>> this.#lapShift) & 1) ^ 1;
  }
}

/** Slots for the claims on a lane: as many as it holds records at once. */
export function claimSlots(capacityBytes: number, smallestRecordBytes: number): number {
  return 2 ** Math.ceil(Math.log2(capacityBytes / smallestRecordBytes));
}
