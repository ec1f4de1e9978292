import { describe, expect, it } from 'vitest';
import type { MboEvent } from '../../../examples/market-data/catalog.js';
import { OrderBook } from '../../../examples/market-data/order-book.js';
import { Random } from '../../../examples/market-data/random.js';
import { simulate } from '../../../examples/market-data/simulator.js';
import { someEvents } from './feed-files.js';

const COUNT = 60_000;
const NS_PER_MS = 1_000_000n;

function burstsOf(instruments: number, count: number): (readonly MboEvent[])[] {
  const bursts: (readonly MboEvent[])[] = [];
  for (const burst of simulate({ seed: 7, instruments })) {
    bursts.push(burst);
    if (bursts.length === count) break;
  }
  return bursts;
}

describe('the simulated exchange', () => {
  it('sends the same events for the same seed and other events for another', () => {
    expect(someEvents(COUNT, 5, 3)).toEqual(someEvents(COUNT, 5, 3));
    expect(someEvents(2_000, 5, 1)).not.toEqual(someEvents(2_000, 6, 1));
  });

  it('sends flow that a book can follow: no unknown orders, nothing cancelled beyond its size, both sides apart', () => {
    const sizes = new Map<bigint, number>();
    const book = new OrderBook();
    for (const event of someEvents(COUNT)) {
      const { action, orderId, size } = event;
      if (action === 'A') {
        expect(sizes.has(orderId)).toBe(false);
        sizes.set(orderId, size);
      } else if (action !== 'T') {
        const resting = sizes.get(orderId) ?? -1;
        if (action === 'M') expect(resting).toBeGreaterThan(0);
        else expect(resting).toBeGreaterThanOrEqual(size);
        if (action !== 'F') sizes.set(orderId, action === 'M' ? size : resting - size);
        if (sizes.get(orderId) === 0) sizes.delete(orderId);
      }
      expect(size).toBeGreaterThan(0);
      book.apply(event);
      const { topBids, topAsks } = book.summary();
      if (topBids.length > 0 && topAsks.length > 0) expect(topBids[0][0]).toBeLessThan(topAsks[0][0]);
    }
    expect(book.summary().liveOrders).toBe(sizes.size);
  });

  it('follows every trade with the fills that make it up and the cancels that they cause', () => {
    const events = someEvents(COUNT);
    const trades = events.flatMap((event, i) => (event.action === 'T' ? [i] : []));
    expect(trades.length).toBeGreaterThan(1_000);
    for (const i of trades) {
      const fills: MboEvent[] = [];
      for (let k = i + 1; events[k]?.action === 'F'; k++) fills.push(events[k]);
      // The last trade may be cut off where this test stopped reading.
      const cancels = events.slice(i + 1 + fills.length, i + 1 + 2 * fills.length);
      if (i + 1 + 2 * fills.length > events.length) continue;
      expect(fills.reduce((sum, fill) => sum + fill.size, 0)).toBe(events[i].size);
      expect(fills.every((fill) => fill.price === events[i].price && fill.side !== events[i].side)).toBe(true);
      expect(cancels.map(({ action, orderId, size }) => [action, orderId, size])).toEqual(
        fills.map(({ orderId, size }) => ['C', orderId, size]),
      );
    }
  });

  it('keeps prices on the tick grid of each instrument', () => {
    const ticksPerUnit = new Map([
      ['ESH4', 4],
      ['NQH4', 1],
      ['RTYH4', 10],
    ]);
    for (const { instrument, price } of someEvents(COUNT, 1, 3)) {
      const grid = ticksPerUnit.get(instrument) ?? NaN;
      expect(price).toBe(Math.round(price * grid) / grid);
    }
  });

  it('uses order ids above 2^53, and times that never go back', () => {
    const events = someEvents(COUNT, 1, 2);
    let lastNs = 0n;
    for (const { orderId, tsEventNs, tsRecvNs } of events) {
      expect(orderId > 2n ** 53n).toBe(true);
      expect(tsEventNs >= lastNs && tsRecvNs > tsEventNs).toBe(true);
      lastNs = tsEventNs;
    }
  });

  it('sends bursts of up to some 145 events within a millisecond, with quiet between them', () => {
    const bursts = burstsOf(1, 20_000).slice(1);
    const longest = Math.max(...bursts.map((burst) => burst.length));
    expect(longest).toBeGreaterThan(120);
    expect(longest).toBeLessThan(250);
    const quiet: bigint[] = [];
    bursts.forEach((burst, i) => {
      if (burst.length <= 145) expect(burst[burst.length - 1].tsEventNs - burst[0].tsEventNs < NS_PER_MS).toBe(true);
      if (i > 0) quiet.push(burst[0].tsEventNs - bursts[i - 1][bursts[i - 1].length - 1].tsEventNs);
    });
    quiet.sort((a, b) => Number(a - b));
    expect(quiet[0] >= NS_PER_MS).toBe(true);
    expect(quiet[quiet.length >> 1] > 50n * NS_PER_MS).toBe(true);
    expect(quiet[quiet.length - 1] > 5_000n * NS_PER_MS).toBe(true);
  });

  it('opens with the book of every instrument and gives all of them flow', () => {
    const bursts = burstsOf(12, 5_000);
    const opening = bursts.slice(0, 12);
    expect(new Set(opening.map((burst) => burst[0].instrument)).size).toBe(12);
    expect(opening.flat().every((event) => event.action === 'A')).toBe(true);
    expect(new Set(bursts.slice(12).flatMap((burst) => burst.map((event) => event.instrument))).size).toBe(12);
  });

  it('keeps a bounded number of orders however long it runs', () => {
    const book = new OrderBook();
    let largest = 0;
    for (const event of someEvents(COUNT * 3)) {
      book.apply(event);
      largest = Math.max(largest, book.summary().liveOrders);
    }
    expect(largest).toBeLessThan(400);
  });
});

describe('Random', () => {
  it('draws from straight lines between quantiles', () => {
    const random = new Random(3);
    const quantiles = [
      [0, 10],
      [0.5, 20],
      [1, 100],
    ] as const;
    const values = Array.from({ length: 20_000 }, () => random.quantile(quantiles)).sort((a, b) => a - b);
    expect(values[0]).toBeGreaterThanOrEqual(10);
    expect(values[values.length - 1]).toBeLessThan(100);
    expect(values[10_000]).toBeCloseTo(20, -0.5);
    expect(values[15_000]).toBeGreaterThan(55);
    expect(values[15_000]).toBeLessThan(65);
  });
});
