import type { Level } from './order-book.js';

export interface LadderState {
  readonly keys: Float64Array;
  readonly sizes: Float64Array;
}

/**
 * The levels of one side of a book: price and total size, best price last. Almost all changes fall on existing levels near
 * the best price, so a level comes and goes at the cheap end of the arrays.
 *
 * Prices are the feed's doubles. Equal decimals parse to equal doubles, so they identify a level exactly; integer ticks
 * would need a tick size that the feed does not carry.
 */
export class PriceLadder {
  // Prices times the direction, so that both sides sort ascending towards their best.
  #keys: number[] = [];
  #sizes: number[] = [];
  readonly #direction: 1 | -1;

  /** @param direction 1 if a higher price is better (bids), -1 if a lower one is (asks). */
  constructor(direction: 1 | -1) {
    this.#direction = direction;
  }

  snapshot(): LadderState {
    return { keys: Float64Array.from(this.#keys), sizes: Float64Array.from(this.#sizes) };
  }

  restore({ keys, sizes }: LadderState): void {
    this.#keys = [...keys];
    this.#sizes = [...sizes];
  }

  get levels(): number {
    return this.#keys.length;
  }

  /** NaN if there is no level. */
  get bestPrice(): number {
    const last = this.#keys.length - 1;
    return last < 0 ? NaN : this.#keys[last] * this.#direction;
  }

  /** 0 if there is no level. */
  get bestSize(): number {
    const last = this.#sizes.length - 1;
    return last < 0 ? 0 : this.#sizes[last];
  }

  /** Adds `size`, which may be negative, to the level of `price`; the level goes when nothing is left of it. */
  add(price: number, size: number): void {
    if (size === 0) return;
    const keys = this.#keys;
    const key = price * this.#direction;
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (keys[middle] < key) low = middle + 1;
      else high = middle;
    }
    if (low === keys.length || keys[low] !== key) {
      keys.splice(low, 0, key);
      this.#sizes.splice(low, 0, size);
      return;
    }
    const left = this.#sizes[low] + size;
    if (left !== 0) {
      this.#sizes[low] = left;
      return;
    }
    keys.splice(low, 1);
    this.#sizes.splice(low, 1);
  }

  /** The best `count` levels, best first. */
  top(count: number): Level[] {
    const top: Level[] = [];
    for (let i = this.#keys.length - 1; i >= 0 && top.length < count; i--) {
      top.push([this.#keys[i] * this.#direction, this.#sizes[i]]);
    }
    return top;
  }
}
