/**
 * What handlers tell the program of a benchmark, without events that would be measured themselves: tallies in shared memory,
 * and histograms, which Node shares between threads that clone them.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads';
import { readTally, TALLY_F64, type Wrong } from './tally.js';

const NAME = 'lanebus bench';
/** An hour: what takes longer is counted as that. */
const MAX_NS = 3_600e9;

interface Shared {
  readonly tallies: SharedArrayBuffer;
  /** Words for each subscription and thread, the bus's own among them. */
  readonly threads: number;
  readonly latencies: RecordableHistogram;
  readonly haltLatencies: RecordableHistogram;
}

export class Board {
  readonly latencies: RecordableHistogram;
  readonly haltLatencies: RecordableHistogram;
  readonly #tallies: Float64Array;
  readonly #threads: number;

  private constructor({ tallies, threads, latencies, haltLatencies }: Shared) {
    this.#tallies = new Float64Array(tallies);
    this.#threads = threads;
    this.latencies = latencies;
    this.haltLatencies = haltLatencies;
  }

  /** Puts up a board that threads find that are started from now on. */
  static raise(subscriptions: number, poolThreads: number): Board {
    const threads = poolThreads + 1;
    const bytes = subscriptions * threads * TALLY_F64 * Float64Array.BYTES_PER_ELEMENT;
    const histogram = (): RecordableHistogram => createHistogram({ lowest: 1, highest: MAX_NS, figures: 3 });
    const shared: Shared = {
      tallies: new SharedArrayBuffer(bytes),
      threads,
      latencies: histogram(),
      haltLatencies: histogram(),
    };
    setEnvironmentData(NAME, shared);
    return new Board(shared);
  }

  static find(): Board {
    return new Board(getEnvironmentData(NAME) as unknown as Shared);
  }

  wordsOf(subscription: number, thread: number): Float64Array {
    const from = (subscription * this.#threads + thread) * TALLY_F64;
    return this.#tallies.subarray(from, from + TALLY_F64);
  }

  /** What a subscription has seen on all its threads. */
  read(subscription: number): { seen: number; halts: number; wrong: Wrong | undefined } {
    let seen = 0;
    let halts = 0;
    let wrong: Wrong | undefined;
    for (let thread = 0; thread < this.#threads; thread++) {
      const tally = readTally(this.wordsOf(subscription, thread));
      seen += tally.seen;
      halts += tally.halts;
      wrong ??= tally.wrong;
    }
    return { seen, halts, wrong };
  }
}

/** @param at As an event has it; what was not timed is passed over. */
export function recordSince(at: number, now: number, latencies: RecordableHistogram): void {
  latencies.record(Math.min(MAX_NS, Math.max(1, Math.round(now - at))));
}
