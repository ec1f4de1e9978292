/**
 * A bus for the tests of an application: the inline backend, in time that the test lets pass. Retries, timeouts and cool-downs
 * take as long as the options say, and the test does not wait for them.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { DrainReport, EventBus, StopReport } from '../shared/api.js';
import type { Catalog, EventOf } from '../shared/catalog.js';
import { hasRealTimers, isReal, toEpoch } from '../shared/clock.js';
import { LaneWord } from '../shared/layout.js';
import { LaneBus, otherTimeError } from '../main/bus.js';
import { type BusOptions, resolveOptions } from '../main/options.js';
import type { Incarnations } from '../main/incarnations.js';
import { isQuiet } from '../main/quiescence.js';
import { VirtualTime } from './virtual-time.js';

/** A bus for tests: see `createTestBus`. */
export interface TestBus<C extends Catalog> extends EventBus<C> {
  /** Copies of all events that the bus has taken, from the application and its handlers, in the order in which they came. */
  readonly published: readonly EventOf<C>[];
  /** The bus's time in ms since the Unix epoch, as in `context.publishedAt`. It stands still, but for `advance` and `drain`. */
  readonly time: number;
  /**
   * Resolves when every delivery that can start has ended. What waits for a time to come (a retry, a cool-down), and for `resume`,
   * may be left; a handler that waits for a promise is waited for.
   */
  idle(): Promise<void>;
  /**
   * Lets time pass, and everything happen that is due meanwhile, in order. Resolves then; a handler may still be waiting for a
   * promise of its own.
   * @param ms From 0.
   */
  advance(ms: number): Promise<void>;
}

/** Of a thread all test buses have the same time, as with other fake timers. */
const time = new VirtualTime();
/** Looks in a row that see nothing happen: what one sees may be between two steps. */
const LOOKS = 3;
/** How often a handler is looked at that waits for something outside. In ms. */
const WAIT_MS = 1;
/** A handler that a test has left waiting is not to hold up the test's end for long. */
const STOP_MS = 1_000;

/**
 * Makes a bus for tests. Handlers run on the calling thread; worker handlers are imported there. Its time is virtual, and
 * the same for all test buses of the thread; other buses cannot run there meanwhile. Unless it is told to, it logs nothing, and `stop` gives up
 * after a second of real time (`stopTimeoutMs`).
 * @param options As for `createBus`, but for `backend`.
 * @throws ERR_LANEBUS_OPTIONS
 */
export function createTestBus<C extends Catalog>(catalog: C, options: Omit<BusOptions, 'backend'> = {}): TestBus<C> {
  const given = {
    logger: false,
    metricsLogIntervalMs: 0,
    stopTimeoutMs: STOP_MS,
    ...options,
    backend: 'inline',
  } as const;
  return new VirtualBus<C>(catalog, given);
}

class VirtualBus<C extends Catalog> extends LaneBus<C> implements TestBus<C> {
  readonly published: EventOf<C>[] = [];
  protected override readonly isVirtual = true;
  readonly #parts: Incarnations;
  #inTime = false;

  constructor(catalog: C, options: BusOptions) {
    super(catalog, resolveOptions(options, catalog));
    this.#parts = LaneBus.partsOf(this);
    this.#record();
  }

  get time(): number {
    return toEpoch(time.now());
  }

  override async start(): Promise<void> {
    const hasEntered = this.#enter();
    try {
      await super.start();
    } catch (error) {
      if (hasEntered) this.#leave();
      throw error;
    }
  }

  async idle(): Promise<void> {
    for (;;) {
      await this.#settle();
      if (!this.#inTime || this.#parts.engine.pump.awaited === 0) return;
      await sleep(WAIT_MS);
    }
  }

  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`advance: got ${String(ms)}; expected a number of ms from 0`);
    const end = time.now() + ms;
    do await this.#settle();
    while (time.step(end));
    await this.#settle();
  }

  /** Lets time pass as far as what is pending needs it. */
  override async drain(options?: { readonly timeoutMs?: number }): Promise<DrainReport> {
    const drained = super.drain(options);
    await this.#passUntil(drained);
    return drained;
  }

  override async stop(options?: { readonly timeoutMs?: number }): Promise<StopReport> {
    const stopped = super.stop(options);
    await this.#passUntil(stopped);
    this.#leave();
    return stopped;
  }

  /**
   * Lets time pass until it is done: at once where something waits for it; else, as for a handler that waits for something
   * outside, as it passes there.
   */
  async #passUntil(done: Promise<unknown>): Promise<void> {
    const progress = { isDone: false };
    const end = (): void => {
      progress.isDone = true;
    };
    done.then(end, end);
    for (;;) {
      await this.#settle();
      if (progress.isDone) return;
      const { nextDue } = time;
      if (this.#inTime && this.#needsTime && nextDue !== undefined) {
        time.step(nextDue);
        continue;
      }
      const slept = performance.now();
      await sleep(WAIT_MS);
      if (this.#inTime && !isQuiet(this.#parts.wiring.producers, this.#parts.wiring.records)) {
        const until = time.now() + performance.now() - slept;
        while (time.step(until)) await this.#settle();
      }
    }
  }

  /** Whether something is pending that time alone brings on. */
  get #needsTime(): boolean {
    const { engine, wiring } = this.#parts;
    if (engine.pump.awaited > 0) return false;
    return wiring.records.some(({ waiting, circuit }) => waiting > 0 || circuit.state !== 'closed');
  }

  /** Resolves when nothing happens any more by itself. */
  async #settle(): Promise<void> {
    for (let quiet = 0; quiet < LOOKS; quiet++) {
      await turn();
      this.#parts.engine.outbox.flush();
      if (!this.#parts.isAtRest && this.#inTime) quiet = -1;
    }
  }

  /** All that is published on this thread goes through its outbox, what handlers publish too. */
  #record(): void {
    const { outbox } = this.#parts.engine;
    const [publish, tryPublish, publishBatch] = [
      outbox.publish.bind(outbox),
      outbox.tryPublish.bind(outbox),
      outbox.publishBatch.bind(outbox),
    ];
    const taken = (events: readonly unknown[]): EventOf<C>[] => {
      const copies = events.map((event) => copyOf(event as EventOf<C>));
      this.published.push(...copies);
      return copies;
    };
    const admitted = (events: readonly unknown[], offer: () => Promise<void>): Promise<void> => {
      const dropped = this.#dropped;
      const admission = offer();
      if (this.#dropped > dropped) return admission; // what of a batch, nobody knows
      const copies = taken(events);
      if (outbox.wasAdmitted(admission)) return admission;
      return admission.catch((error: unknown) => {
        for (const copy of copies) this.published.splice(this.published.indexOf(copy), 1);
        throw error;
      });
    };
    outbox.publish = (event) => admitted([event], () => publish(event));
    outbox.publishBatch = (events) => admitted(events, () => publishBatch(events));
    outbox.tryPublish = (event) => {
      const outcome = tryPublish(event);
      if (outcome === 'published') taken([event]);
      return outcome;
    };
  }

  /** Events that lanes have dropped. */
  get #dropped(): number {
    return this.#parts.engine.outbox.lanes.reduce((sum, { stats }) => sum + stats[LaneWord.DROPPED_F64], 0);
  }

  /** @returns Whether it was not there before. */
  #enter(): boolean {
    if (this.#inTime) return false;
    if (isReal() && hasRealTimers()) throw otherTimeError('start: another bus runs on this thread, in real time');
    this.#inTime = true;
    time.enter();
    return true;
  }

  #leave(): void {
    if (!this.#inTime) return;
    this.#inTime = false;
    time.leave();
  }
}

/** One that cannot be copied is refused by the bus. */
function copyOf<E>(event: E): E {
  try {
    return structuredClone(event);
  } catch {
    return event;
  }
}
