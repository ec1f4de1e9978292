/**
 * Topology: one producer (the main thread) → one consumer (a worker thread that is lost, over and over).
 * Question: how long is a subscription without a thread: from the loss of one to the next delivery on its successor?
 */
import type { Parameters, Scenario } from '../scenario.js';

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
  ],
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
