import type { Cause, HandlerContext, HandlerLogger } from './api.js';
import { toEpoch } from './clock.js';
import type { Delivery } from './delivery.js';
import { causeOf } from './lane.js';
import { ADMITTED } from './outbox.js';

/**
 * What a handler is told about its delivery. One object per place in flight, used for one delivery after the other: the
 * record stays where it is until its delivery has ended, so everything is read from there, when it is asked for.
 */
export class DeliveryContext implements HandlerContext {
  readonly #delivery: Delivery;

  constructor(delivery: Delivery) {
    this.#delivery = delivery;
  }

  get sequence(): number {
    return this.#delivery.sequence;
  }

  get lane(): string {
    return this.#delivery.reader.laneName;
  }

  get publisher(): number {
    return this.#delivery.publisher;
  }

  get publishedAt(): number {
    const { memory, at, trailer } = this.#delivery;
    return toEpoch(trailer?.publishedAt ?? memory.f64[(at >> 3) + 1]);
  }

  get attempt(): number {
    return this.#delivery.attempt;
  }

  get signal(): AbortSignal {
    return (this.#delivery.controller ??= new AbortController()).signal;
  }

  get log(): HandlerLogger {
    return this.#delivery.subscription.log;
  }

  get thread(): number {
    return this.#delivery.subscription.thread;
  }

  get cause(): Cause | undefined {
    const { memory, at, subscription, trailer } = this.#delivery;
    const cause = trailer === undefined ? causeOf(memory, at) : trailer.cause;
    return cause && { lane: subscription.laneNames[cause.rank], publisher: cause.publisher, sequence: cause.sequence };
  }

  get skipped(): number {
    return this.#delivery.skipped;
  }

  get missed(): number {
    return this.#delivery.missed;
  }

  get replay(): boolean {
    return this.#delivery.replays;
  }

  publish(event: unknown): Promise<void> {
    if (this.#delivery.replays) return ADMITTED; // it was published when the delivery ended
    return this.#delivery.publishes.publish(event) as Promise<void>;
  }
}
