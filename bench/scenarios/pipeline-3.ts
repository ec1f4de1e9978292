/**
 * Topology: one producer (the main thread) → stage 1 → stage 2 → stage 3, each on a thread. A stage derives another event from
 * each, a fresh object; the last one tallies. Question: how many events a second come out at its end?
 *
 * Peers have a worker for each stage. With Lanebus two pool threads did best for three stages on two cores, by a tenth more
 * than one, and by a fifth more than three.
 */
import { nativeSystems } from '../native-systems.js';
import type { Scenario } from '../scenario.js';
import { checkTally, type Tally, type TickFields } from '../ticks.js';
import { sized } from './one-to-one.js';

export const pipeline3: Scenario = {
  name: 'pipeline-3',
  question: 'one producer, three stages in worker threads, 64-byte ticks, each stage derives the next: events a second',
  unit: 'events/s',
  better: 'higher',
  systems: [
    {
      name: 'lanebus',
      module: 'lanebus-pipeline',
      subject: true,
      parameters: (quick) => ({ ...sized(600_000, quick), threads: 2 }),
    },
    { name: 'post-message', module: 'post-message', parameters: (quick) => sized(60_000, quick) },
    { name: 'broadcast-channel', module: 'broadcast-channel', parameters: (quick) => sized(60_000, quick) },
    { name: 'nats', module: 'nats', parameters: (quick) => sized(20_000, quick) },
    ...nativeSystems((quick) => sized(4_000_000, quick)),
  ],
  rounds: { full: 5, quick: 3 },
};

/** What a stage makes of an event: another one, that it has passed here can be told from. */
export function derive<T extends string>(type: T, tick: TickFields): TickFields & { type: T } {
  const { symbol, size, price, bid, ask, bidSize, askSize, exchangeTime, sequence } = tick;
  return { type, symbol, size: size + 1, price, bid, ask, bidSize, askSize, exchangeTime, sequence };
}

/** Throws unless the last stage has seen each event, derived by both stages before it. */
export function checkDerived(tally: Tally, events: number, symbols: readonly string[]): void {
  checkTally(tally, events, symbols, (tick) => derive('TICK', derive('TICK', tick)));
}
