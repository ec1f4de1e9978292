import { createBus, workerHandlers } from 'lanebus';
import type { BusOptions, EventBus, Ledger, MetricsSnapshot, WorkerHandlers } from 'lanebus';
import { afterEach, expect } from 'vitest';
import { catalog, type C, type Note } from '../support/handlers/catalog.js';

const running: EventBus<C>[] = [];

/** Long enough for anything that happens at all, on a machine that is busy with something else; below the tests' own limit. */
export const PATIENCE_MS = 10_000;

afterEach(async () => {
  await Promise.all(running.splice(0).map((bus) => bus.stop({ timeoutMs: 1 })));
});

/** A bus that does not log, and that is stopped after the test. */
export function newBus(options: BusOptions = {}): EventBus<C> {
  const bus = createBus(catalog, { threads: 1, logger: false, metricsLogIntervalMs: 0, graceMs: 100, ...options });
  running.push(bus);
  return bus;
}

/** Handlers of a module of test/support/handlers, as compiled: pool threads load what Node can load. */
export function handlersOf<M>(name: string): WorkerHandlers<M> {
  return workerHandlers<M>(moduleUrl(name));
}

export function moduleUrl(name: string): URL {
  return new URL(`../../build/test/support/handlers/${name}.js`, import.meta.url);
}

/** What handlers in pool threads tell the test, in the order in which it came. */
export class Notes {
  readonly all: Note[] = [];
  readonly #waiting = new Set<() => void>();

  /** Subscribes before `start`, or before whatever is to be told. */
  constructor(bus: EventBus<C>) {
    bus.subscribe('NOTE', (note) => {
      this.all.push(note);
      for (const look of this.#waiting) look();
    });
  }

  of(what: string): Note[] {
    return this.all.filter((note) => note.what === what);
  }

  /** The first `count` notes of a kind, as soon as there are so many. */
  async until(what: string, count = 1): Promise<Note[]> {
    await this.#until(() => this.of(what).length >= count, `${count} × "${what}"`);
    return this.of(what).slice(0, count);
  }

  async #until(isTrue: () => boolean, expected: string): Promise<void> {
    if (isTrue()) return;
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`expected ${expected}; got ${JSON.stringify(this.all.map(({ what }) => what).slice(-20))}`));
      }, PATIENCE_MS);
      const look = (): void => {
        if (!isTrue()) return;
        clearTimeout(late);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }
}

/** Fails unless the two sides of every ledger agree and nothing is pending. */
export function expectExact({ subscriptions }: Pick<MetricsSnapshot, 'subscriptions'>): void {
  for (const subscription of subscriptions) {
    for (const ledger of [subscription, ...Object.values(subscription.lanes)]) {
      expect(ledger, subscription.name).toMatchObject({ pending: 0, exact: true });
      expect(ledger.owed, subscription.name).toBe(outcomesOf(ledger));
    }
  }
}

function outcomesOf({ processed, failed, timedOut, conflated, discarded, filtered }: Ledger): number {
  return processed + failed + timedOut + conflated + discarded + filtered;
}

export function range(count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index);
}

/** A promise and the call that resolves it. */
export interface Latch {
  readonly opened: Promise<void>;
  open(): void;
}

export function latch(): Latch {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}
