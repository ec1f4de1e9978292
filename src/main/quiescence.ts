import { LaneWord } from '../shared/layout.js';
import type { Producer, SubscriptionRecord } from './record.js';

/**
 * Whether nothing is pending: every reader has reached the end of every lane, and nobody waits for room.
 *
 * Ends are read before and after the readers. A gating position never goes back, and moves past a record only when its
 * deliveries have ended and what they published was admitted. So if no end has moved in between, then at the second
 * reading every delivery had ended and nothing new was due: handlers that publish cannot hide between two looks.
 *
 * With checkpoints the gating position stands for what a successor would be shown again, which is nothing pending: there
 * the settled position is read instead. It has the same two properties, and it is an Atomics word there as well (D5 in
 * checkpointed-reader.ts): whoever sees it move sees what the delivery had published before.
 *
 * Readers are read twice, for those that conflate. A pool thread's event is visible by its lane's end a moment before it
 * is queued for them (Lane.commit), and may be so when the ends are first read. The delivery that publishes it ends after
 * it is queued. So when the first reading has found all deliveries ended, the second one finds it queued, or delivered.
 */
export function isQuiet(producers: readonly Producer[], records: readonly SubscriptionRecord[]): boolean {
  const before = ends(producers);
  if (before === undefined) return false;
  if (!haveAllDrained(records) || !haveAllDrained(records)) return false;
  const after = ends(producers);
  return after !== undefined && before.length === after.length && before.every((end, index) => end === after[index]);
}

function haveAllDrained(records: readonly SubscriptionRecord[]): boolean {
  return records.every((record) => record.ended || record.drained);
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
