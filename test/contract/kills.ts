/** Kills pool threads from outside, as nothing in the program does: wherever they are. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import type { EventBus, MetricsSnapshot } from 'lanebus';
import { afterEach } from 'vitest';
import type { C } from '../support/handlers/catalog.js';
import { SeededRandom } from '../support/random.js';
import { PATIENCE_MS } from './buses.js';

const living = new Set<Worker>();
const onWorker = (worker: Worker): void => {
  living.add(worker);
  worker.once('exit', () => living.delete(worker));
};
process.on('worker', onWorker);
afterEach(() => {
  living.clear();
});

/** Resolves when something is so. */
export async function until(isSo: () => boolean, what: string): Promise<void> {
  const late = performance.now() + PATIENCE_MS;
  while (!isSo()) {
    if (performance.now() > late) throw new Error(`expected: ${what}`);
    await turn();
  }
}

export class Killer {
  readonly #bus: EventBus<C>;
  readonly #random: SeededRandom;

  constructor(bus: EventBus<C>, seed: number) {
    this.#bus = bus;
    this.#random = new SeededRandom(seed);
  }

  /** Waits until all threads run, then kills one of them: no spare. */
  async kill(): Promise<void> {
    await this.allRun();
    this.killNow();
  }

  /** All threads run. */
  killNow(): void {
    const running = new Set(this.#bus.metrics().threads.map(({ threadId }) => threadId));
    const workers = [...living].filter(({ threadId }) => running.has(threadId));
    void workers[this.#random.below(workers.length)].terminate();
  }

  allRun(): Promise<void> {
    const run = ({ state, thread }: MetricsSnapshot['threads'][number]): boolean => thread === 0 || state === 'running';
    return until(() => this.#bus.metrics().threads.every(run), 'all threads run');
  }
}

export function deathsOf(bus: EventBus<C>): number {
  return bus.metrics().threads.reduce((sum, { restarts }) => sum + restarts.crash + restarts.timeout, 0);
}
