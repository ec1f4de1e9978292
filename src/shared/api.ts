import type { Catalog, EventOf, TypeOf } from './catalog.js';

/** What a publishing attempt came to. `'full'`: nothing was written, try again later or `await publish`. */
export type PublishOutcome = 'published' | 'full' | 'dropped' | 'closed';

/** A handler's own logger: one line each, `fields` are added to the line. Writes synchronously, so a kill loses no line. */
export interface HandlerLogger {
  /** Logs what helps to find a fault; not written unless the bus's `logger.level` is `'debug'` or `'trace'`. */
  debug(fields: object, message?: string): void;
  /** Logs what goes as it should. */
  info(fields: object, message?: string): void;
  /** Logs what should not be, though the handler goes on. */
  warn(fields: object, message?: string): void;
  /** Logs what has failed; an error in the field `err` keeps its stack. */
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
  /** The subscription's logger: its lines say which subscription and which thread they are of. */
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
   * Publishes a derived event on this thread's own lanes, with the policies and errors of `bus.publish`; resolves when it is
   * admitted. The delivery ends only after everything it published was admitted, whether or not the handler awaits the promise.
   * @throws ERR_LANEBUS_DEADLOCK (rejects) if handlers wait for room in each other's full lanes, this one among them
   */
  publish(event: EventOf<C>): Promise<void>;
}

/** Which event a derived event comes from: its place in its own lane. */
export interface Cause {
  /** Name of the lane that carried it. */
  readonly lane: string;
  /** Index of the thread that had published it: 0 is the bus's own, pool threads count from 1. */
  readonly publisher: number;
  /** Its number in that lane, from 0. */
  readonly sequence: number;
}

/** Which subscription something is about. */
export interface SubscriptionIdentity {
  /** From 1, in the order in which the bus's subscriptions were made; never used again. */
  readonly id: number;
  /** The option `name`, or what it is by default; several subscriptions may share one. */
  readonly name: string;
  /** Names of its event types, each once, in the order in which `subscribe` was given them. */
  readonly types: readonly string[];
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
  /** The subscription that the call is for: a module may have several. */
  readonly subscription: SubscriptionIdentity;
  /** Index of the thread: pool threads count from 1; 0 is the bus's own, with the inline backend. */
  readonly thread: number;
  /** The subscription's logger, as in its handler's context. */
  readonly log: HandlerLogger;
}

/** What a handler returns: a promise that holds its delivery up until it settles, or nothing. */
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
  /** For the compiler only, never there: the function's type, so that a handler of other events does not compile. */
  readonly [signature]?: F;
}

/** What `subscribe` takes: a function, which runs on the bus's own thread, or a reference to one that runs in the pool. */
export type Handler<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> =
  HandlerFunction<C, T> | WorkerHandler<HandlerFunction<C, T>>;

/** One value, a set of values, or a range of numbers (both ends included) that a field is compared with. */
export type FieldFilter<V> = V | readonly V[] | (V extends number | bigint ? FieldRange<V> : never);

/** A range of numbers that a field is compared with. At least one of the two. */
export interface FieldRange<V> {
  /** The least that passes. */
  readonly min?: V | undefined;
  /** The most that passes. */
  readonly max?: V | undefined;
}

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

/** The options of `subscribe`. Every one may be left out. Times are in milliseconds, sizes in bytes. */
export interface SubscribeOptions<C extends Catalog = Catalog, T extends TypeOf<C> = TypeOf<C>> extends FailureOptions {
  /** For metrics and logs. Default: module and export (`book.js#onTick`), or the function's name. */
  readonly name?: string;
  /** Time a delivery may take, from the handler's start, 0–2,147,483,647 ms; 0 = no limit. Default: the bus's `timeoutMs`. */
  readonly timeoutMs?: number;
  /** Time from the abort of `context.signal` to the end of the thread, 0–2,147,483,647 ms. Default: the bus's `graceMs`. */
  readonly graceMs?: number;
  /** Ends the subscription when it aborts. */
  readonly signal?: AbortSignal;
  /** Pool threads that share the deliveries, 1–1,024, at most the bus's `threads`. Default 1. A function handler has one. */
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
  /** Delivers one event (that passes the filter), then ends the subscription. For one thread, one delivery at a time. Default false. */
  readonly once?: boolean;
  /**
   * Deliveries after which the module's state is kept, on each thread, so that it survives the thread; 1–2,147,483,647.
   * Default: it is not kept.
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
  /** The longest cool-down, 1–2,147,483,647 ms. Default 600,000, or `coolDownMs` if that is longer. */
  readonly maxCoolDownMs?: number | undefined;
}

/**
 * `'unsubscribe'`: the subscription ends, with a `fatal` log line and the notice `subscriptionDisabled`. `'pause'`: it is
 * delivered nothing, its events wait under their lanes' policies; after `coolDownMs` one delivery is let through, as a probe,
 * and decides whether the subscription goes on or waits once more.
 */
export type OnMaxFailures = 'unsubscribe' | 'pause';

/**
 * Whether a failure is worth another try. Runs on the bus's own thread.
 * @param error What the last try has thrown.
 * @param attempts Tries that have failed so far.
 */
export type RetryTest = (error: FailureRecord, attempts: number) => boolean;

/**
 * How deliveries that fail are tried again. A retry goes to the subscription that has failed, and holds nothing else up; it
 * survives the death of its thread. When the tries are used up the delivery ends `failed` and is a dead letter. So does one
 * at once whose error is a `NonRetryableError` or has `retryable: false`.
 */
export interface RetryOptions {
  /** Tries in all, the first among them, 1–1,000,000. Default 3 (1 where no `retry` is given at all). */
  readonly attempts?: number | undefined;
  /** Wait after the first failure, 0–2,147,483,647 ms. Default 100. */
  readonly backoffMs?: number | undefined;
  /** Each further wait is so many times as long, 1–100. Default 2. */
  readonly factor?: number | undefined;
  /** No wait is longer, 0–2,147,483,647 ms. Default 30,000. */
  readonly maxBackoffMs?: number | undefined;
  /** Share of each wait that is random, 0–1: the wait is between `(1 − jitter)` of its length and all of it. Default 0. */
  readonly jitter?: number | undefined;
  /** Asked after each failed try that is not the last: false ends the tries. Default: each error is worth another try. */
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
  /** The subscription that feeds it, for its metrics, or to pause it. */
  readonly subscription: Subscription;
  /**
   * Events that the stream was given and the loop never was: by `lag: 'dropOldest'` or `'dropNewest'`, or because they
   * waited when the loop was left, aborted or failed.
   */
  readonly dropped: number;
  /** Ends the subscription, and the loop with it. Does not wait: resolves at once, with no event. */
  return(): Promise<IteratorResult<E, undefined>>;
  /** As `return`, for `await using`: resolves at once. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What `subscribe` returns: the way to one subscription, until it has ended. */
export interface Subscription extends SubscriptionIdentity {
  /**
   * Resolves when every event published from then on is owed to this subscription; what the bus's own thread publishes is owed
   * from the return of `subscribe`. Rejects if its handler cannot be loaded,
   * with the errors of `start`, and with ERR_LANEBUS_STOPPED if it ends first.
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
  /** Its numbers now, read from shared memory: waits for no thread, and also answers when it has ended. */
  metrics(): SubscriptionMetrics;
}

/** A time that was measured on a sample of deliveries: every delivery of a slow handler, a share of a fast one's. */
export interface Timing {
  /** Mean in milliseconds; 0 without samples. */
  readonly meanMs: number;
  /** Largest sample in milliseconds. */
  readonly maxMs: number;
  /** Deliveries that were timed. */
  readonly samples: number;
}

/** The counts that must add up: `owed = processed + failed + timedOut + conflated + discarded + filtered + pending`. */
export interface Ledger {
  /** Deliveries that became due, counted where the events were published. */
  readonly owed: number;
  /** Deliveries whose handler has finished, with everything that it published admitted. */
  readonly processed: number;
  /** Deliveries whose tries are used up, that were poison, could not wait for another try or could not be decoded: dead letters all. */
  readonly failed: number;
  /** Deliveries that were ended at their deadline: dead letters all. */
  readonly timedOut: number;
  /** With `lag: 'conflate'`: events that a newer one of their key has replaced before their turn. */
  readonly conflated: number;
  /** Deliveries that never had their turn: unsubscribed or stopped before it, or of one key too many under `maxKeys`. */
  readonly discarded: number;
  /** Events that the option `filter` has refused. */
  readonly filtered: number;
  /** Deliveries that have no outcome yet. Zero when the subscription's cursors have reached its lanes' ends; otherwise approximate. */
  readonly pending: number;
  /** Whether the two sides agree. A live snapshot is approximate; after `drain` or `stop` this is proof. */
  readonly exact: boolean;
}

/** What a subscription's checkpoints have come to, over all its threads and their lives. */
export interface CheckpointMetrics {
  /** Checkpoints that were kept: a successor restores the newest. */
  readonly taken: number;
  /** Attempts that failed: `snapshot` threw, or what it returned could not be packed or was too large. */
  readonly failed: number;
  /** Size of the newest in bytes, summed over threads. */
  readonly lastBytes: number;
  /** Time that all of them took from the handlers' threads, in ms. */
  readonly totalMs: number;
  /** Time that the longest one took, in ms. */
  readonly maxMs: number;
  /** Deliveries that were shown again to a successor. */
  readonly replayed: number;
}

/**
 * Where a subscription stands. `'starting'`: not `ready` yet. `'paused'`: by `pause()`; an open circuit does not show here.
 * `'ending'`: told to end, with something in flight still. `'ended'`: its ledger is final.
 */
export type SubscriptionState = 'starting' | 'active' | 'paused' | 'ending' | 'ended';

/** The numbers of one subscription, over all its threads and their lives. */
export interface SubscriptionMetrics extends SubscriptionIdentity, Ledger {
  /** Where it stands now. */
  readonly state: SubscriptionState;
  /** The same counts for each lane that carries one of the subscription's types. */
  readonly lanes: Readonly<Record<string, Ledger>>;
  /** Tries that failed since one was processed. */
  readonly consecutiveFailures: number;
  /** See `onMaxFailures`. `'halfOpen'`: a probe is due, or in flight. */
  readonly circuit: 'closed' | 'open' | 'halfOpen';
  /** Tries that were made after a failure. */
  readonly retries: number;
  /** Deliveries that are between two tries now; the ledger has them as `pending`. */
  readonly retrying: number;
  /** Deliveries repeated because their thread died. */
  readonly redelivered: number;
  /** Time that its deliveries took, from the handler's start to their outcome. */
  readonly handler: Timing;
  /** Time from an event's publishing to its handler's start. */
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
  /** Events that were admitted, those in the overflow of a `spill` lane included. */
  readonly published: number;
  /** Events that `dropNewest` has refused, and those that were lost with the overflow of a thread that died. */
  readonly dropped: number;
  /** Events that were refused with an error or `'full'`, bad ones of a known type included. */
  readonly rejected: number;
  /** Events between the newest one and the slowest subscription (approximate while running). */
  readonly depthEvents: number;
  /** Bytes that those take in the rings. */
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

/** One thread's place in the bus, over all the threads that have had it. */
export interface ThreadMetrics {
  /** 0 is the bus's own thread, pool threads count from 1. */
  readonly thread: number;
  /** `'starting'` also while a successor takes over from a thread that was lost. */
  readonly state: 'starting' | 'running' | 'stopping' | 'stopped';
  /** Node's number of the thread that runs there now, 0 for the bus's own; undefined while none does. */
  readonly threadId: number | undefined;
  /** How often this thread has been replaced. */
  readonly incarnation: number;
  /** Share of the time since the thread's start that it was awake: running handlers, reading, or looking for events. 0–1. */
  readonly busyShare: number;
  /** How often it was replaced, by reason; together as often as `incarnation` says. */
  readonly restarts: Readonly<Record<RestartReason, number>>;
}

/** Why a thread was lost. `'timeout'`: it was ended for a handler that hung. `'crash'`: it ended by itself. */
export type RestartReason = 'timeout' | 'crash';

/** The bus in numbers, at one moment; approximate while it runs, since no thread is stopped for it. */
export interface MetricsSnapshot {
  /** Milliseconds since the Unix epoch. */
  readonly takenAt: number;
  /** Milliseconds since `start` was called; 0 before. */
  readonly uptimeMs: number;
  /** How far the bus is: from `createBus` over `start` to the end of `stop`. */
  readonly state: 'created' | 'starting' | 'running' | 'stopping' | 'stopped';
  /** By the lanes' names, the most urgent first. */
  readonly lanes: Readonly<Record<string, LaneMetrics>>;
  /** In the order in which they were made; of those that have ended, the last hundred. */
  readonly subscriptions: readonly SubscriptionMetrics[];
  /** By index: the bus's own thread first. */
  readonly threads: readonly ThreadMetrics[];
  /** Warm threads that wait to take over from one that dies. */
  readonly spares: number;
}

/** What `drain` has come to. */
export interface DrainReport {
  /** Whether nothing was pending any more; false when `timeoutMs` passed first. */
  readonly drained: boolean;
  /** Deliveries still pending, 0 if drained. */
  readonly pending: number;
  /** Time that it took, in ms. */
  readonly durationMs: number;
}

/** What `stop` has come to. */
export interface StopReport {
  /** Whether everything that was published was also delivered. */
  readonly drained: boolean;
  /** Deliveries that had to be discarded, in all. */
  readonly discarded: number;
  /** The final numbers of each subscription: its share of those among them. */
  readonly subscriptions: readonly SubscriptionMetrics[];
  /** Publishers that were waiting for room and were released with an error. */
  readonly releasedPublishers: number;
  /** Time that it took, in ms. */
  readonly durationMs: number;
}

/**
 * Why a delivery was set aside. `'failed'`: its tries are used up, or another would not help. `'timedOut'`: it was ended at its
 * deadline. `'poison'`: its thread died on it `maxCrashes` times. `'retryOverflow'`: `maxPending` were waiting for another try
 * already. `'undecodable'`: the event cannot be read.
 */
export type DeadLetterReason = 'failed' | 'timedOut' | 'poison' | 'retryOverflow' | 'undecodable';

/** What was thrown, as it crosses threads; of what is no Error, the text that it makes is the message. */
export interface FailureRecord {
  /** The error's `name`, such as `'TypeError'`. */
  readonly name: string;
  /** The error's `code`, if that is a string. */
  readonly code?: string | undefined;
  /** The error's `message`. */
  readonly message: string;
  /** The error's `stack`, if it has one. */
  readonly stack?: string | undefined;
}

/** How a delivery has failed for good. Times are in milliseconds since the Unix epoch. */
export interface DeadLetterFailure {
  /** Why it was set aside. */
  readonly reason: DeadLetterReason;
  /** What the last try has thrown; undefined where nothing was. */
  readonly error: FailureRecord | undefined;
  /** Tries that failed, timed out or cost their thread by its own end. */
  readonly attempts: number;
  /** How often its handler was started: more than `attempts` if its thread was ended for another delivery meanwhile. */
  readonly started: number;
  /** How often its thread died by itself meanwhile. */
  readonly crashes: number;
  /** When its first try failed. */
  readonly firstFailedAt: number;
  /** When its last try failed. */
  readonly lastFailedAt: number;
  /** When it became a dead letter: no earlier than `lastFailedAt`. */
  readonly setAsideAt: number;
  /** Index of the thread that ran the last try: 0 is the bus's own. */
  readonly thread: number;
}

/** A delivery that was set aside. */
export interface DeadLetter extends DeadLetterFailure {
  /** From 1, in the order in which they were set aside. */
  readonly id: number;
  /** The subscription whose delivery it is. */
  readonly subscription: Pick<SubscriptionIdentity, 'id' | 'name'>;
  /** Name of the event's type. */
  readonly type: string;
  /** The whole event as it was published, its `type` among the fields; nothing but that where it is undecodable. */
  readonly event: Readonly<Record<string, unknown>>;
  /** Value of the type's key field, if it has one. */
  readonly key: unknown;
  /** Name of the lane that carried the event, as its handler's context said; so are the next four. */
  readonly lane: string;
  /** Index of the thread that published it: 0 is the bus's own, pool threads count from 1. */
  readonly publisher: number;
  /** Its number in that lane, from 0. */
  readonly sequence: number;
  /** When it was published, in milliseconds since the Unix epoch. */
  readonly publishedAt: number;
  /** The event that it was derived from; undefined for one published by `bus.publish`. */
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
  /** Why they were set aside. */
  readonly reason?: DeadLetterReason | undefined;
  /** Set aside at this time or later, in milliseconds since the Unix epoch. */
  readonly since?: number | undefined;
}

/** Which letters, a page at a time. */
export interface DeadLetterPage extends DeadLetterQuery {
  /** At most so many, 1–1,000,000. Default 1,000. */
  readonly limit?: number | undefined;
  /** Only those after the letter with this id: the last one of the page before. Default 0: from the oldest on. */
  readonly cursor?: number | undefined;
}

/** How letters are replayed. */
export interface ReplayOptions {
  /** `'subscription'`, the default: only the one that has failed gets it. `'all'`: the event is published again. */
  readonly to?: 'subscription' | 'all' | undefined;
  /** At most so many letters a second; 0 = no limit, the default. */
  readonly rate?: number | undefined;
}

/** What a replay has come to; whether the letters are processed shows later. */
export interface ReplayReport {
  /** Letters that were sent on their way. */
  readonly replayed: number;
  /** Those that were not. */
  readonly refused: readonly RefusedReplay[];
}

/** A letter that is not replayed, and stays as it is. */
export interface RefusedReplay {
  /** Number of the letter. */
  readonly id: number;
  /** The reason, as a text for people. */
  readonly why: string;
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
  /** How many letters there are; all without a query. @throws ERR_LANEBUS_OPTIONS */
  count(query?: DeadLetterQuery): number;
  /** The letters, oldest first, as copies. @throws ERR_LANEBUS_OPTIONS */
  list(page?: DeadLetterPage): DeadLetter[];
  /** The letter with this id, as a copy; undefined if there is none. @throws ERR_LANEBUS_OPTIONS */
  get(id: number): DeadLetter | undefined;
  /**
   * Delivers letters again. Resolves when all were sent on their way, or refused.
   * @throws ERR_LANEBUS_OPTIONS; ERR_LANEBUS_NOT_STARTED while the bus does not run (both reject)
   */
  replay(which: number | DeadLetterQuery, options?: ReplayOptions): Promise<ReplayReport>;
  /**
   * Forgets letters; all without a query. Resolves with how many there were, when none will come back.
   * @throws ERR_LANEBUS_OPTIONS (rejects)
   */
  purge(which?: number | DeadLetterQuery): Promise<number>;
  /**
   * The letters as text to be kept: one JSON object a line, oldest first. A bigint is a string of digits, bytes are base64.
   * Reads as the loop over it asks for more. @throws ERR_LANEBUS_OPTIONS when the loop begins
   */
  export(query?: DeadLetterQuery): Iterable<string>;
}

/** What the bus tells about itself, by name: see `EventBus.on`. */
export interface BusNotices {
  /** A thread has taken over from one that was lost. */
  readonly threadRestarted: RestartNotice;
  /**
   * Handlers on the bus's own thread did not give it back for longer than their `timeoutMs`: they cannot be stopped there, so
   * this is told when they have come back. Their outcomes are their own. What a handler does after an `await` is not seen.
   */
  readonly handlerOverran: OverrunNotice;
  /** A delivery was set aside, and is kept in `deadLetters`. */
  readonly deadLetter: DeadLetter;
  /** A subscription has failed `maxFailures` times in a row, and was ended. */
  readonly subscriptionDisabled: CircuitNotice;
  /** A subscription has failed `maxFailures` times in a row, or its probe has: it is delivered nothing for `coolDownMs`. */
  readonly circuitOpened: CoolDownNotice;
  /** The probe was processed, or the circuit was closed by hand: the subscription goes on. */
  readonly circuitClosed: Pick<CircuitNotice, 'subscription'>;
  /** A lane has come to hold more than its share of room: told once, until it holds less than half of that. */
  readonly laneHighWatermark: WatermarkNotice;
}

/** Which thread was lost, and why. */
export interface RestartNotice {
  /** Index of the thread, from 1. */
  readonly thread: number;
  /** Why it was lost. */
  readonly reason: RestartReason;
  /** How often the thread has been replaced, this time included. */
  readonly incarnation: number;
}

/** Whose handler has held the bus's own thread. */
export interface OverrunNotice {
  /** The subscription whose handler it was. */
  readonly subscription: Pick<SubscriptionIdentity, 'id' | 'name'>;
  /** How long, in ms, to within a few. */
  readonly durationMs: number;
  /** Deliveries in that time: 1 = it was that one; more if most of them took next to nothing so far. */
  readonly deliveries: number;
  /** How long it may take, in ms. */
  readonly timeoutMs: number;
}

/** Whose circuit has opened. */
export interface CircuitNotice {
  /** The subscription that fails. */
  readonly subscription: Pick<SubscriptionIdentity, 'id' | 'name'>;
  /** Failed tries in a row. */
  readonly failures: number;
}

/** Whose circuit has opened, and for how long. */
export interface CoolDownNotice extends CircuitNotice {
  /** Time until a probe, in ms. */
  readonly coolDownMs: number;
}

/** Which lane holds much. */
export interface WatermarkNotice {
  /** Name of the lane. */
  readonly lane: string;
  /** Index of the thread that publishes there. */
  readonly thread: number;
  /** Bytes between the newest event and the slowest subscription, in this thread's ring. */
  readonly depthBytes: number;
  /** Room of that ring in bytes. */
  readonly capacityBytes: number;
}

/** Is told of notices by `bus.on`. What it returns is not used; what it throws, or rejects with, is logged. */
export type NoticeListener<N extends keyof BusNotices> = (notice: BusNotices[N]) => unknown;

/**
 * A bus for the events of one catalog, made by `createBus`. All its methods are for the thread that made it; handlers in the
 * pool publish by `context.publish`. Whatever it throws or rejects with is a `LanebusError`, unless said otherwise.
 */
export interface EventBus<C extends Catalog> {
  /** The deliveries that were set aside; they can be looked at, replayed and purged, also after `stop` if memory holds them. */
  readonly deadLetters: DeadLetters;
  /**
   * Calls the listener with every notice of that name from now on, on the bus's own thread, after whatever the bus is just
   * doing. @returns What takes the listener away again.
   * @throws ERR_LANEBUS_OPTIONS for a name that there is not, or a listener that is no function
   */
  on<N extends keyof BusNotices>(notice: N, listener: NoticeListener<N>): () => void;
  /**
   * Starts the pool, imports every handler module and checks every export. Resolves when all threads run and every
   * subscription made so far is ready. Rejects, with everything closed again, if one fails.
   * @throws ERR_LANEBUS_MODULE_NOT_FOUND, ERR_LANEBUS_MODULE_FAILED, ERR_LANEBUS_EXPORT_NOT_FOUND, ERR_LANEBUS_SETUP_FAILED for a
   * handler module; ERR_LANEBUS_THREAD_LOST for a thread that cannot start; ERR_LANEBUS_DEAD_LETTER_STORE for a store that
   * cannot be used; ERR_LANEBUS_ALREADY_STARTED the second time; ERR_LANEBUS_STOPPED when `stop` was called (all reject)
   */
  start(): Promise<void>;
  /**
   * Offers an event; resolves when it is admitted to its lane, not when it is delivered. When the lane has room that is at
   * once, with no promise made; else the lane's policy decides whether it waits.
   * @throws ERR_LANEBUS_UNKNOWN_TYPE, ERR_LANEBUS_INVALID_EVENT, ERR_LANEBUS_RECORD_TOO_LARGE, ERR_LANEBUS_SYMBOL_TABLE_FULL for a
   * bad event; ERR_LANEBUS_LANE_FULL under `reject`, and under `block` after the lane's `timeoutMs`; ERR_LANEBUS_NOT_STARTED,
   * ERR_LANEBUS_STOPPED (all reject)
   */
  publish(event: EventOf<C>): Promise<void>;
  /**
   * Offers an event and never waits: the outcome says whether it was admitted. `'closed'` once `stop` was called.
   * @throws ERR_LANEBUS_UNKNOWN_TYPE, ERR_LANEBUS_INVALID_EVENT, ERR_LANEBUS_RECORD_TOO_LARGE, ERR_LANEBUS_SYMBOL_TABLE_FULL for a
   * bad event; ERR_LANEBUS_NOT_STARTED
   */
  tryPublish(event: EventOf<C>): PublishOutcome;
  /**
   * Offers events in order; all are checked before the first becomes visible. Resolves when the last is admitted. Where a
   * full lane makes publishers wait, it may be admitted in part: if the lane's `timeoutMs` ends the wait, the rest counts
   * as rejected.
   * @throws for the first event that is refused, as `publish` does: ERR_LANEBUS_UNKNOWN_TYPE, ERR_LANEBUS_INVALID_EVENT,
   * ERR_LANEBUS_RECORD_TOO_LARGE, ERR_LANEBUS_SYMBOL_TABLE_FULL, ERR_LANEBUS_LANE_FULL; ERR_LANEBUS_NOT_STARTED,
   * ERR_LANEBUS_STOPPED (all reject)
   */
  publishBatch(events: readonly EventOf<C>[]): Promise<void>;
  /**
   * Delivers every event of these types to the handler, until the subscription ends. Returns at once; one made before `start`
   * misses nothing, for one made later see `ready`.
   * @throws ERR_LANEBUS_OPTIONS for options or a handler that cannot be used; ERR_LANEBUS_UNKNOWN_TYPE;
   * ERR_LANEBUS_DUPLICATE_HANDLER if the handler is subscribed to one of the types already; ERR_LANEBUS_STOPPED
   */
  subscribe<const T extends TypeOf<C>>(
    type: T | readonly T[],
    handler: Handler<C, T>,
    options?: SubscribeOptions<C, T>,
  ): Subscription;
  /**
   * Events to loop over: `for await (const tick of bus.events('TICK', { signal }))`. The subscription is made at once; one
   * made before `start` misses nothing. Its handler runs on the bus's own thread.
   * @throws ERR_LANEBUS_OPTIONS, ERR_LANEBUS_UNKNOWN_TYPE, ERR_LANEBUS_STOPPED
   */
  events<const T extends TypeOf<C>>(
    type: T | readonly T[],
    options?: EventStreamOptions<C, T>,
  ): EventStream<EventOf<C, T>>;
  /**
   * The next event of the type (that passes the filter). Resolves when it comes; rejects with the signal's reason when that
   * aborts first.
   * @throws ERR_LANEBUS_OPTIONS, ERR_LANEBUS_UNKNOWN_TYPE; ERR_LANEBUS_STOPPED when the bus stops first (all reject)
   */
  once<const T extends TypeOf<C>>(
    type: T | readonly T[],
    options?: Pick<SubscribeOptions<C, T>, 'name' | 'signal' | 'filter'>,
  ): Promise<EventOf<C, T>>;
  /**
   * Ends the handler's subscription to the type, with all its types if it was made for several. False if there is none.
   * @throws ERR_LANEBUS_UNKNOWN_TYPE
   */
  unsubscribe<T extends TypeOf<C>>(type: T, handler: Handler<C, T>): boolean;
  /** As `subscription.resume()`. @throws ERR_LANEBUS_OPTIONS for what is no subscription of this bus, or has ended */
  resume(subscription: Subscription): void;
  /**
   * Waits for the deliveries of everything published so far, and of what they publish. Resolves when nothing is pending, or
   * after `timeoutMs`; the report says which.
   * @throws ERR_LANEBUS_OPTIONS; ERR_LANEBUS_NOT_STARTED (both reject)
   */
  drain(options?: DrainOptions): Promise<DrainReport>;
  /**
   * Ends the bus for good: refuses new events, releases publishers that wait, drains within its time limit, then discards
   * what is left, and ends every thread. Resolves when nothing of the bus keeps the process alive; a second call has the
   * promise of the first.
   * @throws ERR_LANEBUS_OPTIONS
   */
  stop(options?: StopOptions): Promise<StopReport>;
  /** The bus in numbers, read from shared memory: waits for no thread, not even for one that hangs. Never throws. */
  metrics(): MetricsSnapshot;
  /** As `stop()`, for `await using`: resolves when everything has ended. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The options of one call of `drain`. */
export interface DrainOptions {
  /** Longest wait, 0–2,147,483,647 ms; 0 = no limit. Default: the bus's `drainTimeoutMs`. */
  readonly timeoutMs?: number;
}

/** The options of one call of `stop`. */
export interface StopOptions {
  /** Longest wait for what is pending, 0–2,147,483,647 ms; 0 = no limit. Default: the bus's `stopTimeoutMs`. */
  readonly timeoutMs?: number;
}
