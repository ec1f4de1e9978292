import type { HandlerContext, HandlerLogger } from './api.js';
import { toEpoch } from './clock.js';
import { LaneWord } from './layout.js';
import type { Reader } from './reader.js';
import { unwrap } from './sequence.js';

/**
 * What a handler is told about its delivery. One object per reader, used for one delivery after the other: the record
 * stays in the ring until its delivery has ended, so everything is read from there, when it is asked for.
 */
export class DeliveryContext implements HandlerContext {
  readonly #reader: Reader;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  get sequence(): number {
    const { lane } = this.#reader;
    return unwrap(lane.memory.i32[(this.#at >> 2) + 1], lane.stats[LaneWord.RECORDS_F64]);
  }

  get lane(): string {
    return this.#reader.laneName;
  }

  get publisher(): number {
    return this.#reader.publisher;
  }

  get publishedAt(): number {
    return toEpoch(this.#reader.lane.memory.f64[(this.#at >> 3) + 1]);
  }

  get attempt(): number {
    return this.#reader.attempt;
  }

  get signal(): AbortSignal {
    return (this.#reader.subscription.controller ??= new AbortController()).signal;
  }

  get log(): HandlerLogger {
    return this.#reader.subscription.log;
  }

  get thread(): number {
    return this.#reader.subscription.thread;
  }

  publish(event: unknown): Promise<void> {
    return this.#reader.subscription.publishes.publish(event) as Promise<void>;
  }

  get #at(): number {
    const { lane, position } = this.#reader;
    return lane.offset(position);
  }
}
