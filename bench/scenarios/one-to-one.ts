/**
 * Topology: one producer (the main thread) → one consumer (a worker thread).
 * Question: how many 64-byte market ticks a second go through the whole public interface, each a fresh object that the
 * consumer reads field by field?
 */
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario, System } from '../scenario.js';

/** Calls on their way at once, of those that answer each: more made none of them faster. */
const CONCURRENT = 64;

function calls(name: string, events: number): System {
  return { name, module: name, parameters: (quick) => ({ ...sized(events, quick), concurrent: CONCURRENT }) };
}

const PEERS: readonly System[] = [
  { name: 'post-message', module: 'post-message', parameters: (quick) => sized(150_000, quick) },
  { name: 'broadcast-channel', module: 'broadcast-channel', parameters: (quick) => sized(100_000, quick) },
  calls('piscina', 12_000),
  calls('tinypool', 10_000),
  calls('comlink', 15_000),
  { name: 'ringbuf.js', module: 'ringbuf', parameters: (quick) => sized(1_000_000, quick) },
  { name: 'nats', module: 'nats', parameters: (quick) => sized(50_000, quick) },
  { name: 'bullmq', module: 'bullmq', parameters: (quick) => sized(1_000, quick) },
  // On the producer's own thread, with nothing beside it: for scale.
  { name: 'event-emitter', module: 'event-emitter', parameters: (quick) => sized(2_000_000, quick) },
  { name: 'emittery', module: 'emittery', parameters: (quick) => sized(100_000, quick) },
  { name: 'fastq', module: 'fastq', parameters: (quick) => sized(1_500_000, quick) },
];

export const oneToOne: Scenario = {
  name: 'one-to-one',
  question: 'one producer, one worker consumer, 64-byte ticks, each published by itself: events a second',
  unit: 'events/s',
  better: 'higher',
  systems: [
    // tryPublish each.
    { name: 'lanebus', module: 'lanebus', subject: true, parameters: (quick) => sized(2_000_000, quick) },
    // An awaited publish each.
    {
      name: 'lanebus-awaited',
      module: 'lanebus',
      subject: true,
      parameters: (quick) => ({ ...sized(1_000_000, quick), awaited: 1 }),
    },
    ...PEERS,
    ...nativeSystems((quick) => sized(10_000_000, quick)),
  ],
  targets: [
    { title: 'one-to-one, tryPublish each, ÷ postMessage', of: { ratio: 'post-message' }, atLeast: 50, moonshot: 70 },
    {
      title: 'one-to-one, awaited publish each, ÷ postMessage',
      of: { ratio: 'lanebus-awaited ÷ post-message' },
      atLeast: 20,
    },
    { title: 'one-to-one, tryPublish each, ÷ piscina.run', of: { ratio: 'piscina' }, atLeast: 350 },
    {
      title: 'one-to-one, tryPublish each, ÷ LMAX Disruptor',
      of: { ratio: 'disruptor' },
      atLeast: 0.5,
      moonshot: 1,
    },
  ],
  rounds: { full: 7, quick: 3 },
};

/** Streams of some tenths of a second: long enough to be steady, short enough for their median to leave out a pause. */
export function sized(events: number, quick: boolean): Parameters {
  const count = quick ? events / 2 : events;
  return { events: count, warmup: count / 2, slices: quick ? 2 : 5, symbols: 16 };
}
