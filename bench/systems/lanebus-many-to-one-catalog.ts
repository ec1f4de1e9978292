import { defineEvents, f64, mergeEvents, u32 } from 'lanebus';
import { catalog as bench } from './lanebus-catalog.js';

export const catalog = mergeEvents(
  bench,
  defineEvents({
    /** To all producers: so many events in all. */
    GO: { priority: 20, payload: { events: f64() } },
    /** Behind the last of a producer's ticks. */
    DONE: { priority: 30, payload: { producer: u32() } },
  }),
);

export type ManyToOneCatalog = typeof catalog;
