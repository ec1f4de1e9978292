import { bool, defineEvents, f64, mergeEvents, symbol, u32 } from 'lanebus';

export const tickFields = {
  symbol: symbol(),
  size: u32(),
  price: f64(),
  bid: f64(),
  ask: f64(),
  bidSize: f64(),
  askSize: f64(),
  exchangeTime: f64(),
  sequence: f64(),
};

export const ticks = defineEvents({ TICK: { priority: 30, key: 'symbol', payload: tickFields } });

const TICK_BYTES = 64;
const bytes = ticks.types[0].fixedBytes;
if (bytes !== TICK_BYTES) throw new Error(`TICK has ${bytes} bytes, the scenarios are about ${TICK_BYTES}`);

export const catalog = mergeEvents(
  ticks,
  defineEvents({
    // The same lane as TICK, so that it is read after the last one.
    END: { priority: 30, payload: {} },
    // Of the subscription, or the publisher, of that number. On a lane of its own: the main thread need not skip the ticks.
    RESULT: {
      priority: 1,
      payload: { number: u32(), count: f64(), sizeSum: f64(), symbolSum: f64(), inOrder: bool() },
    },
  }),
);

export type BenchCatalog = typeof catalog;
