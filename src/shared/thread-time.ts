/**
 * What the kernel knows of a thread's time. Linux tells in schedstat how long a thread ran and how long it was ready to
 * run and had no core (https://docs.kernel.org/scheduler/sched-stats.html, /proc/<pid>/schedstat). Elsewhere nothing is
 * known, and the watchdog does without.
 */
import { readFileSync, readlinkSync } from 'node:fs';

export interface ThreadTime {
  /** Both in ms, since the thread's start. A wait for a core is added when it ends. */
  readonly ranMs: number;
  readonly starvedMs: number;
}

/** The kernel's number of the calling thread; undefined where it has none that can be asked for. */
export function kernelThreadId(): number | undefined {
  try {
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1));
  } catch {
    return undefined;
  }
}

/** A thread's time so far; undefined when it is not known, or the thread is gone. Takes some 10 µs. */
export function timeOf(kernelThread: number | undefined): ThreadTime | undefined {
  if (kernelThread === undefined) return undefined;
  try {
    const [ran, starved] = readFileSync(`/proc/self/task/${kernelThread}/schedstat`, 'latin1').split(' ');
    return { ranMs: Number(ran) / 1e6, starvedMs: Number(starved) / 1e6 };
  } catch {
    return undefined;
  }
}

/** Whether a thread runs, or stands in the queue for a core, at this moment. */
export function isRunnable(kernelThread: number | undefined): boolean {
  if (kernelThread === undefined) return false;
  try {
    const stat = readFileSync(`/proc/self/task/${kernelThread}/stat`, 'latin1');
    return stat.charAt(stat.lastIndexOf(')') + 2) === 'R'; // its name, in brackets, may hold anything
  } catch {
    return false;
  }
}
