/**
 * Topology: one producer (the main thread) → one consumer (a worker thread that is lost, over and over).
 * Question: how long is a subscription without a thread: from the loss of one to the next delivery on its successor?
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { nativeSystems } from '../native-systems.js';
import type { Measurement, Parameters, Scenario } from '../scenario.js';
import { median } from '../statistics.js';

export const killRecovery: Scenario = {
  name: 'kill-recovery',
  question: 'a pool thread is lost: ms to the next delivery on its successor, 99th percentile',
  unit: 'ms',
  better: 'lower',
  systems: [
    {
      name: 'from its exit',
      module: 'lanebus-kills',
      subject: true,
      parameters: (quick) => losing('exit', 1, quick ? 20 : 200),
    },
    {
      name: 'from its deadline',
      module: 'lanebus-kills',
      subject: true,
      parameters: (quick) => losing('deadline', 1, quick ? 20 : 200),
    },
    {
      name: 'from its exit, no spare',
      module: 'lanebus-kills',
      subject: true,
      parameters: (quick) => losing('exit', 0, quick ? 10 : 50),
    },
    // From the abort of a task that hangs to the start of the next one, on its only thread.
    { name: 'piscina', module: 'piscina-kills', parameters: (quick) => losing('exit', 0, quick ? 10 : 50) },
    ...nativeSystems((quick) => losing('exit', 0, quick ? 10 : 50)),
  ],
  targets: [{ title: 'kill-recovery, p99 ms', of: { system: 'from its exit' }, atMost: 10 }],
  rounds: { full: 3, quick: 1 },
};

const WAYS = ['exit', 'deadline'] as const;
export type Way = (typeof WAYS)[number];

function losing(way: Way, spares: number, losses: number): Parameters {
  return { way: WAYS.indexOf(way), spares, losses, warmup: 10, timeoutMs: 50 };
}

export function wayOf({ way }: Parameters): Way {
  return WAYS[way];
}

/** Words that the handler tells times in: ms since the Unix epoch, with fractions. */
export const Time = { begun: 0, delivered: 1 } as const;
export const TIMES = 'lanebus bench: times';

export function epochNow(): number {
  return performance.timeOrigin + performance.now();
}

/** So long everything rests before the next loss. */
const REST_MS = 30;

/** A system that can lose a thread. */
interface Losing {
  isAtRest(): boolean;
  /** Resolves with the time of the loss, on `epochNow`, when what came next on the successor has been delivered. */
  lose(): Promise<number>;
}

/** @param times What the handlers tell. */
export async function measureLosses(
  { losses, warmup }: Parameters,
  times: Float64Array,
  losing: Losing,
): Promise<Measurement> {
  const found: number[] = [];
  for (let loss = -warmup; loss < losses; loss++) {
    while (!losing.isAtRest()) await sleep(1);
    await sleep(REST_MS);
    times.fill(0);
    const lostAt = await losing.lose();
    if (times[Time.delivered] === 0) throw new Error(`nothing was delivered after loss ${loss}`);
    if (loss >= 0) found.push(times[Time.delivered] - lostAt);
  }
  found.sort((a, b) => a - b);
  const p99 = found[Math.ceil(found.length * 0.99) - 1];
  return { value: p99, details: { losses, p50: median(found), max: found.at(-1) } };
}
