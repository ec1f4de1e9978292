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
} from 'lanebus';

/** The events of the contract tests: one type or more in each default lane. */
export const catalog = defineEvents({
  /** control */
  HALT: { priority: 1, payload: { n: i32(), reason: text() } },
  /** execution */
  ORDER: { priority: 10, payload: { n: i32(), symbol: symbol() } },
  /** signal */
  SIGNAL: { priority: 20, payload: { n: i32(), symbol: symbol(), text: optional(text()) } },
  /** market */
  TICK: { priority: 30, key: 'symbol', payload: { n: i32(), symbol: symbol(), price: f64() } },
  JOB: { priority: 40, payload: { n: i32(), act: text() } },
  /** One field of each kind, and each kind as an optional one. */
  WIDE: {
    priority: 50,
    payload: {
      f64: f64(),
      i32: i32(),
      u32: u32(),
      u8: u8(),
      bool: bool(),
      i64: i64(),
      u64: u64(),
      side: enumOf('BUY', 'SELL'),
      symbol: symbol(),
      text: text(),
      bytes: bytes(),
      any: any(),
      maybeF64: optional(f64()),
      maybeU8: optional(u8()),
      maybeI64: optional(i64()),
      maybeSide: optional(enumOf('BUY', 'SELL')),
      maybeSymbol: optional(symbol()),
      maybeText: optional(text()),
      maybeBytes: optional(bytes()),
      maybeAny: optional(any()),
    },
  },
  /** log: what handlers in pool threads tell the test. `at` is in ms since the Unix epoch, with fractions. */
  NOTE: { priority: 90, payload: { what: text(), n: i32(), at: f64(), data: optional(any()) } },
});

export type C = typeof catalog;
export type Tick = EventOf<C, 'TICK'>;
export type Signal = EventOf<C, 'SIGNAL'>;
export type Order = EventOf<C, 'ORDER'>;
export type Job = EventOf<C, 'JOB'>;
export type Halt = EventOf<C, 'HALT'>;
export type Wide = EventOf<C, 'WIDE'>;
export type Note = EventOf<C, 'NOTE'>;
export type Context = HandlerContext<C>;

/** A clock that all threads of a process share, in ms since the Unix epoch. */
export function epochNow(): number {
  return performance.timeOrigin + performance.now();
}

/** Tells the test something. The note is committed when this returns, so a handler may block its thread right after it. */
export function note(context: Context, what: string, n = 0, data?: unknown): void {
  void context.publish({ type: 'NOTE', what, n, at: epochNow(), data });
}
