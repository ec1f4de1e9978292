import type { EventBus, MetricsSnapshot, StopReport, SubscribeOptions } from 'lanebus';
import { createBus, workerHandlers } from 'lanebus';
import { KILLED_BUS, Killer, restartsOf } from '../killer.js';
import type { Pace } from '../pace.js';
import { publishAll } from '../pace.js';
import type { HaltEvent, PipelineCatalog } from './catalog.js';
import { catalog, lanes } from './catalog.js';
import type { FinalState } from './final-state.js';
import { ReportCollector } from './final-state.js';
import type { Source } from './source.js';

export interface PipelineOutcome {
  /** MBO events that were published. */
  readonly events: number;
  /** From the first publish until nothing was pending in any stage. */
  readonly durationMs: number;
  readonly halts: number;
  readonly latestHalts: readonly HaltEvent[];
  readonly state: FinalState;
  readonly stopped: StopReport;
  /** How often threads were replaced. */
  readonly restarts: number;
}

/** Deliveries from one checkpoint to the next, on each thread of a stage. */
const CHECKPOINT_EVERY = 50_000;
const LATEST_HALTS = 5;
const STOP_MS = 10_000;
// After a broken feed: enough for what is queued.
const BROKEN_STOP_MS = 2_000;

/** The bus of the pipeline: six stages in the pool, each of which handles its events and publishes the next one's. */
export class Pipeline {
  readonly #bus: EventBus<PipelineCatalog>;
  readonly #reports = new ReportCollector();
  readonly #latestHalts: HaltEvent[] = [];
  /** Index of the newest HALT, by instrument. */
  readonly #haltedAt = new Map<string, number>();
  readonly killer: Killer | undefined;
  #halts = 0;
  #published = 0;

  /** @param killEvery Terminates a random thread after so many events. */
  constructor(threads: number, killEvery?: number, seed = 0) {
    // Standard output belongs to the results: whatever the bus has to say goes to standard error.
    const said = killEvery === undefined ? ({ logger: { level: 'warn', destination: 2 } } as const) : KILLED_BUS;
    const bus = createBus(catalog, { threads, lanes, metricsLogIntervalMs: 0, ...said });
    if (killEvery !== undefined) this.killer = new Killer(killEvery, seed, () => bus.metrics());
    const book = workerHandlers<typeof import('./book.js')>(new URL('./book.js', import.meta.url));
    const features = workerHandlers<typeof import('./features.js')>(new URL('./features.js', import.meta.url));
    const prediction = workerHandlers<typeof import('./prediction.js')>(new URL('./prediction.js', import.meta.url));
    const signal = workerHandlers<typeof import('./signal.js')>(new URL('./signal.js', import.meta.url));
    const execution = workerHandlers<typeof import('./execution.js')>(new URL('./execution.js', import.meta.url));
    const risk = workerHandlers<typeof import('./risk.js')>(new URL('./risk.js', import.meta.url));
    bus.subscribe(['MBO', 'SNAPSHOT'], book.onMarketData, { name: 'book', ...spread(threads) });
    bus.subscribe(['QUOTE', 'SNAPSHOT'], features.onQuote, { name: 'features', ...spread(threads) });
    bus.subscribe(['FEATURES', 'SNAPSHOT'], prediction.onFeatures, { name: 'prediction', ...spread(threads) });
    bus.subscribe(['PREDICTION', 'SNAPSHOT'], signal.onPrediction, { name: 'signal', ...spread(threads) });
    bus.subscribe(['SIGNAL', 'CLEAR', 'HALT', 'SNAPSHOT'], execution.onSignal, {
      name: 'execution',
      ...spread(threads),
    });
    // In one place, as it has little to do. So its answers reach most instruments from another thread than their signals.
    bus.subscribe(['FILL', 'SNAPSHOT'], risk.onFill, { name: 'risk', checkpointEvery: CHECKPOINT_EVERY });
    bus.subscribe('HALT', this.#onHalt, { name: 'halts' });
    bus.subscribe('REPORT', this.#reports.onReport, { name: 'reports' });
    this.#bus = bus;
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

  /**
   * Publishes everything, waits until all that follows from it is done, asks every stage for what it ended with, and stops
   * the bus. Stops it as well when it rejects.
   */
  async run(source: Source, pace: Omit<Pace, 'onProgress'>): Promise<PipelineOutcome> {
    const bus = this.#bus;
    await bus.start();
    try {
      const startedAt = performance.now();
      const onProgress = (published: number): void => {
        this.#published = published;
      };
      const events = await publishAll(bus, source.bursts, { ...pace, onProgress, killer: this.killer });
      // A SNAPSHOT could overtake what comes out of the stages before: it is sent when nothing is left in any of them.
      await bus.drain();
      const durationMs = performance.now() - startedAt;
      for (const instrument of source.instruments) await bus.publish({ type: 'SNAPSHOT', instrument });
      await bus.drain();
      const state = this.#reports.finalState();
      const restarts = restartsOf(bus.metrics());
      const stopped = await bus.stop({ timeoutMs: STOP_MS });
      return { events, durationMs, halts: this.#halts, latestHalts: this.#latestHalts, state, stopped, restarts };
    } catch (error) {
      await bus.stop({ timeoutMs: BROKEN_STOP_MS });
      throw error;
    } finally {
      this.killer?.stop();
    }
  }

  readonly #onHalt = (event: HaltEvent): void => {
    // A stage whose thread died just then has told it twice.
    if (this.#haltedAt.get(event.instrument) === event.index) return;
    this.#haltedAt.set(event.instrument, event.index);
    this.#halts++;
    this.#latestHalts.push(event);
    if (this.#latestHalts.length > LATEST_HALTS) this.#latestHalts.shift();
  };
}

/** Each instrument is a key, and the keys of every stage are spread over all threads; each keeps its part of the state. */
function spread(threads: number): Pick<SubscribeOptions, 'threads' | 'order' | 'checkpointEvery'> {
  return { threads, order: 'key', checkpointEvery: CHECKPOINT_EVERY };
}
