/**
 * Conflation: of each key only the newest event is kept for a reader that is behind; keys of two types are two keys.
 * Bytes: conflation-block.ts.
 *
 * A slot has three buffers. The front one is the reader's, the back one the writer's, the middle one lies between them.
 * Who moves the buffers changes one word, STATE, by compare-and-swap:
 *
 *   writer                                            reader
 *   W1 redo record: slot, STATE, TAIL, sequence       R1 Atomics.load(TAIL) is beyond HEAD: queue[HEAD] is a slot
 *   W2 write COUNT and record into back (plain)       R2 front's COUNT is DELIVERED: CAS swaps front and middle,
 *   W3 CAS swaps back and middle, sets FRESH             clears FRESH
 *   W4 only if W3 set FRESH:                          R3 the delivery: read front (plain)
 *      queue[TAIL] = slot                             R4 DELIVERED = front's COUNT
 *   W5 Atomics.store(TAIL, TAIL + 1)                  R5 Atomics.store(HEAD, HEAD + 1)
 *
 * Whole records. Only W3 changes which buffer is the back one, only R2 which is the front one, so each side writes or
 * reads a buffer that the other does not touch. A buffer gets from back to front by W3 and then R2: W2 happened before
 * R3. It gets from front to back by R2 and then W3: R3 happened before the next W2. Neither side waits: a CAS fails only
 * because the other side made its one step. With two buffers and a version the reader would have to copy, and to try
 * again; and the bytes of a delivery in flight would not survive until its thread's death has been dealt with.
 *
 * Nothing is forgotten. W3 must stay above W5: who sees the entry sees FRESH. R4 must stay above R5. COUNT numbers the
 * events offered to a slot; it is a float64, so that it never wraps. What is between DELIVERED and front's COUNT was
 * passed over: `skipped`.
 *
 * The queue is long enough. A slot is queued when FRESH is set, and FRESH is cleared by R2 only, for the entry at HEAD.
 * R2 happens once for each entry: after it front's COUNT is not DELIVERED before R4, and R5 follows (if the thread dies
 * in between, `settleDelivery` does it). So of each slot the queue holds one entry while it is FRESH, and one more
 * while it is at HEAD and taken: keys + 1 at most.
 *
 * A slot for another key. A slot that is not FRESH may be given to a new key: everything offered to it has been taken,
 * so front's COUNT is the slot's newest. The new key's first event is that plus one. Whether front is still in flight
 * then or has been delivered, DELIVERED is front's COUNT when the reader comes to the new key: nothing of the old key
 * counts as skipped for the new one. FRESH is set by the writer alone, so the slot is as idle at W3 as it was at the look.
 *
 * Death of the reader. Front is what was in flight, or was to be next; R2 does not take it away while it is not settled.
 * The successor finds it at HEAD and delivers it first. A reader that lingers in native code must not move buffers any
 * more: STATE has the epoch of the reader that may, and the CAS of any other fails (`succeed`).
 *
 * Death of the writer. The redo record says what the CAS of W3 was to change. W3 always changes which buffer is back, and
 * nobody else does, so `repairConflation` can tell whether it was made; if so, and FRESH was clear before it, W4 and W5
 * are due, or are made once more. Until they are made the reader cannot take that slot, so it may run meanwhile.
 * Tests: test/interleaving/conflation, test/unit/conflation
 */
import {
  type ConflationBlock,
  type ConflationProgress,
  ConflationWord,
  LOST_REDO,
  ProgressWord,
  SlotState,
} from './conflation-block.js';
import { KeySlots } from './conflation-slots.js';
import { ErrorCode, LanebusError } from './errors.js';
import type { KeyValue } from './keys.js';
import { recordBytes } from './lane.js';
import { HEADER_BYTES, TYPE_MASK } from './layout.js';
import type { Memory } from './memory.js';

const { TAIL_INDEX, REDO_SLOT_INDEX, REDO_STATE_INDEX, REDO_TAIL_INDEX, REDO_SEQUENCE_INDEX } = ConflationWord;
const { LOST_F64, REDO_LOST_F64 } = ConflationWord;
const { HEAD_INDEX, EPOCH_INDEX, PASSED_POSITION_INDEX, PASSED_F64 } = ProgressWord;

/** The key of a record of the type with this index; its payload is at byte `at`. */
export type KeyOf = (typeIndex: number, memory: Memory, at: number) => KeyValue;

/** The publishing thread's side. */
export class ConflationWriter {
  readonly #block: ConflationBlock;
  readonly #words: Int32Array;
  readonly #states: Int32Array;
  readonly #i32: Int32Array;
  readonly #f64: Float64Array;
  readonly #slots: KeySlots;
  /** COUNT of the newest event, by slot. */
  readonly #counts: Float64Array;

  /** @param keyOf Tells which keys a dead thread has left in the block: they are continued. */
  constructor(block: ConflationBlock, keyOf: KeyOf) {
    this.#block = block;
    this.#words = block.words;
    this.#states = block.states;
    this.#i32 = block.memory.i32;
    this.#f64 = block.memory.f64;
    this.#slots = new KeySlots(block.keys);
    this.#counts = new Float64Array(block.keys);
    this.#continue(keyOf);
  }

  /**
   * Keeps a committed record as the newest of its key. Wake the reader afterwards.
   * @param at Byte offset of the record's header.
   * @returns False when every slot has an undelivered event of another key: the event is lost, and counted in LOST.
   */
  offer(key: KeyValue, memory: Memory, at: number): boolean {
    const block = this.#block;
    const words = this.#words;
    const states = this.#states;
    const from = memory.i32;
    const header = from[at >> 2];
    const typeIndex = header & TYPE_MASK;
    const bytes = recordBytes(header);
    if (bytes > block.recordBytes) this.#refuse(bytes);
    const sequence = from[(at >> 2) + 1];
    const slot = this.#slots.slotOf(typeIndex, key) ?? this.#slotFor(typeIndex, key);
    if (slot < 0) return this.#lose(sequence);

    let state = Atomics.load(states, slot);
    const tail = words[TAIL_INDEX];
    words[REDO_SLOT_INDEX] = 0; // W1
    words[REDO_STATE_INDEX] = state;
    words[REDO_TAIL_INDEX] = tail;
    words[REDO_SEQUENCE_INDEX] = sequence;
    words[REDO_SLOT_INDEX] = slot + 1;

    const back = SlotState.back(state);
    const to = this.#i32;
    const end = (at + bytes) >> 2;
    this.#f64[block.countF64(slot, back)] = this.#counts[slot] += 1; // W2
    // A loop of int32: a view for `set` would be an object for each event, and float64 may change the bits of a NaN.
    for (let i = at >> 2, j = block.recordAt(slot, back) >> 2; i < end; i++, j++) to[j] = from[i];

    for (;;) {
      const found = Atomics.compareExchange(states, slot, state, SlotState.published(state)); // W3
      if (found === state) break;
      words[REDO_STATE_INDEX] = state = found;
    }
    if (!SlotState.isFresh(state)) {
      enqueue(block, tail, slot); // W4, W5
      this.#slots.queued(slot);
    }
    return true;
  }

  /** A slot for a key that has none: unused, or idle the longest; -1 when there is neither. */
  #slotFor(typeIndex: number, key: KeyValue): number {
    const slots = this.#slots;
    if (!slots.full) return slots.add(typeIndex, key);
    const { oldest } = slots;
    if (SlotState.isFresh(Atomics.load(this.#block.states, oldest))) return -1;
    slots.replace(oldest, typeIndex, key);
    return oldest;
  }

  #lose(sequence: number): false {
    const words = this.#words;
    const { stats } = this.#block;
    const lost = stats[LOST_F64];
    words[REDO_SLOT_INDEX] = 0;
    stats[REDO_LOST_F64] = lost;
    words[REDO_SEQUENCE_INDEX] = sequence;
    words[REDO_SLOT_INDEX] = LOST_REDO;
    stats[LOST_F64] = lost + 1;
    return false;
  }

  /** Slots are used one after the other, so the used ones are those before the first that has counted nothing. */
  #continue(keyOf: KeyOf): void {
    const { keys, states, queue, memory, words } = this.#block;
    let used = 0;
    for (; used < keys; used++) {
      // The reader may take the slot meanwhile: the bytes stay, and stay the newest.
      const newest = SlotState.newest(Atomics.load(states, used));
      const count = memory.f64[this.#block.countF64(used, newest)];
      if (count === 0) break;
      const at = this.#block.recordAt(used, newest);
      this.#counts[used] = count;
      const typeIndex = memory.i32[at >> 2] & TYPE_MASK;
      this.#slots.queued(this.#slots.add(typeIndex, keyOf(typeIndex, memory, at + HEADER_BYTES)));
    }
    if (used === 0) return;
    const tail = words[TAIL_INDEX];
    // Once more in the order of the queue. Entries that were never written say slot 0, before any that was.
    for (let position = tail - queue.length; position !== tail; position++) {
      this.#slots.queued(queue[position & (queue.length - 1)]);
    }
  }

  #refuse(bytes: number): never {
    throw new LanebusError(
      ErrorCode.RECORD_TOO_LARGE,
      `record of ${bytes.toLocaleString('en-US')} bytes exceeds the conflation limit of ` +
        `${this.#block.recordBytes.toLocaleString('en-US')} bytes`,
    );
  }
}

/** W4, W5. */
export function enqueue(block: ConflationBlock, tail: number, slot: number): void {
  block.queue[tail & (block.queue.length - 1)] = slot;
  Atomics.store(block.words, TAIL_INDEX, (tail + 1) | 0);
}

/** The reading thread's side. One delivery at a time: `next`, then the handler, then `settle`. */
export class ConflationReader {
  readonly memory: Memory;
  /** Of the delivery that `next` has found: its place in the queue, and where its record's header is. */
  position = 0;
  at = 0;
  /** Older events of the key that were passed over in its favour, and those of them that are not accounted for yet. */
  passedOver = 0;
  skipped = 0;
  readonly #block: ConflationBlock;
  readonly #progress: ConflationProgress;

  constructor(block: ConflationBlock, progress: ConflationProgress) {
    this.memory = block.memory;
    this.#block = block;
    this.#progress = progress;
  }

  /** Whether something is pending, in flight included. */
  get hasNews(): boolean {
    return Atomics.load(this.#block.words, TAIL_INDEX) !== this.#progress.words[HEAD_INDEX];
  }

  /** Finds the next delivery; the same one again until it is settled. @returns Whether there is one. */
  next(): boolean {
    const block = this.#block;
    const { words, stats, delivered } = this.#progress;
    for (;;) {
      const position = words[HEAD_INDEX];
      if (position === Atomics.load(block.words, TAIL_INDEX)) return false; // R1
      const slot = block.queue[position & (block.queue.length - 1)];
      let front = SlotState.front(Atomics.load(block.states, slot));
      if (block.memory.f64[block.countF64(slot, front)] === delivered[slot]) {
        front = this.#take(slot); // R2
        if (front === FENCED) return false;
        if (front === NO_NEWS) {
          Atomics.store(words, HEAD_INDEX, (position + 1) | 0);
          continue;
        }
      }
      this.position = position;
      this.at = block.recordAt(slot, front);
      this.skipped = block.memory.f64[block.countF64(slot, front)] - delivered[slot] - 1;
      const accounted = words[PASSED_POSITION_INDEX] === position ? stats[PASSED_F64] : 0; // perhaps by a dead thread
      this.passedOver = this.skipped > 0 ? this.skipped : accounted;
      return true;
    }
  }

  /** The skipped events are accounted for; the delivery is not. */
  settleSkipped(): void {
    settleSkipped(this.#block, this.#progress, this.position);
    this.skipped = 0;
  }

  /** The delivery has its outcome, and the skipped events are accounted for. */
  settle(): void {
    settleDelivery(this.#block, this.#progress, this.position);
  }

  /** @returns The new front; NO_NEWS for an entry that a thread had settled when it died before R5. */
  #take(slot: number): number {
    const { states } = this.#block;
    const epoch = this.#progress.words[EPOCH_INDEX];
    for (;;) {
      const state = Atomics.load(states, slot);
      if (SlotState.epoch(state) !== epoch) return FENCED;
      if (!SlotState.isFresh(state)) return NO_NEWS;
      const taken = SlotState.taken(state);
      if (Atomics.compareExchange(states, slot, state, taken) === state) return SlotState.front(taken);
    }
  }
}

const NO_NEWS = -1;
const FENCED = -2;

// Both say where things are, not how far they move: a thread may die in them, and main does the same once more, until the
// flight is over. The queue keeps the entry before HEAD, and front stays what it is until the reader's next R2.

/** Accounts for what was passed over in favour of the delivery at a position of the queue. */
export function settleSkipped(block: ConflationBlock, progress: ConflationProgress, position: number): void {
  const slot = block.queue[position & (block.queue.length - 1)];
  const { words, stats, delivered } = progress;
  const before = frontCount(block, slot) - 1;
  if (delivered[slot] === before) return;
  stats[PASSED_F64] = before - delivered[slot];
  words[PASSED_POSITION_INDEX] = position;
  delivered[slot] = before;
}

/** R4, R5: ends the delivery at a position of the queue. */
export function settleDelivery(block: ConflationBlock, progress: ConflationProgress, position: number): void {
  const slot = block.queue[position & (block.queue.length - 1)];
  progress.delivered[slot] = frontCount(block, slot);
  Atomics.store(progress.words, HEAD_INDEX, (position + 1) | 0);
}

function frontCount(block: ConflationBlock, slot: number): number {
  const front = SlotState.front(Atomics.load(block.states, slot));
  return block.memory.f64[block.countF64(slot, front)];
}

/** Keys with an undelivered event. Zero is exact, if the producer offers nothing meanwhile; other numbers are approximate. */
export function pendingKeys(block: ConflationBlock, progress: ConflationProgress): number {
  // HEAD first: read after TAIL, it might have gone beyond that and hide what has come since.
  const head = Atomics.load(progress.words, HEAD_INDEX);
  return (Atomics.load(block.words, TAIL_INDEX) - head) | 0;
}

/** Events that were offered and not lost. Exact if the producer offers nothing meanwhile. */
export function offeredEvents(block: ConflationBlock): number {
  let events = 0;
  for (let slot = 0; slot < block.keys; slot++) {
    const newest = SlotState.newest(Atomics.load(block.states, slot));
    events += block.memory.f64[block.countF64(slot, newest)];
  }
  return events;
}
