/**
 * The byte map of conflation; conflation.ts has the protocol. Conventions as in layout.ts.
 *
 * CONFLATION block: what one publishing thread keeps of one lane for one thread's share of a conflating subscription
 *                                                                         written by            read by
 *   line 0   MAGIC VERSION KIND KEYS RECORD_BYTES                         main, once            all
 *   line 1   TAIL                    i32  end of the queue                producer (Atomics)    reader, main
 *   line 2   REDO_SLOT REDO_STATE    i32  offer in progress               producer              main, after exit
 *            REDO_TAIL REDO_SEQUENCE i32
 *            LOST REDO_LOST          f64  events of one key too many      producer              main
 *   states   STATE[slot]             i32  who has which buffer            all (CAS)             all
 *   queue    QUEUE[n & mask]         i32  slots with news                 producer              reader, main
 *   buffers  three of each slot, back to back:
 *     +0     COUNT                   f64  events offered to the slot up to this one, never wraps
 *     +8     record                  RECORD_BYTES, header first           whoever has it        whoever has it
 *
 * PROGRESS block: how far one incarnation of the reader has come
 *   line 0   MAGIC VERSION KIND KEYS
 *   line 1   HEAD                    i32  start of the queue              reader (Atomics)      main
 *            EPOCH                   i32  number of the incarnation       main, once            reader
 *            PASSED_POSITION i32, PASSED f64  passed over for that delivery  reader             main, after exit
 *   counts   DELIVERED[slot]         f64  COUNT of what it delivered last reader                main, after exit
 *
 * STATE holds a permutation of a slot's buffers, FRESH, and the epoch of the reader that may take:
 *   bits 0–1 front │ 2–3 middle │ 4–5 back │ 6 FRESH │ 7–31 epoch
 */
import { ErrorCode, LanebusError } from './errors.js';
import { alignLine, attachBlock, claimBlock, HEADER_BYTES, LINE_BYTES, MAX_RECORD_BYTES } from './layout.js';
import { Memory } from './memory.js';

const HEAD_KEYS_INDEX = 3;
const HEAD_RECORD_BYTES_INDEX = 4;

export const MAX_KEYS = 2 ** 20;
/** Offsets into the buffers stay int32. */
export const MAX_BUFFERS_BYTES = 2 ** 30;

export const ConflationWord = {
  TAIL_INDEX: LINE_BYTES >> 2,
  /** 0: none (an offer is being prepared), slot + 1, or LOST_REDO. */
  REDO_SLOT_INDEX: (2 * LINE_BYTES) >> 2,
  REDO_STATE_INDEX: ((2 * LINE_BYTES) >> 2) + 1,
  REDO_TAIL_INDEX: ((2 * LINE_BYTES) >> 2) + 2,
  REDO_SEQUENCE_INDEX: ((2 * LINE_BYTES) >> 2) + 3,
  LOST_F64: ((2 * LINE_BYTES) >> 3) + 2,
  REDO_LOST_F64: ((2 * LINE_BYTES) >> 3) + 3,
} as const;
const CONTROL_BYTES = 3 * LINE_BYTES;
export const LOST_REDO = -1;

export const ProgressWord = {
  HEAD_INDEX: LINE_BYTES >> 2,
  EPOCH_INDEX: (LINE_BYTES >> 2) + 1,
  PASSED_POSITION_INDEX: (LINE_BYTES >> 2) + 2,
  PASSED_F64: (LINE_BYTES >> 3) + 2,
} as const;
const PROGRESS_FIXED_BYTES = 2 * LINE_BYTES;

const BUFFERS = 3;
const BUFFER_BITS = 2;
const BUFFER_MASK = (1 << BUFFER_BITS) - 1;
const BACK_SHIFT = 2 * BUFFER_BITS;
const FRESH_BIT = 1 << (3 * BUFFER_BITS);
const EPOCH_SHIFT = 3 * BUFFER_BITS + 1;
const EPOCH_MASK = -1 << EPOCH_SHIFT;
const UPPER_MASK = BUFFER_MASK << BUFFER_BITS;
/** Buffer 0 in front, 1 in the middle, 2 in the back, epoch 0. */
const FIRST_STATE = (1 << BUFFER_BITS) | (2 << BACK_SHIFT);

/** Arithmetic on STATE. */
export const SlotState = {
  front: (state: number): number => state & BUFFER_MASK,
  back: (state: number): number => (state >> BACK_SHIFT) & BUFFER_MASK,
  isFresh: (state: number): boolean => (state & FRESH_BIT) !== 0,
  /** The buffer with the slot's newest record. */
  newest: (state: number): number => ((state & FRESH_BIT) === 0 ? state : state >> BUFFER_BITS) & BUFFER_MASK,
  epoch: (state: number): number => state >>> EPOCH_SHIFT,
  /** Back and middle change places: the middle is news. */
  published: (state: number): number =>
    (state & (EPOCH_MASK | BUFFER_MASK)) |
    ((state >> BUFFER_BITS) & UPPER_MASK) |
    ((state & UPPER_MASK) << BUFFER_BITS) |
    FRESH_BIT,
  /** Front and middle change places: no news left. */
  taken: (state: number): number =>
    (state & (EPOCH_MASK | (BUFFER_MASK << BACK_SHIFT))) |
    ((state >> BUFFER_BITS) & BUFFER_MASK) |
    ((state & BUFFER_MASK) << BUFFER_BITS),
  inEpoch: (state: number, epoch: number): number => (state & ~EPOCH_MASK) | (epoch << EPOCH_SHIFT),
} as const;

export interface ConflationShape {
  /** Keys with an undelivered event that it has room for, 1–1,048,576. */
  readonly keys: number;
  /** Largest record, header included; a multiple of 8. */
  readonly recordBytes: number;
}

/** Views of one conflation block. */
export class ConflationBlock {
  readonly source: SharedArrayBuffer;
  readonly keys: number;
  readonly recordBytes: number;
  readonly words: Int32Array;
  readonly stats: Float64Array;
  readonly states: Int32Array;
  /** Entries are `queue[position & (queue.length - 1)]`. */
  readonly queue: Int32Array;
  /** The buffers of all slots. */
  readonly memory: Memory;

  /** @throws OPTIONS */
  static create(shape: ConflationShape): ConflationBlock {
    checkShape(shape);
    const { source, head } = claimBlock('conflation', conflationBytes(shape));
    head[HEAD_KEYS_INDEX] = shape.keys;
    head[HEAD_RECORD_BYTES_INDEX] = shape.recordBytes;
    const block = new ConflationBlock(source);
    block.states.fill(FIRST_STATE);
    return block;
  }

  /** @throws FOREIGN_BLOCK */
  constructor(source: SharedArrayBuffer) {
    const shape = shapeOf(attachBlock('conflation', source, (head) => conflationBytes(shapeOf(head))));
    const { keys, recordBytes } = shape;
    const states = CONTROL_BYTES;
    const queue = states + alignLine(keys * 4);
    const buffers = queue + alignLine(queueLength(keys) * 4);
    this.source = source;
    this.keys = keys;
    this.recordBytes = recordBytes;
    this.words = new Int32Array(source, 0, CONTROL_BYTES >> 2);
    this.stats = new Float64Array(source, 0, CONTROL_BYTES >> 3);
    this.states = new Int32Array(source, states, keys);
    this.queue = new Int32Array(source, queue, queueLength(keys));
    this.memory = new Memory(source, buffers, buffersBytes(shape));
  }

  /** float64 index in `memory` of a buffer's COUNT. */
  countF64(slot: number, buffer: number): number {
    return (slot * BUFFERS + buffer) * ((COUNT_BYTES + this.recordBytes) >> 3);
  }

  /** Byte offset in `memory` of a buffer's record. */
  recordAt(slot: number, buffer: number): number {
    return (slot * BUFFERS + buffer) * (COUNT_BYTES + this.recordBytes) + COUNT_BYTES;
  }
}

const COUNT_BYTES = 8;

/**
 * Room in the queue. A key is pending at most once, the one that is being delivered perhaps once more (conflation.ts,
 * "The queue is long enough"): keys + 1. One more for the entry that HEAD has just left, which `settleDead` may still
 * read, and one for a lingering thread that settles while its successor is being seeded.
 */
function queueLength(keys: number): number {
  return 2 ** Math.ceil(Math.log2(keys + 3));
}

function shapeOf(head: Int32Array): ConflationShape {
  return { keys: head[HEAD_KEYS_INDEX], recordBytes: head[HEAD_RECORD_BYTES_INDEX] };
}

function buffersBytes({ keys, recordBytes }: ConflationShape): number {
  return keys * BUFFERS * (COUNT_BYTES + recordBytes);
}

function conflationBytes(shape: ConflationShape): number {
  return CONTROL_BYTES + alignLine(shape.keys * 4) + alignLine(queueLength(shape.keys) * 4) + buffersBytes(shape);
}

function checkShape(shape: ConflationShape): void {
  const { keys, recordBytes } = shape;
  if (!Number.isInteger(keys) || keys < 1 || keys > MAX_KEYS) {
    throw new LanebusError(
      ErrorCode.OPTIONS,
      `conflation of ${keys} keys; accepted: an integer from 1 to ${MAX_KEYS.toLocaleString('en-US')}`,
    );
  }
  if (recordBytes % 8 !== 0 || recordBytes < HEADER_BYTES || recordBytes > MAX_RECORD_BYTES) {
    throw new LanebusError(
      ErrorCode.OPTIONS,
      `conflation of records of ${recordBytes} bytes; accepted: a multiple of 8 from ${HEADER_BYTES} to ${MAX_RECORD_BYTES}`,
    );
  }
  const bytes = buffersBytes(shape);
  if (bytes > MAX_BUFFERS_BYTES) {
    throw new LanebusError(
      ErrorCode.OPTIONS,
      `conflation of ${keys.toLocaleString('en-US')} keys with records of ${recordBytes} bytes takes ` +
        `${bytes.toLocaleString('en-US')} bytes; accepted: up to ${MAX_BUFFERS_BYTES.toLocaleString('en-US')}`,
    );
  }
}

/** Views of one progress block. */
export class ConflationProgress {
  readonly source: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly stats: Float64Array;
  readonly delivered: Float64Array;

  static create(keys: number): ConflationProgress {
    const { source, head } = claimBlock('progress', progressBytes(keys));
    head[HEAD_KEYS_INDEX] = keys;
    return new ConflationProgress(source);
  }

  /** @throws FOREIGN_BLOCK */
  constructor(source: SharedArrayBuffer) {
    const head = attachBlock('progress', source, (found) => progressBytes(found[HEAD_KEYS_INDEX]));
    this.source = source;
    this.words = new Int32Array(source, 0, PROGRESS_FIXED_BYTES >> 2);
    this.stats = new Float64Array(source, 0, PROGRESS_FIXED_BYTES >> 3);
    this.delivered = new Float64Array(source, PROGRESS_FIXED_BYTES, head[HEAD_KEYS_INDEX]);
  }
}

function progressBytes(keys: number): number {
  return PROGRESS_FIXED_BYTES + alignLine(keys * 8);
}
