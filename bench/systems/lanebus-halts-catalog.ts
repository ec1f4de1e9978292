import { any, defineEvents, f64, mergeEvents } from 'lanebus';
import type { HaltResult } from '../scenarios/halt-overtakes.js';
import type { Tally } from '../ticks.js';
import { ticks } from './lanebus-catalog.js';

export const catalog = mergeEvents(
  ticks,
  defineEvents({
    HALT: { priority: 1, payload: { sequence: f64(), at: f64(), ticksBefore: f64() } },
    END: { priority: 30, payload: {} },
    RESULT: { priority: 90, payload: { halts: any<HaltResult>(), tally: any<Tally>() } },
  }),
);

export type HaltsCatalog = typeof catalog;
