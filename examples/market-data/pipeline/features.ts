import type { FeaturesEvent, QuoteEvent } from './catalog.js';
import type { StageLogic, State } from './stage.js';
import { stageModule } from './stage.js';

/** Fractions are integers: so many parts make one. */
export const ONE = 2 ** 16;
// Each quote moves an average by this share of its distance.
const SHORT_SHARE = 16;
const LONG_SHARE = 256;
const VOLATILITY_QUOTES = 64;

interface FeaturesState {
  squares: number[];
  oldest: number;
  middle: number;
  emaShort: number;
  emaLong: number;
  volatility: number;
}

/**
 * QUOTE → FEATURES. The middle is counted in half ticks, so that it is an integer. Quotients are cut towards zero.
 *
 *   spread       ticks
 *   imbalance    (bidSize - askSize) / (bidSize + askSize), times 2^16
 *   emaShort     exponential moving average of the middle, half ticks times 2^16
 *   emaLong      the same over a longer time
 *   volatility   realised: the sum of the squared moves of the middle over the last 64 quotes, square half ticks
 */
export class FeaturesStage implements StageLogic<QuoteEvent, FeaturesState> {
  #kept: FeaturesState = {
    squares: new Array<number>(VOLATILITY_QUOTES).fill(0),
    oldest: 0,
    middle: NaN,
    emaShort: 0,
    emaLong: 0,
    volatility: 0,
  };

  apply(event: QuoteEvent): FeaturesEvent {
    const kept = this.#kept;
    const { instrument, index, timeUs, bid, ask, bidSize, askSize } = event;
    const middle = bid + ask;
    if (Number.isNaN(kept.middle)) {
      kept.emaShort = middle * ONE;
      kept.emaLong = middle * ONE;
    } else {
      kept.emaShort += Math.trunc((middle * ONE - kept.emaShort) / SHORT_SHARE);
      kept.emaLong += Math.trunc((middle * ONE - kept.emaLong) / LONG_SHARE);
      this.#noteMove(middle - kept.middle);
    }
    kept.middle = middle;
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
      emaShort: kept.emaShort,
      emaLong: kept.emaLong,
      volatility: kept.volatility,
    };
  }

  snapshot(): FeaturesState {
    return this.#kept;
  }

  restore(state: FeaturesState): void {
    this.#kept = state;
  }

  state(): State {
    const kept = this.#kept;
    return { emaShort: kept.emaShort, emaLong: kept.emaLong, volatility: kept.volatility };
  }

  #noteMove(move: number): void {
    const kept = this.#kept;
    const square = move * move;
    kept.volatility += square - kept.squares[kept.oldest];
    kept.squares[kept.oldest] = square;
    kept.oldest = (kept.oldest + 1) % VOLATILITY_QUOTES;
  }
}

export const { onEvent: onQuote, snapshot, restore } = stageModule('features', () => new FeaturesStage());
