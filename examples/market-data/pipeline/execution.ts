import type { ClearEvent, FillEvent, HaltEvent, SignalEvent } from './catalog.js';
import type { StageLogic, State } from './stage.js';
import { stageModule } from './stage.js';

/** Money is counted in hundredths of a tick of one contract: so much is a tick, and half of it what the middle needs. */
export const TICK_MONEY = 100;
const LOT = 5;
const FEE_MONEY = 8;
const NO_FILL = -1;

interface ExecutionState {
  readonly held: SignalEvent[];
  /** Index of the fill that risk has not answered yet. */
  unanswered: number;
  haltedUntilUs: number;
  position: number;
  cash: number;
  fees: number;
  signals: number;
  orders: number;
  refused: number;
  fills: number;
  partial: number;
  contracts: number;
  halts: number;
  cleared: number;
}

/**
 * SIGNAL → FILL, with risk's answers: turns signals into orders, trades them against the quote that they were decided by,
 * and keeps position and cash.
 *
 * Signals and answers come through different lanes from different threads, so nothing says which comes first. They are
 * merged by a rule instead: after a fill, signals are held until risk has answered that fill, CLEAR or HALT.
 *   Claim: orders, refusals and fills are a function of the series of signals.
 *   A signal is acted upon when all fills of earlier ones have their answers, whether it had to wait for that or not; and
 *   an answer depends on the fills up to its own, as risk gets them in order. So by induction each signal meets the same
 *   position and the same halt on every run. Only how many signals are held at a time depends on scheduling: it is not
 *   counted. Test: test/unit/examples/pipeline-scheduling
 * A HALT takes effect behind its fill's index, that is, for the very next signal, and ends at an exchange time.
 *
 * This is the pipeline's one cycle: FILL to risk, CLEAR or HALT back. Neither side can wait for the other: an instrument
 * has one unanswered fill at most, and its lanes have room for one of every instrument.
 */
export class ExecutionStage implements StageLogic<SignalEvent | ClearEvent | HaltEvent, ExecutionState> {
  #kept: ExecutionState = {
    held: [],
    unanswered: NO_FILL,
    haltedUntilUs: 0,
    position: 0,
    cash: 0,
    fees: 0,
    signals: 0,
    orders: 0,
    refused: 0,
    fills: 0,
    partial: 0,
    contracts: 0,
    halts: 0,
    cleared: 0,
  };

  apply(event: SignalEvent | ClearEvent | HaltEvent): FillEvent | undefined {
    const kept = this.#kept;
    if (event.type !== 'SIGNAL') {
      this.#answer(event);
    } else if (kept.unanswered === NO_FILL) {
      return this.#act(event);
    } else {
      kept.held.push(event);
      return undefined;
    }
    for (;;) {
      const next = kept.held.shift();
      if (next === undefined) return undefined;
      const fill = this.#act(next);
      if (fill !== undefined) return fill;
    }
  }

  snapshot(): ExecutionState {
    return this.#kept;
  }

  restore(state: ExecutionState): void {
    this.#kept = state;
  }

  state(): State {
    const kept = this.#kept;
    return {
      signals: kept.signals,
      orders: kept.orders,
      refused: kept.refused,
      fills: kept.fills,
      partial: kept.partial,
      contracts: kept.contracts,
      position: kept.position,
      cash: kept.cash,
      fees: kept.fees,
      halts: kept.halts,
      cleared: kept.cleared,
      haltedUntilUs: kept.haltedUntilUs,
    };
  }

  #answer(event: ClearEvent | HaltEvent): void {
    const kept = this.#kept;
    if (event.index !== kept.unanswered) {
      const expected = kept.unanswered === NO_FILL ? 'none' : kept.unanswered.toString();
      throw new Error(`${event.type} of ${event.instrument} answers fill ${event.index}; expected: ${expected}`);
    }
    kept.unanswered = NO_FILL;
    if (event.type === 'CLEAR') {
      kept.cleared++;
    } else {
      kept.halts++;
      kept.haltedUntilUs = event.untilUs;
    }
  }

  /** An order for what the position lacks, if it may be sent; filled at once as far as the best price's size goes. */
  #act(signal: SignalEvent): FillEvent | undefined {
    const kept = this.#kept;
    kept.signals++;
    const wanted = signal.direction * LOT - kept.position;
    if (wanted === 0) return undefined;
    if (signal.timeUs < kept.haltedUntilUs) {
      kept.refused++;
      return undefined;
    }
    kept.orders++;
    const { instrument, index, timeUs, bid, ask, bidSize, askSize } = signal;
    const buys = wanted > 0;
    const size = Math.min(Math.abs(wanted), buys ? askSize : bidSize);
    const price = buys ? ask : bid;
    const quantity = buys ? size : -size;
    const fee = size * FEE_MONEY;
    if (size < Math.abs(wanted)) kept.partial++;
    kept.fills++;
    kept.contracts += size;
    kept.position += quantity;
    kept.fees += fee;
    kept.cash -= quantity * price * TICK_MONEY + fee;
    kept.unanswered = index;
    return {
      type: 'FILL',
      instrument,
      index,
      timeUs,
      bid,
      ask,
      bidSize,
      askSize,
      quantity,
      price,
      position: kept.position,
      cash: kept.cash,
    };
  }
}

export const { onEvent: onSignal, snapshot, restore } = stageModule('execution', () => new ExecutionStage());
