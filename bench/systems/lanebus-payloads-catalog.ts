import { any, bool, defineEvents, f64, mergeEvents, symbol, text, u32 } from 'lanebus';
import type { Order } from '../payloads.js';
import { ticks } from './lanebus-catalog.js';

const depth = defineEvents({
  DEPTH: {
    priority: 30,
    payload: {
      symbol: symbol(),
      sequence: u32(),
      exchangeTime: f64(),
      bid1: f64(),
      bidSize1: f64(),
      bidOrders1: f64(),
      ask1: f64(),
      askSize1: f64(),
      askOrders1: f64(),
      bid2: f64(),
      bidSize2: f64(),
      bidOrders2: f64(),
      ask2: f64(),
      askSize2: f64(),
      askOrders2: f64(),
      bid3: f64(),
      bidSize3: f64(),
      bidOrders3: f64(),
      ask3: f64(),
      askSize3: f64(),
      askOrders3: f64(),
      bid4: f64(),
      bidSize4: f64(),
      bidOrders4: f64(),
      ask4: f64(),
      askSize4: f64(),
      askOrders4: f64(),
      bid5: f64(),
      bidSize5: f64(),
      bidOrders5: f64(),
      ask5: f64(),
      askSize5: f64(),
      askOrders5: f64(),
    },
  },
});

const DEPTH_BYTES = 256;
const bytes = depth.types[0].fixedBytes;
if (bytes !== DEPTH_BYTES) throw new Error(`DEPTH has ${bytes} bytes, the scenarios are about ${DEPTH_BYTES}`);

export const catalog = mergeEvents(
  ticks,
  depth,
  defineEvents({
    NOTE: { priority: 30, payload: { sequence: f64(), text: text() } },
    ORDER: { priority: 30, payload: { order: any<Order>() } },
    END: { priority: 30, payload: {} },
    RESULT: { priority: 1, payload: { count: f64(), sizeSum: f64(), symbolSum: f64(), inOrder: bool() } },
  }),
);

export type PayloadsCatalog = typeof catalog;
