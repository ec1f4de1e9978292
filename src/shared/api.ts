import type { Catalog, EventOf, TypeOf } from './catalog.js';

/** What a publishing attempt came to. `'full'`: nothing was written, try again later or `await publish`. */
export type PublishOutcome = 'published' | 'full' | 'dropped' | 'closed';

/** A handler's own logger: one line each, `fields` are added to the line. Writes synchronously, so a kill loses no line. */
export interface HandlerLogger {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
}

/**
 * What a handler is told about its delivery. Valid until the handler has returned or, if it returned a promise, until
 * that has settled: the object is used again for the next delivery.
 */
export interface HandlerContext<C extends Catalog = Catalog> {
  /** Number of the event in its lane, from 0, ever increasing; a lane is one priority class of one publishing thread. */
  readonly sequence: number;
  /** Name of the lane that carried the event. */
  readonly lane: string;
  /** Index of the publishing thread: 0 is the bus's own thread, pool threads count from 1. */
  readonly publisher: number;
  /** When the event was published, in milliseconds since the Unix epoch; sampled, see docs: up to 32 events share a reading. */
  readonly publishedAt: number;
  /** 1 on the first try; more when the thread died while this delivery was in flight. */
  readonly attempt: number;
  /** Aborts at the delivery's deadline (`timeoutMs`); after a further `graceMs` the thread is terminated. */
  readonly signal: AbortSignal;
  readonly log: HandlerLogger;
  /** Index of the thread that runs the handler: 0 is the bus's own, pool threads count from 1. */
  readonly thread: number;
  /**
   * Publishes a derived event on this thread's own lanes, with the policies and errors of `bus.publish`. The delivery
   * ends only after everything it published was admitted, whether or not the handler awaits the promise.
   */
  publish(event: EventOf<C>): Promise<void>;
}

export type HandlerResult = void | Promise<void>;

/** A function that handles events of the types `T` on the bus's own thread. */
export type HandlerFunction<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> = (
  event: EventOf<C, T>,
  context: HandlerContext<C>,
) => HandlerResult;

declare const signature: unique symbol;

/** A reference to an exported function of a module, which runs in the pool. Made by `workerHandlers`. */
export interface WorkerHandler<F = unknown> {
  /** URL of the module (`file:`). */
  readonly module: string;
  /** Name of the exported function. */
  readonly exportName: string;
  readonly [signature]?: F;
}

export type Handler<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> =
  HandlerFunction<C, T> | WorkerHandler<HandlerFunction<C, T>>;

export interface SubscribeOptions {
  /** For metrics and logs. Default: module and export (`book.js#onTick`), or the function's name. */
  readonly name?: string;
  /** Time a delivery may take, from the handler's start, in ms; 0 = no limit. Default: the bus's `timeoutMs`. */
  readonly timeoutMs?: number;
  /** Time from the abort of `context.signal` to the end of the thread, in ms. Default: the bus's `graceMs`. */
  readonly graceMs?: number;
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal;
}

export interface Subscription {
  readonly id: number;
  readonly name: string;
  readonly types: readonly string[];
  /** Resolves when every event published from then on is owed to this subscription; rejects if its handler cannot be loaded. */
  readonly ready: Promise<void>;
  /** Resolves when the subscription has ended: nothing of it is in flight any more and its ledger is final. */
  readonly ended: Promise<void>;
  /** Ends the subscription; deliveries that have not started end `discarded`. False if it had ended before. */
  unsubscribe(): boolean;
  /** Delivers nothing more until `resume`; its events wait in their lanes, under the lanes' policies. */
  pause(): void;
  resume(): void;
  metrics(): SubscriptionMetrics;
}

/** A time that was measured on a sample of deliveries: every delivery of a slow handler, a share of a fast one's. */
export interface Timing {
  /** Mean in milliseconds; 0 without samples. */
  readonly meanMs: number;
  /** Largest sample in milliseconds. */
  readonly maxMs: number;
  readonly samples: number;
}

/** The counts that must add up: `owed = processed + failed + timedOut + conflated + discarded + filtered + pending`. */
export interface Ledger {
  /** Deliveries that became due, counted where the events were published. */
  readonly owed: number;
  readonly processed: number;
  readonly failed: number;
  readonly timedOut: number;
  readonly conflated: number;
  readonly discarded: number;
  readonly filtered: number;
  /** Zero when the subscription's cursors have reached its lanes' ends; otherwise approximate. */
  readonly pending: number;
  /** Whether the two sides agree. A live snapshot is approximate; after `drain` or `stop` this is proof. */
  readonly exact: boolean;
}

export type SubscriptionState = 'starting' | 'active' | 'paused' | 'ending' | 'ended';

export interface SubscriptionMetrics extends Ledger {
  readonly id: number;
  readonly name: string;
  readonly types: readonly string[];
  readonly state: SubscriptionState;
  /** The same counts for each lane that carries one of the subscription's types. */
  readonly lanes: Readonly<Record<string, Ledger>>;
  readonly consecutiveFailures: number;
  /** Deliveries repeated because their thread died. */
  readonly redelivered: number;
  readonly handler: Timing;
  readonly queueWait: Timing;
  /** Index of the thread that runs it: 0 is the bus's own, pool threads count from 1. */
  readonly thread: number;
}

/** One priority class, summed over all publishing threads. */
export interface LaneMetrics {
  readonly published: number;
  readonly dropped: number;
  readonly rejected: number;
  /** Events and bytes between the newest event and the slowest subscription (approximate while running). */
  readonly depthEvents: number;
  readonly depthBytes: number;
  /** Room of the ring in bytes, summed over publishing threads. */
  readonly capacityBytes: number;
  /** The largest depth seen, in bytes of one ring: sampled, and at every time the ring looked full. */
  readonly highWatermarkBytes: number;
  /** Time that publishers spent waiting for room, in ms. */
  readonly blockedMs: number;
  /** Publishers waiting now. */
  readonly waiting: number;
  /** Events held in the unbounded overflow of a `spill` lane now. */
  readonly spilled: number;
}

export interface ThreadMetrics {
  /** 0 is the bus's own thread, pool threads count from 1. */
  readonly thread: number;
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped';
  /** How often this thread has been replaced. */
  readonly incarnation: number;
  /** Share of the time since the thread's start that it was awake: running handlers, reading, or looking for events. 0–1. */
  readonly busyShare: number;
  readonly restarts: Readonly<Record<RestartReason, number>>;
}

export type RestartReason = 'timeout' | 'crash';

export interface MetricsSnapshot {
  /** Milliseconds since the Unix epoch. */
  readonly takenAt: number;
  readonly uptimeMs: number;
  readonly state: 'created' | 'starting' | 'running' | 'stopping' | 'stopped';
  readonly lanes: Readonly<Record<string, LaneMetrics>>;
  readonly subscriptions: readonly SubscriptionMetrics[];
  readonly threads: readonly ThreadMetrics[];
}

export interface DrainReport {
  /** Whether nothing was pending any more; false when `timeoutMs` passed first. */
  readonly drained: boolean;
  /** Deliveries still pending, 0 if drained. */
  readonly pending: number;
  readonly durationMs: number;
}

export interface StopReport {
  /** Whether everything that was published was also delivered. */
  readonly drained: boolean;
  /** Deliveries that had to be discarded, in all and by subscription. */
  readonly discarded: number;
  readonly subscriptions: readonly SubscriptionMetrics[];
  /** Publishers that were waiting for room and were released with an error. */
  readonly releasedPublishers: number;
  readonly durationMs: number;
}

export interface EventBus<C extends Catalog> {
  /** Starts the pool, imports every handler module and checks every export. Rejects, with everything closed again, if one fails. */
  start(): Promise<void>;
  /** Offers an event; the promise resolves when it is admitted. When the lane has room that is at once, with no promise made. */
  publish(event: EventOf<C>): Promise<void>;
  /** Offers an event and never waits. Throws for a bad event, and before `start`. */
  tryPublish(event: EventOf<C>): PublishOutcome;
  /**
   * Offers events in order; all are checked before the first becomes visible. Resolves when the last is admitted. Where a
   * full lane makes publishers wait, it may be admitted in part: if the lane's `timeoutMs` ends the wait, the rest counts
   * as rejected.
   */
  publishBatch(events: readonly EventOf<C>[]): Promise<void>;
  subscribe<const T extends TypeOf<C>>(
    type: T | readonly T[],
    handler: Handler<C, T>,
    options?: SubscribeOptions,
  ): Subscription;
  /** Ends the handler's subscription to the type, with all its types if it was made for several. False if there is none. */
  unsubscribe<T extends TypeOf<C>>(type: T, handler: Handler<C, T>): boolean;
  drain(options?: { readonly timeoutMs?: number }): Promise<DrainReport>;
  stop(options?: { readonly timeoutMs?: number }): Promise<StopReport>;
  metrics(): MetricsSnapshot;
  [Symbol.asyncDispose](): Promise<void>;
}
