/**
 * `bus.events`: a subscription's events as a sequence to loop over. Its handler runs on the bus's own thread and hands each
 * event to the loop that waits for one, or puts it in a bounded queue.
 *
 * Every event that the bus counts `processed` for the subscription was given to the loop, waits for it, or is in `dropped`.
 */
import Queue from 'yocto-queue';
import { z } from 'zod';
import type {
  EventStream,
  EventStreamOptions,
  HandlerFunction,
  HandlerResult,
  SubscribeOptions,
  Subscription,
} from '../shared/api.js';
import type { Catalog, EventOf, TypeOf } from '../shared/catalog.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import { findProblems, integer, section, throwProblems } from './option-checks.js';

/** `bus.subscribe` for types that are known already. */
export type Subscribe<C extends Catalog, T extends TypeOf<C>> = (
  handler: HandlerFunction<C, T>,
  options: SubscribeOptions<C, T>,
) => Subscription;

/** The options of `events` with every default filled in. */
export interface ResolvedStreamOptions<C extends Catalog, T extends TypeOf<C>> {
  readonly capacity: number;
  readonly lag: NonNullable<EventStreamOptions['lag']>;
  readonly signal: AbortSignal | undefined;
  /** What the stream's subscription is made with. */
  readonly subscription: SubscribeOptions<C, T>;
}

const DEFAULTS = { name: 'events', capacity: 1024, lag: 'block' } as const;

const LAGS = ['block', 'dropOldest', 'dropNewest', 'conflate'] as const;

/**
 * Turns of the microtask queue that a loop under `dropOldest` or `dropNewest` gets when its queue has become full. Without
 * them a burst of deliveries, which runs in one go, would overflow the queue of a loop that keeps up.
 */
const LOOP_TURNS = 16;

const nameRule = { error: 'a text that is not empty' };

/** What both `events` and `once` check themselves; `filter`, `key` and `maxKeys` are `subscribe`'s to check. */
export const handOverShape = {
  name: z.string(nameRule).min(1, nameRule),
  signal: z.instanceof(AbortSignal, { error: 'an AbortSignal' }),
  filter: z.unknown(),
};

const streamSchema = section({
  ...handOverShape,
  capacity: integer('events', 1, 1_048_576),
  lag: z.enum(LAGS, { error: LAGS.map((lag) => `'${lag}'`).join(' or ') }),
  key: z.unknown(),
  maxKeys: z.unknown(),
}).refine(({ lag, capacity = 1 }) => lag !== 'conflate' || capacity === 1, {
  path: ['capacity'],
  error: "1 with lag 'conflate', which keeps what waits by key",
});

/** The options of `events`, checked and filled. Throws ERR_LANEBUS_OPTIONS. */
export function resolveStreamOptions<C extends Catalog, T extends TypeOf<C>>(
  options: EventStreamOptions<C, T> = {},
): ResolvedStreamOptions<C, T> {
  throwProblems(findProblems(streamSchema, options), 'events');
  const { capacity = DEFAULTS.capacity, lag = DEFAULTS.lag, signal, name = DEFAULTS.name, ...passed } = options;
  const conflates = lag === 'conflate';
  return {
    capacity: conflates ? 1 : capacity,
    lag,
    signal,
    // No time-out: a loop that is slow to come back is no handler that hangs.
    subscription: { ...passed, ...(conflates && { lag }), name, timeoutMs: 0 },
  };
}

/** Subscribes at once. Throws what `subscribe` throws. */
export function openStream<C extends Catalog, T extends TypeOf<C>>(
  subscribe: Subscribe<C, T>,
  options: ResolvedStreamOptions<C, T>,
): EventStream<EventOf<C, T>> & AsyncDisposable {
  return new QueuedStream((handler) => subscribe(handler, options.subscription), options);
}

/**
 * Calls `onEnd` when the subscription has ended, and `onFailure` first if it could not be made ready; that the bus was
 * stopped before is no failure. In the very turn of `ended`, so that nobody who waits for `stop` comes first.
 */
export function watch(subscription: Subscription, onEnd: () => void, onFailure: (error: unknown) => void): void {
  subscription.ready.catch((error: unknown) => {
    if (!(error instanceof LanebusError && error.code === ErrorCode.STOPPED)) onFailure(error);
  });
  void subscription.ended.then(onEnd);
}

/** A call of `next` that waits. */
interface Taker<E> {
  readonly resolve: (result: IteratorResult<E, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/** What `next` comes to when there are no more events. */
type Ending = 'done' | { readonly error: unknown };

const microtask = Promise.resolve();

class QueuedStream<E> implements EventStream<E>, AsyncDisposable {
  readonly subscription: Subscription;
  readonly #lag: ResolvedStreamOptions<Catalog, string>['lag'];
  readonly #capacity: number;
  /** Empty while takers wait. */
  readonly #waiting = new Queue<E>();
  readonly #takers = new Queue<Taker<E>>();
  /**
   * The event whose delivery waits for room: at most one, since the subscription has one delivery in flight. Under
   * `conflate` nothing else ever waits: what is not in flight can still be replaced by something newer.
   */
  #held: { readonly event: E; readonly accept: () => void } | undefined;
  #dropped = 0;
  /** Whether the loop has come back since it was last given a chance to. */
  #returned = false;
  #ending: Ending | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => {
    this.#abort();
  };

  constructor(
    subscribe: (handler: (event: E) => HandlerResult) => Subscription,
    { lag, capacity, signal }: Pick<ResolvedStreamOptions<Catalog, string>, 'lag' | 'capacity' | 'signal'>,
  ) {
    this.#lag = lag;
    this.#capacity = capacity;
    this.#signal = signal;
    this.subscription = subscribe((event) => this.#hand(event));
    watch(
      this.subscription,
      () => {
        this.#finish();
      },
      (error) => {
        this.#quit({ error });
      },
    );
    if (signal?.aborted === true) this.#abort();
    else signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get dropped(): number {
    return this.#dropped;
  }

  next(): Promise<IteratorResult<E, undefined>> {
    return new Promise((resolve, reject) => {
      this.#serve({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<E, undefined>> {
    this.#quit('done');
    this.subscription.unsubscribe();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #serve(taker: Taker<E>): void {
    // The end of the subscription took the listener away: the signal must not keep a stream that nobody reads on.
    if (this.#ending !== undefined && this.#signal?.aborted === true) this.#abort();
    this.#returned = true;
    const event = this.#take();
    if (event !== undefined) taker.resolve({ done: false, value: event });
    else if (this.#ending !== undefined) settle(taker, this.#ending);
    else this.#takers.enqueue(taker);
  }

  #take(): E | undefined {
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      this.#waiting.enqueue(held.event);
      held.accept();
    }
    return this.#waiting.dequeue();
  }

  /** The subscription's handler. */
  #hand(event: E): HandlerResult {
    if (this.#ending !== undefined) {
      this.#dropped++;
      return;
    }
    const taker = this.#takers.dequeue();
    if (taker !== undefined) {
      taker.resolve({ done: false, value: event });
      return;
    }
    switch (this.#lag) {
      case 'conflate':
        return this.#hold(event);
      case 'block':
        if (this.#waiting.size >= this.#capacity) return this.#hold(event);
        this.#waiting.enqueue(event);
        return;
      default:
        return this.#squeeze(event, this.#lag);
    }
  }

  /** Resolves when the loop has taken an event: until then the delivery is in flight, and the lane keeps what follows. */
  #hold(event: E): Promise<void> {
    return new Promise((accept) => {
      this.#held = { event, accept };
    });
  }

  #squeeze(event: E, lag: 'dropOldest' | 'dropNewest'): HandlerResult {
    if (this.#waiting.size < this.#capacity) {
      this.#waiting.enqueue(event);
    } else {
      this.#dropped++;
      if (lag === 'dropNewest') return;
      this.#waiting.dequeue();
      this.#waiting.enqueue(event);
    }
    // Once for each time that the loop came back: one that is away for long holds nothing up.
    if (this.#waiting.size < this.#capacity || !this.#returned) return;
    this.#returned = false;
    return this.#letLoopRun();
  }

  async #letLoopRun(): Promise<void> {
    for (let turns = 0; turns < LOOP_TURNS && this.#waiting.size > 0; turns++) await microtask;
  }

  /** The subscription has ended: the loop gets what waits, but not what is held, which the bus has counted `discarded`. */
  #finish(): void {
    if (this.#ending !== undefined) return;
    this.#held = undefined;
    this.#end('done');
  }

  #abort(): void {
    this.#quit({ error: this.#signal?.reason });
    this.subscription.unsubscribe();
  }

  /** Ends the loop, which gets nothing more. Has no effect on one that has had everything, or was told another end. */
  #quit(ending: Ending): void {
    if (this.#ending !== undefined && this.#waiting.size === 0) return;
    this.#dropped += this.#waiting.size;
    this.#waiting.clear();
    if (this.#held !== undefined) {
      this.#dropped++;
      this.#held.accept();
      this.#held = undefined;
    }
    this.#end(ending);
  }

  #end(ending: Ending): void {
    this.#ending = ending;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const taker of this.#takers.drain()) settle(taker, ending);
  }
}

function settle<E>({ resolve, reject }: Taker<E>, ending: Ending): void {
  if (ending === 'done') resolve({ done: true, value: undefined });
  else reject(ending.error);
}
