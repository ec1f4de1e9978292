/**
 * After a death that may be the fault of any of several deliveries, each of these suspects is delivered again alone: while
 * there are any, a delivery starts only when no other one on this thread is at work. If the thread dies again, it is known
 * for which; all others end as usual.
 *
 * A delivery whose handler has come to its end and that only waits for room is not at work: it cannot be to blame, and what
 * it waits for may be in the hands of one that has not started. The same goes for a handler that waits for room itself;
 * it may be to blame when it goes on beside others, and then there is a doubt again (inheritance.ts bounds them).
 */
import { SubscriptionMode } from './layout.js';
import type { AnyReader } from './reader.js';
import type { LocalSubscription } from './subscription.js';

export class Quarantine {
  readonly #suspects = new Map<AnyReader, Set<number>>();
  readonly #subscriptions: () => Iterable<LocalSubscription>;
  readonly #wake: () => void;

  /** @param wake Has the thread look again whether a delivery may start. */
  constructor(subscriptions: () => Iterable<LocalSubscription>, wake: () => void) {
    this.#subscriptions = subscriptions;
    this.#wake = wake;
  }

  /** Whether a delivery may start. */
  get isOpen(): boolean {
    if (this.#suspects.size === 0) return true;
    // One of a paused subscription comes when that goes on, and holds nobody up until then.
    const isDue = [...this.#suspects.keys()].some(({ subscription }) => subscription.mode === SubscriptionMode.active);
    return !isDue || ![...this.#subscriptions()].some(({ atWork }) => atWork);
  }

  add(reader: AnyReader, positions: readonly number[]): void {
    if (positions.length > 0) this.#suspects.set(reader, new Set(positions));
  }

  has(reader: AnyReader, position: number): boolean {
    return this.#suspects.get(reader)?.has(position) ?? false;
  }

  /** The handler has come to its end. */
  clear(reader: AnyReader, position: number): void {
    const positions = this.#suspects.get(reader);
    if (positions?.delete(position) !== true) return;
    if (positions.size === 0) this.#suspects.delete(reader);
    this.#wake();
  }

  /** What the reader had to repeat is not delivered any more. */
  forget(reader: AnyReader): void {
    if (this.#suspects.delete(reader)) this.#wake();
  }

  /** A delivery waits for room now. */
  waitsForRoom(): void {
    if (this.#suspects.size > 0) this.#wake();
  }
}
