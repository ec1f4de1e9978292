import type { EventBus, MetricsSnapshot, StopReport } from 'lanebus';
import { createBus, workerHandlers } from 'lanebus';
import type { HaltEvent, MarketCatalog, MboEvent } from './catalog.js';
import { catalog } from './catalog.js';
import type { Pace } from './pace.js';
import { publishAll } from './pace.js';
import { ReportCollector } from './reports.js';

export interface MarketResult {
  /** Events that were published; the handlers' own counts are in the reports. */
  readonly events: number;
  /** From the first publish until every handler was done. */
  readonly durationMs: number;
  readonly halts: number;
  readonly latestHalts: readonly HaltEvent[];
  readonly reports: ReportCollector;
  /** When everything was delivered, before the bus was stopped. */
  readonly metrics: MetricsSnapshot;
  readonly stopped: StopReport;
}

const LATEST_HALTS = 5;
const STOP_MS = 10_000;
// After a broken feed: enough for what is queued, since a discarded delivery would be one more thing to explain.
const BROKEN_STOP_MS = 2_000;

/** The bus of this example with its subscriptions: market data to four worker handlers, HALT and REPORT to this thread. */
export class Market {
  readonly #bus: EventBus<MarketCatalog>;
  readonly #reports = new ReportCollector();
  readonly #latestHalts: HaltEvent[] = [];
  #halts = 0;
  #published = 0;

  constructor(threads: number) {
    // Standard output belongs to the results: whatever the bus has to say goes to standard error.
    this.#bus = createBus(catalog, { threads, logger: { level: 'warn', destination: 2 }, metricsLogIntervalMs: 0 });
    const types = ['MBO', 'END'] as const;
    const book = workerHandlers<typeof import('./book.js')>(new URL('./book.js', import.meta.url));
    const bars = workerHandlers<typeof import('./bars.js')>(new URL('./bars.js', import.meta.url));
    const trades = workerHandlers<typeof import('./trades.js')>(new URL('./trades.js', import.meta.url));
    const risk = workerHandlers<typeof import('./risk.js')>(new URL('./risk.js', import.meta.url));
    this.#bus.subscribe(types, book.onMarketData, { name: 'book' });
    this.#bus.subscribe(types, bars.onMarketData, { name: 'bars' });
    this.#bus.subscribe(types, trades.onMarketData, { name: 'trades' });
    this.#bus.subscribe(types, risk.onMarketData, { name: 'risk' });
    this.#bus.subscribe('HALT', this.#onHalt, { name: 'halts' });
    this.#bus.subscribe('REPORT', this.#reports.onReport, { name: 'reports' });
  }

  get published(): number {
    return this.#published;
  }

  get halts(): number {
    return this.#halts;
  }

  get latestHalt(): HaltEvent | undefined {
    return this.#latestHalts.at(-1);
  }

  metrics(): MetricsSnapshot {
    return this.#bus.metrics();
  }

  /** Publishes everything, waits until every handler has reported, and stops the bus. Stops it as well when it rejects. */
  async run(
    bursts: Iterable<readonly MboEvent[]> | AsyncIterable<readonly MboEvent[]>,
    pace: Omit<Pace, 'onProgress'>,
  ): Promise<MarketResult> {
    await this.#bus.start();
    try {
      const startedAt = performance.now();
      const onProgress = (published: number): void => {
        this.#published = published;
      };
      const events = await publishAll(this.#bus, bursts, { ...pace, onProgress });
      await this.#bus.publish({ type: 'END', published: events });
      await this.#bus.drain();
      const durationMs = performance.now() - startedAt;
      const metrics = this.#bus.metrics();
      const stopped = await this.#bus.stop({ timeoutMs: STOP_MS });
      return {
        events,
        durationMs,
        halts: this.#halts,
        latestHalts: this.#latestHalts,
        reports: this.#reports,
        metrics,
        stopped,
      };
    } catch (error) {
      await this.#bus.stop({ timeoutMs: BROKEN_STOP_MS });
      throw error;
    }
  }

  readonly #onHalt = (event: HaltEvent): void => {
    this.#halts++;
    this.#latestHalts.push(event);
    if (this.#latestHalts.length > LATEST_HALTS) this.#latestHalts.shift();
  };
}
