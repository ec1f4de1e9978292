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
  /** 1 on the first try; more after a failure (see `retry`), and when the thread died while this delivery was in flight. */
  readonly attempt: number;
  /** Aborts at the delivery's deadline (`timeoutMs`); after a further `graceMs` the thread is terminated. */
  readonly signal: AbortSignal;
  readonly log: HandlerLogger;
  /** Index of the thread that runs the handler: 0 is the bus's own, pool threads count from 1. */
  readonly thread: number;
  /** The event whose handler published this one with `context.publish`; undefined for one published by `bus.publish`. */
  readonly cause: Cause | undefined;
  /** With `lag: 'conflate'`: older events of the same key that were passed over in favour of this one. Else 0. */
  readonly skipped: number;
  /**
   * Events of this subscription's types that a `dropNewest` lane has refused since the subscription's last delivery from
   * it. Above 0 once for each gap, on the first delivery after it; told on every thread that shares the subscription.
   */
  readonly missed: number;
  /**
   * Whether the delivery had ended before its thread died, and is shown to the successor again so that the module's state
   * is as it was. It has its outcome: what the handler comes to is not counted, and what it publishes goes nowhere.
   */
  readonly replay: boolean;
  /**
   * Publishes a derived event on this thread's own lanes, with the policies and errors of `bus.publish`. The delivery
   * ends only after everything it published was admitted, whether or not the handler awaits the promise.
   */
  publish(event: EventOf<C>): Promise<void>;
}

/** Which event a derived event comes from: its place in its own lane. */
export interface Cause {
  readonly lane: string;
  /** Index of the thread that had published it. */
  readonly publisher: number;
  readonly sequence: number;
}

/**
 * What a handler module's `setup(info)` and `teardown(info)` are told. Both are called once for each of the module's
 * subscriptions on each thread, `setup` before the first delivery and before any `restore`, `teardown` when the
 * subscription leaves a thread that lives on or is stopped. Both may return a promise, which is awaited.
 */
export interface SetupInfo {
  /** How often the subscription has been taken over on this thread: 0 in its first life. */
  readonly incarnation: number;
  /** Why the life before this one ended; undefined in the first. */
  readonly lastEnd: RestartReason | undefined;
  /** Whether the state that checkpoints should have kept is lost: a snapshot failed, and its lane ran out of room. */
  readonly stateLost: boolean;
  readonly subscription: { readonly id: number; readonly name: string; readonly types: readonly string[] };
  /** Index of the thread: pool threads count from 1; 0 is the bus's own, with the inline backend. */
  readonly thread: number;
  readonly log: HandlerLogger;
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

/** One value, a set of values, or a range of numbers (both ends included) that a field is compared with. */
export type FieldFilter<V> =
  | V
  | readonly V[]
  | (V extends number | bigint ? { readonly min?: V | undefined; readonly max?: V | undefined } : never);

/** Whoever is compared can be: numbers, bigints, booleans, enums and symbols, not `text()`, `bytes()` or `any()`. */
type FilterableValue = number | bigint | string | boolean;

/**
 * Conditions on fields that must all hold. Compared in shared memory, before the event is decoded. A field that an event
 * leaves out fulfils no condition. Of several types, each must have the field.
 */
export type EventFilter<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> = {
  readonly [F in FieldOf<C, T> as NonNullable<EventOf<C, T>[F]> extends FilterableValue ? F : never]?:
    FieldFilter<NonNullable<EventOf<C, T>[F]>> | undefined;
};

/** The names of the fields that all these types have. */
export type FieldOf<C extends Catalog, T extends TypeOf<C>> = Exclude<keyof EventOf<C, T>, 'type'> & string;

/** Whether the event is to be delivered. Runs on the handler's thread, before it. An error fails the delivery. */
export type FilterFunction<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> = (
  event: EventOf<C, T>,
) => boolean;

export interface SubscribeOptions<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> extends FailureOptions {
  /** For metrics and logs. Default: module and export (`book.js#onTick`), or the function's name. */
  readonly name?: string;
  /** Time a delivery may take, from the handler's start, in ms; 0 = no limit. Default: the bus's `timeoutMs`. */
  readonly timeoutMs?: number;
  /** Time from the abort of `context.signal` to the end of the thread, in ms. Default: the bus's `graceMs`. */
  readonly graceMs?: number;
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal;
  /** Pool threads that share the deliveries, from 1 to the bus's `threads`. Default 1. A function handler has one. */
  readonly threads?: number;
  /** Deliveries that each of its threads may have in flight, 1–1024, for handlers that await. Default 1. */
  readonly concurrency?: number;
  /**
   * What is kept in order when several deliveries may be in flight (`threads` or `concurrency` above 1). `'key'`, the
   * default: those of one key run one after another, in publish order, on one thread. `'none'`: nothing; any free thread
   * takes the next event. With one thread and one delivery at a time the order is always each publisher's own.
   */
  readonly order?: 'key' | 'none';
  /** The field that is the key, for all types or by type. Default: each type's key of the catalog. */
  readonly key?: FieldOf<C, T> | { readonly [K in T]?: FieldOf<C, K> };
  /**
   * What happens when the subscription falls behind. `'block'`, the default: its lanes keep the events, and come under
   * their policies when full. `'conflate'`: only the newest event of each key and type is kept, what it replaces ends `conflated`;
   * the subscription never holds a lane back. For types of fixed width with a key; one delivery at a time on each thread.
   */
  readonly lag?: 'block' | 'conflate';
  /**
   * With `lag: 'conflate'`: keys with an undelivered event that are kept, for each thread that publishes and each lane (a
   * key of two types counts twice), 1–1,048,576; an event of one more key ends `discarded`. Default 16,384.
   */
  readonly maxKeys?: number;
  /**
   * Delivers only events that pass; the others end `filtered`. Conditions on fields, or a predicate: a function for a
   * function handler, an export of a module (`workerHandlers`) for a worker handler. After conflation.
   */
  readonly filter?: EventFilter<C, T> | FilterFunction<C, T> | WorkerHandler<FilterFunction<C, T>>;
  /** Delivers one event (that passes the filter), then ends the subscription. For one thread, one delivery at a time. */
  readonly once?: boolean;
  /**
   * Deliveries after which the module's state is kept, on each thread, so that it survives the thread; 1–2,147,483,647.
   * The handler's module exports `snapshot()`, which returns the state (what structured clone copies), and
   * `restore(state)`, which may return a promise. A successor is shown the deliveries since the last checkpoint again
   * (`context.replay`). For worker handlers with one delivery at a time; one such subscription for each module.
   */
  readonly checkpointEvery?: number;
  /** Largest state, packed, 1 KiB–1 GiB. Default 64 MiB. Memory is taken for two, as far as they are used. */
  readonly maxCheckpointBytes?: number;
}

/** What happens where handlers fail: of one subscription, by default as the bus says, which has these defaults. */
export interface FailureOptions {
  /** How deliveries that fail are tried again. Default: they are not. */
  readonly retry?: RetryOptions | undefined;
  /** Failures in a row that open a subscription's circuit, 0–524,287; 0 = never, the default. */
  readonly maxFailures?: number | undefined;
  /** What happens then. Default `'unsubscribe'`. */
  readonly onMaxFailures?: OnMaxFailures | undefined;
  /** With `'pause'`: time until a probe, 1–2,147,483,647 ms. Default 30,000. It doubles with each probe that fails. */
  readonly coolDownMs?: number | undefined;
  /** The longest cool-down, in ms. Default 600,000. */
  readonly maxCoolDownMs?: number | undefined;
}

/**
 * `'unsubscribe'`: the subscription ends, with a `fatal` log line and the notice `subscriptionDisabled`. `'pause'`: it is
 * delivered nothing, its events wait under their lanes' policies; after `coolDownMs` one delivery is let through, as a probe,
 * and decides whether the subscription goes on or waits once more.
 */
export type OnMaxFailures = 'unsubscribe' | 'pause';

/** Whether a failure is worth another try. Runs on the bus's own thread. @param attempts Tries that have failed so far. */
export type RetryTest = (error: FailureRecord, attempts: number) => boolean;

/**
 * How deliveries that fail are tried again. A retry goes to the subscription that has failed, and holds nothing else up; it
 * survives the death of its thread. When the tries are used up the delivery ends `failed` and is a dead letter. So does one
 * at once whose error is a `NonRetryableError` or has `retryable: false`.
 */
export interface RetryOptions {
  /** Tries in all, the first among them, 1–1,000,000. Default 3 (1 where no `retry` is given at all). */
  readonly attempts?: number | undefined;
  /** Wait after the first failure in ms. Default 100. */
  readonly backoffMs?: number | undefined;
  /** Each further wait is so many times as long, 1–100. Default 2. */
  readonly factor?: number | undefined;
  /** No wait is longer, in ms. Default 30,000. */
  readonly maxBackoffMs?: number | undefined;
  /** Share of each wait that is random, 0–1: the wait is between `(1 − jitter)` of its length and all of it. Default 0. */
  readonly jitter?: number | undefined;
  readonly retryIf?: RetryTest | undefined;
  /** Deliveries of the subscription that may be between two tries, 1–100,000,000; one more is a dead letter. Default 10,000. */
  readonly maxPending?: number | undefined;
  /** Holds later events with the same key until the one that has failed has its outcome. Default false: they pass it. */
  readonly keepOrder?: boolean | undefined;
}

/** How `bus.events` hands events over. */
export interface EventStreamOptions<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> extends Pick<
  SubscribeOptions<C, T>,
  'name' | 'signal' | 'filter' | 'key' | 'maxKeys'
> {
  /** Events that may wait for the loop, 1–1,048,576. Default 1,024. One more may be in flight under `'block'`. */
  readonly capacity?: number;
  /**
   * What happens when so many wait. `'block'`, the default: the lane keeps the rest, under its policy. `'dropOldest'`,
   * `'dropNewest'`: the stream counts what it drops in `dropped`. `'conflate'`: as in SubscribeOptions; `capacity` is 1.
   */
  readonly lag?: 'block' | 'dropOldest' | 'dropNewest' | 'conflate';
}

/**
 * Events as a sequence to loop over, once. Leaving the loop or `return()` ends the subscription. So does an abort: every
 * `next` that waits or follows then rejects with the signal's reason. What waits is dropped. When the subscription ends
 * by itself, by `stop` or by `unsubscribe`, the loop still gets what had been handed over.
 */
export interface EventStream<E> extends AsyncIterableIterator<E, undefined> {
  readonly subscription: Subscription;
  /**
   * Events that the stream was given and the loop never was: by `lag: 'dropOldest'` or `'dropNewest'`, or because they
   * waited when the loop was left, aborted or failed.
   */
  readonly dropped: number;
  return(): Promise<IteratorResult<E, undefined>>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Subscription {
  readonly id: number;
  readonly name: string;
  readonly types: readonly string[];
  /**
   * Resolves when every event published from then on is owed to this subscription; rejects if its handler cannot be loaded. What
   * the bus's own thread publishes is owed from the return of `subscribe`.
   */
  readonly ready: Promise<void>;
  /** Resolves when the subscription has ended: nothing of it is in flight any more and its ledger is final. */
  readonly ended: Promise<void>;
  /** Ends the subscription; deliveries that have not started end `discarded`. False if it had ended before. */
  unsubscribe(): boolean;
  /** Delivers nothing more until `resume`; its events wait in their lanes, under the lanes' policies. */
  pause(): void;
  /** Goes on, after `pause` or with a circuit that is open. */
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

/** What a subscription's checkpoints have come to, over all its threads and their lives. */
export interface CheckpointMetrics {
  readonly taken: number;
  /** Attempts that failed: `snapshot` threw, or what it returned could not be packed or was too large. */
  readonly failed: number;
  /** Size of the newest, summed over threads. */
  readonly lastBytes: number;
  /** Time that they took from the handlers' threads, in all and at most. */
  readonly totalMs: number;
  readonly maxMs: number;
  /** Deliveries that were shown again to a successor. */
  readonly replayed: number;
}

export type SubscriptionState = 'starting' | 'active' | 'paused' | 'ending' | 'ended';

export interface SubscriptionMetrics extends Ledger {
  readonly id: number;
  readonly name: string;
  readonly types: readonly string[];
  readonly state: SubscriptionState;
  /** The same counts for each lane that carries one of the subscription's types. */
  readonly lanes: Readonly<Record<string, Ledger>>;
  /** Tries that failed since one was processed. */
  readonly consecutiveFailures: number;
  /** See `onMaxFailures`. `'halfOpen'`: a probe is due, or in flight. */
  readonly circuit: 'closed' | 'open' | 'halfOpen';
  /** Tries that were made after a failure, and deliveries that are between two tries. */
  readonly retries: number;
  readonly retrying: number;
  /** Deliveries repeated because their thread died. */
  readonly redelivered: number;
  readonly handler: Timing;
  readonly queueWait: Timing;
  /** Indexes of the threads that run it: 0 is the bus's own, pool threads count from 1. */
  readonly threads: readonly number[];
  /** Events of its types that `dropNewest` lanes have refused, as far as it has read of them: see `context.missed`. */
  readonly missed: number;
  /** Undefined for a subscription without `checkpointEvery`. */
  readonly checkpoints: CheckpointMetrics | undefined;
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
  /** Node's number of the thread that runs there now, 0 for the bus's own; undefined while none does. */
  readonly threadId: number | undefined;
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
  /** Warm threads that wait to take over from one that dies. */
  readonly spares: number;
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

/**
 * Why a delivery was set aside. `'failed'`: its tries are used up, or another would not help. `'timedOut'`: it was ended at its
 * deadline. `'poison'`: its thread died on it `maxCrashes` times. `'retryOverflow'`: `maxPending` were waiting for another try
 * already. `'undecodable'`: the event cannot be read.
 */
export type DeadLetterReason = 'failed' | 'timedOut' | 'poison' | 'retryOverflow' | 'undecodable';

/** What was thrown. */
export interface FailureRecord {
  readonly name: string;
  readonly code?: string | undefined;
  readonly message: string;
  readonly stack?: string | undefined;
}

/** How a delivery has failed for good. Times are in milliseconds since the Unix epoch. */
export interface DeadLetterFailure {
  readonly reason: DeadLetterReason;
  /** What the last try has thrown; undefined where nothing was. */
  readonly error: FailureRecord | undefined;
  /** Tries that failed, timed out or cost their thread by its own end. */
  readonly attempts: number;
  /** How often its handler was started: more than `attempts` if its thread was ended for another delivery meanwhile. */
  readonly started: number;
  /** How often its thread died by itself meanwhile. */
  readonly crashes: number;
  readonly firstFailedAt: number;
  readonly lastFailedAt: number;
  readonly setAsideAt: number;
  /** Index of the thread that ran the last try: 0 is the bus's own. */
  readonly thread: number;
}

/** A delivery that was set aside. */
export interface DeadLetter extends DeadLetterFailure {
  /** From 1, in the order in which they were set aside. */
  readonly id: number;
  readonly subscription: { readonly id: number; readonly name: string };
  readonly type: string;
  /** The whole event as it was published, its `type` among the fields; nothing but that where it is undecodable. */
  readonly event: Readonly<Record<string, unknown>>;
  /** Value of the type's key field, if it has one. */
  readonly key: unknown;
  /** Where it was published, as its handler's context said. */
  readonly lane: string;
  readonly publisher: number;
  readonly sequence: number;
  readonly publishedAt: number;
  readonly cause: Cause | undefined;
  /** Whether it has been replayed, and is not processed yet. */
  readonly replaying: boolean;
  /** How it had failed before it was replayed, oldest first. */
  readonly history: readonly DeadLetterFailure[];
}

/** Which letters: those for which all that is given holds. */
export interface DeadLetterQuery {
  /** Name of an event type. */
  readonly type?: string | undefined;
  /** Name of a subscription. */
  readonly subscription?: string | undefined;
  readonly reason?: DeadLetterReason | undefined;
  /** Set aside at this time or later, in milliseconds since the Unix epoch. */
  readonly since?: number | undefined;
}

export interface DeadLetterPage extends DeadLetterQuery {
  /** At most so many, 1–1,000,000. Default 1,000. */
  readonly limit?: number | undefined;
  /** Only those after the letter with this id: the last one of the page before. */
  readonly cursor?: number | undefined;
}

export interface ReplayOptions {
  /** `'subscription'`, the default: only the one that has failed gets it. `'all'`: the event is published again. */
  readonly to?: 'subscription' | 'all' | undefined;
  /** At most so many letters a second; 0 = no limit, the default. */
  readonly rate?: number | undefined;
}

export interface ReplayReport {
  /** Letters that were sent on their way. */
  readonly replayed: number;
  /** Those that were not, and why. */
  readonly refused: readonly { readonly id: number; readonly why: string }[];
}

/**
 * The deliveries that were set aside. A letter that is replayed to its subscription stays until that has processed it; if it
 * fails again it stays, with its history.
 */
export interface DeadLetters {
  /** How many had to go because the store was full. */
  readonly evicted: number;
  /** Letters that could not be stored where they should have been, and are kept in memory: see the log. */
  readonly degraded: number;
  count(query?: DeadLetterQuery): number;
  /** Oldest first; copies. */
  list(page?: DeadLetterPage): DeadLetter[];
  get(id: number): DeadLetter | undefined;
  /** Resolves when all were sent on their way. @throws ERR_LANEBUS_OPTIONS; ERR_LANEBUS_NOT_STARTED */
  replay(which: number | DeadLetterQuery, options?: ReplayOptions): Promise<ReplayReport>;
  /** Forgets them; all without a query. Resolves with how many there were, when none will come back. */
  purge(which?: number | DeadLetterQuery): Promise<number>;
  /** One JSON object a line, oldest first. A bigint is a string of digits, bytes are base64. */
  export(query?: DeadLetterQuery): Iterable<string>;
}

/** What the bus tells about itself, by name: see `EventBus.on`. */
export interface BusNotices {
  /** A thread has taken over from one that was lost. */
  readonly threadRestarted: {
    /** Index of the thread, from 1. */
    readonly thread: number;
    readonly reason: RestartReason;
    /** How often the thread has been replaced, this time included. */
    readonly incarnation: number;
  };
  /**
   * A handler on the bus's own thread did not give it back for longer than its `timeoutMs`: it cannot be stopped there, so this
   * is told when it has come back. Its outcome is its own.
   */
  readonly handlerOverran: {
    readonly subscription: { readonly id: number; readonly name: string };
    /** How long, to within a few ms. */
    readonly durationMs: number;
    readonly timeoutMs: number;
  };
  /** A delivery was set aside, and is kept in `deadLetters`. */
  readonly deadLetter: DeadLetter;
  /** A subscription has failed `maxFailures` times in a row, and was ended. */
  readonly subscriptionDisabled: CircuitNotice;
  /** A subscription has failed `maxFailures` times in a row, or its probe has: it is delivered nothing for `coolDownMs`. */
  readonly circuitOpened: CircuitNotice & { readonly coolDownMs: number };
  /** The probe was processed, or the circuit was closed by hand: the subscription goes on. */
  readonly circuitClosed: Pick<CircuitNotice, 'subscription'>;
  /** A lane has come to hold more than its share of room: told once, until it holds less than half of that. */
  readonly laneHighWatermark: {
    readonly lane: string;
    /** Index of the thread that publishes there. */
    readonly thread: number;
    readonly depthBytes: number;
    readonly capacityBytes: number;
  };
}

export interface CircuitNotice {
  readonly subscription: { readonly id: number; readonly name: string };
  /** In a row. */
  readonly failures: number;
}

/** What it returns is not used; what it throws, or rejects with, is logged. */
export type NoticeListener<N extends keyof BusNotices> = (notice: BusNotices[N]) => unknown;

export interface EventBus<C extends Catalog> {
  readonly deadLetters: DeadLetters;
  /**
   * Calls the listener with every notice of that name from now on, on the bus's own thread, after whatever the bus is just
   * doing. @returns What takes the listener away again.
   * @throws ERR_LANEBUS_OPTIONS for a name that there is not, or a listener that is no function
   */
  on<N extends keyof BusNotices>(notice: N, listener: NoticeListener<N>): () => void;
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
    options?: SubscribeOptions<C, T>,
  ): Subscription;
  /**
   * Events to loop over: `for await (const tick of bus.events('TICK', { signal }))`. The subscription is made at once; one
   * made before `start` misses nothing. Its handler runs on the bus's own thread.
   */
  events<const T extends TypeOf<C>>(
    type: T | readonly T[],
    options?: EventStreamOptions<C, T>,
  ): EventStream<EventOf<C, T>>;
  /**
   * The next event of the type (that passes the filter). Rejects with the signal's reason when it aborts, and with
   * ERR_LANEBUS_STOPPED when the bus stops first.
   */
  once<const T extends TypeOf<C>>(
    type: T | readonly T[],
    options?: Pick<SubscribeOptions<C, T>, 'name' | 'signal' | 'filter'>,
  ): Promise<EventOf<C, T>>;
  /** Ends the handler's subscription to the type, with all its types if it was made for several. False if there is none. */
  unsubscribe<T extends TypeOf<C>>(type: T, handler: Handler<C, T>): boolean;
  /** As `subscription.resume()`. */
  resume(subscription: Subscription): void;
  drain(options?: { readonly timeoutMs?: number }): Promise<DrainReport>;
  stop(options?: { readonly timeoutMs?: number }): Promise<StopReport>;
  metrics(): MetricsSnapshot;
  [Symbol.asyncDispose](): Promise<void>;
}
