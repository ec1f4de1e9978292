/** A subscription without a bus: its handler is called by hand, one delivery at a time as on the bus's own thread. */
import type { HandlerFunction, SubscribeOptions, Subscription, SubscriptionMetrics } from '../../src/shared/api.js';
import { defineEvents, type EventOf } from '../../src/shared/catalog.js';
import { f64, symbol } from '../../src/shared/fields.js';

export const CATALOG = defineEvents({
  TICK: { priority: 30, key: 'symbol', payload: { symbol: symbol(), n: f64() } },
});
type C = typeof CATALOG;
export type Tick = EventOf<C, 'TICK'>;

export const tick = (n: number): Tick => ({ type: 'TICK', symbol: 'ESH4', n });

export class ManualSubscription implements Subscription {
  readonly id = 1;
  readonly name = 'manual';
  readonly types = ['TICK'];
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  /** What it was made with, once it was. */
  options: SubscribeOptions<C, 'TICK'> | undefined;
  unsubscribed = 0;
  processed = 0;
  failed = 0;
  #handler: HandlerFunction<C, 'TICK'> | undefined;
  #settle!: { readonly ready: () => void; readonly fail: (error: Error) => void; readonly end: () => void };
  #inFlight: Promise<void> | undefined;

  constructor() {
    let end!: () => void;
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    this.ready = new Promise((ready, fail) => {
      this.#settle = { ready, fail, end };
    });
  }

  readonly subscribe = (handler: HandlerFunction<C, 'TICK'>, options: SubscribeOptions<C, 'TICK'>): Subscription => {
    this.#handler = handler;
    this.options = options;
    return this;
  };

  get busy(): boolean {
    return this.#inFlight !== undefined;
  }

  /** Delivers one event, as a burst does: in one go, unless the handler makes it wait. */
  deliver(event: Tick): void {
    if (this.#inFlight !== undefined) throw new Error(`event ${event.n} delivered while another is in flight`);
    let result;
    try {
      result = this.#handler?.(event, undefined as never);
    } catch {
      this.failed++;
      return;
    }
    if (result === undefined) this.processed++;
    else this.#inFlight = this.#await(result);
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    await this.#inFlight;
  }

  start(): void {
    this.#settle.ready();
  }

  /** As the bus does for one that could not be started. */
  fail(error: Error): void {
    this.#settle.fail(error);
    this.#settle.end();
  }

  /** As the bus does when it stops: a delivery in flight does not count any more. */
  end(): void {
    this.#settle.ready();
    this.#settle.end();
  }

  unsubscribe(): boolean {
    return this.unsubscribed++ === 0;
  }

  pause(): void {
    throw new Error('not used');
  }

  resume(): void {
    throw new Error('not used');
  }

  metrics(): SubscriptionMetrics {
    throw new Error('not used');
  }

  async #await(result: Promise<void>): Promise<void> {
    await result;
    this.#inFlight = undefined;
    this.processed++;
  }
}
