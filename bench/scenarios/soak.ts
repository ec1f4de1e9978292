/**
 * Topology: one-to-one, for long enough that a leak of a byte for each event would show.
 * Question: does resident memory stay where it was after the first second, within a tenth?
 */
import type { Measurement, Scenario } from '../scenario.js';

const SAMPLE_INTERVAL_MS = 100;
const SETTLED_AFTER_MS = 1_000;
const ALLOWED_DEVIATION = 0.1;

export const soak: Scenario = {
  name: 'soak',
  question: '50 million ticks from one producer to one worker consumer: does resident memory stay flat?',
  unit: 'events/s',
  better: 'higher',
  systems: [
    {
      name: 'lanebus',
      module: 'lanebus',
      subject: true,
      parameters: (quick) => ({ events: quick ? 25_000_000 : 50_000_000, symbols: 16 }),
    },
  ],
  rounds: { full: 1, quick: 1 },
};

export interface MemorySample {
  readonly ms: number;
  readonly rssMb: number;
}

/** Resident memory of the process, all its threads included, sampled whenever `tick` finds that it is time again. */
export class MemoryRecorder {
  readonly #startedAt = performance.now();
  readonly #samples: MemorySample[] = [];
  #nextAt = this.#startedAt;

  /** Takes a sample if one is due. */
  tick(): void {
    const now = performance.now();
    if (now < this.#nextAt) return;
    this.#nextAt = now + SAMPLE_INTERVAL_MS;
    this.#samples.push({ ms: Math.round(now - this.#startedAt), rssMb: process.memoryUsage.rss() / 2 ** 20 });
  }

  /** Throws when the run was too short to say anything. */
  report(): Pick<Measurement, 'passed' | 'details'> {
    const after = this.#samples.filter(({ ms }) => ms >= SETTLED_AFTER_MS).map(({ rssMb }) => rssMb);
    if (after.length < 2) throw new Error(`the run ended within ${SETTLED_AFTER_MS} ms: give it more events`);
    const settledMb = after[0];
    const maxDeviation = Math.max(...after.map((rssMb) => Math.abs(rssMb - settledMb) / settledMb));
    const passed = maxDeviation <= ALLOWED_DEVIATION;
    const details = {
      rssAfterFirstSecondMb: settledMb,
      minMb: Math.min(...after),
      maxMb: Math.max(...after),
      endMb: after.at(-1),
      maxDeviation,
      flat: passed,
      samples: this.#samples.map(({ ms, rssMb }) => [ms, Math.round(rssMb * 10) / 10]),
    };
    return { passed, details };
  }
}
