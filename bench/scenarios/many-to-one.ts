/**
 * Topology: three producers (a thread each) → one consumer (another thread). The main thread only tells the producers how many
 * ticks to send. Question: how many a second does the consumer take from all of them, in each one's order?
 */
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario } from '../scenario.js';
import { checkTally, symbolsOf, type Tally } from '../ticks.js';
import { sized } from './one-to-one.js';

export const PRODUCERS = 3;

export const manyToOne: Scenario = {
  name: 'many-to-one',
  question: 'three producers on pool threads, one consumer, 64-byte ticks: events a second in all',
  unit: 'events/s',
  better: 'higher',
  systems: [
    {
      name: 'lanebus',
      module: 'lanebus-many-to-one',
      subject: true,
      parameters: (quick) => ({ ...sized(1_200_000, quick), threads: PRODUCERS + 1 }),
    },
    { name: 'post-message', module: 'post-message', parameters: (quick) => sized(150_000, quick) },
    { name: 'broadcast-channel', module: 'broadcast-channel', parameters: (quick) => sized(60_000, quick) },
    { name: 'nats', module: 'nats', parameters: (quick) => sized(60_000, quick) },
    ...nativeSystems((quick) => sized(4_000_000, quick)),
  ],
  rounds: { full: 5, quick: 3 },
};

/** How many of a stream's events a producer sends. */
export function shareOf(events: number, producer: number): number {
  return Math.floor((events + producer) / PRODUCERS);
}

/** Throws unless the consumer has seen each producer's share of a stream, in order. */
export function checkShares(tallies: readonly Tally[], events: number, parameters: Parameters): void {
  const symbols = symbolsOf(parameters);
  for (const [producer, tally] of tallies.entries()) checkTally(tally, shareOf(events, producer), symbols);
}
