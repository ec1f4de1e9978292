/** How the scenarios publish ticks on the bus's own thread: each offered by itself, each awaited, or in batches. */
import type { EventBus } from 'lanebus';
import { makeBatch } from '../producer.js';
import type { Parameters } from '../scenario.js';
import { makeTick } from '../ticks.js';
import type { BenchCatalog } from './lanebus-catalog.js';

/** A long-running producer lets its event loop turn: with a lane that always has room, `await` alone never does. */
const TURN_MASK = 0xffff;

export type PublishTicks = (events: number, onTurn?: () => void) => Promise<void>;

export function tickPublisher(
  bus: EventBus<BenchCatalog>,
  { drop = -1, awaited = 0, batch = 1 }: Parameters,
  symbols: readonly string[],
): PublishTicks {
  const tryEach: PublishTicks = async (events, onTurn) => {
    for (let at = 0; at < events; at++) {
      if (at === drop) continue;
      const tick = makeTick(at, symbols);
      if (bus.tryPublish(tick) === 'full') await bus.publish(tick);
      if (onTurn !== undefined && (at & TURN_MASK) === TURN_MASK) {
        await new Promise(setImmediate);
        onTurn();
      }
    }
  };
  const awaitEach: PublishTicks = async (events) => {
    for (let at = 0; at < events; at++) {
      if (at !== drop) await bus.publish(makeTick(at, symbols));
    }
  };
  const publishBatches: PublishTicks = async (events) => {
    for (let from = 0; from < events; from += batch) {
      await bus.publishBatch(makeBatch(from, Math.min(from + batch, events), drop, symbols));
    }
  };
  if (batch > 1) return publishBatches;
  return awaited === 1 ? awaitEach : tryEach;
}
