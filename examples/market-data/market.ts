import type { EventBus, MetricsSnapshot, StopReport } from 'lanebus';
import { createBus, workerHandlers } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import type { HaltEvent, MarketCatalog, MboEvent } from './catalog.js';
import { catalog } from './catalog.js';
import { clearLetters, countLetters, environmentWith, type LetterCounts, LETTERS, RETRY } from './faults.js';
import { KILLED_BUS, Killer } from './killer.js';
import type { RunOptions } from './options.js';
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
  /** What was set aside, by subscription and reason. */
  readonly letters: LetterCounts;
}

export type MarketOptions = Pick<RunOptions, 'threads' | 'killEvery' | 'seed' | 'faults'>;

/** A line for each fault that was asked for would be noise. */
const QUIET = { level: 'fatal', destination: 2 } as const;

/** Deliveries from one checkpoint to the next: keeping a book of 11,000 orders takes about as long as 1,000 of them. */
const CHECKPOINT_EVERY = 10_000;
const LATEST_HALTS = 5;
const STOP_MS = 10_000;
// After a broken feed: enough for what is queued, since a discarded delivery would be one more thing to explain.
const BROKEN_STOP_MS = 2_000;

/** The bus of this example with its subscriptions: market data to four worker handlers, HALT and REPORT to this thread. */
export class Market {
  readonly #bus: EventBus<MarketCatalog>;
  readonly #reports = new ReportCollector();
  readonly #latestHalts: HaltEvent[] = [];
  /** Exchange time of the newest HALT, by instrument. */
  readonly #haltedNs = new Map<string, bigint>();
  readonly killer: Killer | undefined;
  #halts = 0;
  #published = 0;

  /**
   * @param killEvery Terminates a random thread after so many events.
   * @param faults Share of the deliveries that are made to fail.
   */
  constructor({ threads, killEvery, seed, faults }: MarketOptions) {
    // Standard output belongs to the results: whatever the bus has to say goes to standard error.
    const said = killEvery === undefined ? ({ logger: { level: 'warn', destination: 2 } } as const) : KILLED_BUS;
    const failing =
      faults === undefined
        ? {}
        : {
            env: environmentWith(faults),
            retry: RETRY,
            deadLetterStore: lmdbDeadLetters({ path: LETTERS }),
            logger: QUIET,
          };
    if (faults !== undefined) clearLetters();
    this.#bus = createBus(catalog, { threads, metricsLogIntervalMs: 0, ...said, ...failing });
    if (killEvery !== undefined) this.killer = new Killer(killEvery, seed, () => this.#bus.metrics());
    const types = ['MBO', 'END'] as const;
    const book = workerHandlers<typeof import('./book.js')>(new URL('./book.js', import.meta.url));
    const bars = workerHandlers<typeof import('./bars.js')>(new URL('./bars.js', import.meta.url));
    const trades = workerHandlers<typeof import('./trades.js')>(new URL('./trades.js', import.meta.url));
    const risk = workerHandlers<typeof import('./risk.js')>(new URL('./risk.js', import.meta.url));
    this.#bus.subscribe(types, book.onMarketData, { name: 'book', checkpointEvery: CHECKPOINT_EVERY });
    this.#bus.subscribe(types, bars.onMarketData, { name: 'bars', checkpointEvery: CHECKPOINT_EVERY });
    this.#bus.subscribe(types, trades.onMarketData, { name: 'trades', checkpointEvery: CHECKPOINT_EVERY });
    this.#bus.subscribe(types, risk.onMarketData, { name: 'risk', checkpointEvery: CHECKPOINT_EVERY });
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
      const events = await publishAll(this.#bus, bursts, { ...pace, onProgress, killer: this.killer });
      await this.#bus.publish({ type: 'END', published: events });
      await this.#bus.drain();
      const durationMs = performance.now() - startedAt;
      const metrics = this.#bus.metrics();
      const letters = countLetters(this.#bus.deadLetters);
      const stopped = await this.#bus.stop({ timeoutMs: STOP_MS });
      return {
        events,
        durationMs,
        halts: this.#halts,
        latestHalts: this.#latestHalts,
        reports: this.#reports,
        metrics,
        stopped,
        letters,
      };
    } catch (error) {
      await this.#bus.stop({ timeoutMs: BROKEN_STOP_MS });
      throw error;
    } finally {
      this.killer?.stop();
    }
  }

  readonly #onHalt = (event: HaltEvent): void => {
    // A monitor whose thread died just then has told it twice.
    if (this.#haltedNs.get(event.instrument) === event.tsEventNs) return;
    this.#haltedNs.set(event.instrument, event.tsEventNs);
    this.#halts++;
    this.#latestHalts.push(event);
    if (this.#latestHalts.length > LATEST_HALTS) this.#latestHalts.shift();
  };
}
