/** The tallies that subscriptions publish at the end of each stream, gathered on the bus's own thread. */
import type { EventBus } from 'lanebus';
import type { Tally } from '../ticks.js';
import type { BenchCatalog } from './lanebus-catalog.js';

/** @returns What resolves with the tallies of the stream that is about to be published, in the order of their numbers. */
export function gatherTallies(bus: EventBus<BenchCatalog>, count: number): () => Promise<Tally[]> {
  let tallies = new Map<number, Tally>();
  let onResults: ((tallies: Tally[]) => void) | undefined;
  bus.subscribe('RESULT', ({ number, count: events, sizeSum, symbolSum, inOrder }) => {
    tallies.set(number, { count: events, sizeSum, symbolSum, inOrder });
    if (tallies.size < count) return;
    onResults?.([...tallies].sort(([a], [b]) => a - b).map(([, tally]) => tally));
    tallies = new Map();
  });
  return () =>
    new Promise((resolve) => {
      onResults = resolve;
    });
}
