import type { PredictionEvent, SignalEvent } from './catalog.js';
import { ONE } from './features.js';
import type { StageLogic, State } from './stage.js';
import { stageHandler } from './stage.js';

// Expected moves, in half ticks times 2^16: from the first on it is worth having a position, from the second on keeping it.
const ENTER_MOVE = (3 * ONE) / 4;
const KEEP_MOVE = 0;
// Above this the quotes run away from whoever takes them: no new position. Square half ticks over the last quotes.
const MAX_VOLATILITY = 24;

/** PREDICTION → SIGNAL: what position to have, told when it changes. */
export class SignalStage implements StageLogic<PredictionEvent> {
  #direction = 0;

  apply(event: PredictionEvent): SignalEvent | undefined {
    const direction = this.#next(event.move, event.volatility);
    if (direction === this.#direction) return undefined;
    this.#direction = direction;
    const { instrument, index, timeUs, bid, ask, bidSize, askSize } = event;
    return { type: 'SIGNAL', instrument, index, timeUs, bid, ask, bidSize, askSize, direction };
  }

  state(): State {
    return { direction: this.#direction };
  }

  #next(move: number, volatility: number): number {
    if (Math.abs(move) >= ENTER_MOVE && volatility <= MAX_VOLATILITY) return Math.sign(move);
    return move * this.#direction > KEEP_MOVE ? this.#direction : 0;
  }
}

export const onPrediction = stageHandler('signal', () => new SignalStage());
