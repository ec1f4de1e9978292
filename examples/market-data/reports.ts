import type { BarsSummary } from './bars.js';
import type { MarketContext, ReportEvent } from './catalog.js';
import type { BookSummary } from './order-book.js';
import type { RiskSummary } from './risk.js';
import type { TradesSummary } from './trades.js';

/** The handlers that report, and what each one reports for an instrument. */
export interface Summaries {
  readonly book: BookSummary;
  readonly bars: BarsSummary;
  readonly trades: TradesSummary;
  readonly risk: RiskSummary;
}

export type Source = keyof Summaries;

/** Worker side: answers END with one REPORT per instrument, so that a report's size does not grow with their number. */
export async function publishReports<S extends Source>(
  context: MarketContext,
  source: S,
  states: ReadonlyMap<string, { summary(): Summaries[S] }>,
): Promise<void> {
  for (const [instrument, state] of states) {
    await context.publish({ type: 'REPORT', source, instrument, summary: state.summary() });
  }
}

/** Main side: what all handlers ended with. */
export class ReportCollector {
  readonly #reports = new Map<string, Map<string, unknown>>();

  readonly onReport = (event: ReportEvent): void => {
    const { source, instrument, summary } = event;
    let reports = this.#reports.get(source);
    if (reports === undefined) {
      reports = new Map();
      this.#reports.set(source, reports);
    }
    reports.set(instrument, summary);
  };

  /** The reports of one handler by instrument, in the instruments' order of appearance. */
  of<S extends Source>(source: S): Readonly<Record<string, Summaries[S]>> {
    const reports = this.#reports.get(source) ?? new Map<string, unknown>();
    // Only publishReports fills these, which ties a source to its summary's type.
    return Object.fromEntries(reports) as Record<string, Summaries[S]>;
  }

  /** How many market messages a handler says that it has seen: its own count, to be held against the publisher's. */
  received(source: Source): number {
    return Object.values(this.of(source)).reduce((total, summary) => total + summary.events, 0);
  }
}
