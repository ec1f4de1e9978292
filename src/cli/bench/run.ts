/** Runs a benchmark through the package's public interface, and takes its numbers. */
import {
  type BusOptions,
  createBus,
  type EventBus,
  type SubscriptionMetrics,
  workerHandlers,
} from '../../main/index.js';
import { Answers, ANSWERS } from './answers.js';
import { Board } from './board.js';
import { type BenchCatalog, catalog, makerOf, nowNs, typeOf } from './events.js';
import { Halts } from './halts.js';
import type * as handlers from './handlers.js';
import { cpuTime, type Machine } from './machine.js';
import type { Plan } from './plan.js';
import { Publisher } from './publisher.js';
import { type Account, figuresOf, type Latencies, latenciesOf, type Look, problemsOf, type Result } from './result.js';
import { stepsOf } from './work.js';

/** Enough for an even spread over threads; a power of two, as tallies want it. */
const KEYS = 1_024;
/** Where there is no key: those of a feed of few instruments. */
const SYMBOLS = 16;
/** How long events that wait at the end are still handled: more than a sound bus and light handlers need. */
const DRAIN_MS = 5_000;
const INTERRUPTED_DRAIN_MS = 1_000;
const PROGRESS_MS = 1_000;

export interface Progress {
  /** Of the measurement; 0 while it warms up. */
  readonly seconds: number;
  readonly eventsPerSecond: number;
  /** Of all so far; undefined: none was timed yet. */
  readonly p99Micros: number | undefined;
}

/** @throws What the bus throws when it cannot start; an error if the interruption came before the measurement */
export async function runBench(
  plan: Plan,
  machine: Machine,
  interruption: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Result> {
  const bench = new Bench(plan, interruption);
  let begin: Look | undefined;
  let last = await bench.start();
  const timer = setInterval(() => {
    const now = bench.look();
    const eventsPerSecond = ((now.seen - last.seen) * 1e9) / (now.ns - last.ns);
    last = now;
    const seconds = begin === undefined ? 0 : (now.ns - begin.ns) / 1e9;
    onProgress({ seconds, eventsPerSecond, p99Micros: bench.latencies?.p99 });
  }, PROGRESS_MS);
  try {
    await bench.warmUp();
    if (interruption.aborted) throw new Error('ended before anything was measured: it was still warming up');
    begin = bench.look();
    await bench.measure();
    const end = bench.look();
    return await bench.conclude(begin, end, machine);
  } finally {
    clearInterval(timer);
    await bench.stop();
  }
}

class Bench {
  readonly #plan: Plan;
  readonly #interruption: AbortSignal;
  readonly #board: Board;
  readonly #bus: EventBus<BenchCatalog>;
  readonly #publisher: Publisher;
  /** Names of the subscriptions in the pool, by number. */
  readonly #subscriptions: readonly string[];
  readonly #answers: Answers | undefined;
  readonly #halts: Halts | undefined;
  #kills = 0;
  #mostSpilled = 0;

  constructor(plan: Plan, interruption: AbortSignal) {
    const { scenario, payloadBytes, urgentRate } = plan;
    const keys = scenario === 'keyed' ? KEYS : SYMBOLS;
    const board = Board.raise(plan.subscriptions, plan.threads);
    const bus = createBus(catalog, busOptionsOf(plan));
    const publisher = new Publisher(bus, makerOf(payloadBytes, keys), plan.whenFull, interruption);
    this.#plan = plan;
    this.#interruption = interruption;
    this.#board = board;
    this.#bus = bus;
    this.#publisher = publisher;
    this.#subscriptions = subscribe(bus, plan, keys);
    if (scenario === 'ping-pong') {
      this.#answers = new Answers(bus, board, (sequence) => {
        publisher.answer(sequence);
      });
    }
    if (urgentRate !== undefined) this.#halts = new Halts(bus, urgentRate);
    bus.on('threadRestarted', () => this.#kills++);
  }

  async start(): Promise<Look> {
    await this.#bus.start();
    return this.look();
  }

  async warmUp(): Promise<void> {
    await this.#publish(this.#plan.warmupSeconds, false);
  }

  async measure(): Promise<void> {
    const halts = this.#halts;
    if (halts !== undefined) {
      this.#publisher.onLook = (now) => {
        halts.sendDue(now);
      };
      halts.begin();
    }
    await this.#publish(this.#plan.seconds, true);
    halts?.end();
  }

  look(): Look {
    const lane = this.#bus.metrics().lanes.market;
    this.#mostSpilled = Math.max(this.#mostSpilled, lane.spilled);
    const { waits, refused } = this.#publisher;
    const answered = this.#answers?.read().seen;
    const seen = answered ?? sum(this.#subscriptions.map((_, index) => this.#board.read(index).seen));
    return { ns: nowNs(), seen: seen / this.#subscriptions.length, cpu: cpuTime(), lane, waits, refused };
  }

  get latencies(): Latencies | undefined {
    return latenciesOf(this.#board.latencies);
  }

  /** Lets what waits be handled, for a while, and adds up. */
  async conclude(begin: Look, end: Look, machine: Machine): Promise<Result> {
    const interrupted = this.#interruption.aborted;
    const { subscriptions } = await this.#bus.stop({ timeoutMs: interrupted ? INTERRUPTED_DRAIN_MS : DRAIN_MS });
    const accounts = await this.#accounts(subscriptions);
    const ledgers = accounts.map(({ metrics }) => metrics);
    const halts = this.#halts;
    const plan = this.#plan;
    return {
      plan,
      interrupted,
      ...figuresOf(plan, begin, end),
      latencyMicros: this.latencies,
      halts: halts && {
        published: halts.published,
        refused: halts.refused,
        latencyMicros: latenciesOf(this.#board.haltLatencies),
      },
      backpressure: {
        waits: end.waits - begin.waits,
        waitedMs: end.lane.blockedMs - begin.lane.blockedMs,
        refused: end.refused - begin.refused,
        mostSpilled: this.#mostSpilled,
        fill: end.lane.highWatermarkBytes / plan.capacityBytes,
      },
      ledger: {
        owed: sum(ledgers.map(({ owed }) => owed)),
        processed: sum(ledgers.map(({ processed }) => processed)),
        discarded: sum(ledgers.map(({ discarded }) => discarded)),
        exact: ledgers.every(({ exact }) => exact),
      },
      kills: this.#kills,
      machine,
      problems: problemsOf(accounts, this.#kills),
    };
  }

  async stop(): Promise<void> {
    this.#halts?.end();
    await this.#bus.stop();
  }

  async #publish(seconds: number, isTimed: boolean): Promise<void> {
    const { rate } = this.#plan;
    if (rate !== undefined) await this.#publisher.pace(seconds, rate, isTimed);
    else if (this.#answers !== undefined) await this.#publisher.takeTurns(seconds, isTimed);
    else await this.#publisher.flood(seconds, isTimed);
  }

  async #accounts(final: readonly SubscriptionMetrics[]): Promise<Account[]> {
    const owed = (await this.#publisher.settle()) + (this.#halts?.published ?? 0);
    const accounts = this.#subscriptions.map((name, index): Account => {
      const { seen, halts, wrong } = this.#board.read(index);
      return { metrics: named(final, name), owed, seen: seen + halts, wrong };
    });
    if (this.#answers !== undefined) {
      // A ping that was given up may have been answered all the same.
      const { processed, discarded } = accounts[0].metrics;
      const metrics = named(final, ANSWERS);
      accounts.push({ metrics, owed: discarded === 0 ? processed : metrics.owed, ...this.#answers.read() });
    }
    return accounts;
  }
}

function busOptionsOf(plan: Plan): BusOptions {
  const { backend, threads, spinMicros, capacityBytes, maxRecordBytes, whenFull } = plan;
  return {
    backend,
    threads,
    spinMicros,
    lanes: { market: { capacityBytes, maxRecordBytes, whenFull } },
    logger: { level: 'error', destination: 2 },
  };
}

/** @returns Their names. */
function subscribe(bus: EventBus<BenchCatalog>, plan: Plan, keys: number): string[] {
  const { scenario, payloadBytes, threads, workMicros } = plan;
  const type = typeOf(payloadBytes);
  const workSteps = stepsOf(workMicros);
  return Array.from({ length: plan.subscriptions }, (_, subscription) => {
    const name = `subscriber ${subscription + 1}`;
    const parameters: handlers.HandlerParameters = {
      subscription,
      orders: scenario === 'keyed' ? keys : 1,
      keys,
      payloadBytes,
      workSteps,
    };
    const module = workerHandlers<typeof handlers>(withQuery(new URL('./handlers.js', import.meta.url), parameters));
    if (scenario === 'halt-overtakes') bus.subscribe([type, 'HALT'], module.onEventOrHalt, { name });
    else if (scenario === 'ping-pong') bus.subscribe(type, module.onPing, { name });
    else if (scenario === 'keyed') bus.subscribe(type, module.onEvent, { name, threads });
    else bus.subscribe(type, module.onEvent, { name });
    return name;
  });
}

function withQuery(url: URL, parameters: handlers.HandlerParameters): URL {
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, String(value));
  return url;
}

function named(all: readonly SubscriptionMetrics[], name: string): SubscriptionMetrics {
  const found = all.find((metrics) => metrics.name === name);
  if (found === undefined) throw new Error(`subscription ${name} is gone`);
  return found;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
