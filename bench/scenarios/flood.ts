/**
 * Topology: one producer (the main thread) → three subscriptions on pool threads, of which one fails each delivery; its dead
 * letters go to LMDB. Question: what does a flood of failures cost the others, and is anything lost in it?
 */
import type { Parameters, Scenario } from '../scenario.js';

export const flood: Scenario = {
  name: 'flood',
  question: 'one of three subscriptions fails each delivery, letters go to disk: see the details of each system',
  unit: 'of its own unit',
  better: 'higher',
  systems: [
    // p99 of the other two while it fails ÷ before.
    {
      name: 'p99 at 50,000/s',
      module: 'lanebus-flood',
      subject: true,
      parameters: (quick) => flooding('paced', quick),
    },
    // Events a second.
    { name: 'full speed', module: 'lanebus-flood', subject: true, parameters: (quick) => flooding('full', quick) },
    {
      name: 'full speed, circuit',
      module: 'lanebus-flood',
      subject: true,
      parameters: (quick) => flooding('circuit', quick),
    },
    {
      name: 'full speed, none fails',
      module: 'lanebus-flood',
      subject: true,
      parameters: (quick) => flooding('none', quick),
    },
  ],
  ratios: { circuit: { of: 'full speed, circuit', over: 'full speed, none fails' } },
  rounds: { full: 1, quick: 1 },
};

const WAYS = ['paced', 'full', 'circuit', 'none'] as const;
export type Way = (typeof WAYS)[number];

function flooding(way: Way, quick: boolean): Parameters {
  return { way: WAYS.indexOf(way), seconds: quick ? 3 : 20, rate: 50_000 };
}

export function wayOf({ way }: Parameters): Way {
  return WAYS[way];
}

export const TIMES = 'lanebus bench: latencies';
/** Samples of each subscription and phase. */
export const MAX_SAMPLES = 2_000_000;
/** Of each subscription and phase: how many there are, then the samples in ms. */
export const SAMPLES_F64 = 1 + MAX_SAMPLES;

export function epochNow(): number {
  return performance.timeOrigin + performance.now();
}
