/**
 * What one delivery publishes. A delivery ends only when all of it was admitted, so a handler that does not await cannot
 * run ahead of a full lane; and a refusal that the handler did not look at fails the delivery instead of getting lost.
 */
import type { Ticketed } from './admission.js';
import type { Outbox } from './outbox.js';

/** A promise that knows whether anyone has asked for its result. */
class Admission extends Promise<unknown> {
  static override readonly [Symbol.species] = Promise;
  observed = false;

  override then<A = unknown, B = never>(
    onFulfilled?: ((value: unknown) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.observed = true;
    return super.then(onFulfilled, onRejected);
  }
}

export class Publishes {
  readonly #outbox: Outbox;
  readonly #delivery: Ticketed;
  #waiting: { admission: Admission; settled: Promise<unknown> }[] = [];

  constructor(outbox: Outbox, delivery: Ticketed) {
    this.#outbox = outbox;
    this.#delivery = delivery;
  }

  get pending(): boolean {
    return this.#waiting.length > 0;
  }

  publish(event: unknown): Promise<unknown> {
    const published = this.#outbox.derive(event, this.#delivery);
    if (this.#outbox.wasAdmitted(published)) return published;
    const admission = new Admission((resolve, reject) => {
      published.then(resolve, reject);
    });
    const settled = Promise.prototype.then.call(
      admission,
      () => undefined,
      (error: unknown) => error,
    );
    this.#waiting.push({ admission, settled });
    return admission;
  }

  /** Resolves when all is admitted or refused; rejects with the first refusal that nobody has looked at. */
  async settle(): Promise<void> {
    let refusal: unknown;
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const { admission, settled } of waiting) {
        const error = await settled;
        if (!admission.observed) refusal ??= error;
      }
    }
    if (refusal !== undefined) throw refusal as Error;
  }

  /** What still waits for room is nobody's any more: the place in flight is used for other deliveries. */
  renounce(): void {
    this.#outbox.renounce(this.#delivery);
  }

  /** Forgets what a delivery that was given up still waits for. */
  forget(): void {
    this.#waiting = [];
  }
}
