import type { ClearEvent, FillEvent, HaltEvent } from './catalog.js';
import { TICK_MONEY } from './execution.js';
import type { StageLogic, State } from './stage.js';
import { stageHandler } from './stage.js';

const US_PER_MINUTE = 60_000_000;
const HALT_US = 5 * US_PER_MINUTE;
/** How far the result may fall below its peak, in hundredths of a tick; and how many fills there may be within a minute. */
const MAX_DRAWDOWN = 50 * TICK_MONEY;
const MAX_FILLS = 30;

/** The money that cash and position are worth, with the position at the middle of the best prices. */
export function equityOf(cash: number, position: number, bid: number, ask: number): number {
  return cash + position * (bid + ask) * (TICK_MONEY / 2);
}

/**
 * FILL → CLEAR or HALT: one answer to each fill, which execution waits for. A HALT starts both rules anew, so that one loss
 * is answered once.
 */
export class RiskStage implements StageLogic<FillEvent> {
  /** Exchange times of the fills of the last minute. */
  #recent: number[] = [];
  #equity = 0;
  #peak = 0;
  #worstDrawdown = 0;
  #halts = 0;

  apply(event: FillEvent): ClearEvent | HaltEvent {
    const { instrument, index, timeUs, cash, position, bid, ask } = event;
    this.#equity = equityOf(cash, position, bid, ask);
    this.#peak = Math.max(this.#peak, this.#equity);
    const drawdown = this.#peak - this.#equity;
    this.#worstDrawdown = Math.max(this.#worstDrawdown, drawdown);
    this.#recent = this.#recent.filter((fillUs) => timeUs - fillUs < US_PER_MINUTE);
    this.#recent.push(timeUs);
    const fills = this.#recent.length;
    if (drawdown <= MAX_DRAWDOWN && fills <= MAX_FILLS) return { type: 'CLEAR', instrument, index, timeUs };

    this.#halts++;
    this.#peak = this.#equity;
    this.#recent = [];
    const breach =
      drawdown > MAX_DRAWDOWN
        ? ({ reason: 'drawdown', value: drawdown, limit: MAX_DRAWDOWN } as const)
        : ({ reason: 'fills', value: fills, limit: MAX_FILLS } as const);
    return { type: 'HALT', instrument, index, timeUs, ...breach, untilUs: timeUs + HALT_US };
  }

  state(): State {
    return {
      equity: this.#equity,
      peak: this.#peak,
      worstDrawdown: this.#worstDrawdown,
      halts: this.#halts,
      recent: this.#recent.length,
    };
  }
}

export const onFill = stageHandler('risk', () => new RiskStage());
