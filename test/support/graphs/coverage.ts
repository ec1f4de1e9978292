/** What happened in any of the graphs: a promise that was never put to the test is not kept by that. */
import type { History } from './history.js';

/** What must happen, and how often. */
const LEAST = {
  processed: 100_000,
  failed: 1000,
  filtered: 1000,
  conflated: 1000,
  discarded: 100,
  missed: 100,
  derived: 10_000,
  dropped: 100,
  rejected: 100,
  spilled: 100,
  'in flight together': 1000,
  'on several threads': 10,
  deadlocked: 1,
} as const;
type Happening = keyof typeof LEAST;

export class Coverage {
  readonly counts = new Map<Happening, number>();

  add({ run, parts, plan }: History): void {
    for (const { metrics, calls } of parts) {
      for (const outcome of ['processed', 'failed', 'filtered', 'conflated', 'discarded', 'missed'] as const) {
        this.#count(outcome, metrics[outcome]);
      }
      const together = calls.filter(({ endedAt }, at) => endedAt > (calls.at(at + 1)?.startedAt ?? Infinity));
      this.#count('in flight together', together.length);
      this.#count('on several threads', Number(new Set(calls.map(({ thread }) => thread)).size > 1));
    }
    for (const { name, whenFull } of plan.lanes) {
      const { dropped, rejected, published, highWatermarkBytes, capacityBytes } = run.metrics.lanes[name];
      this.#count('dropped', dropped);
      this.#count('rejected', rejected);
      const threads = plan.threads + 1;
      const isFull = highWatermarkBytes > (capacityBytes / threads) * 0.9;
      if (whenFull === 'spill' && isFull) this.#count('spilled', published);
    }
    this.#count('derived', run.offers.filter(({ parent }) => parent !== undefined).length);
    this.#count('deadlocked', run.offers.filter(({ told }) => told === 'deadlocked').length);
  }

  /** What happened too rarely. */
  get missing(): string[] {
    return Object.entries(LEAST).flatMap(([happening, least]) => {
      const count = this.counts.get(happening as Happening) ?? 0;
      return count >= least ? [] : [`${happening}: ${count} times, not ${least}`];
    });
  }

  #count(happening: Happening, times: number): void {
    this.counts.set(happening, (this.counts.get(happening) ?? 0) + times);
  }
}
