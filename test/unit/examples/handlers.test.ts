import { describe, expect, it } from 'vitest';
import * as bars from '../../../examples/market-data/bars.js';
import * as book from '../../../examples/market-data/book.js';
import type { HaltEvent, MarketContext, MarketEvent, ReportEvent } from '../../../examples/market-data/catalog.js';
import { MovingRange } from '../../../examples/market-data/moving-range.js';
import { ReportCollector } from '../../../examples/market-data/reports.js';
import * as risk from '../../../examples/market-data/risk.js';
import * as trades from '../../../examples/market-data/trades.js';
import { kept, someEvents } from './feed-files.js';
import { referenceBook } from './reference-book.js';

const SECOND_NS = 1_000_000_000n;
const MINUTE_NS = 60n * SECOND_NS;

function trade(tsEventNs: bigint, price: number, size = 1, side = 'B') {
  return { action: 'T', tsEventNs, price, size, side };
}

describe('bars', () => {
  it('are open, high, low, close and volume of the trades of each minute', () => {
    const series = new bars.BarSeries();
    series.apply(trade(10n * MINUTE_NS, 100, 1));
    series.apply({ ...trade(10n * MINUTE_NS, 999), action: 'A' });
    series.apply(trade(10n * MINUTE_NS + 1n, 103, 2));
    series.apply(trade(10n * MINUTE_NS + 2n, 98, 3));
    series.apply(trade(11n * MINUTE_NS - 1n, 101, 4));
    series.apply(trade(11n * MINUTE_NS, 50, 5));
    expect(series.summary()).toEqual({
      events: 6,
      bars: 2,
      volume: 15,
      latest: [
        { startMs: 600_000, open: 100, high: 103, low: 98, close: 101, volume: 10 },
        { startMs: 660_000, open: 50, high: 50, low: 50, close: 50, volume: 5 },
      ],
    });
  });

  it('skip minutes without trades, and put a late trade into the bar at hand', () => {
    const series = new bars.BarSeries();
    series.apply(trade(10n * MINUTE_NS, 100));
    series.apply(trade(20n * MINUTE_NS, 100));
    series.apply(trade(19n * MINUTE_NS, 90));
    const { latest } = series.summary();
    expect(latest.map(({ startMs, low }) => [startMs, low])).toEqual([
      [600_000, 100],
      [1_200_000, 90],
    ]);
  });

  it('keep only the newest five, and count them all', () => {
    const series = new bars.BarSeries();
    for (let minute = 1n; minute <= 9n; minute++) series.apply(trade(minute * MINUTE_NS, 100));
    const summary = series.summary();
    expect(summary.bars).toBe(9);
    expect(summary.latest.map(({ startMs }) => startMs / 60_000)).toEqual([5, 6, 7, 8, 9]);
  });
});

describe('trade statistics', () => {
  it('have volume by aggressor, the average price, range and last price', () => {
    const statistics = new trades.TradeStatistics();
    statistics.apply(trade(1n, 100, 1, 'B'));
    statistics.apply({ ...trade(1n, 7, 9), action: 'F' });
    statistics.apply(trade(2n, 97, 2, 'A'));
    statistics.apply(trade(3n, 99, 4, 'N'));
    expect(statistics.summary()).toEqual({
      events: 4,
      trades: 3,
      volume: 7,
      boughtVolume: 1,
      soldVolume: 2,
      vwap: 98.571429,
      high: 100,
      low: 97,
      last: 99,
    });
  });

  it('have no prices without trades', () => {
    expect(new trades.TradeStatistics().summary()).toMatchObject({ vwap: null, high: null, low: null, last: null });
  });
});

describe('a moving range', () => {
  it('is the lowest and highest value of the window, as a look at all of them finds', () => {
    const range = new MovingRange(10n);
    const points: { at: bigint; value: number }[] = [];
    someEvents(3_000).forEach(({ price }, i) => {
      // Five steps of 1, then one of 6.
      const at = BigInt(i + Math.floor(i / 6) * 5);
      range.add(at, price);
      points.push({ at, value: price });
      const inside = points.filter((point) => at - point.at <= 10n).map(({ value }) => value);
      expect([range.low, range.high]).toEqual([Math.min(...inside), Math.max(...inside)]);
    });
  });

  it('forgets what has left the window', () => {
    const range = new MovingRange(10n);
    range.add(0n, 5);
    range.add(1n, 1);
    range.add(2n, 9);
    expect([range.low, range.high]).toEqual([1, 9]);
    range.add(11n, 6);
    expect([range.low, range.high]).toEqual([1, 9]);
    range.add(12n, 7);
    expect([range.low, range.high]).toEqual([6, 9]);
    range.add(13n, 7);
    expect([range.low, range.high]).toEqual([6, 7]);
  });
});

describe('the risk monitor', () => {
  it('reports a range of trade prices over 8 basis points within a minute, once', () => {
    const monitor = new risk.RiskMonitor();
    expect(monitor.apply(trade(0n, 10_000))).toBeUndefined();
    expect(monitor.apply(trade(SECOND_NS, 10_008))).toBeUndefined();
    expect(monitor.apply({ ...trade(SECOND_NS, 12_000), action: 'A' })).toBeUndefined();
    expect(monitor.apply(trade(2n * SECOND_NS, 10_009))).toMatchObject({ low: 10_000, high: 10_009 });
    expect(monitor.apply(trade(3n * SECOND_NS, 10_010))).toBeUndefined();
    expect(monitor.summary()).toEqual({ events: 5, breaches: 1, widestBps: 9 });
  });

  it('lets prices go as far as they like over more than a minute', () => {
    const monitor = new risk.RiskMonitor();
    for (let i = 0; i < 100; i++) expect(monitor.apply(trade(BigInt(i) * MINUTE_NS, 10_000 + 5 * i))).toBeUndefined();
  });
});

describe('the handlers of market data', () => {
  it('report, at the end, what they have seen of each instrument; the risk monitor publishes HALT before', async () => {
    const events = someEvents(50_000, 1, 2);
    const collector = new ReportCollector();
    const halts: HaltEvent[] = [];
    const published = (event: MarketEvent | HaltEvent | ReportEvent): Promise<void> => {
      if (event.type === 'HALT') halts.push(event);
      if (event.type === 'REPORT') collector.onReport(event);
      return Promise.resolve();
    };
    const context = { publish: published } as Partial<MarketContext> as MarketContext;
    const handlers = [book.onMarketData, bars.onMarketData, trades.onMarketData, risk.onMarketData];
    for (const event of events) for (const handle of handlers) await handle(event, context);
    for (const handle of handlers) await handle({ type: 'END', published: events.length }, context);

    const ofInstrument = (name: string) => events.filter(({ instrument }) => instrument === name);
    expect(collector.of('book')).toEqual({
      ESH4: referenceBook(ofInstrument('ESH4')),
      NQH4: referenceBook(ofInstrument('NQH4')),
    });
    for (const source of ['book', 'bars', 'trades', 'risk'] as const) expect(collector.received(source)).toBe(50_000);
    for (const name of ['ESH4', 'NQH4']) {
      const { tradedVolume, vwap, actions } = collector.of('book')[name];
      expect(collector.of('trades')[name]).toMatchObject({ volume: tradedVolume, vwap, trades: actions.T });
      expect(collector.of('bars')[name].volume).toBe(tradedVolume);
      expect(halts.filter(({ instrument }) => instrument === name)).toHaveLength(collector.of('risk')[name].breaches);
    }
    expect(halts.length).toBeGreaterThan(0);
    for (const { low, high, reason } of halts) {
      expect(((high - low) / low) * 10_000).toBeGreaterThan(8);
      expect(reason).toMatch(/^trades ranged [0-9.]+ bps within 60 s, limit 8 bps$/);
    }
  });
});

describe('the report collector', () => {
  it('has nothing of a handler that did not report', () => {
    const collector = new ReportCollector();
    expect(collector.of('book')).toEqual({});
    expect(collector.received('book')).toBe(0);
  });
});

describe('the handlers of market data', () => {
  it.each([
    ['book', book],
    ['bars', bars],
    ['trades', trades],
    ['risk', risk],
  ])('%s has its state back from a checkpoint', async (source, { onMarketData, snapshot, restore }) => {
    const published: ReportEvent[] = [];
    const publish = (event: HaltEvent | ReportEvent): Promise<void> => {
      if (event.type === 'REPORT' && event.instrument === 'KEPT') published.push(event);
      return Promise.resolve();
    };
    const context = { publish } as unknown as MarketContext;
    for (const event of someEvents(2_000)) await onMarketData({ ...event, instrument: 'KEPT' }, context);
    const state = kept(snapshot());
    await onMarketData({ type: 'END', published: 0 }, context);
    for (const event of someEvents(500)) await onMarketData({ ...event, instrument: 'KEPT' }, context);
    restore(state as never);
    await onMarketData({ type: 'END', published: 0 }, context);
    expect(published).toHaveLength(2);
    expect(published[0]).toMatchObject({ source, summary: { events: 2_000 } });
    expect(published[1]).toEqual(published[0]);
  });
});
