/**
 * How long a synchronous run of this thread takes, without the time for which others had its core.
 *
 * On Linux the kernel says for how long a thread was ready and had no core; in a synchronous run it is either that or
 * running. What the kernel says of a thread's CPU time itself may be a tick (4 ms) old, and `process.cpuUsage` is of all
 * threads together. Elsewhere it is the time on the wall.
 */
import { readFileSync } from 'node:fs';

export const CLOCK: 'thread-cpu' | 'wall' = waitedNs() === undefined ? 'wall' : 'thread-cpu';

/** Nanoseconds that the run took. */
export function measureCpu(run: () => void): number {
  const waitedBefore = waitedNs() ?? 0;
  const startedAt = performance.now();
  run();
  const wallNs = (performance.now() - startedAt) * 1e6;
  return wallNs - ((waitedNs() ?? 0) - waitedBefore);
}

/** Of this thread; undefined where the system does not say. */
function waitedNs(): number | undefined {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'utf8').split(' ')[1]);
  } catch {
    return undefined;
  }
}
