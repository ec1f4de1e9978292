import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import type { MetricsSnapshot } from 'lanebus';
import { Random } from './random.js';

/**
 * Terminates a random thread of the process every so many events, wherever it is: what the bus, and handlers whose state
 * it keeps, have to survive. It knows nothing of the bus but its metrics.
 */
export class Killer {
  readonly every: number;
  kills = 0;
  readonly #random: Random;
  readonly #metrics: () => MetricsSnapshot;
  readonly #living = new Set<Worker>();

  /** Made before the bus starts: threads are noticed as they are made. */
  constructor(every: number, seed: number, metrics: () => MetricsSnapshot) {
    this.every = every;
    this.#random = new Random(seed);
    this.#metrics = metrics;
    process.on('worker', this.#onWorker);
  }

  /** Kills a thread, once all of them run: one that dies while it starts says nothing about those that work. */
  async kill(): Promise<void> {
    while (!this.#metrics().threads.every(({ state }) => state === 'running')) await turn();
    const living = [...this.#living];
    if (living.length === 0) return;
    const victim = living[this.#random.below(living.length)];
    const exited = once(victim, 'exit');
    this.kills++;
    void victim.terminate();
    // The take-over goes on beside what is published from here on; only the next kill waits for it.
    await exited;
    await turn();
  }

  stop(): void {
    process.off('worker', this.#onWorker);
  }

  readonly #onWorker = (worker: Worker): void => {
    this.#living.add(worker);
    worker.once('exit', () => this.#living.delete(worker));
  };
}

/** How often threads were replaced. */
export function restartsOf({ threads }: MetricsSnapshot): number {
  return threads.reduce((sum, { restarts }) => sum + restarts.timeout + restarts.crash, 0);
}

/** What a bus whose threads are killed is given: no event is to blame, and a line for each death would be noise. */
export const KILLED_BUS = { maxCrashes: 1_000_000, logger: { level: 'fatal', destination: 2 } } as const;
