/**
 * The byte map of everything that threads share. This is the only file that knows offsets.
 *
 * There are five kinds of block, each a SharedArrayBuffer of its own. A block belongs to one incarnation: when a thread
 * is replaced, its successor gets fresh blocks and nobody ever writes to the old ones again (one exception, argued in
 * docs/decisions/0011). Words written by one side and polled by another stand LINE bytes apart (two cache lines: the
 * adjacent-line prefetcher pairs them).
 *
 * Every block    0  MAGIC  VERSION  KIND  …            written once by the main thread, checked on attach
 *
 * PRODUCER block: one publishing thread's lanes                           written by          read by
 *   line 0        MAGIC … LANES TYPES SYMBOLS NAMES CAPACITIES            main, once          all
 *   line 1        SERIAL                  i32  how many blocks were before  main, once          all
 *   per lane  +0  CURSOR                  i32  end of what is committed   producer (Atomics)  consumers
 *             +L  ROOM                    i32  producer is parked here    producer, consumers (Atomics, CAS)
 *             +2L RECORDS                 f64  records committed          producer            main
 *                 DROPPED REJECTED        f64  events refused             producer            main
 *                 BLOCKED_MS BLOCKED_SINCE f64 time publishers waited     producer            main
 *                 WATERMARK WAITING SPILLED f64                           producer            main
 *                 REDO_END REDO_TYPE      i32  commit in progress         producer            main, after exit
 *                 REDO_START              i32
 *                 REQUIRED                i32  gating that a waiting event needs producer (Atomics)  main (deadlocks)
 *                 REDO_COUNT REDO_RECORDS f64
 *   counts        PUBLISHED[type]         f64  owed side of the ledger    producer            main
 *   symbols       COUNT BYTES             i32  length of the table        producer (Atomics)  consumers
 *                 ENDS[symbol]            i32  where each name ends       producer            consumers
 *                 NAMES                   u8   UTF-8, back to back        producer            consumers
 *   per lane      RING                    capacity bytes of records       producer            consumers
 *
 * CONSUMER block: one thread that runs handlers
 *   line 0        MAGIC VERSION KIND
 *   line 1        DOORBELL                i32  1 = parked                 consumer, producers (Atomics, CAS)
 *   line 2        BELL                    i32  bumped for urgent news     producers, main (Atomics.add)
 *   line 3        STARTED BUSY BUSY_SINCE f64  ms                         consumer            main
 *                 TURNS                   i32  turns of the pump's loop       consumer            main (watchdog)
 *
 * SUBSCRIPTION block: one subscription on one consumer
 *   line 0        MAGIC VERSION KIND LANES ADDRESSES FLIGHTS
 *   line 1        STATE                   i32  active, paused, ending     main (Atomics)      consumer
 *   line 2        MISSED REDELIVERED, timings f64                         consumer            main
 *   flights       per delivery that may be in flight, 40 bytes:
 *                   POSITION LANE ATTEMPT i32, BEFORE WEIGHT f64          consumer            main (watchdog, take-over)
 *                   ROOM                  i32  lanes whose room it awaits consumer (Atomics)  main (deadlocks)
 *                   RETURNED RETURN_END   i32  it goes back to main         consumer            main, after exit
 *   outcomes      OUTCOME[rank][outcome]  f64  the other side             consumer            main
 *   settled       SETTLED[lane]           i32  finished up to here        consumer            main, after exit
 *   per lane      GATING GATING_SEQUENCE  i32  producers may not pass     consumer (CAS), main: bit 0   producers
 *                 NUMBERED[2]: POSITION NUMBER i32  claim number there    consumer            main, after exit
 *                 UNTOLD[2]: POSITION COUNT  i32  gaps to be told there    consumer            main
 *                 READ_SEQUENCE           i32  with checkpoints: of SETTLED  consumer          main (metrics)
 *
 * CLAIM block: who of several takes which record of one lane (claims.ts)
 *   line 0        MAGIC VERSION KIND SLOTS
 *   slots         CLAIM[number & mask]    i32  claimant, held, lap    claimants (CAS)     claimants, main
 *
 * CIRCUIT block: how a subscription fares, over all its threads (circuit.ts)
 *   line 0        MAGIC VERSION KIND
 *   line 1        HEALTH                  i32  failures, state, prober        consumers, main (CAS)  consumers, main
 *
 * What goes back to main (returns.ts) is in a PRODUCER block of one lane, whose GATING is that of a SUBSCRIPTION block. What
 * main delivers once more (retries.ts) is in one as well.
 * Conflation and checkpoints have blocks of their own: conflation-block.ts, checkpoint-block.ts.
 *
 * A record, 8-byte aligned, never wrapping around the ring's end:
 *   0   i32  length in bytes / 8 << 12 | derived << 11 | type index; type 0 is padding up to the ring's end, and the one
 *            behind the catalog's last is a gap notice: how many events of each type were refused (pairs of i32)
 *   4   i32  sequence, wraps
 *   8   f64  time of publishing, ms of the bus's clock
 *   16  payload (codec)
 *   end of a derived event: i32 publisher, i32 rank, f64 sequence of the event that caused it
 *
 * Lanes are addressed within a subscription block by `producer * lanes + rank`; rank 0 is the most urgent.
 */
import { ErrorCode, LanebusError } from './errors.js';
import { Memory } from './memory.js';

const MAGIC = 0x4c414e45; // "LANE"
const VERSION = 1;
const BlockKind = {
  producer: 1,
  consumer: 2,
  subscription: 3,
  claims: 4,
  conflation: 5,
  progress: 6,
  checkpoints: 7,
  circuit: 8,
} as const;
type BlockKind = keyof typeof BlockKind;

export const LINE_BYTES = 128;
const LINE_I32 = LINE_BYTES >> 2;
const LINE_F64 = LINE_BYTES >> 3;

export const HEADER_BYTES = 16;
/** Where a record's length starts in its first word. */
export const LENGTH_SHIFT = 12;
export const DERIVED_BIT = 1 << (LENGTH_SHIFT - 1);
export const TYPE_MASK = DERIVED_BIT - 1;
export const PADDING_TYPE = 0;
export const CAUSE_BYTES = 16;
/** The record's length has 20 bits, in units of 8 bytes. */
export const MAX_RECORD_BYTES = (1 << 20) * 8 - 8;
/** Of an event: the rest is for what is told with one that goes back to main. */
export const MAX_EVENT_BYTES = MAX_RECORD_BYTES - 65_536;
export const MIN_CAPACITY_BYTES = 64;
export const MAX_CAPACITY_BYTES = 2 ** 30;

export const Outcome = { processed: 1, failed: 2, timedOut: 3, conflated: 4, discarded: 5, filtered: 6 } as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];
/** Outcomes are numbered from 1; row 0 stays free so that an index needs no subtraction. */
export const OUTCOMES = 7;

export const SubscriptionMode = { active: 0, paused: 1, ending: 2 } as const;
export type SubscriptionMode = (typeof SubscriptionMode)[keyof typeof SubscriptionMode];

export const alignLine = (bytes: number): number => Math.ceil(bytes / LINE_BYTES) * LINE_BYTES;

/** @param memory Of that size, to be cleared and used; fresh memory without it. */
export function claimBlock(
  kind: BlockKind,
  bytes: number,
  memory?: SharedArrayBuffer,
): { source: SharedArrayBuffer; head: Int32Array } {
  const source = memory ?? new SharedArrayBuffer(bytes);
  if (memory !== undefined) new Uint8Array(memory).fill(0);
  const head = new Int32Array(source, 0, LINE_I32);
  head[0] = MAGIC;
  head[1] = VERSION;
  head[2] = BlockKind[kind];
  return { source, head };
}

/**
 * The header of a block made by another thread.
 * @param sizeOf Bytes of a block with this header.
 * @throws FOREIGN_BLOCK when it is no whole block of this kind and version.
 */
export function attachBlock(
  kind: BlockKind,
  source: SharedArrayBuffer,
  sizeOf: (head: Int32Array) => number,
): Int32Array {
  const refuse = (found: string): never => {
    throw new LanebusError(ErrorCode.FOREIGN_BLOCK, `shared memory is not a Lanebus ${kind} block: ${found}`);
  };
  if (!(source instanceof SharedArrayBuffer)) refuse('it is no SharedArrayBuffer');
  if (source.byteLength < LINE_BYTES) {
    refuse(`it has ${source.byteLength} bytes, its header alone needs ${LINE_BYTES}`);
  }
  const head = new Int32Array(source, 0, LINE_I32);
  if (head[0] !== MAGIC) {
    refuse(`magic is 0x${(head[0] >>> 0).toString(16)}, expected 0x${MAGIC.toString(16)}`);
  }
  if (head[1] !== VERSION) refuse(`version is ${head[1]}, expected ${VERSION}`);
  if (head[2] !== BlockKind[kind]) refuse(`kind is ${head[2]}, expected ${BlockKind[kind]}`);
  const bytes = sizeOf(head);
  if (bytes !== source.byteLength) refuse(`it has ${source.byteLength} bytes, its header says ${bytes}`);
  return head;
}

// ---------------------------------------------------------------------------------------------------- producer block

const HEAD_LANES_INDEX = 3;
const HEAD_TYPES_INDEX = 4;
const HEAD_SYMBOLS_INDEX = 5;
const HEAD_NAMES_INDEX = 6;
const HEAD_CAPACITIES_INDEX = 7; // log2 of each lane's capacity: 5 bits would do, a word is simpler

export const MAX_LANES = LINE_I32 - HEAD_CAPACITIES_INDEX;
const SERIAL_INDEX = LINE_I32;

/** Offsets within a lane's control lines, in elements of the named width. */
export const LaneWord = {
  CURSOR_INDEX: 0,
  ROOM_INDEX: LINE_I32,
  RECORDS_F64: 2 * LINE_F64,
  DROPPED_F64: 2 * LINE_F64 + 1,
  REJECTED_F64: 2 * LINE_F64 + 2,
  BLOCKED_MS_F64: 2 * LINE_F64 + 3,
  BLOCKED_SINCE_F64: 2 * LINE_F64 + 4,
  WATERMARK_F64: 2 * LINE_F64 + 5,
  WAITING_F64: 2 * LINE_F64 + 6,
  SPILLED_F64: 2 * LINE_F64 + 7,
  REDO_COUNT_F64: 2 * LINE_F64 + 8,
  REDO_RECORDS_F64: 2 * LINE_F64 + 9,
  REDO_END_INDEX: 2 * LINE_I32 + 20,
  REDO_TYPE_INDEX: 2 * LINE_I32 + 21,
  REDO_START_INDEX: 2 * LINE_I32 + 22,
  REQUIRED_INDEX: 2 * LINE_I32 + 23,
} as const;
const LANE_CONTROL_BYTES = 3 * LINE_BYTES;

export interface ProducerShape {
  /** Capacity of each lane's ring in bytes, most urgent lane first; powers of two. */
  readonly capacities: readonly number[];
  /** Number of event types. */
  readonly types: number;
  /** Bound of the symbol table, in symbols and in bytes of their names. */
  readonly symbols: number;
  readonly nameBytes: number;
}

let producers = 0;

/** Views of one publishing thread's block. */
export class ProducerBlock {
  readonly source: SharedArrayBuffer;
  /** Tells blocks with the same index, one after the other, apart; a later one has a larger number. */
  readonly serial: number;
  readonly laneCount: number;
  /** Per lane: its control words (see LaneWord) as int32 and as float64, and its ring. */
  readonly control: readonly Int32Array[];
  readonly stats: readonly Float64Array[];
  readonly rings: readonly Memory[];
  /** Events committed, by type index (0 unused, the last one for gap notices). */
  readonly published: Float64Array;
  readonly symbols: { readonly state: Int32Array; readonly ends: Int32Array; readonly names: Uint8Array };

  /** @param memory Of a block of the same shape that nobody uses any more. */
  static create(shape: ProducerShape, memory?: SharedArrayBuffer): ProducerBlock {
    const { source, head } = claimBlock('producer', producerBytes(shape), memory);
    head[HEAD_LANES_INDEX] = shape.capacities.length;
    head[HEAD_TYPES_INDEX] = shape.types;
    head[HEAD_SYMBOLS_INDEX] = shape.symbols;
    head[HEAD_NAMES_INDEX] = shape.nameBytes;
    new Int32Array(source)[SERIAL_INDEX] = ++producers;
    shape.capacities.forEach((capacity, rank) => {
      if (capacity < MIN_CAPACITY_BYTES || capacity > MAX_CAPACITY_BYTES || (capacity & (capacity - 1)) !== 0) {
        throw new LanebusError(
          ErrorCode.OPTIONS,
          `lane capacity of ${capacity} bytes: expected a power of two from ${MIN_CAPACITY_BYTES} to ${MAX_CAPACITY_BYTES}`,
        );
      }
      head[HEAD_CAPACITIES_INDEX + rank] = Math.log2(capacity);
    });
    return new ProducerBlock(source);
  }

  constructor(source: SharedArrayBuffer) {
    const head = attachBlock('producer', source, (found) => producerBytes(shapeOf(found)));
    const { capacities, types, symbols, nameBytes } = shapeOf(head);
    this.source = source;
    this.serial = new Int32Array(source)[SERIAL_INDEX];
    this.laneCount = capacities.length;

    let offset = 2 * LINE_BYTES;
    const take = (bytes: number): number => {
      const start = offset;
      offset += alignLine(bytes);
      return start;
    };
    const controls = capacities.map(() => take(LANE_CONTROL_BYTES));
    this.control = controls.map((start) => new Int32Array(source, start, LANE_CONTROL_BYTES >> 2));
    this.stats = controls.map((start) => new Float64Array(source, start, LANE_CONTROL_BYTES >> 3));
    this.published = new Float64Array(source, take((types + 2) * 8), types + 2);
    this.symbols = {
      state: new Int32Array(source, take(8), 2),
      ends: new Int32Array(source, take(symbols * 4), symbols),
      names: new Uint8Array(source, take(nameBytes), nameBytes),
    };
    this.rings = capacities.map((capacity) => new Memory(source, take(capacity), capacity));
  }

  /** Where a lane's positions and sequences start. Called before anyone else sees the block. */
  startLaneAt(rank: number, position: number, sequence: number): void {
    this.control[rank][LaneWord.CURSOR_INDEX] = position;
    this.stats[rank][LaneWord.RECORDS_F64] = sequence;
  }
}

function shapeOf(head: Int32Array): ProducerShape {
  const logs = head.subarray(HEAD_CAPACITIES_INDEX, HEAD_CAPACITIES_INDEX + head[HEAD_LANES_INDEX]);
  return {
    capacities: Array.from(logs, (log) => 2 ** log),
    types: head[HEAD_TYPES_INDEX],
    symbols: head[HEAD_SYMBOLS_INDEX],
    nameBytes: head[HEAD_NAMES_INDEX],
  };
}

function producerBytes({ capacities, types, symbols, nameBytes }: ProducerShape): number {
  const fixed =
    2 * LINE_BYTES +
    capacities.length * LANE_CONTROL_BYTES +
    alignLine((types + 2) * 8) +
    alignLine(8) +
    alignLine(symbols * 4) +
    alignLine(nameBytes);
  return capacities.reduce((sum, capacity) => sum + alignLine(capacity), fixed);
}

// ---------------------------------------------------------------------------------------------------- consumer block

export const ConsumerWord = {
  DOORBELL_INDEX: LINE_I32,
  BELL_INDEX: 2 * LINE_I32,
  STARTED_F64: 3 * LINE_F64,
  BUSY_F64: 3 * LINE_F64 + 1,
  BUSY_SINCE_F64: 3 * LINE_F64 + 2,
  TURNS_INDEX: 3 * LINE_I32 + 6,
} as const;
const CONSUMER_BYTES = 4 * LINE_BYTES;

/** Views of the block of one thread that runs handlers. */
export class ConsumerBlock {
  readonly source: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly stats: Float64Array;

  static create(): ConsumerBlock {
    return new ConsumerBlock(claimBlock('consumer', CONSUMER_BYTES).source);
  }

  constructor(source: SharedArrayBuffer) {
    attachBlock('consumer', source, () => CONSUMER_BYTES);
    this.source = source;
    this.words = new Int32Array(source);
    this.stats = new Float64Array(source);
  }
}

// ------------------------------------------------------------------------------------------------ subscription block

const HEAD_ADDRESSES_INDEX = 4;
const HEAD_FLIGHTS_INDEX = 5;

export const SubscriptionWord = {
  STATE_INDEX: LINE_I32,
  REDELIVERED_F64: 2 * LINE_F64 + 1,
  HANDLER_F64: 2 * LINE_F64 + 2,
  WAIT_F64: 2 * LINE_F64 + 6,
  MISSED_F64: 2 * LINE_F64 + 10,
} as const;

/** Where the words of the delivery that is in flight at place `flight` stand, from 0. */
export const FlightWord = {
  positionIndex: (flight: number): number => 3 * LINE_I32 + flight * FLIGHT_I32,
  /**
   * 0 when nothing is in flight there, else address + 1, with WAITING_BIT while the handler's promise is pending, or with
   * outcome << OUTCOME_SHIFT while the delivery ends.
   */
  laneIndex: (flight: number): number => 3 * LINE_I32 + flight * FLIGHT_I32 + 1,
  attemptIndex: (flight: number): number => 3 * LINE_I32 + flight * FLIGHT_I32 + 2,
  /** Bit per rank: lanes of its own thread that must have room before the delivery can end. */
  roomIndex: (flight: number): number => 3 * LINE_I32 + flight * FLIGHT_I32 + 3,
  /** How many deliveries end `conflated` at once; other outcomes are for one. */
  weightF64: (flight: number): number => 3 * LINE_F64 + flight * (FLIGHT_I32 >> 1) + 3,
  /** The outcome's counter before it is counted: whoever takes over finishes the count exactly once. */
  beforeF64: (flight: number): number => 3 * LINE_F64 + flight * (FLIGHT_I32 >> 1) + 2,
  /** 1 from the moment the delivery is about to go back to main, and where its record ends in the lane there. */
  returnedIndex: (flight: number): number => 3 * LINE_I32 + flight * FLIGHT_I32 + 8,
  returnEndIndex: (flight: number): number => 3 * LINE_I32 + flight * FLIGHT_I32 + 9,
} as const;
const FLIGHT_I32 = 10;
/** Set in ROOM while the delivery waits for room to go back to main. */
export const RETURN_ROOM_BIT = 1 << 30;
export const OUTCOME_SHIFT = 24;
export const ADDRESS_MASK = (1 << OUTCOME_SHIFT) - 1;
/** Set in LANE while the handler has returned a promise: the thread may be busy with something else. */
export const WAITING_BIT = 1 << 28;

/** A timing takes four float64: weighted sum in ms, weight, samples, maximum in ms. */
export const TimingWord = { SUM: 0, WEIGHT: 1, SAMPLES: 2, MAX: 3 } as const;

const SUBSCRIPTION_FIXED_BYTES = 3 * LINE_BYTES;

interface SubscriptionShape {
  readonly lanes: number;
  /** producers × lanes, the number of rings it may read. */
  readonly addresses: number;
  /** Deliveries that may be in flight at once. */
  readonly flights: number;
}

/** Views of the block of one subscription on one thread. */
export class SubscriptionBlock {
  readonly source: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly stats: Float64Array;
  readonly flights: number;
  readonly #settledIndex: number;
  readonly #outcomeF64: number;
  readonly #gatingIndex: number;
  readonly #addresses: number;

  static create(shape: SubscriptionShape): SubscriptionBlock {
    const { source, head } = claimBlock('subscription', subscriptionBytes(shape));
    head[HEAD_LANES_INDEX] = shape.lanes;
    head[HEAD_ADDRESSES_INDEX] = shape.addresses;
    head[HEAD_FLIGHTS_INDEX] = shape.flights;
    return new SubscriptionBlock(source);
  }

  constructor(source: SharedArrayBuffer) {
    const shapeOf = (head: Int32Array): SubscriptionShape => ({
      lanes: head[HEAD_LANES_INDEX],
      addresses: head[HEAD_ADDRESSES_INDEX],
      flights: head[HEAD_FLIGHTS_INDEX],
    });
    const shape = shapeOf(attachBlock('subscription', source, (found) => subscriptionBytes(shapeOf(found))));
    const outcomes = SUBSCRIPTION_FIXED_BYTES + alignLine(shape.flights * FLIGHT_I32 * 4);
    const settled = outcomes + alignLine(shape.lanes * OUTCOMES * 8);
    const gating = settled + alignLine(shape.addresses * 4);
    this.source = source;
    this.words = new Int32Array(source);
    this.stats = new Float64Array(source);
    this.flights = shape.flights;
    this.#outcomeF64 = outcomes >> 3;
    this.#settledIndex = settled >> 2;
    this.#gatingIndex = gating >> 2;
    this.#addresses = shape.addresses;
  }

  /** float64 index of a lane's outcomes: the counter of each stands so much further on. */
  outcomesF64(rank: number): number {
    return this.#outcomeF64 + rank * OUTCOMES;
  }

  outcomeF64(rank: number, outcome: Outcome): number {
    return this.outcomesF64(rank) + outcome;
  }

  /** int32 index of the position up to which this subscription has finished the lane at `address`. */
  settledIndex(address: number): number {
    return this.#settledIndex + address;
  }

  /** int32 index of the position that holds the lane back; its sequence stands in the next element. */
  gatingIndex(address: number): number {
    return this.#gatingIndex + address * LINE_I32;
  }

  /** int32 index of the sequence behind SETTLED, where GATING is held back by a checkpoint. */
  readSequenceIndex(address: number): number {
    return this.gatingIndex(address) + READ_SEQUENCE_INDEX;
  }

  /**
   * Notes the claim number of the first record behind a position, before that position becomes GATING. There are two
   * places, and the one that belongs to the current GATING is not written: `numberAt` finds it whenever the thread died.
   */
  number(address: number, position: number, number: number): void {
    const gating = this.gatingIndex(address);
    const first = gating + NUMBERED_INDEX;
    const place = this.words[first] === this.words[gating] ? first + 2 : first;
    this.words[place] = position;
    this.words[place + 1] = number;
  }

  /** The claim number that belongs to GATING. Read after the thread's exit. */
  numberAt(address: number): number {
    const gating = this.gatingIndex(address);
    const first = gating + NUMBERED_INDEX;
    return this.words[this.words[first] === this.words[gating] ? first + 1 : first + 3];
  }

  /**
   * Notes how many refused events a successor that starts at a position is to tell of, before it becomes the position
   * where one would start. As for `number` there are two places.
   */
  noteUntold(address: number, position: number, missed: number): void {
    const first = this.gatingIndex(address) + UNTOLD_INDEX;
    const place = this.words[first] === this.words[this.settledIndex(address)] ? first + 2 : first;
    this.words[place] = position;
    this.words[place + 1] = missed;
  }

  /** They have been told: positions come again after 4 GiB. */
  forgetUntold(address: number): void {
    const first = this.gatingIndex(address) + UNTOLD_INDEX;
    this.words[first + 1] = 0;
    this.words[first + 3] = 0;
  }

  /** What is to be told by who starts at this position. */
  untoldAt(address: number, position: number): number {
    const first = this.gatingIndex(address) + UNTOLD_INDEX;
    if (this.words[first] === position && this.words[first + 1] !== 0) return this.words[first + 1];
    return this.words[first + 2] === position ? this.words[first + 3] : 0;
  }

  /** Where the subscription starts to read a lane. Called by one thread at a time, before the consumer knows the lane. */
  seed(address: number, position: number, sequence: number, number = 0): void {
    const gating = this.gatingIndex(address);
    this.words[this.settledIndex(address)] = position;
    this.words[gating + 1] = sequence;
    this.words[gating + READ_SEQUENCE_INDEX] = sequence;
    this.words[gating + NUMBERED_INDEX] = position;
    this.words[gating + NUMBERED_INDEX + 1] = number;
    Atomics.store(this.words, gating, position);
  }

  /**
   * Lets a thread that may linger give no more room back: C3 fails (Reader.free), and what a successor is to be shown again
   * stays where it is. Positions are multiples of 8: for publishers the room is what it was.
   */
  fence(): void {
    for (let address = 0; address < this.#addresses; address++)
      Atomics.or(this.words, this.gatingIndex(address), FENCE_BIT);
  }

  /** In a copy, whose positions are read. */
  unfence(): void {
    for (let address = 0; address < this.#addresses; address++) this.words[this.gatingIndex(address)] &= ~FENCE_BIT;
  }
}

const FENCE_BIT = 1;
const NUMBERED_INDEX = 2;
const UNTOLD_INDEX = 6;
const READ_SEQUENCE_INDEX = 10;

function subscriptionBytes({ lanes, addresses, flights }: SubscriptionShape): number {
  return (
    SUBSCRIPTION_FIXED_BYTES +
    alignLine(flights * FLIGHT_I32 * 4) +
    alignLine(lanes * OUTCOMES * 8) +
    alignLine(addresses * 4) +
    addresses * LINE_BYTES
  );
}

// ----------------------------------------------------------------------------------------------------- circuit block

const CIRCUIT_BYTES = 2 * LINE_BYTES;

/** View of the one word of a subscription's circuit. */
export class CircuitBlock {
  readonly source: SharedArrayBuffer;
  readonly words: Int32Array;

  static create(): CircuitBlock {
    return new CircuitBlock(claimBlock('circuit', CIRCUIT_BYTES).source);
  }

  constructor(source: SharedArrayBuffer) {
    attachBlock('circuit', source, () => CIRCUIT_BYTES);
    this.source = source;
    this.words = new Int32Array(source);
  }
}

export const HEALTH_INDEX = LINE_I32;

// ------------------------------------------------------------------------------------------------------- claim block

const HEAD_SLOTS_INDEX = 3;

/** Views of the claims on one lane's records by the threads that share a subscription. */
export class ClaimBlock {
  readonly source: SharedArrayBuffer;
  readonly slots: Int32Array;

  /** @param slots A power of two: at least as many as the lane can hold records that are claimed. */
  static create(slots: number): ClaimBlock {
    const { source, head } = claimBlock('claims', LINE_BYTES + slots * 4);
    head[HEAD_SLOTS_INDEX] = slots;
    return new ClaimBlock(source);
  }

  constructor(source: SharedArrayBuffer) {
    const head = attachBlock('claims', source, (found) => LINE_BYTES + found[HEAD_SLOTS_INDEX] * 4);
    this.source = source;
    this.slots = new Int32Array(source, LINE_BYTES, head[HEAD_SLOTS_INDEX]);
  }
}
