/**
 * What a thread cannot end by itself goes back to main: a delivery that has failed, was held behind one of its key, or came
 * from the retries (retries.ts). Each member of a subscription has a lane for that, of which main is the one reader. Main
 * decides what becomes of it: another try, a dead letter, an outcome. So none of that dies with the thread.
 *
 * Going back is how such a delivery ends on its thread. It stands for D2 to D4 (delivery.ts):
 *   R1 the record's bytes; RETURN_END, RETURNED = 1    the delivery is in flight as before
 *   R2 Atomics.store(CURSOR)                           the commit: from here on the delivery is main's
 *   D5 settled, D6 LANE = 0
 * Dead before R2: CURSOR has not come to RETURN_END, so the delivery has no outcome, and is made again. Dead from R2 on: CURSOR
 * has, so `recover` finishes D5 and D6, and main reads the record, if it has not already. CURSOR moves with this member's
 * returns only, so it cannot pass RETURN_END for another reason. A thread that lingers has its block and this lane's control
 * copied as of one moment (Member.finish); main reads nothing behind the CURSOR of that copy.
 * The lane has its room back by GATING, which main stores after it has copied what it needs: C3 and P0 of lane.ts.
 * Test: test/interleaving/returns
 */
import { PublishClock, now } from './clock.js';
import type { Delivery } from './delivery.js';
import { MAX_ERROR_BYTES } from './packed-error.js';
import { Lane, LaneView, recordBytes } from './lane.js';
import {
  ConsumerBlock,
  ConsumerWord,
  HEADER_BYTES,
  LaneWord,
  MAX_RECORD_BYTES,
  PADDING_TYPE,
  ProducerBlock,
  SubscriptionBlock,
  TYPE_MASK,
} from './layout.js';
import type { Memory } from './memory.js';
import { Parker, ring } from './parking.js';
import { distance } from './sequence.js';

/** Why a delivery goes back. The first four are failures. */
const RETURN_REASONS = [
  'failed',
  'final',
  'undecodable',
  'timedOut',
  'held',
  'processed',
  'filtered',
  'released',
] as const;
/**
 * `'final'`: failed, and not to be tried again. `'held'`: not run, as one of its key has failed before it. `'released'`: a
 * notice that frees a key has arrived.
 */
export type ReturnReason = (typeof RETURN_REASONS)[number];

/** What a thread is told of its lane back to main. */
export interface ReturnSpec {
  /** A producer block of one lane. */
  readonly lane: SharedArrayBuffer;
  /** A subscription block of one address, for main's position. */
  readonly gate: SharedArrayBuffer;
  /** Consumer block whose doorbell wakes main's desk. */
  readonly desk: SharedArrayBuffer;
}

// Offsets within the payload, in bytes. The event's record follows, header first, then the error.
const REASON = 0;
const ADDRESS = 4;
const POSITION = 8;
const ATTEMPT = 12;
const TICKET = 16;
const EVENT_BYTES = 20;
const ERROR_BYTES = 24;
const FAILED_AT = 32;
const SEQUENCE = 40;
const FIXED_BYTES = 48;

/** Room of a lane for events of at most so many bytes: two of the largest fit, and some thousands of small ones. */
export function returnCapacity(maxEventBytes: number): number {
  const most = HEADER_BYTES + FIXED_BYTES + maxEventBytes + MAX_ERROR_BYTES + 8;
  return 2 ** Math.ceil(Math.log2(Math.max(8 * MAX_ERROR_BYTES, 2 * most)));
}

/** The thread's side. */
export class ReturnWriter {
  readonly lane: Lane;
  readonly #desk: Int32Array;
  readonly #parker: Parker;
  readonly #gate: SubscriptionBlock;
  /** Main's position before the last look for room. */
  #seen = 0;
  #room: Promise<void> | undefined;

  constructor({ lane, gate, desk }: ReturnSpec) {
    const block = new ProducerBlock(lane);
    this.#gate = new SubscriptionBlock(gate);
    this.#desk = new ConsumerBlock(desk).words;
    this.lane = new Lane(
      block,
      0,
      { name: 'returns', maxRecordBytes: MAX_RECORD_BYTES, urgent: false },
      { clock: new PublishClock(), mortal: true, origin: undefined },
    );
    this.#parker = new Parker(this.lane.control, LaneWord.ROOM_INDEX);
    this.lane.setGates([
      {
        id: 0,
        name: 'desk',
        types: Array.from(block.published.keys()),
        words: this.#gate.words,
        index: this.#gate.gatingIndex(0),
        consumer: this.#desk,
        conflator: undefined,
      },
    ]);
  }

  /**
   * R1 and R2. @param error Packed, see `packError`. @param beforeCommit Runs between the two.
   * @returns Whether there was room. If not, nothing has happened.
   */
  write(
    delivery: Delivery,
    reason: ReturnReason,
    error: Uint8Array | undefined,
    beforeCommit: (() => void) | undefined,
  ): boolean {
    const { lane } = this;
    const { memory: from, at: start, reader, words } = delivery;
    const typeIndex = from.i32[start >> 2] & TYPE_MASK;
    // Of one that main has tried again, main has the event.
    const eventBytes = reader.isRetries ? 0 : recordBytes(from.i32[start >> 2]);
    const errorBytes = error?.length ?? 0;
    this.#seen = this.#read();
    const at = lane.claim(FIXED_BYTES + eventBytes + errorBytes, typeIndex);
    if (at < 0) return false;
    const { i32, f64, u8 } = lane.memory;
    i32[(at + REASON) >> 2] = RETURN_REASONS.indexOf(reason);
    i32[(at + ADDRESS) >> 2] = reader.address;
    i32[(at + POSITION) >> 2] = delivery.position;
    i32[(at + ATTEMPT) >> 2] = delivery.attempt;
    i32[(at + TICKET) >> 2] = delivery.ticket;
    i32[(at + EVENT_BYTES) >> 2] = eventBytes;
    i32[(at + ERROR_BYTES) >> 2] = errorBytes;
    f64[(at + FAILED_AT) >> 3] = now();
    f64[(at + SEQUENCE) >> 3] = delivery.sequence;
    if (eventBytes > 0) u8.set(from.u8.subarray(start, start + eventBytes), at + FIXED_BYTES);
    if (error !== undefined) u8.set(error, at + FIXED_BYTES + eventBytes);
    words[delivery.returnEndIndex] = lane.claimed;
    words[delivery.returnedIndex] = 1;
    beforeCommit?.();
    lane.commit(typeIndex);
    return true;
  }

  /** Resolves when main has read something. Several may wait. */
  room(): Promise<void> {
    return (this.#room ??= this.#wait());
  }

  async #wait(): Promise<void> {
    this.#parker.announce();
    if (this.#read() !== this.#seen) this.#parker.cancel();
    else await this.#parker.wait();
    this.#room = undefined;
  }

  #read(): number {
    return Atomics.load(this.#gate.words, this.#gate.gatingIndex(0));
  }

  /** Lets main look at the circuit. */
  ring(): void {
    ring(this.#desk, ConsumerWord.DOORBELL_INDEX);
  }
}

/** A delivery that has come back. */
export interface Returned {
  readonly reason: ReturnReason;
  readonly address: number;
  readonly position: number;
  /** Number of the try, from 1. */
  readonly attempt: number;
  /** Main's number of it, if main had it before; else 0. */
  readonly ticket: number;
  /** On the bus's clock, in ms. */
  readonly at: number;
  readonly sequence: number;
  /** The event's record, header first; valid until `done`. Undefined with a ticket. */
  readonly event: { readonly memory: Memory; readonly at: number } | undefined;
  /** Packed: packed-error.ts. */
  readonly error: Uint8Array | undefined;
}

/** Main's side: blocks that outlive the member's threads, as long as those exit. */
export class ReturnReader {
  readonly spec: ReturnSpec;
  readonly #lane: LaneView;
  readonly #gate: SubscriptionBlock;
  readonly #flushBytes: number;
  /** Where its writer, which was given up, stood: what it writes later is nothing. */
  #end: number | undefined;

  /** @param types Number of types in the catalog. */
  constructor(types: number, capacityBytes: number, desk: SharedArrayBuffer) {
    const shape = { capacities: [capacityBytes], types, symbols: 0, nameBytes: 0 };
    const block = ProducerBlock.create(shape);
    this.#gate = SubscriptionBlock.create({ lanes: 1, addresses: 1, flights: 1 });
    this.#lane = new LaneView(block, 0);
    this.#flushBytes = capacityBytes >> 2;
    this.spec = { lane: block.source, gate: this.#gate.source, desk };
  }

  get isEmpty(): boolean {
    return this.#position === (this.#end ?? this.#lane.end());
  }

  get cursor(): number {
    return this.#lane.end();
  }

  get #position(): number {
    return this.#gate.words[this.#gate.gatingIndex(0)];
  }

  /** Reads nothing behind a position of the lane. */
  cut(end: number): void {
    this.#end = end;
  }

  /**
   * Hands over all there is, in order. Room is given back for some at a time: a thread that waits for it would otherwise be
   * woken for each.
   * @param take Copies what it needs. Returns whether it has taken it, and wants the next one.
   */
  drain(take: (returned: Returned) => boolean): void {
    const { memory } = this.#lane;
    let position = this.#position;
    const end = this.#end ?? this.#lane.end();
    let flushed = position;
    try {
      while (position !== end) {
        const at = this.#lane.offset(position);
        const isEvent = (memory.i32[at >> 2] & TYPE_MASK) !== PADDING_TYPE;
        if (isEvent && !take(this.#read(at + HEADER_BYTES))) break;
        position = this.#lane.next(position);
        if (distance(position, flushed) < this.#flushBytes) continue;
        this.#giveBack(position);
        flushed = position;
      }
    } finally {
      if (position !== flushed) this.#giveBack(position);
    }
  }

  #giveBack(position: number): void {
    Atomics.store(this.#gate.words, this.#gate.gatingIndex(0), position);
    this.#lane.ringProducer();
  }

  #read(at: number): Returned {
    const { memory } = this.#lane;
    const { i32, f64, u8 } = memory;
    const eventBytes = i32[(at + EVENT_BYTES) >> 2];
    const errorBytes = i32[(at + ERROR_BYTES) >> 2];
    const errorAt = at + FIXED_BYTES + eventBytes;
    return {
      reason: RETURN_REASONS[i32[(at + REASON) >> 2]],
      address: i32[(at + ADDRESS) >> 2],
      position: i32[(at + POSITION) >> 2],
      attempt: i32[(at + ATTEMPT) >> 2],
      ticket: i32[(at + TICKET) >> 2],
      at: f64[(at + FAILED_AT) >> 3],
      sequence: f64[(at + SEQUENCE) >> 3],
      event: eventBytes === 0 ? undefined : { memory, at: at + FIXED_BYTES },
      error: errorBytes === 0 ? undefined : u8.slice(errorAt, errorAt + errorBytes),
    };
  }
}
