import type { FeaturesEvent, QuoteEvent } from './catalog.js';
import type { StageLogic, State } from './stage.js';
import { stageHandler } from './stage.js';

/** Fractions are integers: so many parts make one. */
export const ONE = 2 ** 16;
// Each quote moves an average by this share of its distance.
const SHORT_SHARE = 16;
const LONG_SHARE = 256;
const VOLATILITY_QUOTES = 64;

/**
 * QUOTE → FEATURES. The middle is counted in half ticks, so that it is an integer. Quotients are cut towards zero.
 *
 *   spread       ticks
 *   imbalance    (bidSize - askSize) / (bidSize + askSize), times 2^16
 *   emaShort     exponential moving average of the middle, half ticks times 2^16
 *   emaLong      the same over a longer time
 *   volatility   realised: the sum of the squared moves of the middle over the last 64 quotes, square half ticks
 */
export class FeaturesStage implements StageLogic<QuoteEvent> {
  readonly #squares = new Array<number>(VOLATILITY_QUOTES).fill(0);
  #oldest = 0;
  #middle = NaN;
  #emaShort = 0;
  #emaLong = 0;
  #volatility = 0;

  apply(event: QuoteEvent): FeaturesEvent {
    const { instrument, index, timeUs, bid, ask, bidSize, askSize } = event;
    const middle = bid + ask;
    if (Number.isNaN(this.#middle)) {
      this.#emaShort = middle * ONE;
      this.#emaLong = middle * ONE;
    } else {
      this.#emaShort += Math.trunc((middle * ONE - this.#emaShort) / SHORT_SHARE);
      this.#emaLong += Math.trunc((middle * ONE - this.#emaLong) / LONG_SHARE);
      this.#noteMove(middle - this.#middle);
    }
    this.#middle = middle;
    return {
      type: 'FEATURES',
      instrument,
      index,
      timeUs,
      bid,
      ask,
      bidSize,
      askSize,
      spread: ask - bid,
      imbalance: Math.trunc(((bidSize - askSize) * ONE) / (bidSize + askSize)),
      emaShort: this.#emaShort,
      emaLong: this.#emaLong,
      volatility: this.#volatility,
    };
  }

  state(): State {
    return { emaShort: this.#emaShort, emaLong: this.#emaLong, volatility: this.#volatility };
  }

  #noteMove(move: number): void {
    const square = move * move;
    this.#volatility += square - this.#squares[this.#oldest];
    this.#squares[this.#oldest] = square;
    this.#oldest = (this.#oldest + 1) % VOLATILITY_QUOTES;
  }
}

export const onQuote = stageHandler('features', () => new FeaturesStage());
