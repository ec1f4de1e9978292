// `lanebus/catalogs/trading`: its types, where they travel, and that a realistic event of each arrives as it was.
import { createBus, type EventBus, type EventOf } from 'lanebus';
import { L2_LEVELS, type TradingCatalog, tradingCatalog } from 'lanebus/catalogs/trading';
import { afterEach, describe, expect, it } from 'vitest';
import { expectExact } from './buses.js';

type Type = EventOf<TradingCatalog>['type'];

/** As the reference system has them, with the lane that each falls into by default (contract, section 3). */
const PRIORITIES: Readonly<Record<Type, readonly [priority: number, lane: string]>> = {
  SYSTEM_STATE_CHANGE: [1, 'control'],
  POTENTIAL_HALT_TRIGGER: [2, 'control'],
  EXECUTION_REPORT: [10, 'execution'],
  TRADE_SIGNAL_APPROVED: [11, 'execution'],
  TRADE_SIGNAL_REJECTED: [12, 'execution'],
  TRADE_SIGNAL_PROPOSED: [13, 'execution'],
  PREDICTION_GENERATED: [20, 'signal'],
  FEATURES_CALCULATED: [21, 'signal'],
  MARKET_DATA_L2: [30, 'market'],
  MARKET_DATA_OHLCV: [31, 'market'],
  LOG_ENTRY: [99, 'log'],
};

const exchangeTimeNs = 1_718_116_200_123_456_789n;
const timeNs = exchangeTimeNs + 84_210n;
const signal = { timeNs, signalId: 2n ** 63n + 1n, symbol: 'BTC-USD', side: 'BUY' } as const;

const EVENTS: { readonly [T in Type]: EventOf<TradingCatalog, T> } = {
  SYSTEM_STATE_CHANGE: {
    type: 'SYSTEM_STATE_CHANGE',
    timeNs,
    component: 'system',
    from: 'RUNNING',
    to: 'HALTED',
    reason: 'drawdown of 5.2 % – limit 5 %',
  },
  POTENTIAL_HALT_TRIGGER: {
    type: 'POTENTIAL_HALT_TRIGGER',
    timeNs,
    trigger: 'DRAWDOWN',
    source: 'risk',
    value: 0.052,
    limit: 0.05,
  },
  EXECUTION_REPORT: {
    type: 'EXECUTION_REPORT',
    exchangeTimeNs,
    timeNs,
    orderId: 2n ** 64n - 1n,
    signalId: signal.signalId,
    symbol: 'BTC-USD',
    side: 'BUY',
    status: 'PARTIALLY_FILLED',
    lastQuantity: 0.25,
    lastPrice: 67_412.5,
    filledQuantity: 0.25,
    remainingQuantity: 0.75,
    fee: -0.84,
    text: 'maker',
  },
  TRADE_SIGNAL_APPROVED: { type: 'TRADE_SIGNAL_APPROVED', ...signal, quantity: 1, limitPrice: 67_413 },
  TRADE_SIGNAL_REJECTED: { type: 'TRADE_SIGNAL_REJECTED', ...signal, reason: 'POSITION_LIMIT', detail: '11 of 10' },
  TRADE_SIGNAL_PROPOSED: {
    type: 'TRADE_SIGNAL_PROPOSED',
    ...signal,
    strategy: 'momentum-2',
    predictionId: 8_812n,
    quantity: 1.5,
    limitPrice: 67_413,
  },
  PREDICTION_GENERATED: {
    type: 'PREDICTION_GENERATED',
    timeNs,
    exchangeTimeNs,
    predictionId: 8_812n,
    symbol: 'BTC-USD',
    model: 'gru-7',
    horizonNs: 30_000_000_000n,
    expectedReturn: 0.000_31,
    confidence: 0.62,
  },
  FEATURES_CALCULATED: {
    type: 'FEATURES_CALCULATED',
    timeNs,
    exchangeTimeNs,
    symbol: 'BTC-USD',
    featureSet: 'book-3',
    mid: 67_412.75,
    values: Float64Array.of(0.5, -1.25, Number.NaN, 1e-9),
  },
  MARKET_DATA_L2: {
    type: 'MARKET_DATA_L2',
    exchangeTimeNs,
    timeNs,
    symbol: 'BTC-USD',
    sequence: 991_823n,
    ...{ bidPrice0: 67_412.5, bidSize0: 1.2, bidPrice1: 67_412, bidSize1: 3, bidPrice2: 67_411.5, bidSize2: 0.7 },
    ...{ bidPrice3: 67_411, bidSize3: 9, bidPrice4: Number.NaN, bidSize4: 0 },
    ...{ askPrice0: 67_413, askSize0: 0.4, askPrice1: 67_413.5, askSize1: 2, askPrice2: 67_414, askSize2: 5 },
    ...{ askPrice3: 67_415, askSize3: 8, askPrice4: 67_416, askSize4: 12 },
  },
  MARKET_DATA_OHLCV: {
    type: 'MARKET_DATA_OHLCV',
    openTimeNs: 1_718_116_200_000_000_000n,
    intervalNs: 60_000_000_000n,
    symbol: 'BTC-USD',
    open: 67_400,
    high: 67_431.5,
    low: 67_388,
    close: 67_412.5,
    volume: 41.318,
    trades: 1_204,
  },
  LOG_ENTRY: {
    type: 'LOG_ENTRY',
    timeNs,
    level: 'WARN',
    source: 'feed',
    text: 'a gap of 3 – asking for a snapshot',
    fields: { symbol: 'BTC-USD', missing: [991_820n, 991_821n, 991_822n] },
  },
};

let bus: EventBus<TradingCatalog> | undefined;
afterEach(async () => bus?.stop({ timeoutMs: 1 }));

describe('the trading catalog', () => {
  it('has the eleven types of the reference system with their priorities', () => {
    const priorities = Object.entries(PRIORITIES).map(([name, [priority]]) => ({ name, priority }));
    expect(tradingCatalog.types.map(({ name, priority }) => ({ name, priority }))).toEqual(priorities);
  });

  it('keeps order per instrument where events are about one, and per order in execution reports', () => {
    expect(Object.fromEntries(tradingCatalog.types.map(({ name, key }) => [name, key]))).toEqual({
      SYSTEM_STATE_CHANGE: undefined,
      POTENTIAL_HALT_TRIGGER: undefined,
      EXECUTION_REPORT: 'orderId',
      TRADE_SIGNAL_APPROVED: 'symbol',
      TRADE_SIGNAL_REJECTED: 'symbol',
      TRADE_SIGNAL_PROPOSED: 'symbol',
      PREDICTION_GENERATED: 'symbol',
      FEATURES_CALCULATED: 'symbol',
      MARKET_DATA_L2: 'symbol',
      MARKET_DATA_OHLCV: 'symbol',
      LOG_ENTRY: undefined,
    });
  });

  it('has market data of fixed width, which can be conflated', () => {
    const market = tradingCatalog.types.filter(({ name }) => name.startsWith('MARKET_DATA'));
    expect(market.map(({ fixedWidth }) => fixedWidth)).toEqual([true, true]);
  });

  it('names the levels of the book by their numbers', () => {
    const { MARKET_DATA_L2: book } = EVENTS;
    expect(L2_LEVELS.map((level) => [book[`bidPrice${level}`], book[`askSize${level}`]])).toEqual([
      [67_412.5, 0.4],
      [67_412, 2],
      [67_411.5, 5],
      [67_411, 8],
      [Number.NaN, 12],
    ]);
  });

  it('carries each event in its default lane, and delivers it as it was', async () => {
    bus = createBus(tradingCatalog, { threads: 1, logger: false });
    const got = new Map<string, unknown>();
    const lanes = new Map<string, string>();
    const types = Object.keys(PRIORITIES) as Type[];
    bus.subscribe(types, (event, { lane }) => {
      got.set(event.type, event);
      lanes.set(event.type, lane);
    });
    await bus.start();
    await bus.publishBatch(Object.values(EVENTS));
    await bus.drain();
    for (const type of types) {
      expect(got.get(type), type).toEqual(EVENTS[type]);
      expect(lanes.get(type), type).toBe(PRIORITIES[type][1]);
    }
    expectExact(await bus.stop());
  });

  it('leaves out what may be left out', async () => {
    bus = createBus(tradingCatalog, { threads: 1, logger: false });
    const got: unknown[] = [];
    bus.subscribe('TRADE_SIGNAL_PROPOSED', (event) => void got.push(event));
    await bus.start();
    const { predictionId, ...manual } = EVENTS.TRADE_SIGNAL_PROPOSED;
    expect(predictionId).toBeDefined();
    await bus.publish(manual);
    await bus.drain();
    expect(got).toEqual([manual]);
  });
});
