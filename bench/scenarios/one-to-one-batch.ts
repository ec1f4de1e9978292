/**
 * Topology: one producer (the main thread) → one consumer (a worker thread), as one-to-one, but in batches of 256 ticks.
 * Question: how many ticks a second, when whoever publishes has many at once? Peers are those that can send many at once.
 */
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario, System } from '../scenario.js';
import { sized } from './one-to-one.js';

const BATCH = 256;
/** Batches on their way at once, where each is a call: more made none of them faster. */
const CONCURRENT = 4;

function batches(events: number, quick: boolean): Parameters {
  return { ...sized(events, quick), batch: BATCH };
}

function peer(module: string, events: number, name = module): System {
  return { name, module, parameters: (quick) => batches(events, quick) };
}

function calls(module: string): System {
  return { name: module, module, parameters: (quick) => ({ ...batches(200_000, quick), concurrent: CONCURRENT }) };
}

export const oneToOneBatch: Scenario = {
  name: 'one-to-one-batch',
  question: 'one producer, one worker consumer, 64-byte ticks in batches of 256: events a second',
  unit: 'events/s',
  better: 'higher',
  systems: [
    { name: 'lanebus', module: 'lanebus', subject: true, parameters: (quick) => batches(2_000_000, quick) },
    peer('post-message', 400_000),
    peer('broadcast-channel', 400_000),
    calls('piscina'),
    calls('tinypool'),
    calls('comlink'),
    peer('ringbuf', 1_000_000, 'ringbuf.js'),
    peer('bullmq', 2_000),
    ...nativeSystems((quick) => batches(10_000_000, quick)),
  ],
  targets: [
    { title: 'one-to-one-batch (256) ÷ postMessage in arrays of 256', of: { ratio: 'post-message' }, atLeast: 15 },
  ],
  rounds: { full: 7, quick: 3 },
};
