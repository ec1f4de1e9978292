import { defineEvents, mergeEvents } from 'lanebus';
import { catalog as bench, tickFields } from './lanebus-catalog.js';

/** What a stage publishes for each TICK and END that it has taken: on the same lane, so that their order is kept. */
export const catalog = mergeEvents(
  bench,
  defineEvents({
    TICK_2: { priority: 30, payload: tickFields },
    END_2: { priority: 30, payload: {} },
    TICK_3: { priority: 30, payload: tickFields },
    END_3: { priority: 30, payload: {} },
  }),
);

export type PipelineCatalog = typeof catalog;
