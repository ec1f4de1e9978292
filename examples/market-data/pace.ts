import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { PublishOutcome } from 'lanebus';

/** The part of a bus that takes events. */
export interface Publisher<E> {
  publish(event: E): Promise<void>;
  tryPublish(event: E): PublishOutcome;
}

export interface Pace {
  /** Events a second, kept on average: a burst goes out whole. 0 = as fast as the bus takes them. */
  readonly rate: number;
  /** Publishing ends after this time, and with a rate after as many events as belong to it. */
  readonly seconds: number;
  /** Ends publishing after the event at hand. */
  readonly signal: AbortSignal;
  /** Called now and then with the number of events published so far. */
  readonly onProgress: (published: number) => void;
  /** Called after every so many events; publishing goes on when it is done. */
  readonly killer?: { readonly every: number; kill(): Promise<void> } | undefined;
}

// The live table, HALT and signals are served by this thread's event loop, which has to turn for them.
const MAX_TURN_MS = 8;
// A rate that is kept ends by its number of events, which is the same on every run; this much lateness is forgiven.
const LATE_FACTOR = 1.05;
const LATE_MS = 250;

/** Publishes bursts at the given pace; the number of events that were admitted. */
export async function publishAll<E>(
  bus: Publisher<E>,
  bursts: Iterable<readonly E[]> | AsyncIterable<readonly E[]>,
  pace: Pace,
): Promise<number> {
  const { rate, signal, killer } = pace;
  // A function, since the compiler takes a property that it has seen false for false.
  const aborted = (): boolean => signal.aborted;
  const mostEvents = rate === 0 ? Infinity : rate * pace.seconds;
  const mostMs = rate === 0 ? pace.seconds * 1_000 : pace.seconds * 1_000 * LATE_FACTOR + LATE_MS;
  const startedAt = performance.now();
  let turnedAt = startedAt;
  let published = 0;
  for await (const burst of bursts) {
    if (aborted()) break;
    for (const event of burst) {
      // No promise while there is room; when there is none, wait in line for it: nothing is ever left to reject unseen.
      if (bus.tryPublish(event) !== 'published') await bus.publish(event);
      published++;
      if (killer !== undefined && published % killer.every === 0) await killer.kill();
      if (published === mostEvents || aborted()) break;
    }
    pace.onProgress(published);
    const now = performance.now();
    if (published >= mostEvents || now - startedAt >= mostMs) break;
    const aheadMs = rate === 0 ? 0 : (published / rate) * 1_000 - (now - startedAt);
    if (aheadMs >= 1) await sleep(aheadMs, undefined, { signal }).catch(ignoreAbort);
    else if (now - turnedAt < MAX_TURN_MS) continue;
    else await turn();
    turnedAt = performance.now();
  }
  return published;
}

function ignoreAbort(error: unknown): void {
  if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
}
