import type { FeaturesEvent, PredictionEvent } from './catalog.js';
import { ONE } from './features.js';
import type { StageLogic, State } from './stage.js';
import { stageModule } from './stage.js';

// Least squares over an hour of the E-mini S&P 500 future, for the middle's move within the next 100 quotes; in 256ths.
const WEIGHT_PARTS = 256;
const IMBALANCE_WEIGHT = 249;
const TREND_WEIGHT = 33;
const RECENT_WEIGHT = 37;

interface PredictionState {
  up: number;
  down: number;
}

/** FEATURES → PREDICTION: a linear model. */
export class PredictionStage implements StageLogic<FeaturesEvent, PredictionState> {
  #kept: PredictionState = {
    up: 0,
    down: 0,
  };

  apply(event: FeaturesEvent): PredictionEvent {
    const { instrument, index, timeUs, bid, ask, bidSize, askSize, imbalance, emaShort, emaLong, volatility } = event;
    const trend = emaShort - emaLong;
    const recent = (bid + ask) * ONE - emaShort;
    const sum = IMBALANCE_WEIGHT * imbalance + TREND_WEIGHT * trend + RECENT_WEIGHT * recent;
    const move = Math.trunc(sum / WEIGHT_PARTS);
    if (move > 0) this.#kept.up++;
    else if (move < 0) this.#kept.down++;
    return { type: 'PREDICTION', instrument, index, timeUs, bid, ask, bidSize, askSize, move, volatility };
  }

  snapshot(): PredictionState {
    return this.#kept;
  }

  restore(state: PredictionState): void {
    this.#kept = state;
  }

  state(): State {
    return { up: this.#kept.up, down: this.#kept.down };
  }
}

export const { onEvent: onFeatures, snapshot, restore } = stageModule('prediction', () => new PredictionStage());
