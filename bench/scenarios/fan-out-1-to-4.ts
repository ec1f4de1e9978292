/**
 * Topology: one producer (the main thread) → four consumers, each of which gets every tick. Question: how many ticks a second,
 * each delivered four times?
 *
 * Peers have a worker for each consumer, as they must. With Lanebus any pool thread can have several subscriptions, and its
 * user takes as many threads as do best: on two cores two, by a third more than one or four.
 */
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario, System } from '../scenario.js';
import { sized } from './one-to-one.js';

const CONSUMERS = 4;

function fanned(events: number, quick: boolean): Parameters {
  return { ...sized(events, quick), consumers: CONSUMERS };
}

function peer(module: string, events: number, name = module): System {
  return { name, module, parameters: (quick) => fanned(events, quick) };
}

export const fanOut1To4: Scenario = {
  name: 'fan-out-1-to-4',
  question: 'one producer, four consumers that each get every 64-byte tick: events a second, each delivered four times',
  unit: 'events/s',
  better: 'higher',
  systems: [
    {
      name: 'lanebus',
      module: 'lanebus',
      subject: true,
      parameters: (quick) => ({ ...fanned(1_000_000, quick), threads: 2 }),
    },
    peer('post-message', 40_000),
    peer('broadcast-channel', 80_000),
    peer('ringbuf', 200_000, 'ringbuf.js'),
    peer('nats', 20_000),
    // On the producer's own thread, with nothing beside it: for scale.
    peer('event-emitter', 1_000_000),
    peer('emittery', 80_000),
    peer('fastq', 500_000),
    ...nativeSystems((quick) => fanned(4_000_000, quick)),
  ],
  targets: [{ title: 'fan-out-1-to-4 ÷ four postMessages', of: { ratio: 'post-message' }, atLeast: 60 }],
  rounds: { full: 7, quick: 3 },
};
