/**
 * A subscription as one of its threads sees it: the handler, the places for its deliveries in flight, and how long they
 * take.
 */
import type { HandlerLogger } from './api.js';
import { Circuit } from './circuit.js';
import { Delivery } from './delivery.js';
import {
  CircuitBlock,
  HEADER_BYTES,
  SubscriptionBlock,
  SubscriptionMode,
  SubscriptionWord,
  TimingWord,
  TYPE_MASK,
} from './layout.js';
import type { Logger } from './logger.js';
import type { Outbox } from './outbox.js';
import { Quarantine } from './quarantine.js';
import type { AnyReader, Open } from './reader.js';
import { type ReturnSpec, ReturnWriter } from './returns.js';

export type AnyHandler = (event: never, context: never) => unknown;
export type AnyPredicate = (event: never) => unknown;

/** From this duration on, every delivery of a handler is timed; faster ones are sampled. In ms. */
const SLOW_MS = 0.01;
const BRISK_MS = 0.001;
const SLOW_STRIDE = 1;
const BRISK_STRIDE = 8;
const FAST_STRIDE = 64;

const NO_QUARANTINE = new Quarantine(
  () => [],
  () => undefined,
);

/** What a subscription runs on a thread. */
export interface Handling {
  readonly handler: AnyHandler;
  /** Decides which events the handler gets. */
  readonly predicate: AnyPredicate | undefined;
  /** What its checkpoints are made of, where it has any. */
  readonly checkpoints?: { snapshot(): unknown; fatal(fields: object, message: string): void } | undefined;
}

export interface LocalSetup {
  readonly id: number;
  readonly name: string;
  /** Type indexes. */
  readonly types: readonly number[];
  readonly block: SharedArrayBuffer;
  /** Whether it has one delivery only, and has not had it yet. */
  readonly once: boolean;
  readonly failures: FailureSetup;
}

/** What a thread must know to let deliveries fail. */
export interface FailureSetup {
  /** This thread's number among those that share the subscription. */
  readonly member: number;
  readonly circuit: SharedArrayBuffer;
  /** Failures in a row that open the circuit; 0 = never. */
  readonly maxFailures: number;
  readonly returns: ReturnSpec;
  /** Whether a key's events are held while one is tried again, and hashes of keys that are, with how many main has of each. */
  readonly keepsOrder: boolean;
  readonly held: readonly (readonly [number, number])[];
}

export class LocalSubscription {
  readonly id: number;
  readonly name: string;
  readonly types: ReadonlySet<number>;
  readonly handler: AnyHandler;
  readonly predicate: AnyPredicate | undefined;
  readonly block: SubscriptionBlock;
  readonly words: Int32Array;
  readonly stats: Float64Array;
  readonly outbox: Outbox;
  readonly log: HandlerLogger;
  /** Whether its failures are written somewhere: to collect what is written takes as long as the rest. */
  readonly logsErrors: boolean;
  /** Index of the thread: 0 is the bus's own. */
  readonly thread: number;
  readonly laneNames: readonly string[];
  readonly quarantine: Quarantine;
  readonly readers: AnyReader[] = [];
  readonly deliveries: readonly Delivery[];
  /** Those that are not in flight; the last one is used next. */
  readonly idle: Delivery[];
  readonly once: boolean;
  /** Whether it has had its one delivery: whatever else comes is discarded. */
  spent = false;
  /** Keys in flight, with the records of each that wait for their turn. */
  readonly keys = new Map<number, Open[]>();
  readonly member: number;
  readonly circuit: Circuit;
  readonly returns: ReturnWriter;
  readonly keepsOrder: boolean;
  /** Keys of which main has deliveries that have not come back, and how many. */
  readonly held: Map<number, number>;
  /** Deliveries until the next one that is timed, and how many a timed one stands for. */
  untilSample = 1;
  stride = SLOW_STRIDE;

  constructor(
    setup: LocalSetup,
    { handler, predicate }: Handling,
    outbox: Outbox,
    log: HandlerLogger,
    thread: number,
    laneNames: readonly string[],
    quarantine: Quarantine = NO_QUARANTINE,
  ) {
    this.id = setup.id;
    this.name = setup.name;
    this.types = new Set(setup.types);
    this.once = setup.once;
    const { member, circuit, maxFailures, returns, keepsOrder, held } = setup.failures;
    this.member = member;
    this.circuit = new Circuit(new CircuitBlock(circuit), maxFailures);
    this.returns = new ReturnWriter(returns);
    this.keepsOrder = keepsOrder;
    this.held = new Map(held);
    this.handler = handler;
    this.predicate = predicate;
    this.block = new SubscriptionBlock(setup.block);
    this.words = this.block.words;
    this.stats = this.block.stats;
    this.outbox = outbox;
    this.log = log;
    this.logsErrors = (log as Partial<Logger>).isLevelEnabled?.('error') ?? true;
    this.thread = thread;
    this.laneNames = laneNames;
    this.quarantine = quarantine;
    this.deliveries = Array.from(
      { length: this.block.flights },
      (_, flight) => new Delivery(this, flight, laneNames.length),
    );
    this.idle = [...this.deliveries].reverse();
  }

  get mode(): number {
    return Atomics.load(this.words, SubscriptionWord.STATE_INDEX);
  }

  /** Whether its next delivery may start, or, once it is spent, be discarded. */
  get ready(): boolean {
    if (this.spent) return this.mode !== SubscriptionMode.ending; // its cut is being made
    return this.resumes;
  }

  /** Whether a delivery may start. */
  get resumes(): boolean {
    return this.isFree && this.circuit.allows;
  }

  /** The same for one that the circuit has let in. */
  get isFree(): boolean {
    return this.idle.length > 0 && !this.spent && this.mode === SubscriptionMode.active && this.quarantine.isOpen;
  }

  /** Notes that main has one more, or one less, of a key. @param stays Whether main makes the delivery once more. */
  hold({ reader, trailer, memory, at }: Delivery, stays: boolean): void {
    if (reader.holds === null || trailer?.holds === false) return;
    const change = (stays ? 1 : 0) - (trailer === undefined ? 0 : 1);
    if (change === 0) return;
    const key = reader.holds[memory.i32[at >> 2] & TYPE_MASK](memory, at + HEADER_BYTES);
    const count = (this.held.get(key) ?? 0) + change;
    if (count > 0) this.held.set(key, count);
    else this.held.delete(key);
  }

  /** Whether a handler is not at its end, and does not wait for room. */
  get atWork(): boolean {
    return this.deliveries.some((delivery) => delivery.atWork && !this.idle.includes(delivery));
  }

  /** Deliveries that wait for promises. */
  get waiting(): number {
    return this.deliveries.length - this.idle.length;
  }

  /**
   * Whether it may go past records that are not for it. It must, while its deliveries wait: they may wait for the very
   * room that such records take up. One that ends stands still: its cut is being made.
   */
  get skips(): boolean {
    return this.mode !== SubscriptionMode.ending;
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
