import type { Ledger, SubscriptionMetrics } from 'lanebus';
import type { BarsSummary } from './bars.js';
import type { LetterCounts } from './faults.js';
import type { MarketResult } from './market.js';
import type { BookSummary } from './order-book.js';
import { mergeBooks, OrderBook } from './order-book.js';
import type { Source } from './reports.js';
import type { RiskSummary } from './risk.js';
import type { TradesSummary } from './trades.js';

/** What a run came to: the object of `--json`, and what the summary is written from. */
export interface RunResult {
  readonly source: string;
  /** Of the simulated exchange. */
  readonly seed?: number;
  readonly threads: number;
  readonly interrupted: boolean;
  /** With --kill-every: threads that were terminated, and that were replaced. */
  readonly kills?: number;
  readonly restarts?: number;
  /** With --faults: by subscription and reason. */
  readonly deadLetters?: LetterCounts;
  readonly events: number;
  readonly eventsPerSecond: number;
  readonly durationMs: number;
  readonly book: BookSummary;
  /** Each instrument's own. */
  readonly books: Readonly<Record<string, BookSummary>>;
  readonly bars: ByInstrument<BarsSummary>;
  readonly trades: ByInstrument<TradesSummary>;
  readonly risk: ByInstrument<RiskSummary>;
  readonly halts: number;
  readonly latestHalts: readonly HaltRecord[];
  /** How many events each handler says it has seen. */
  readonly received: Readonly<Record<Source, number>>;
  readonly ledger: Readonly<Record<string, Ledger>>;
}

/** Without an instrument whose handler did not report. */
type ByInstrument<T> = Readonly<Partial<Record<string, T>>>;

export interface HaltRecord {
  readonly instrument: string;
  readonly reason: string;
  /** Digits, since JSON numbers lose what exceeds 2^53. */
  readonly tsEventNs: string;
}

const SOURCES: readonly Source[] = ['book', 'bars', 'trades', 'risk'];

export function resultOf(
  market: MarketResult,
  about: Pick<RunResult, 'source' | 'seed' | 'threads' | 'interrupted' | 'kills' | 'restarts' | 'deadLetters'>,
): RunResult {
  const { reports } = market;
  const books = reports.of('book');
  const instruments = Object.values(books);
  const received = Object.fromEntries(SOURCES.map((source) => [source, reports.received(source)]));
  return {
    ...about,
    events: market.events,
    eventsPerSecond: Math.round(market.events / (market.durationMs / 1_000)),
    durationMs: Math.round(market.durationMs),
    book: instruments.length === 0 ? new OrderBook().summary() : mergeBooks(instruments),
    books,
    bars: reports.of('bars'),
    trades: reports.of('trades'),
    risk: reports.of('risk'),
    halts: market.halts,
    latestHalts: market.latestHalts.map(({ instrument, reason, tsEventNs }) => ({
      instrument,
      reason,
      tsEventNs: tsEventNs.toString(),
    })),
    received: received as Record<Source, number>,
    ledger: Object.fromEntries(
      market.stopped.subscriptions.map((subscription) => [subscription.name, ledgerOf(subscription)]),
    ),
  };
}

/** What is wrong with a run, one line each; nothing when every handler has seen every event and every ledger is exact. */
export function problemsOf(result: RunResult): string[] {
  const problems: string[] = [];
  const { deadLetters } = result;
  for (const source of deadLetters === undefined ? SOURCES : []) {
    const received = result.received[source];
    if (received !== result.events) {
      problems.push(`${source} has seen ${received} of ${result.events} events`);
    }
  }
  for (const [name, ledger] of Object.entries(result.ledger)) {
    if (!ledger.exact) problems.push(`the ledger of ${name} is not exact`);
    const set = Object.values(deadLetters?.[name] ?? {}).reduce((sum, letters) => sum + letters, 0);
    if (deadLetters !== undefined && ledger.failed + ledger.timedOut !== set) {
      problems.push(`${name} has failed ${ledger.failed + ledger.timedOut} deliveries, and has ${set} dead letters`);
    } else if (ledger.processed + set !== ledger.owed) {
      problems.push(`${name} has processed ${ledger.processed} of ${ledger.owed} deliveries`);
    }
  }
  return problems;
}

export function ledgerOf(subscription: SubscriptionMetrics): Ledger {
  const { owed, processed, failed, timedOut, conflated, discarded, filtered, pending, exact } = subscription;
  return { owed, processed, failed, timedOut, conflated, discarded, filtered, pending, exact };
}
