import { bool, defineEvents, f64, i32, mergeEvents, symbol, u32 } from 'lanebus';
import { ticks } from './lanebus-catalog.js';

export const catalog = mergeEvents(
  ticks,
  defineEvents({
    // One for each key, so that it goes where the key's ticks have gone, and behind the last of them.
    END: { priority: 30, key: 'symbol', payload: { symbol: symbol(), key: u32() } },
    RESULT: { priority: 1, payload: { key: u32(), count: f64(), sizeSum: f64(), workSum: i32(), inOrder: bool() } },
  }),
);

export type KeyedCatalog = typeof catalog;
