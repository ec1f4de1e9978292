import { describe, expect, it } from 'vitest';
import type { Action, Side } from '../../../examples/market-data/order-book.js';
import { mergeBooks, OrderBook } from '../../../examples/market-data/order-book.js';
import { kept, someEvents } from './feed-files.js';
import { referenceBook } from './reference-book.js';

type Row = [action: Action, side: Side, orderId: bigint, price: number, size: number];

function bookOf(...rows: Row[]): OrderBook {
  const book = new OrderBook();
  for (const [action, side, orderId, price, size] of rows) book.apply({ action, side, orderId, price, size });
  return book;
}

describe('an order book', () => {
  it('adds up the orders of a level and lists the best levels first', () => {
    const summary = bookOf(
      ['A', 'B', 1n, 99.75, 2],
      ['A', 'B', 2n, 100, 3],
      ['A', 'B', 3n, 100, 4],
      ['A', 'A', 4n, 100.5, 5],
      ['A', 'A', 5n, 100.25, 6],
    ).summary();
    expect(summary.topBids).toEqual([
      [100, 7],
      [99.75, 2],
    ]);
    expect(summary.topAsks).toEqual([
      [100.25, 6],
      [100.5, 5],
    ]);
    expect(summary).toMatchObject({ events: 5, liveOrders: 5, bidLevels: 2, askLevels: 2 });
  });

  it('lists ten levels a side at most', () => {
    const rows = Array.from({ length: 12 }, (_, i): Row => ['A', 'A', BigInt(i), 100 + i, 1]);
    const { topAsks, askLevels } = bookOf(...rows).summary();
    expect(topAsks.map(([price]) => price)).toEqual([100, 101, 102, 103, 104, 105, 106, 107, 108, 109]);
    expect(askLevels).toBe(12);
  });

  it('reduces an order by the size of a cancel, and drops it and its level at 0', () => {
    const book = bookOf(['A', 'B', 1n, 100, 5], ['C', 'B', 1n, 100, 2]);
    expect(book.summary()).toMatchObject({ liveOrders: 1, topBids: [[100, 3]] });
    book.apply({ action: 'C', side: 'B', orderId: 1n, price: 100, size: 3 });
    expect(book.summary()).toMatchObject({ liveOrders: 0, bidLevels: 0, topBids: [], unknownOrders: 0 });
  });

  it('cancels no more than an order has left', () => {
    const book = bookOf(['A', 'B', 1n, 100, 5], ['A', 'B', 2n, 100, 1], ['C', 'B', 1n, 100, 9]);
    expect(book.summary()).toMatchObject({ liveOrders: 1, topBids: [[100, 1]] });
  });

  it('takes a cancel from the price at which the order rests, whatever the cancel says', () => {
    const book = bookOf(['A', 'B', 1n, 100, 5], ['C', 'N', 1n, 0, 2]);
    expect(book.summary().topBids).toEqual([[100, 3]]);
  });

  it('counts a cancel of an order that it does not have', () => {
    const book = bookOf(['C', 'B', 1n, 100, 5], ['A', 'B', 2n, 100, 1], ['C', 'B', 2n, 100, 1], ['C', 'B', 2n, 100, 1]);
    expect(book.summary()).toMatchObject({ unknownOrders: 2, liveOrders: 0 });
  });

  it('replaces price and size of a modified order', () => {
    const book = bookOf(['A', 'B', 1n, 100, 5], ['A', 'B', 2n, 100, 1], ['M', 'B', 1n, 101, 7]);
    expect(book.summary()).toMatchObject({
      liveOrders: 2,
      topBids: [
        [101, 7],
        [100, 1],
      ],
    });
  });

  it('adds a modified order that it does not have', () => {
    const book = bookOf(['M', 'A', 1n, 101, 7]);
    expect(book.summary()).toMatchObject({ liveOrders: 1, unknownOrders: 0, topAsks: [[101, 7]] });
  });

  it('replaces an order that is added once more', () => {
    const book = bookOf(['A', 'B', 1n, 100, 5], ['A', 'A', 1n, 102, 2]);
    expect(book.summary()).toMatchObject({ liveOrders: 1, bidLevels: 0, topAsks: [[102, 2]] });
  });

  it('does not keep an order of size 0', () => {
    const book = bookOf(['A', 'B', 1n, 100, 0], ['A', 'B', 2n, 99, 5], ['M', 'B', 2n, 99, 0]);
    expect(book.summary()).toMatchObject({ liveOrders: 0, bidLevels: 0 });
  });

  it('tells orders apart whose ids are equal as doubles', () => {
    const book = bookOf(
      ['A', 'B', 2n ** 53n, 100, 1],
      ['A', 'B', 2n ** 53n + 1n, 100, 2],
      ['C', 'B', 2n ** 53n, 100, 1],
    );
    expect(book.summary()).toMatchObject({ liveOrders: 1, topBids: [[100, 2]] });
  });

  it('leaves the book alone on fills and trades, and averages the price of trades to six decimals', () => {
    const book = bookOf(
      ['A', 'B', 1n, 100, 5],
      ['T', 'A', 9n, 100, 1],
      ['F', 'B', 1n, 100, 1],
      ['T', 'A', 9n, 99.75, 2],
      ['F', 'N', 7n, 99.75, 2],
    );
    expect(book.summary()).toMatchObject({
      actions: { A: 1, C: 0, F: 2, M: 0, T: 2 },
      topBids: [[100, 5]],
      tradedVolume: 3,
      vwap: 99.833333,
      unknownOrders: 0,
    });
  });

  it('counts a change of the top when price or size of the best bid or ask is another, and only then', () => {
    const changes = (...rows: Row[]): number => bookOf(...rows).summary().topOfBookChanges;
    const bid: Row = ['A', 'B', 1n, 100, 5];
    expect(changes(['T', 'N', 9n, 100, 1], ['C', 'B', 1n, 100, 5])).toBe(0);
    expect(changes(bid)).toBe(1);
    expect(changes(bid, ['A', 'B', 2n, 99, 5])).toBe(1);
    expect(changes(bid, ['A', 'B', 2n, 100, 1])).toBe(2);
    expect(changes(bid, ['M', 'B', 1n, 100, 5])).toBe(1);
    // The same size at another price, and an equal bid and ask.
    expect(changes(bid, ['M', 'B', 1n, 101, 5])).toBe(2);
    expect(changes(bid, ['A', 'A', 2n, 100, 5])).toBe(2);
    expect(changes(bid, ['C', 'B', 1n, 100, 5])).toBe(2);
    expect(changes(bid, ['C', 'B', 1n, 100, 5], bid)).toBe(3);
  });

  it('of no messages is empty and has no average price', () => {
    expect(new OrderBook().summary()).toEqual(referenceBook([]));
  });

  it.each([1, 2, 3])('agrees with a builder that adds everything up after every message (seed %i)', (seed) => {
    const events = someEvents(5_000, seed);
    const book = new OrderBook();
    for (const event of events) book.apply(event);
    expect(book.summary()).toEqual(referenceBook(events));
  });

  it('goes on from a checkpoint, taken anywhere, as if it had never stopped', () => {
    const events = someEvents(3_000);
    for (const at of [0, 1, 700, 2_999]) {
      const first = new OrderBook();
      for (const event of events.slice(0, at)) first.apply(event);
      const second = new OrderBook();
      second.restore(kept(first.snapshot()));
      for (const event of events.slice(at)) second.apply(event);
      expect(second.summary()).toEqual(referenceBook(events));
    }
  });
});

describe('mergeBooks', () => {
  it('gives a single book as it is', () => {
    const summary = bookOf(['A', 'B', 1n, 100, 5], ['T', 'A', 9n, 100, 1]).summary();
    expect(mergeBooks([summary])).toEqual(summary);
  });

  it('adds up counts, averages the price over all trades, and leaves out levels of different instruments', () => {
    const one = bookOf(['A', 'B', 1n, 100, 5], ['T', 'A', 9n, 100, 1]).summary();
    const other = bookOf(['A', 'A', 1n, 10, 5], ['T', 'A', 9n, 10, 3], ['C', 'A', 8n, 10, 1]).summary();
    const untraded = bookOf(['A', 'A', 1n, 7, 5]).summary();
    expect(mergeBooks([one, other, untraded])).toEqual({
      events: 6,
      actions: { A: 3, C: 1, F: 0, M: 0, T: 2 },
      unknownOrders: 1,
      liveOrders: 3,
      bidLevels: 1,
      askLevels: 2,
      topBids: [],
      topAsks: [],
      tradedVolume: 4,
      vwap: 32.5,
      topOfBookChanges: 3,
    });
  });
});
