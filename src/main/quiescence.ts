import { LaneWord } from '../shared/layout.js';
import type { Producer, SubscriptionRecord } from './record.js';

/**
 * Whether nothing is pending: every reader has reached the end of every lane, and nobody waits for room.
 *
 * Ends are read before and after the readers. A gating position never goes back, and moves past a record only when its
 * deliveries have ended and what they published was admitted. So if no end has moved in between, then at the second
 * reading every delivery had ended and nothing new was due: handlers that publish cannot hide between two looks.
 */
export function isQuiet(producers: readonly Producer[], records: readonly SubscriptionRecord[]): boolean {
  const before = ends(producers);
  if (before === undefined) return false;
  if (!records.every((record) => record.ended || record.drained)) return false;
  const after = ends(producers);
  return after !== undefined && before.length === after.length && before.every((end, index) => end === after[index]);
}

/** All lanes' ends, or undefined while an event waits to enter one. */
function ends(producers: readonly Producer[]): number[] | undefined {
  const found: number[] = [];
  for (const { block } of producers) {
    for (let rank = 0; rank < block.laneCount; rank++) {
      const stats = block.stats[rank];
      if (stats[LaneWord.WAITING_F64] > 0 || stats[LaneWord.SPILLED_F64] > 0) return undefined;
      found.push(Atomics.load(block.control[rank], LaneWord.CURSOR_INDEX));
    }
  }
  return found;
}
