import { isDeepStrictEqual } from 'node:util';
import type {
  BusNotices,
  DeadLetters,
  DrainReport,
  EventBus,
  EventStream,
  EventStreamOptions,
  Handler,
  MetricsSnapshot,
  NoticeListener,
  PublishOutcome,
  StopReport,
  SubscribeOptions,
  Subscription,
  SubscriptionMetrics,
  WorkerHandler,
} from '../shared/api.js';
import type { Catalog, EventOf, EventType, TypeOf } from '../shared/catalog.js';
import { isReal, now, realNow, toEpoch } from '../shared/clock.js';
import { unknownTypeError } from '../shared/codec.js';
import { asError, ErrorCode, LanebusError } from '../shared/errors.js';
import { createLogger, type Logger } from '../shared/logger.js';
import type { Outbox } from '../shared/outbox.js';
import type { Letter } from './dead-letter-store.js';
import { Incarnations } from './incarnations.js';
import { openStream, resolveStreamOptions } from './event-stream.js';
import { NoticeBoard } from './notices.js';
import { MAX_TIMER_MS } from './option-checks.js';
import { once } from './once.js';
import { type ResolvedOptions, resolveTimeout } from './options.js';
import { eventOf } from './parcel.js';
import { isQuiet } from './quiescence.js';
import type { SubscriptionRecord } from './record.js';
import { resolveSubscribeOptions } from './subscribe-options.js';
import { Watchdog } from './watchdog.js';
import { isWorkerHandler } from './worker-handlers.js';

/** Looks for the end of a drain: at once, then ever less often. In ms. */
const FIRST_LOOK_MS = 1;
const LAST_LOOK_MS = 10;

/** The bus over lanes in shared memory: what differs between its backends is whether there is a pool. */
export class LaneBus<C extends Catalog> implements EventBus<C> {
  readonly #catalog: C;
  readonly #options: ResolvedOptions;
  readonly #log: Logger;
  readonly #notices: NoticeBoard;
  readonly #incarnations: Incarnations;
  readonly #outbox: Outbox;
  readonly #handles = new Map<SubscriptionRecord, Handle>();
  #state: MetricsSnapshot['state'] = 'created';
  #startedAt = 0;
  #nextId = 1;
  #watchdog: Watchdog | undefined;
  #metricsTimer: NodeJS.Timeout | undefined;
  /** A bus that runs keeps the process alive, whether or not it has threads that would. */
  #alive: NodeJS.Timeout | undefined;
  #stopped: Promise<StopReport> | undefined;

  constructor(catalog: C, options: ResolvedOptions) {
    this.#catalog = catalog;
    this.#options = options;
    this.#log = createLogger(options.logger, { name: 'lanebus' });
    this.#notices = new NoticeBoard(this.#log);
    this.#incarnations = new Incarnations(catalog, options, this.#log, this.#notices);
    this.#outbox = this.#incarnations.engine.outbox;
    this.#incarnations.wiring.meter.onHigh = (notice) => {
      this.#notices.post('laneHighWatermark', notice);
    };
    this.#incarnations.onDisabled = (record) => {
      this.#handles.get(record)?.unsubscribe();
    };
    this.#outbox.refuse(
      new LanebusError(ErrorCode.NOT_STARTED, 'publish: the bus has not started; await bus.start() first'),
    );
  }

  /** Whether its time is a test's: on one thread there is one time. */
  protected readonly isVirtual: boolean = false;

  /** What a bus is made of, for those of this package that have to look inside. */
  static partsOf<C extends Catalog>(bus: LaneBus<C>): Incarnations {
    return bus.#incarnations;
  }

  async start(): Promise<void> {
    if (this.#state !== 'created') {
      throw this.#state === 'stopping' || this.#state === 'stopped'
        ? stoppedError('start')
        : new LanebusError(ErrorCode.ALREADY_STARTED, `start: the bus is ${this.#state} already; start it once`);
    }
    if (!this.isVirtual && !isReal()) throw otherTimeError('start: a test bus runs on this thread, in virtual time');
    this.#state = 'starting';
    this.#alive = setInterval(() => undefined, MAX_TIMER_MS);
    this.#startedAt = now();
    try {
      this.#incarnations.deadLetters.open((letter, to) => this.#replay(letter, to));
      await this.#incarnations.start();
    } catch (error) {
      if (!this.#isStarting()) throw stoppedError('start');
      await this.#fail(error);
      throw error;
    }
    if (!this.#isStarting()) throw stoppedError('start');
    this.#state = 'running';
    this.#incarnations.deadLetters.serve();
    this.#incarnations.state = 'running';
    this.#outbox.open();
    this.#watchdog = new Watchdog(this.#incarnations, this.#options.watchdogIntervalMs, () => {
      this.#endSpent();
      this.#incarnations.breakers.look();
      if (!this.#incarnations.wiring.hasNews()) return;
      this.#incarnations.wiring.wakeSkippers();
      this.#incarnations.wiring.meter.sample(this.#incarnations.wiring.producers, this.#incarnations.wiring.records);
      this.#incarnations.wiring.recycle();
    });
    const rouse = (): void => this.#watchdog?.rouse();
    this.#outbox.onWake = rouse;
    this.#incarnations.onActivity = rouse;
    if (this.#options.metricsLogIntervalMs > 0) {
      this.#metricsTimer = setInterval(() => {
        this.#log.info({ metrics: this.metrics() }, 'metrics');
      }, this.#options.metricsLogIntervalMs).unref();
    }
    for (const [record, handle] of this.#handles) {
      if (record.state !== 'starting') handle.resolveReady();
      // Made meanwhile: too late for the threads' set-up, and owed what is published from here on.
      else void this.#attach(record, handle);
    }
  }

  on<N extends keyof BusNotices>(notice: N, listener: NoticeListener<N>): () => void {
    return this.#notices.on(notice, listener);
  }

  get deadLetters(): DeadLetters {
    return this.#incarnations.deadLetters;
  }

  publish(event: EventOf<C>): Promise<void> {
    return this.#outbox.publish(event);
  }

  tryPublish(event: EventOf<C>): PublishOutcome {
    return this.#outbox.tryPublish(event);
  }

  publishBatch(events: readonly EventOf<C>[]): Promise<void> {
    return this.#outbox.publishBatch(events);
  }

  subscribe<const T extends TypeOf<C>>(
    type: T | readonly T[],
    handler: Handler<C, T>,
    options?: SubscribeOptions<C, T>,
  ): Subscription {
    if (this.#state === 'stopping' || this.#state === 'stopped') throw stoppedError('subscribe');
    const names: readonly string[] = typeof type === 'string' ? [type] : type;
    const types = this.#typesNamed(names);
    if (typeof handler !== 'function' && !isWorkerHandler(handler)) {
      throw new LanebusError(
        ErrorCode.OPTIONS,
        `subscribe "${names.join(', ')}": handler is ${describe(handler)}; expected a function or a reference made by workerHandlers`,
      );
    }
    const taken = types.find((wanted) => this.#find(wanted, handler) !== undefined);
    if (taken !== undefined) {
      throw new LanebusError(
        ErrorCode.DUPLICATE_HANDLER,
        `subscribe "${taken.name}": handler ${nameOf(handler)} is subscribed to it already; a handler has one subscription for a type`,
      );
    }
    const isFunction = typeof handler === 'function';
    const resolved = resolveSubscribeOptions(options, this.#options, { types, isFunction });
    if (resolved.checkpointEvery !== undefined) this.#refuseSecondSnapshot(handler as WorkerHandler);
    const record = this.#incarnations.wiring.newRecord({
      id: this.#nextId++,
      name: resolved.name ?? nameOf(handler),
      types,
      handler: handler as SubscriptionRecord['handler'],
      threads: isFunction ? [0] : this.#incarnations.wiring.leastLoaded(resolved.threads),
      options: resolved,
    });
    const handle = new Handle(record, this.#incarnations, () => this.#end(record));
    this.#handles.set(record, handle);
    if (this.#state === 'running') void this.#attach(record, handle);
    if (resolved.signal !== undefined) handle.endOn(resolved.signal);
    return handle;
  }

  events<const T extends TypeOf<C>>(
    type: T | readonly T[],
    options?: EventStreamOptions<C, T>,
  ): EventStream<EventOf<C, T>> {
    return openStream((handler, given) => this.subscribe(type, handler, given), resolveStreamOptions(options));
  }

  once<const T extends TypeOf<C>>(
    type: T | readonly T[],
    options?: Pick<SubscribeOptions<C, T>, 'name' | 'signal' | 'filter'>,
  ): Promise<EventOf<C, T>> {
    return once((handler, given) => this.subscribe(type, handler, given), options);
  }

  unsubscribe<T extends TypeOf<C>>(type: T, handler: Handler<C, T>): boolean {
    const [eventType] = this.#typesNamed([type]);
    const record = this.#find(eventType, handler);
    return record === undefined ? false : (this.#handles.get(record)?.unsubscribe() ?? false);
  }

  resume(subscription: Subscription): void {
    const handle = [...this.#handles.values()].find((one) => one === subscription);
    if (handle === undefined) {
      throw new LanebusError(
        ErrorCode.OPTIONS,
        `resume: got ${describe(subscription)}; expected a subscription of this bus that has not ended`,
      );
    }
    handle.resume();
  }

  async drain(options?: { readonly timeoutMs?: number }): Promise<DrainReport> {
    const timeoutMs = resolveTimeout(options, 'drain', this.#options.drainTimeoutMs);
    if (this.#state === 'created' || this.#state === 'starting') {
      throw new LanebusError(ErrorCode.NOT_STARTED, 'drain: the bus has not started; await bus.start() first');
    }
    return this.#drain(timeoutMs);
  }

  stop(options?: { readonly timeoutMs?: number }): Promise<StopReport> {
    const timeoutMs = resolveTimeout(options, 'stop', this.#options.stopTimeoutMs);
    return (this.#stopped ??= this.#stop(timeoutMs));
  }

  metrics(): MetricsSnapshot {
    this.#outbox.flush(); // what a burst has put off is published
    const { meter, producers, records } = this.#incarnations.wiring;
    return {
      takenAt: toEpoch(now()),
      uptimeMs: this.#startedAt === 0 ? 0 : now() - this.#startedAt,
      state: this.#state,
      lanes: meter.read(producers, records),
      subscriptions: records.map((record) => record.metrics()),
      threads: this.#incarnations.threads(),
      spares: this.#incarnations.spares,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #drain(timeoutMs: number): Promise<DrainReport> {
    const begun = realNow();
    const { producers, records } = this.#incarnations.wiring;
    for (let waitMs = FIRST_LOOK_MS; ; waitMs = Math.min(LAST_LOOK_MS, waitMs * 2)) {
      this.#outbox.flush();
      const drained = isQuiet(producers, records);
      const durationMs = realNow() - begun;
      if (drained || (timeoutMs > 0 && durationMs >= timeoutMs)) {
        const pending = drained ? 0 : records.reduce((sum, record) => sum + record.metrics().pending, 0);
        return { drained, pending, durationMs };
      }
      this.#incarnations.wiring.wakeSkippers();
      const look = timeoutMs > 0 ? Math.min(waitMs, timeoutMs - durationMs) : waitMs;
      await new Promise((resolve) => setTimeout(resolve, look));
    }
  }

  async #stop(timeoutMs: number): Promise<StopReport> {
    const begun = realNow();
    const { records } = this.#incarnations.wiring;
    const wasRunning = this.#state === 'running';
    this.#state = 'stopping';
    const releasedPublishers = this.#outbox.close(stoppedError('publish'));
    const drained = wasRunning ? (await this.#drain(timeoutMs)).drained : true;
    this.#outbox.refuse(stoppedError('publish'));
    this.#watchdog?.stop();
    clearInterval(this.#metricsTimer);
    await this.#incarnations.stop(this.#options.graceMs);
    const discardedBefore = sumDiscarded(records);
    await this.#incarnations.discardRest();
    this.#state = 'stopped';
    clearInterval(this.#alive);
    this.#incarnations.state = 'stopped';
    for (const [record, handle] of this.#handles) {
      record.state = 'ended';
      handle.resolveEnded();
    }
    const discarded = sumDiscarded(records) - discardedBefore;
    if (discarded > 0) this.#log.warn({ discarded }, `stop has discarded ${discarded} deliveries`);
    return {
      drained: drained && discarded === 0,
      discarded,
      subscriptions: records.map((record) => record.metrics()),
      releasedPublishers,
      durationMs: realNow() - begun,
    };
  }

  /** `stop` may be called at any time. */
  #isStarting(): boolean {
    return this.#state === 'starting';
  }

  /** @returns Why a letter cannot be replayed. */
  async #replay(letter: Letter, to: 'subscription' | 'all'): Promise<string | undefined> {
    if (this.#state !== 'running') return 'the bus is not running';
    const type = this.#catalog.typeNamed(letter.type.name);
    if (type === undefined) return `type "${letter.type.name}" is not in the catalog any more`;
    if (!isDeepStrictEqual(type.fields, letter.type.fields)) {
      return `the fields of type "${letter.type.name}" have changed since`;
    }
    if (to === 'subscription') return this.#incarnations.desk.replay(letter);
    const event = eventOf({ ...letter, type });
    if (event === undefined) return 'its event cannot be decoded';
    try {
      await this.#outbox.publish(event);
    } catch (error) {
      return asError(error).message;
    }
    await this.#incarnations.deadLetters.drop([letter.id]);
    return undefined;
  }

  /** Closes everything after a start that failed. */
  async #fail(error: unknown): Promise<void> {
    this.#state = 'stopping';
    this.#outbox.refuse(stoppedError('publish'));
    await this.#incarnations.stop(0);
    this.#incarnations.desk.silenceAll();
    await this.#incarnations.deadLetters.close();
    this.#state = 'stopped';
    clearInterval(this.#alive);
    this.#incarnations.state = 'stopped';
    for (const [record, handle] of this.#handles) {
      record.state = 'ended';
      handle.fail(error);
    }
  }

  async #attach(record: SubscriptionRecord, handle: Handle): Promise<void> {
    try {
      await this.#incarnations.attach(record);
      handle.resolveReady();
    } catch (error) {
      record.disown();
      this.#incarnations.forget(record);
      this.#handles.delete(record);
      handle.fail(error);
    }
  }

  async #end(record: SubscriptionRecord): Promise<void> {
    const handle = this.#handles.get(record);
    if (this.#state !== 'created') {
      record.silence();
      // At once, and also in the middle of a burst: nothing more is to start.
      this.#incarnations.nudge(record);
      await handle?.ready.catch(() => undefined);
      if (!record.ended && !(await this.#incarnations.detach(record))) return;
    }
    record.state = 'ended';
    this.#handles.delete(record);
    handle?.resolveEnded();
  }

  /** Those made for one delivery that have had it. */
  #endSpent(): void {
    for (const [record, handle] of this.#handles) if (record.isSpent) handle.unsubscribe();
  }

  #typesNamed(names: readonly string[]): EventType[] {
    if (names.length === 0)
      throw new LanebusError(ErrorCode.UNKNOWN_TYPE, 'subscribe: no event type given; expected at least one');
    return [...new Set(names)].map((name) => {
      const type = this.#catalog.typeNamed(name);
      if (type === undefined) throw unknownTypeError(name, this.#catalog);
      return type;
    });
  }

  /** A snapshot is of the whole module: two subscriptions would each restore what the other had at another time. */
  #refuseSecondSnapshot({ module }: WorkerHandler): void {
    for (const [{ name, handler, options }, { ending }] of this.#handles) {
      if (ending || options.checkpointEvery === undefined || (handler as WorkerHandler).module !== module) continue;
      throw new LanebusError(
        ErrorCode.OPTIONS,
        `subscribe: handler module ${module} has checkpoints of subscription "${name}" already; a module has one subscription with checkpointEvery, for several types if need be`,
      );
    }
  }

  #find(type: EventType, handler: unknown): SubscriptionRecord | undefined {
    for (const [record, { ending }] of this.#handles) {
      if (!ending && record.types.includes(type) && sameHandler(record.handler, handler)) return record;
    }
    return undefined;
  }
}

/** What `subscribe` returns. */
class Handle implements Subscription {
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  readonly #record: SubscriptionRecord;
  readonly #incarnations: Incarnations;
  readonly #end: () => Promise<void>;
  /** Whether it has been told to end. */
  ending = false;
  #settle!: { ready: () => void; fail: (error: unknown) => void; ended: () => void };

  constructor(record: SubscriptionRecord, incarnations: Incarnations, end: () => Promise<void>) {
    this.#record = record;
    this.#incarnations = incarnations;
    this.#end = end;
    let ready!: () => void;
    let fail!: (error: unknown) => void;
    let ended!: () => void;
    this.ready = new Promise((resolve, reject) => {
      ready = resolve;
      fail = reject;
    });
    this.ended = new Promise((resolve) => {
      ended = resolve;
    });
    this.#settle = { ready, fail, ended };
    // `start` reports the same failure; a subscription whose `ready` nobody awaits must not end the process.
    this.ready.catch(() => undefined);
  }

  get id(): number {
    return this.#record.id;
  }

  get name(): string {
    return this.#record.name;
  }

  get types(): readonly string[] {
    return this.#record.types.map((type) => type.name);
  }

  unsubscribe(): boolean {
    if (this.ending || this.#record.ended) return false;
    this.ending = true;
    void this.#end();
    return true;
  }

  pause(): void {
    this.#incarnations.pause(this.#record, true);
  }

  resume(): void {
    this.#incarnations.pause(this.#record, false);
  }

  metrics(): SubscriptionMetrics {
    this.#incarnations.engine.outbox.flush();
    return this.#record.metrics();
  }

  endOn(signal: AbortSignal): void {
    const end = (): void => {
      this.unsubscribe();
    };
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
    void this.ended.then(() => {
      signal.removeEventListener('abort', end);
    });
  }

  resolveReady(): void {
    this.#settle.ready();
  }

  resolveEnded(): void {
    this.#settle.fail(stoppedError('subscribe'));
    this.#settle.ended();
  }

  fail(error: unknown): void {
    this.#settle.fail(error);
    this.#settle.ended();
  }
}

/** @param what What cannot be done, and which bus is in the way. */
export function otherTimeError(what: string): LanebusError {
  return new LanebusError(ErrorCode.OPTIONS, `${what}; stop that one first, or run this one in another thread`);
}

function stoppedError(what: string): LanebusError {
  return new LanebusError(ErrorCode.STOPPED, `${what}: the bus has been stopped; a stopped bus is not started again`);
}

function sumDiscarded(records: readonly SubscriptionRecord[]): number {
  return records.reduce((sum, record) => sum + record.metrics().discarded, 0);
}

function sameHandler(a: unknown, b: unknown): boolean {
  if (isWorkerHandler(a) && isWorkerHandler(b)) return a.module === b.module && a.exportName === b.exportName;
  return a === b;
}

function nameOf(handler: unknown): string {
  if (isWorkerHandler(handler))
    return `${handler.module.slice(handler.module.lastIndexOf('/') + 1)}#${handler.exportName}`;
  return (handler as { name?: string }).name || 'anonymous';
}

function describe(value: unknown): string {
  return value === null ? 'null' : `a ${typeof value}`;
}
