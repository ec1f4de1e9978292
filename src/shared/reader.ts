/**
 * Who reads what on one thread: one reader for each subscription and each lane that carries its types.
 *
 * Every subscription has a cursor of its own in each lane, so one that is slow, paused or waiting for a promise holds up
 * nothing but itself (and, in the end, the lane's producer). Rejected alternative, one shared cursor for all
 * subscriptions of a thread: docs/decisions/0001.
 */
import type { Decoder } from './codec.js';
import type { ClaimedReader } from './claimed-reader.js';
import type { ConflatedReader } from './conflated-reader.js';
import type { Claims } from './claims.js';
import type { Delivery } from './delivery.js';
import type { RecordTest } from './filters.js';
import { HOT_DELIVERIES, type HotBurst } from './hot-burst.js';
import type { KeyHash } from './keys.js';
import { LaneView, readGaps } from './lane.js';
import { HEADER_BYTES, type ProducerBlock, TYPE_MASK } from './layout.js';
import { distance } from './sequence.js';
import type { LocalSubscription } from './subscription.js';

export type AnyReader = Reader | ConflatedReader;

/** A lane of one publishing thread, as a reader is told of it. */
export interface Place {
  readonly block: ProducerBlock;
  readonly rank: number;
  readonly name: string;
  /** Index of the producer's block among all, and of the thread that owns it. */
  readonly producer: number;
  readonly publisher: number;
  /** Number of lanes of each producer. */
  readonly lanes: number;
  /** Whether main makes deliveries again there (retries.ts). */
  readonly isRetries: boolean;
}

/** Which of a lane's records a thread delivers, and what it must know of them first. All by type index. */
export interface Selection {
  /** Null for what the subscription does not want, padding among it. */
  readonly decoders: readonly (Decoder | null)[];
  /** Whether the record's key is this thread's; null where all records are. */
  readonly owns: readonly RecordTest[] | null;
  /** The subscription's filter; null where there is none. */
  readonly accepts: readonly RecordTest[] | null;
  /** For deliveries that are in flight together, one for each key; null where keys do not matter. */
  readonly keys: readonly KeyHash[] | null;
  /** The key behind which events are held while a failed one is tried again; null where none are. */
  readonly holds: readonly KeyHash[] | null;
}

/** A record that was taken and has no outcome yet. */
export interface Open {
  readonly reader: ClaimedReader;
  readonly position: number;
  readonly number: number;
  readonly key: number;
  done: boolean;
}

/** Reads a lane in order, one delivery after the other. */
export class Reader {
  readonly subscription: LocalSubscription;
  readonly lane: LaneView;
  readonly laneName: string;
  readonly rank: number;
  readonly producer: number;
  readonly publisher: number;
  readonly address: number;
  /** What LANE holds while a delivery from here is in flight. */
  readonly tag: number;
  readonly decoders: Selection['decoders'];
  readonly owns: Selection['owns'];
  readonly accepts: Selection['accepts'];
  readonly holds: Selection['holds'];
  readonly isRetries: boolean;
  /** Who takes which record, where several may. */
  readonly claims: Claims | null;
  readonly settledIndex: number;
  readonly gatingIndex: number;
  /** float64 index of the counters of this lane's outcomes. */
  readonly outcomesF64: number;
  /** Type index of gap notices, the one behind the catalog's last. */
  readonly gapType: number;
  /** Bytes after which the lane is told how far this reader is, even within a burst: see BurstControl.owe. */
  readonly flushBytes: number;
  /** Start of the next record. */
  position: number;
  /** What the lane has been told. */
  flushed: number;
  /** Events that were refused since the last delivery, and are to be told with the next one. */
  missed = 0;
  /** Attempt numbers of deliveries that were in flight when their thread died, by position; undefined when there are none. */
  repeats: Map<number, number> | undefined;
  /** Byte offset of the record before `position`, once there is one. */
  last = 0;
  /** Deliveries so far, and the loop that is compiled for them once they are many. */
  delivered = 0;
  hot: HotBurst | undefined;
  /** Reads the same lane of the thread that the publisher has taken over from, which is read to its end first. */
  former: AnyReader | undefined;

  constructor(
    subscription: LocalSubscription,
    place: Place,
    selection: Selection,
    repeats: Reader['repeats'],
    claims: Claims | null = null,
  ) {
    const address = place.producer * place.lanes + place.rank;
    this.subscription = subscription;
    this.lane = new LaneView(place.block, place.rank);
    this.laneName = place.name;
    this.rank = place.rank;
    this.producer = place.producer;
    this.publisher = place.publisher;
    this.address = address;
    this.tag = address + 1;
    this.decoders = selection.decoders;
    this.owns = selection.owns;
    this.accepts = selection.accepts;
    this.holds = selection.holds;
    this.isRetries = place.isRetries;
    this.claims = claims;
    this.settledIndex = subscription.block.settledIndex(address);
    this.gatingIndex = subscription.block.gatingIndex(address);
    this.outcomesF64 = subscription.block.outcomesF64(place.rank);
    this.gapType = selection.decoders.length - 1;
    this.flushBytes = (this.lane.mask + 1) >> 4;
    this.position = subscription.words[this.settledIndex];
    this.flushed = this.position;
    this.missed = subscription.block.untoldAt(address, this.position);
    this.repeats = repeats;
  }

  get hasNews(): boolean {
    return this.lane.end() !== this.position;
  }

  get canRun(): boolean {
    return this.hasNews && this.subscription.ready && !this.waits;
  }

  /** Whether nothing is special about its next deliveries: see hot-burst.ts. */
  get isPlain(): boolean {
    if (this.delivered < HOT_DELIVERIES || this.isRetries) return false;
    const { circuit, keepsOrder, once, resumes, untilSample } = this.subscription;
    if (untilSample <= 1 || keepsOrder || once || this.missed !== 0 || this.repeats !== undefined) return false;
    return circuit.isClear && resumes;
  }

  /** Whether what a dead thread has published comes first: its successor's events are later ones of the same publisher. */
  get waits(): boolean {
    const { former } = this;
    return former !== undefined && (former.hasNews || former.waits);
  }

  /** Whether a publisher waits for room that only `skip` gives back, though there is no news. */
  get isAwaited(): boolean {
    return false;
  }

  /** Whether the record at a byte offset is for this thread. */
  wants(at: number): boolean {
    const { memory } = this.lane;
    const type = memory.i32[at >> 2] & TYPE_MASK;
    return this.decoders[type] !== null && (this.owns === null || this.owns[type](memory, at + HEADER_BYTES));
  }

  /** Goes past a record that is not for this thread; a gap notice among them is to be told. */
  pass(at: number): void {
    const { memory } = this.lane;
    if ((memory.i32[at >> 2] & TYPE_MASK) !== this.gapType) return;
    this.missed += readGaps(memory, at, this.subscription.types);
  }

  /** Before D5 of a delivery that tells nobody of the gap. */
  keepMissed({ position }: Delivery): void {
    this.subscription.block.noteUntold(this.address, this.lane.next(position), this.missed);
  }

  /** After D6 of the one that does, unless there is another gap by now. */
  forgetMissed(): void {
    if (this.missed === 0) this.subscription.block.forgetUntold(this.address);
  }

  /** Goes past records that are not for this thread, up to the first that is: one that is in flight, too. */
  skip(): void {
    this.seek(this.lane.end());
    this.giveBack();
  }

  /** Goes on to the next record that is for this thread. @returns Whether there is one before a position. */
  seek(end: number): boolean {
    const { lane } = this;
    while (distance(end, this.position) > 0) {
      const at = lane.offset(this.position);
      if (this.wants(at)) return true;
      this.pass(at);
      this.goPast(at);
    }
    return false;
  }

  goPast(at: number): void {
    this.last = at;
    this.position = this.lane.next(this.position);
  }

  /** D5. */
  settle({ position, at }: Delivery): void {
    this.last = at;
    this.position = this.lane.next(position);
    this.subscription.words[this.settledIndex] = this.position;
  }

  /**
   * C3: gives the room below `position` back to the lane. Nothing below it is read again, by us or by a successor:
   * every delivery below it has its outcome.
   */
  giveBack(): void {
    if (this.position === this.flushed) return;
    const { words, block } = this.subscription;
    if (this.missed !== 0) block.noteUntold(this.address, this.position, this.missed);
    words[this.settledIndex] = this.position; // else it stays behind by more than half of the numbers, over skipped records
    this.free(this.position, (this.lane.memory.i32[(this.last >> 2) + 1] + 1) | 0);
  }

  /** C3, unless the thread was given up meanwhile: see SubscriptionBlock.fence. @param sequence Of the record at the position. */
  protected free(position: number, sequence: number): void {
    const { words } = this.subscription;
    words[this.gatingIndex + 1] = sequence;
    if (Atomics.compareExchange(words, this.gatingIndex, this.flushed, position) !== this.flushed) return;
    this.flushed = position;
    this.lane.ringProducer();
  }
}
