import type { Ledger } from 'lanebus';
import { ledgerOf } from '../result.js';
import { TICK_MONEY } from './execution.js';
import type { FinalState } from './final-state.js';
import { digestOf } from './final-state.js';
import type { PipelineOutcome } from './pipeline.js';
import type { Source } from './source.js';
import type { StageName } from './stage.js';
import { STAGES } from './stage.js';

/** What a run came to: the object of `--json`, and what the summary is written from. */
export interface PipelineResult {
  readonly source: string;
  /** Of the simulated exchange. */
  readonly seed?: number;
  readonly threads: number;
  readonly instruments: number;
  readonly interrupted: boolean;
  /** With --kill-every: threads that were terminated, and that were replaced. */
  readonly kills?: number;
  readonly restarts?: number;
  /** MBO events that were published. */
  readonly events: number;
  readonly eventsPerSecond: number;
  readonly durationMs: number;
  /** SHA-256 of `state`: JSON without spaces, the names of each object sorted. */
  readonly resultDigest: string;
  readonly stages: Readonly<Record<StageName, StageCounts>>;
  readonly orders: OrderCounts;
  readonly pnl: ProfitAndLoss & { readonly byInstrument: Readonly<Record<string, ProfitAndLoss>> };
  readonly halts: number;
  /** Those of several instruments may arrive in another order on another run: here they are by exchange time. */
  readonly latestHalts: readonly HaltRecord[];
  readonly ledger: Readonly<Record<string, Ledger>>;
  /** What each stage ended with for each instrument. Prices in ticks, money in hundredths of a tick. */
  readonly state: FinalState;
}

export interface StageCounts {
  readonly received: number;
  readonly published: number;
}

export interface OrderCounts {
  readonly signals: number;
  /** Signals that asked for an order: it was sent, or refused because of a HALT. */
  readonly sent: number;
  readonly refused: number;
  readonly fills: number;
  /** Fills that the best price had not enough for. */
  readonly partial: number;
  readonly contracts: number;
}

/** In ticks of one contract. */
export interface ProfitAndLoss {
  readonly position: number;
  readonly fees: number;
  /** After fees, with the position at the middle of the best prices when it was last changed. */
  readonly net: number;
}

export interface HaltRecord {
  readonly instrument: string;
  readonly index: number;
  readonly timeUs: number;
  readonly reason: string;
  readonly value: number;
  readonly limit: number;
  readonly untilUs: number;
}

export function resultOf(
  outcome: PipelineOutcome,
  source: Source,
  about: Pick<PipelineResult, 'threads' | 'interrupted' | 'kills' | 'restarts'>,
): PipelineResult {
  const { events, durationMs, state } = outcome;
  const { name, seed, instruments } = source;
  const sum = (stage: StageName, count: string): number => sumOf(state, stage, count);
  const counts = STAGES.map((stage) => [
    stage,
    { received: sum(stage, 'received'), published: sum(stage, 'published') },
  ]);
  const byInstrument = Object.fromEntries(instruments.map((instrument) => [instrument, pnlOf(state, [instrument])]));
  return {
    source: name,
    ...(seed !== undefined && { seed }),
    ...about,
    instruments: instruments.length,
    events,
    eventsPerSecond: Math.round(events / (durationMs / 1_000)),
    durationMs: Math.round(durationMs),
    resultDigest: digestOf(state),
    stages: Object.fromEntries(counts) as Record<StageName, StageCounts>,
    orders: {
      signals: sum('execution', 'signals'),
      sent: sum('execution', 'orders'),
      refused: sum('execution', 'refused'),
      fills: sum('execution', 'fills'),
      partial: sum('execution', 'partial'),
      contracts: sum('execution', 'contracts'),
    },
    pnl: { ...pnlOf(state, instruments), byInstrument },
    halts: outcome.halts,
    latestHalts: outcome.latestHalts
      .map(({ instrument, index, timeUs, reason, value, limit, untilUs }) => {
        return { instrument, index, timeUs, reason, value, limit, untilUs };
      })
      .sort((a, b) => a.timeUs - b.timeUs),
    ledger: Object.fromEntries(
      outcome.stopped.subscriptions.map((subscription) => [subscription.name, ledgerOf(subscription)]),
    ),
    state,
  };
}

/** One count of a stage, over all instruments or the given ones. */
export function sumOf(
  state: FinalState,
  stage: StageName,
  count: string,
  instruments: readonly string[] = Object.keys(state),
): number {
  return instruments.reduce((total, instrument) => {
    const value = state[instrument]?.[stage]?.[count];
    return typeof value === 'number' ? total + value : total;
  }, 0);
}

function pnlOf(state: FinalState, instruments: readonly string[]): ProfitAndLoss {
  return {
    position: sumOf(state, 'execution', 'position', instruments),
    fees: sumOf(state, 'execution', 'fees', instruments) / TICK_MONEY,
    net: sumOf(state, 'risk', 'equity', instruments) / TICK_MONEY,
  };
}
