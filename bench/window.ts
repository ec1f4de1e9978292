/**
 * Back-pressure for what has none of its own: a producer stops at so many events that a reader has not acknowledged. Without
 * it, whatever lies between the two would grow for as long as the producer is the faster one.
 */

/** A reader acknowledges every `ackEvery` events, and a producer stops at `size` that are not acknowledged. */
export interface WindowSize {
  readonly size: number;
  readonly ackEvery: number;
}

/** The producer's side, for one reader. */
export class Window {
  readonly #size: number;
  readonly #ackEvery: number;
  #unacknowledged = 0;
  #onRoom: (() => void) | undefined;

  constructor({ size, ackEvery }: WindowSize) {
    this.#size = size;
    this.#ackEvery = ackEvery;
  }

  /** Events have been sent. @returns What to await before more are. */
  add(events: number): Promise<void> | undefined {
    this.#unacknowledged += events;
    return this.#unacknowledged < this.#size ? undefined : this.#room();
  }

  /** The reader has taken `ackEvery` more. */
  acknowledge(): void {
    this.#unacknowledged -= this.#ackEvery;
    if (this.#unacknowledged < this.#size) this.#onRoom?.();
  }

  /** At the end of a stream: what is left of it need not be acknowledged. */
  reset(): void {
    this.#unacknowledged = 0;
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = resolve;
    });
  }
}

/** A reader's side. */
export class Acknowledger {
  readonly #every: number;
  readonly #acknowledge: () => void;
  #left: number;

  /** @param acknowledge Tells the producer of `ackEvery` more events. */
  constructor({ ackEvery }: WindowSize, acknowledge: () => void) {
    this.#every = this.#left = ackEvery;
    this.#acknowledge = acknowledge;
  }

  /** Events have been taken. */
  add(events: number): void {
    this.#left -= events;
    while (this.#left <= 0) {
      this.#left += this.#every;
      this.#acknowledge();
    }
  }

  /** At the end of a stream, as the producer's window. */
  reset(): void {
    this.#left = this.#every;
  }
}
