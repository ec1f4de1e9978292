import {
  any,
  bool,
  bytes,
  defineEvents,
  enumOf,
  type EventOf,
  f64,
  type HandlerContext,
  i32,
  i64,
  optional,
  symbol,
  text,
  u32,
  u64,
  u8,
} from '../../main/index.js';

/** Which scene an event belongs to: handler modules are shared by all that run in a process at the same time. */
const run = u32();

/** The events of the suite: one type or more for each default lane, at its bounds, and what handlers report. */
export const catalog = defineEvents({
  HALT: { priority: 1, payload: { run, n: i32() } },
  /** Opens the gate that a job waits at: see `perform`. */
  GATE: { priority: 9, payload: { run, n: i32() } },
  ORDER: { priority: 10, payload: { run, n: i32() } },
  SIGNAL: { priority: 20, payload: { run, n: i32() } },
  TICK: { priority: 30, key: 'symbol', payload: { run, n: i32(), symbol: symbol(), price: f64() } },
  JOB: { priority: 30, key: 'symbol', payload: { run, n: i32(), symbol: symbol(), act: text() } },
  WIDE: {
    priority: 89,
    payload: {
      run,
      n: i32(),
      u32: u32(),
      u8: u8(),
      bool: bool(),
      i64: i64(),
      u64: u64(),
      side: enumOf('BUY', 'SELL'),
      text: text(),
      bytes: bytes(),
      any: any(),
      given: optional(text()),
      left: optional(f64()),
    },
  },
  LOG: { priority: 90, payload: { run, n: i32() } },
  REPORT: { priority: 100, payload: { run, what: text(), n: i32(), data: any() } },
});

export type C = typeof catalog;
export type Context = HandlerContext<C>;
export type Job = EventOf<C, 'JOB'>;
export type Tick = EventOf<C, 'TICK'>;
export type Numbered = EventOf<C, 'HALT' | 'GATE' | 'ORDER' | 'SIGNAL' | 'TICK' | 'JOB' | 'LOG'>;
export type Report = EventOf<C, 'REPORT'>;
