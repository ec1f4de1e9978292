/**
 * The reference catalog of a trading system's core bus: `lanebus/catalogs/trading`. Market data → features → prediction →
 * signal → approval or rejection → execution, and what stops it all. With the default lanes each stage overtakes the one
 * before it: control up to 9, execution 10–19, signal 20–29, market 30–89, log from 90.
 *
 * Units, where a field does not say otherwise: `…Ns` is nanoseconds since the Unix epoch, a bigint; a price is in the
 * instrument's quote currency, a quantity in its base units (contracts, shares, coins). Ids are given by whoever publishes,
 * from 1. Names that are few and come again, such as instruments, are symbols; an order's id is a number, since a table of
 * symbols never forgets one.
 */
import { defineEvents } from '../shared/catalog.js';
import { any, enumOf, f64, i64, optional, symbol, text, u32, u64 } from '../shared/fields.js';

/** Levels of each side of the book in a MARKET_DATA_L2, to go through them: `` event[`bidPrice${level}`] ``. 0 is the best. */
export const L2_LEVELS = [0, 1, 2, 3, 4] as const;

const side = enumOf('BUY', 'SELL');

/** What the three events of a signal say alike. Their order is kept per instrument. */
const signal = {
  /** When this event was made. */
  timeNs: i64(),
  signalId: u64(),
  symbol: symbol(),
  side,
};

/** The catalog. */
export const tradingCatalog = defineEvents({
  /** The system, or a part of it, is in another state from now on. */
  SYSTEM_STATE_CHANGE: {
    priority: 1,
    payload: {
      timeNs: i64(),
      /** Which part; `system` for all of it. */
      component: symbol(),
      from: enumOf('STARTING', 'RUNNING', 'HALTED', 'STOPPING', 'STOPPED'),
      to: enumOf('STARTING', 'RUNNING', 'HALTED', 'STOPPING', 'STOPPED'),
      /** For people. */
      reason: text(),
    },
  },

  /** Something has passed a limit that may have to stop trading; whoever decides answers with a SYSTEM_STATE_CHANGE. */
  POTENTIAL_HALT_TRIGGER: {
    priority: 2,
    payload: {
      timeNs: i64(),
      trigger: enumOf('DRAWDOWN', 'POSITION', 'VOLATILITY', 'STALE_DATA', 'ORDER_RATE', 'MANUAL'),
      /** Who has seen it. */
      source: symbol(),
      /** The instrument that it is about; left out for all. */
      symbol: optional(symbol()),
      /** What was measured and what is allowed, both in the trigger's own unit (currency, units, a share, ms, 1/s). */
      value: f64(),
      limit: f64(),
    },
  },

  /** What became of an order at the exchange. In order per order. */
  EXECUTION_REPORT: {
    priority: 10,
    key: 'orderId',
    payload: {
      /** The exchange's time. */
      exchangeTimeNs: i64(),
      /** When it was received. */
      timeNs: i64(),
      orderId: u64(),
      /** The signal that the order carries out. */
      signalId: u64(),
      symbol: symbol(),
      side,
      status: enumOf('NEW', 'PARTIALLY_FILLED', 'FILLED', 'CANCELED', 'REJECTED', 'EXPIRED'),
      /** Of this report: 0 unless something has traded. Price NaN then. */
      lastQuantity: f64(),
      lastPrice: f64(),
      /** Over the order's life, and what of it is still to trade. */
      filledQuantity: f64(),
      remainingQuantity: f64(),
      /** Of this report, in the quote currency; below 0 for a rebate. */
      fee: f64(),
      /** The exchange's words, of a rejection for one. */
      text: optional(text()),
    },
  },

  /** Risk lets the signal pass, perhaps smaller. */
  TRADE_SIGNAL_APPROVED: {
    priority: 11,
    key: 'symbol',
    payload: {
      ...signal,
      /** Up to the proposed one. */
      quantity: f64(),
      limitPrice: f64(),
    },
  },

  /** Risk does not. */
  TRADE_SIGNAL_REJECTED: {
    priority: 12,
    key: 'symbol',
    payload: {
      ...signal,
      reason: enumOf('HALTED', 'POSITION_LIMIT', 'NOTIONAL_LIMIT', 'STALE', 'DUPLICATE', 'OTHER'),
      /** For people. */
      detail: optional(text()),
    },
  },

  /** A strategy wants to trade. */
  TRADE_SIGNAL_PROPOSED: {
    priority: 13,
    key: 'symbol',
    payload: {
      ...signal,
      strategy: symbol(),
      /** The prediction it comes from; left out for a signal that has none. */
      predictionId: optional(u64()),
      quantity: f64(),
      /** The worst price that is accepted. */
      limitPrice: f64(),
    },
  },

  /** What a model expects. */
  PREDICTION_GENERATED: {
    priority: 20,
    key: 'symbol',
    payload: {
      timeNs: i64(),
      /** The market data that it rests on. */
      exchangeTimeNs: i64(),
      predictionId: u64(),
      symbol: symbol(),
      /** Name and version. */
      model: symbol(),
      /** How far ahead it looks, a duration in ns. */
      horizonNs: i64(),
      /** Of the price until then, as a share: 0.001 is a tenth of a percent. */
      expectedReturn: f64(),
      /** 0 to 1. */
      confidence: f64(),
    },
  },

  /** A model's input. */
  FEATURES_CALCULATED: {
    priority: 21,
    key: 'symbol',
    payload: {
      timeNs: i64(),
      exchangeTimeNs: i64(),
      symbol: symbol(),
      /** Name and version of the set, which says what each value is and in which unit. */
      featureSet: symbol(),
      /** The price in the middle of the book, which they were calculated at. */
      mid: f64(),
      /** In the order of the set. */
      values: any<Float64Array>(),
    },
  },

  /** The book's best levels after a change. Of fixed width, so it can be conflated: `lag: 'conflate'`. */
  MARKET_DATA_L2: {
    priority: 30,
    key: 'symbol',
    payload: {
      exchangeTimeNs: i64(),
      /** When it was received. */
      timeNs: i64(),
      symbol: symbol(),
      /** The exchange's number of the change, within the instrument: a gap means that something is missing. */
      sequence: u64(),
      /** Of each level price and size, from the best on. Price NaN and size 0 where the book has no such level. */
      bidPrice0: f64(),
      bidSize0: f64(),
      bidPrice1: f64(),
      bidSize1: f64(),
      bidPrice2: f64(),
      bidSize2: f64(),
      bidPrice3: f64(),
      bidSize3: f64(),
      bidPrice4: f64(),
      bidSize4: f64(),
      askPrice0: f64(),
      askSize0: f64(),
      askPrice1: f64(),
      askSize1: f64(),
      askPrice2: f64(),
      askSize2: f64(),
      askPrice3: f64(),
      askSize3: f64(),
      askPrice4: f64(),
      askSize4: f64(),
    },
  },

  /** A bar that is complete. */
  MARKET_DATA_OHLCV: {
    priority: 31,
    key: 'symbol',
    payload: {
      /** Start of the bar, by the exchange's time. */
      openTimeNs: i64(),
      /** Its length, a duration in ns. */
      intervalNs: i64(),
      symbol: symbol(),
      open: f64(),
      high: f64(),
      low: f64(),
      close: f64(),
      /** What has traded, in base units, and in how many trades. */
      volume: f64(),
      trades: u32(),
    },
  },

  /** A line for the log. */
  LOG_ENTRY: {
    priority: 99,
    payload: {
      timeNs: i64(),
      level: enumOf('TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'),
      /** Which part has written it. */
      source: symbol(),
      text: text(),
      /** What else there is to say, by name. */
      fields: optional(any<Readonly<Record<string, unknown>>>()),
    },
  },
});

/** Its type: `EventOf<TradingCatalog, 'LOG_ENTRY'>` is an event of it. */
export type TradingCatalog = typeof tradingCatalog;
