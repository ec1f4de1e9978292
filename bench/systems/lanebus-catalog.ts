import { bool, defineEvents, f64, symbol, u32 } from 'lanebus';

export const catalog = defineEvents({
  TICK: {
    priority: 30,
    key: 'symbol',
    payload: {
      symbol: symbol(),
      size: u32(),
      price: f64(),
      bid: f64(),
      ask: f64(),
      bidSize: f64(),
      askSize: f64(),
      exchangeTime: f64(),
      sequence: f64(),
    },
  },
  // The same lane as TICK, so that it is read after the last one.
  END: { priority: 30, payload: {} },
  // On a lane of its own: the main thread, which takes it, need not skip the ticks.
  RESULT: { priority: 1, payload: { count: f64(), sizeSum: f64(), symbolSum: f64(), inOrder: bool() } },
});

export type BenchCatalog = typeof catalog;
