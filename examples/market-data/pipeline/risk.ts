import type { ClearEvent, FillEvent, HaltEvent } from './catalog.js';
import { TICK_MONEY } from './execution.js';
import type { StageLogic, State } from './stage.js';
import { stageModule } from './stage.js';

const US_PER_MINUTE = 60_000_000;
const HALT_US = 5 * US_PER_MINUTE;
/** How far the result may fall below its peak, in hundredths of a tick; and how many fills there may be within a minute. */
const MAX_DRAWDOWN = 50 * TICK_MONEY;
const MAX_FILLS = 30;

/** The money that cash and position are worth, with the position at the middle of the best prices. */
export function equityOf(cash: number, position: number, bid: number, ask: number): number {
  return cash + position * (bid + ask) * (TICK_MONEY / 2);
}

interface RiskState {
  /** Exchange times of the fills of the last minute. */
  recent: number[];
  equity: number;
  peak: number;
  worstDrawdown: number;
  halts: number;
}

/**
 * FILL → CLEAR or HALT: one answer to each fill, which execution waits for. A HALT starts both rules anew, so that one loss
 * is answered once.
 */
export class RiskStage implements StageLogic<FillEvent, RiskState> {
  #kept: RiskState = {
    recent: [],
    equity: 0,
    peak: 0,
    worstDrawdown: 0,
    halts: 0,
  };

  apply(event: FillEvent): ClearEvent | HaltEvent {
    const kept = this.#kept;
    const { instrument, index, timeUs, cash, position, bid, ask } = event;
    kept.equity = equityOf(cash, position, bid, ask);
    kept.peak = Math.max(kept.peak, kept.equity);
    const drawdown = kept.peak - kept.equity;
    kept.worstDrawdown = Math.max(kept.worstDrawdown, drawdown);
    kept.recent = kept.recent.filter((fillUs) => timeUs - fillUs < US_PER_MINUTE);
    kept.recent.push(timeUs);
    const fills = kept.recent.length;
    if (drawdown <= MAX_DRAWDOWN && fills <= MAX_FILLS) return { type: 'CLEAR', instrument, index, timeUs };

    kept.halts++;
    kept.peak = kept.equity;
    kept.recent = [];
    const breach =
      drawdown > MAX_DRAWDOWN
        ? ({ reason: 'drawdown', value: drawdown, limit: MAX_DRAWDOWN } as const)
        : ({ reason: 'fills', value: fills, limit: MAX_FILLS } as const);
    return { type: 'HALT', instrument, index, timeUs, ...breach, untilUs: timeUs + HALT_US };
  }

  snapshot(): RiskState {
    return this.#kept;
  }

  restore(state: RiskState): void {
    this.#kept = state;
  }

  state(): State {
    const kept = this.#kept;
    return {
      equity: kept.equity,
      peak: kept.peak,
      worstDrawdown: kept.worstDrawdown,
      halts: kept.halts,
      recent: kept.recent.length,
    };
  }
}

export const { onEvent: onFill, snapshot, restore } = stageModule('risk', () => new RiskStage());
