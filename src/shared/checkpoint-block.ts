/**
 * The byte map of a subscription's checkpoints on one thread, and the only file that knows their offsets. A block has two
 * **places**, one of which is CURRENT: the other is being written, or waits to be.
 *
 * CHECKPOINT block                                                           written by          read by
 *   line 0        MAGIC VERSION KIND ADDRESSES ENTRIES                       main, once          all
 *   line 1        CURRENT                 i32  place | STATE or LOST         consumer (Atomics)  main, after exit
 *   line 2        TAKEN FAILED LAST_BYTES TOTAL_MS MAX_MS REPLAYED f64       consumer            main
 *   per place     BYTES                   i32  length of the state           consumer            its successor
 *                 LOGGED                  i32  entries of the order log      consumer (Atomics)  main, its successor
 *     lanes       per address: SERIAL POSITION SEQUENCE MISSED i32           consumer            main, its successor
 *     log         per entry: ADDRESS POSITION i32                            consumer            main, its successor
 *
 * A place's **lanes** say how far the subscription had read each lane when the checkpoint was taken, for the lanes of the
 * producer block with that SERIAL; MISSED, how many refused events the next delivery from there is to be told of. Its
 * **log** says in which order deliveries came from several lanes since: from POSITION on, from ADDRESS, until the next
 * entry. Its **state**, what `snapshot()` returned as msgpack, is in a region of its own: a growable SharedArrayBuffer,
 * since only a snapshot shows how large it is, and a message with a larger one could die with the thread.
 *
 * Of a fresh block, place 0 is current and has neither: whoever starts there starts with no state, at GATING.
 */
import { alignLine, attachBlock, claimBlock, LINE_BYTES } from './layout.js';

export const CheckpointWord = {
  CURRENT_INDEX: LINE_BYTES >> 2,
  TAKEN_F64: (2 * LINE_BYTES) >> 3,
  FAILED_F64: ((2 * LINE_BYTES) >> 3) + 1,
  LAST_BYTES_F64: ((2 * LINE_BYTES) >> 3) + 2,
  TOTAL_MS_F64: ((2 * LINE_BYTES) >> 3) + 3,
  MAX_MS_F64: ((2 * LINE_BYTES) >> 3) + 4,
  REPLAYED_F64: ((2 * LINE_BYTES) >> 3) + 5,
} as const;

const HEAD_ADDRESSES_INDEX = 3;
const HEAD_ENTRIES_INDEX = 4;
const FIXED_BYTES = 3 * LINE_BYTES;
const PLACE_BIT = 1;
const STATE_BIT = 2;
const LOST_BIT = 4;
const LANE_I32 = 4;
const ENTRY_I32 = 2;
/** A region grows by as much, so that a state which grows slowly does not make it grow each time. */
const GROWTH_BYTES = 1 << 16;

export interface CheckpointShape {
  /** Number of rings that the subscription may read. */
  readonly addresses: number;
  /** Entries of the order log. */
  readonly entries: number;
}

/** What another thread needs to see the same checkpoints. */
export interface CheckpointSource {
  readonly block: SharedArrayBuffer;
  /** By place. */
  readonly regions: readonly [SharedArrayBuffer, SharedArrayBuffer];
}

/** How far a lane had been read. */
export interface LaneMark {
  readonly address: number;
  readonly serial: number;
  readonly position: number;
  readonly sequence: number;
  readonly missed: number;
}

/** Views of one subscription's checkpoints on one thread. */
export class CheckpointBlock {
  readonly source: CheckpointSource;
  readonly words: Int32Array;
  readonly stats: Float64Array;
  readonly addresses: number;
  readonly entries: number;
  readonly places: readonly [CheckpointPlace, CheckpointPlace];

  /** @param regions Growable, and nobody else writes to the second. */
  static create(shape: CheckpointShape, regions: CheckpointSource['regions']): CheckpointBlock {
    const { source, head } = claimBlock('checkpoints', blockBytes(shape));
    head[HEAD_ADDRESSES_INDEX] = shape.addresses;
    head[HEAD_ENTRIES_INDEX] = shape.entries;
    return new CheckpointBlock({ block: source, regions });
  }

  constructor(source: CheckpointSource) {
    const head = attachBlock('checkpoints', source.block, (found) => blockBytes(shapeOf(found)));
    const { addresses, entries } = shapeOf(head);
    this.source = source;
    this.words = new Int32Array(source.block);
    this.stats = new Float64Array(source.block);
    this.addresses = addresses;
    this.entries = entries;
    this.places = [new CheckpointPlace(this, 0), new CheckpointPlace(this, 1)];
  }

  /** The place whose lanes, log and state hold. */
  get current(): CheckpointPlace {
    return this.places[this.#current & PLACE_BIT];
  }

  /** The one that may be written. */
  get next(): CheckpointPlace {
    return this.places[(this.#current & PLACE_BIT) ^ PLACE_BIT];
  }

  /** Whether the current place has a state: if not, its lanes are where the subscription started. */
  get hasState(): boolean {
    return (this.#current & STATE_BIT) !== 0;
  }

  /** Whether what a state could be made from again has been given up. */
  get isLost(): boolean {
    return (this.#current & LOST_BIT) !== 0;
  }

  /** K2: the next place becomes the current one. */
  commit(state: 'whole' | 'lost'): void {
    const place = (this.#current & PLACE_BIT) ^ PLACE_BIT;
    Atomics.store(this.words, CheckpointWord.CURRENT_INDEX, place | (state === 'whole' ? STATE_BIT : LOST_BIT));
  }

  /** Goes on from what a dead thread's block has current: the same lanes and log, and its state, in this block's first place. */
  inherit(dead: CheckpointBlock): void {
    this.places[0].copy(dead.current);
    this.words[CheckpointWord.CURRENT_INDEX] = dead.hasState ? STATE_BIT : 0;
  }

  get #current(): number {
    return Atomics.load(this.words, CheckpointWord.CURRENT_INDEX);
  }
}

/** One of the two. */
export class CheckpointPlace {
  readonly region: SharedArrayBuffer;
  readonly #block: CheckpointBlock;
  readonly #bytesIndex: number;
  readonly #loggedIndex: number;
  readonly #lanesIndex: number;
  readonly #logIndex: number;

  constructor(block: CheckpointBlock, place: 0 | 1) {
    const start = FIXED_BYTES + place * placeBytes(block);
    this.region = block.source.regions[place];
    this.#block = block;
    this.#bytesIndex = start >> 2;
    this.#loggedIndex = (start >> 2) + 1;
    this.#lanesIndex = (start + LINE_BYTES) >> 2;
    this.#logIndex = this.#lanesIndex + block.addresses * LANE_I32;
  }

  get logged(): number {
    return this.#block.words[this.#loggedIndex];
  }

  /** Writes a state, where it has room. @throws RangeError when the region cannot grow so far. */
  writeState(bytes: Uint8Array): void {
    const { region } = this;
    if (bytes.length > region.byteLength) {
      region.grow(Math.min(region.maxByteLength, Math.ceil(bytes.length / GROWTH_BYTES) * GROWTH_BYTES));
    }
    new Uint8Array(region, 0, bytes.length).set(bytes);
    this.#block.words[this.#bytesIndex] = bytes.length;
  }

  /** A copy of the state. */
  readState(): Uint8Array {
    return new Uint8Array(this.region, 0, this.#block.words[this.#bytesIndex]).slice();
  }

  /** Says how far the lanes are read, and that nothing has been delivered since. */
  begin(lanes: Iterable<LaneMark>): void {
    const { words, addresses } = this.#block;
    for (let address = 0; address < addresses; address++) words[this.#lanesIndex + address * LANE_I32] = 0;
    for (const { address, serial, position, sequence, missed } of lanes) {
      const lane = this.#lanesIndex + address * LANE_I32;
      words[lane] = serial;
      words[lane + 1] = position;
      words[lane + 2] = sequence;
      words[lane + 3] = missed;
    }
    words[this.#loggedIndex] = 0;
  }

  /** How far the lane at an address had been read; undefined when it is not that producer's. */
  laneAt(address: number, serial: number): LaneMark | undefined {
    const { words } = this.#block;
    const lane = this.#lanesIndex + address * LANE_I32;
    if (words[lane] !== serial) return undefined;
    return { address, serial, position: words[lane + 1], sequence: words[lane + 2], missed: words[lane + 3] };
  }

  /** L1, L2: from a position on, deliveries come from the lane at an address. The log must not be full. */
  log(address: number, position: number): void {
    const { words } = this.#block;
    const { logged } = this;
    const entry = this.#logIndex + logged * ENTRY_I32;
    words[entry] = address;
    words[entry + 1] = position;
    Atomics.store(words, this.#loggedIndex, logged + 1);
  }

  entryAt(index: number): { readonly address: number; readonly position: number } {
    const { words } = this.#block;
    const entry = this.#logIndex + index * ENTRY_I32;
    return { address: words[entry], position: words[entry + 1] };
  }

  /** Says what a place of another block of the same shape says. Its region is shared, not copied. */
  copy(other: CheckpointPlace): void {
    const { words } = this.#block;
    words[this.#bytesIndex] = other.#block.words[other.#bytesIndex];
    const marks = this.#block.addresses * LANE_I32;
    words.set(other.#block.words.subarray(other.#lanesIndex, other.#lanesIndex + marks), this.#lanesIndex);
    const log = other.#block.words.subarray(other.#logIndex, other.#logIndex + other.logged * ENTRY_I32);
    words.set(log, this.#logIndex);
    words[this.#loggedIndex] = other.logged;
  }
}

/** Room for a state. It takes memory only as far as it is used. */
export function claimRegion(maxBytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(0, { maxByteLength: maxBytes });
}

function shapeOf(head: Int32Array): CheckpointShape {
  return { addresses: head[HEAD_ADDRESSES_INDEX], entries: head[HEAD_ENTRIES_INDEX] };
}

function placeBytes({ addresses, entries }: CheckpointShape): number {
  return LINE_BYTES + alignLine((addresses * LANE_I32 + entries * ENTRY_I32) * 4);
}

function blockBytes(shape: CheckpointShape): number {
  return FIXED_BYTES + 2 * placeBytes(shape);
}
