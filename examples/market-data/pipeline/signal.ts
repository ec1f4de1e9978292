import type { PredictionEvent, SignalEvent } from './catalog.js';
import { ONE } from './features.js';
import type { StageLogic, State } from './stage.js';
import { stageModule } from './stage.js';

// Expected moves, in half ticks times 2^16: from the first on it is worth having a position, from the second on keeping it.
const ENTER_MOVE = (3 * ONE) / 4;
const KEEP_MOVE = 0;
// Above this the quotes run away from whoever takes them: no new position. Square half ticks over the last quotes.
const MAX_VOLATILITY = 24;

interface SignalState {
  direction: number;
}

/** PREDICTION → SIGNAL: what position to have, told when it changes. */
export class SignalStage implements StageLogic<PredictionEvent, SignalState> {
  #kept: SignalState = {
    direction: 0,
  };

  apply(event: PredictionEvent): SignalEvent | undefined {
    const direction = this.#next(event.move, event.volatility);
    if (direction === this.#kept.direction) return undefined;
    this.#kept.direction = direction;
    const { instrument, index, timeUs, bid, ask, bidSize, askSize } = event;
    return { type: 'SIGNAL', instrument, index, timeUs, bid, ask, bidSize, askSize, direction };
  }

  snapshot(): SignalState {
    return this.#kept;
  }

  restore(state: SignalState): void {
    this.#kept = state;
  }

  state(): State {
    return { direction: this.#kept.direction };
  }

  #next(move: number, volatility: number): number {
    if (Math.abs(move) >= ENTER_MOVE && volatility <= MAX_VOLATILITY) return Math.sign(move);
    return move * this.#kept.direction > KEEP_MOVE ? this.#kept.direction : 0;
  }
}

export const { onEvent: onPrediction, snapshot, restore } = stageModule('signal', () => new SignalStage());
