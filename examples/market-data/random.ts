const U32_RANGE = 2 ** 32;

/** Seeded pseudo-random numbers (mulberry32): the same seed gives the same sequence on every machine. Not for secrets. */
export class Random {
  #state: number;

  /** @param seed any integer; its lower 32 bits count. */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** From 0 up to, but not, 1. */
  fraction(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / U32_RANGE;
  }

  /** An integer from 0 up to, but not, `bound`. */
  below(bound: number): number {
    return Math.floor(this.fraction() * bound);
  }

  /** A value of the distribution that has these quantiles, straight lines between them. */
  quantile(quantiles: readonly (readonly [share: number, value: number])[]): number {
    const share = this.fraction();
    let [lowShare, lowValue] = quantiles[0];
    for (const [highShare, highValue] of quantiles) {
      if (share < highShare) return lowValue + ((share - lowShare) / (highShare - lowShare)) * (highValue - lowValue);
      lowShare = highShare;
      lowValue = highValue;
    }
    return lowValue;
  }
}
