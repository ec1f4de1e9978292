import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type BusOptions,
  type ErrorCode,
  type EventBus,
  type EventOf,
  type Ledger,
  type MetricsSnapshot,
  type SubscriptionMetrics,
  type WorkerHandler,
  workerHandlers,
} from '../../main/index.js';
import type { Backend } from '../../main/index.js';
import { type C, catalog, type Job, type Report, type Tick } from './catalog.js';
import * as functions from './handlers.js';

/** The handlers of the suite, all of one kind. */
export type Handlers = {
  readonly [K in keyof typeof functions]: (typeof functions)[K] | WorkerHandler<(typeof functions)[K]>;
};

/** Where a case's handlers run: on the bus's own thread, as functions, or wherever the backend runs worker handlers. */
export type Kind = 'function' | 'worker';

const references = workerHandlers<typeof functions>(new URL('./handlers.js', import.meta.url));

/** How long a case waits for what must happen, on a machine that is busy with something else. */
export const PATIENCE_MS = 10_000;

const HELD_SHARE = 50;

/** Publishing times are sampled, and no two clocks agree: by how much they may be wrong. In ms. */
export const CLOCK_MS = 20;

/** What a case works with. Its buses are stopped when it has ended. */
export class Scene {
  readonly backend: Backend;
  readonly on: Handlers;
  readonly patienceMs: number;
  /** For how long a handler keeps its thread from others, so that it is seen that they go on: on a busy machine, longer. */
  readonly heldMs: number;
  /** Tells the scene's events from those of all others that run at the same time. */
  readonly run = randomInt(2 ** 32);
  readonly #buses: EventBus<C>[] = [];

  constructor(backend: Backend, kind: Kind, patienceMs: number) {
    this.backend = backend;
    this.on = kind === 'function' ? functions : references;
    this.patienceMs = patienceMs;
    this.heldMs = patienceMs / HELD_SHARE;
  }

  /** A bus that does not log. */
  bus(options: BusOptions = {}): EventBus<C> {
    const limits = { timeoutMs: this.patienceMs, startTimeoutMs: this.patienceMs * 3, graceMs: 100 };
    const quiet = { threads: 1, spares: 0, logger: false, metricsLogIntervalMs: 0 } as const;
    const bus = this.backend.createBus(catalog, { ...quiet, ...limits, ...options });
    this.#buses.push(bus);
    return bus;
  }

  async close(): Promise<void> {
    await Promise.all(this.#buses.map((bus) => bus.stop({ timeoutMs: 1 })));
  }

  readonly tick = (n: number, symbol = 'ESH4'): Tick => ({ type: 'TICK', run: this.run, n, symbol, price: n / 4 });

  readonly job = (n: number, act = 'ok', symbol = 'ESH4'): Job => ({ type: 'JOB', run: this.run, n, symbol, act });

  /** An event that is nothing but a number. */
  event<T extends 'HALT' | 'GATE' | 'ORDER' | 'SIGNAL' | 'LOG'>(type: T, n: number): EventOf<C, T> {
    return { type, run: this.run, n } as EventOf<C, T>;
  }

  /** A name that no other scene gives. */
  name(what: string): string {
    return `${what}-${this.run}`;
  }

  /** Waits until nothing is pending. */
  async drain(bus: EventBus<C>): Promise<void> {
    const { drained, pending } = await bus.drain({ timeoutMs: this.patienceMs });
    assert.ok(drained, `drain: ${pending} deliveries are still pending after ${this.patienceMs} ms`);
  }

  /** Waits until nothing is pending, and says whether every ledger of the bus adds up. */
  async settle(bus: EventBus<C>): Promise<void> {
    await this.drain(bus);
    assertExact(bus.metrics());
  }

  /** Waits for something that no event tells of. */
  async until(isTrue: () => boolean, expected: string): Promise<void> {
    const end = performance.now() + this.patienceMs;
    while (!isTrue()) {
      assert.ok(performance.now() < end, `expected ${expected} within ${this.patienceMs} ms`);
      await turn();
    }
  }

  /** Publishes without a turn of the event loop. */
  fill(bus: EventBus<C>, events: readonly EventOf<C>[]): void {
    for (const event of events) assert.equal(bus.tryPublish(event), 'published');
  }
}

/** What handlers report, in the order in which it comes. To be made before `start`. */
export class Reports {
  readonly all: Report[] = [];
  readonly #scene: Scene;

  constructor(scene: Scene, bus: EventBus<C>) {
    this.#scene = scene;
    bus.subscribe('REPORT', (report) => void this.all.push(report), { name: 'reports' });
  }

  of(what: string): Report[] {
    return this.all.filter((report) => report.what === what);
  }

  /** The numbers of the events of which this was reported. */
  numbers(what: string): number[] {
    return this.of(what).map(({ n }) => n);
  }

  /** What was told with it. */
  data<T>(what: string): T[] {
    return this.of(what).map(({ data }) => data as T);
  }

  /** Waits for so many reports of a kind. */
  async until(what: string, count = 1): Promise<Report[]> {
    await this.#scene.until(() => this.of(what).length >= count, `${count} × "${what}"`);
    return this.of(what).slice(0, count);
  }
}

export function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, at) => from + at);
}

/** Whether the two sides of every ledger agree, and nothing is pending. */
export function assertExact({ subscriptions }: Pick<MetricsSnapshot, 'subscriptions'>): void {
  for (const subscription of subscriptions) {
    for (const [lane, ledger] of [['all lanes', subscription] as const, ...Object.entries(subscription.lanes)]) {
      const { pending, exact, owed } = ledger;
      const where = `the ledger of "${subscription.name}", ${lane}`;
      assert.deepEqual({ pending, exact, owed }, { pending: 0, exact: true, owed: outcomes(ledger) }, where);
    }
  }
}

export function outcomes({ processed, failed, timedOut, conflated, discarded, filtered }: Ledger): number {
  return processed + failed + timedOut + conflated + discarded + filtered;
}

/** Whether the counts that are named are these. */
export function assertCounts(actual: object, expected: object): void {
  const named = Object.fromEntries(Object.keys(expected).map((key) => [key, (actual as Record<string, unknown>)[key]]));
  assert.deepEqual(named, expected);
}

/** Whether a subscription's metrics have these counts. */
export function assertLedger(
  subscription: { metrics(): SubscriptionMetrics },
  expected: Partial<SubscriptionMetrics>,
): void {
  assertCounts(subscription.metrics(), expected);
}

/**
 * The code that something is refused with, or `'taken'`. To be looked at later: unlike `refusal` it never rejects, so that
 * what a backend takes by mistake fails the case, and not the process.
 */
export function fateOf(promised: Promise<unknown>): Promise<unknown> {
  return promised.then(
    () => 'taken',
    (error: unknown) => (error as { code?: unknown }).code,
  );
}

/** The error that something is refused with. */
export async function refusal(act: () => unknown, code: ErrorCode): Promise<Error> {
  let refused: unknown;
  try {
    await act();
  } catch (error) {
    refused = error;
  }
  assert.ok(refused instanceof Error, `expected ${code}, and nothing was refused`);
  assert.equal((refused as { code?: unknown }).code, code, refused.message);
  return refused;
}
