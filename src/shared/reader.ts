/**
 * Who reads what on one thread: a subscription, and one reader for each lane that carries its types.
 *
 * Every subscription has a cursor of its own in each lane, so one that is slow, paused or waiting for a promise holds up
 * nothing but itself (and, in the end, the lane's producer). Rejected alternative, one shared cursor for all
 * subscriptions of a thread: docs/decisions/0001.
 */
import type { HandlerLogger } from './api.js';
import type { Decoder } from './codec.js';
import { DeliveryContext } from './context.js';
import { LaneView } from './lane.js';
import {
  type Outcome,
  type ProducerBlock,
  SubscriptionBlock,
  SubscriptionMode,
  SubscriptionWord,
  TimingWord,
  TYPE_MASK,
} from './layout.js';
import type { Outbox } from './outbox.js';
import { Publishes } from './publishes.js';

export type AnyHandler = (event: never, context: never) => unknown;

/** From this duration on, every delivery of a handler is timed; faster ones are sampled. In ms. */
const SLOW_MS = 0.01;
const BRISK_MS = 0.001;
const SLOW_STRIDE = 1;
const BRISK_STRIDE = 8;
const FAST_STRIDE = 64;

/** A subscription as its thread sees it. One delivery at a time is in flight. */
export class LocalSubscription {
  readonly id: number;
  readonly name: string;
  readonly types: ReadonlySet<number>;
  readonly handler: AnyHandler;
  readonly block: SubscriptionBlock;
  readonly words: Int32Array;
  readonly stats: Float64Array;
  readonly readers: Reader[] = [];
  readonly publishes: Publishes;
  readonly log: HandlerLogger;
  /** Index of the thread: 0 is the bus's own. */
  readonly thread: number;
  /** The reader whose delivery waits for a promise. */
  inFlight: Reader | undefined;
  /** Number of the delivery that waits: tells a late promise of an abandoned one apart. */
  serial = 0;
  controller: AbortController | undefined;
  /** Deliveries until the next one that is timed, and how many a timed one stands for. */
  untilSample = 1;
  stride = SLOW_STRIDE;
  /** When the timed delivery began, 0 if this one is not timed. */
  startedAt = 0;

  constructor(
    spec: {
      readonly id: number;
      readonly name: string;
      readonly types: readonly number[];
      readonly block: SharedArrayBuffer;
    },
    handler: AnyHandler,
    outbox: Outbox,
    log: HandlerLogger,
    thread: number,
  ) {
    this.id = spec.id;
    this.name = spec.name;
    this.types = new Set(spec.types);
    this.handler = handler;
    this.block = new SubscriptionBlock(spec.block);
    this.words = this.block.words;
    this.stats = this.block.stats;
    this.publishes = new Publishes(outbox);
    this.log = log;
    this.thread = thread;
  }

  get mode(): number {
    return Atomics.load(this.words, SubscriptionWord.STATE_INDEX);
  }

  /** Whether its next delivery may start. */
  get ready(): boolean {
    return this.inFlight === undefined && this.mode === SubscriptionMode.active;
  }

  /** Whether it may go past records that are not for it. One that ends stands still: its cut is being made. */
  get skips(): boolean {
    return this.inFlight === undefined && this.mode !== SubscriptionMode.ending;
  }

  /** Takes a sample into one of the two timings. */
  time(timingF64: number, ms: number): void {
    const { stats, stride } = this;
    stats[timingF64 + TimingWord.SUM] += ms * stride;
    stats[timingF64 + TimingWord.WEIGHT] += stride;
    stats[timingF64 + TimingWord.SAMPLES] += 1;
    if (ms > stats[timingF64 + TimingWord.MAX]) stats[timingF64 + TimingWord.MAX] = ms;
  }

  /** Chooses how often to look at the clock from what the last sample took. */
  adapt(ms: number): void {
    this.stride = ms >= SLOW_MS ? SLOW_STRIDE : ms >= BRISK_MS ? BRISK_STRIDE : FAST_STRIDE;
    this.untilSample = this.stride;
  }
}

/** One subscription's place in one lane of one publishing thread. */
export class Reader {
  readonly subscription: LocalSubscription;
  readonly lane: LaneView;
  readonly laneName: string;
  readonly rank: number;
  /** Index of the producer's block among all, and of the thread that owns it. */
  readonly producer: number;
  readonly publisher: number;
  /** What LANE holds while a delivery from here is in flight. */
  readonly tag: number;
  /** Decoders by type index; null for what the subscription does not want, padding among it. */
  readonly decoders: readonly (Decoder | null)[];
  readonly context: DeliveryContext;
  readonly settledIndex: number;
  readonly gatingIndex: number;
  /** Bytes after which the lane is told how far this reader is, even within a burst. */
  readonly flushBytes: number;
  /** Start of the next record. */
  position: number;
  /** What the lane has been told. */
  flushed: number;
  /** Attempt number of the next delivery; above 1 only for one that was in flight when its thread died. */
  attempt: number;

  constructor(
    subscription: LocalSubscription,
    lane: { block: ProducerBlock; rank: number; name: string; producer: number; publisher: number; lanes: number },
    decoders: readonly (Decoder | null)[],
    attempt: number,
  ) {
    const address = lane.producer * lane.lanes + lane.rank;
    this.subscription = subscription;
    this.lane = new LaneView(lane.block, lane.rank);
    this.laneName = lane.name;
    this.rank = lane.rank;
    this.producer = lane.producer;
    this.publisher = lane.publisher;
    this.tag = address + 1;
    this.decoders = decoders;
    this.settledIndex = subscription.block.settledIndex(address);
    this.gatingIndex = subscription.block.gatingIndex(address);
    this.flushBytes = (this.lane.mask + 1) >> 4;
    this.position = subscription.words[this.settledIndex];
    this.flushed = this.position;
    this.attempt = attempt;
    this.context = new DeliveryContext(this);
  }

  get hasNews(): boolean {
    return this.lane.end() !== this.position;
  }

  /** Goes past records that the subscription does not want, up to the first that it does. Nothing may be in flight. */
  skip(): void {
    const { lane, decoders } = this;
    const end = lane.end();
    let sequence = 0;
    let position = this.position;
    while (position !== end) {
      const at = lane.offset(position) >> 2;
      if (decoders[lane.memory.i32[at] & TYPE_MASK] !== null) break;
      sequence = (lane.memory.i32[at + 1] + 1) | 0;
      position = lane.next(position);
    }
    if (position === this.position) return;
    this.position = position;
    this.flush(sequence);
  }

  outcomeF64(outcome: Outcome): number {
    return this.subscription.block.outcomeF64(this.rank, outcome);
  }

  /**
   * C3: gives the room below `position` back to the lane. Nothing below it is read again, by us or by a successor:
   * every delivery below it has its outcome.
   */
  flush(sequence: number): void {
    const { words } = this.subscription;
    words[this.settledIndex] = this.position; // else it stays behind by more than half of the numbers, over skipped records
    words[this.gatingIndex + 1] = sequence;
    Atomics.store(words, this.gatingIndex, this.position);
    this.flushed = this.position;
    this.lane.ringProducer();
  }
}
