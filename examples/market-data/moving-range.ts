interface Point {
  readonly at: bigint;
  readonly value: number;
}

export interface RangeState {
  readonly lows: Point[];
  readonly highs: Point[];
}

/**
 * Lowest and highest of the values of the last `window`. Each queue keeps only values that can still become the extreme: a value
 * is dropped when a newer one is at least as extreme, so both queues are sorted and their first entry is the answer.
 */
export class MovingRange {
  readonly #window: bigint;
  #lows: Point[] = [];
  #highs: Point[] = [];

  constructor(window: bigint) {
    this.#window = window;
  }

  add(at: bigint, value: number): void {
    const lows = this.#lows;
    const highs = this.#highs;
    while (lows.length > 0 && lows[lows.length - 1].value >= value) lows.pop();
    while (highs.length > 0 && highs[highs.length - 1].value <= value) highs.pop();
    lows.push({ at, value });
    highs.push({ at, value });
    // The value just added is inside the window, so neither queue runs empty.
    while (at - lows[0].at > this.#window) lows.shift();
    while (at - highs[0].at > this.#window) highs.shift();
  }

  /** NaN when there is no value. */
  get low(): number {
    return this.#lows.length === 0 ? NaN : this.#lows[0].value;
  }

  /** NaN when there is no value. */
  get high(): number {
    return this.#highs.length === 0 ? NaN : this.#highs[0].value;
  }

  snapshot(): RangeState {
    return { lows: this.#lows, highs: this.#highs };
  }

  restore({ lows, highs }: RangeState): void {
    this.#lows = lows;
    this.#highs = highs;
  }

  clear(): void {
    this.#lows = [];
    this.#highs = [];
  }
}
