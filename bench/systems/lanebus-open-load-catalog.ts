import { any, defineEvents, mergeEvents } from 'lanebus';
import type { LoadResult } from '../scenarios/open-load.js';
import { ticks } from './lanebus-catalog.js';

export const catalog = mergeEvents(
  ticks,
  defineEvents({
    END: { priority: 30, payload: {} },
    RESULT: { priority: 1, payload: { result: any<LoadResult>() } },
  }),
);

export type OpenLoadCatalog = typeof catalog;
