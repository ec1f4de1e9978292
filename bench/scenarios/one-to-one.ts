/**
 * Topology: one producer (the main thread) → one consumer (a worker thread).
 * Question: how many 64-byte market ticks a second go through the whole public interface, each a fresh object that the
 * consumer reads field by field?
 */
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario } from '../scenario.js';

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
    { name: 'post-message', module: 'post-message', parameters: (quick) => sized(150_000, quick) },
    ...nativeSystems((quick) => sized(10_000_000, quick)),
  ],
  targets: [
    { title: 'one-to-one, tryPublish each, ÷ postMessage', of: { ratio: 'post-message' }, atLeast: 50, moonshot: 70 },
    {
      title: 'one-to-one, awaited publish each, ÷ postMessage',
      of: { ratio: 'lanebus-awaited ÷ post-message' },
      atLeast: 20,
    },
  ],
  rounds: { full: 7, quick: 3 },
};

/** Streams of some tenths of a second: long enough to be steady, short enough for their median to leave out a pause. */
export function sized(events: number, quick: boolean): Parameters {
  return { events, warmup: events / 2, slices: quick ? 2 : 5, symbols: 16 };
}
