import { type LadderState, PriceLadder } from './price-ladder.js';

export type Action = 'A' | 'C' | 'M' | 'F' | 'T';
export type Side = 'B' | 'A' | 'N';

/** The part of a market-by-order message that a book needs. */
export interface BookMessage {
  readonly orderId: bigint;
  readonly action: Action;
  readonly side: Side;
  readonly price: number;
  readonly size: number;
}

export type Level = readonly [price: number, size: number];

export interface BookSummary {
  readonly events: number;
  readonly actions: Readonly<Record<Action, number>>;
  /** Cancels of an order that the book does not have. */
  readonly unknownOrders: number;
  readonly liveOrders: number;
  readonly bidLevels: number;
  readonly askLevels: number;
  /** The best levels a side, best first: price and total size. */
  readonly topBids: readonly Level[];
  readonly topAsks: readonly Level[];
  readonly tradedVolume: number;
  /** Volume-weighted average price of the trades, to six decimals; null without trades. */
  readonly vwap: number | null;
  /** Messages after which the price or size of the best bid or best ask was another than before. */
  readonly topOfBookChanges: number;
}

interface Order {
  bid: boolean;
  price: number;
  size: number;
}

/** All orders, a column for each of their fields: packed as bytes, ten times as fast as one order after the other. */
interface OrderColumns {
  readonly ids: BigUint64Array;
  readonly bids: Uint8Array;
  readonly prices: Float64Array;
  readonly sizes: Float64Array;
}

/** All that a book is, for a checkpoint. */
export interface BookState {
  readonly bids: LadderState;
  readonly asks: LadderState;
  readonly orders: OrderColumns;
  readonly actions: Record<Action, number>;
  readonly unknownOrders: number;
  readonly tradedVolume: number;
  readonly tradedNotional: number;
  readonly topOfBookChanges: number;
  /** Best bid and its size, best ask and its size. */
  readonly top: readonly [bid: number, bidSize: number, ask: number, askSize: number];
}

const TOP_LEVELS = 10;
const VWAP_SCALE = 1e6;

/**
 * One instrument's limit order book, built from every order's messages in exchange order. A adds, C reduces by its size
 * (gone at 0), M replaces side, price and size (an unknown order is added); F and T leave the book as it is, since a C or
 * an M says what they did to the resting order. An order of size 0 does not rest.
 */
export class OrderBook {
  readonly #bids = new PriceLadder(1);
  readonly #asks = new PriceLadder(-1);
  // Keyed by the bigint itself: a Map hashes it as fast as a number (measured: 50–60 ns a look-up, a string 110–140 ns),
  // and ids above 2^53 stay apart.
  #orders = new Map<bigint, Order>();
  #actions: Record<Action, number> = { A: 0, C: 0, F: 0, M: 0, T: 0 };
  #unknownOrders = 0;
  #tradedVolume = 0;
  #tradedNotional = 0;
  #topOfBookChanges = 0;
  #topBid = NaN;
  #topBidSize = 0;
  #topAsk = NaN;
  #topAskSize = 0;

  apply(message: BookMessage): void {
    this.#actions[message.action]++;
    switch (message.action) {
      case 'A':
      case 'M':
        this.#place(message);
        break;
      case 'C':
        this.#cancel(message);
        break;
      case 'T':
        this.#tradedVolume += message.size;
        this.#tradedNotional += message.size * message.price;
        return;
      case 'F':
        return;
    }
    this.#noteTop();
  }

  snapshot(): BookState {
    return {
      bids: this.#bids.snapshot(),
      asks: this.#asks.snapshot(),
      orders: columnsOf(this.#orders),
      actions: { ...this.#actions },
      unknownOrders: this.#unknownOrders,
      tradedVolume: this.#tradedVolume,
      tradedNotional: this.#tradedNotional,
      topOfBookChanges: this.#topOfBookChanges,
      top: [this.#topBid, this.#topBidSize, this.#topAsk, this.#topAskSize],
    };
  }

  restore(state: BookState): void {
    this.#bids.restore(state.bids);
    this.#asks.restore(state.asks);
    this.#orders = ordersOf(state.orders);
    this.#actions = state.actions;
    this.#unknownOrders = state.unknownOrders;
    this.#tradedVolume = state.tradedVolume;
    this.#tradedNotional = state.tradedNotional;
    this.#topOfBookChanges = state.topOfBookChanges;
    [this.#topBid, this.#topBidSize, this.#topAsk, this.#topAskSize] = state.top;
  }

  #place(message: BookMessage): void {
    const { orderId, price, size } = message;
    const bid = message.side === 'B';
    const order = this.#orders.get(orderId);
    if (order === undefined) {
      if (size === 0) return;
      this.#orders.set(orderId, { bid, price, size });
    } else {
      this.#ladder(order.bid).add(order.price, -order.size);
      order.bid = bid;
      order.price = price;
      order.size = size;
      if (size === 0) this.#orders.delete(orderId);
    }
    this.#ladder(bid).add(price, size);
  }

  #cancel(message: BookMessage): void {
    const order = this.#orders.get(message.orderId);
    if (order === undefined) {
      this.#unknownOrders++;
      return;
    }
    const removed = Math.min(message.size, order.size);
    this.#ladder(order.bid).add(order.price, -removed);
    order.size -= removed;
    if (order.size === 0) this.#orders.delete(message.orderId);
  }

  #ladder(bid: boolean): PriceLadder {
    return bid ? this.#bids : this.#asks;
  }

  #noteTop(): void {
    const bid = this.#bids.bestPrice;
    const bidSize = this.#bids.bestSize;
    const ask = this.#asks.bestPrice;
    const askSize = this.#asks.bestSize;
    // An empty side is NaN with size 0, and a level's size is never 0: comparing sizes tells an empty side from a level.
    if (
      bidSize === this.#topBidSize &&
      askSize === this.#topAskSize &&
      (bidSize === 0 || bid === this.#topBid) &&
      (askSize === 0 || ask === this.#topAsk)
    )
      return;
    this.#topOfBookChanges++;
    this.#topBid = bid;
    this.#topBidSize = bidSize;
    this.#topAsk = ask;
    this.#topAskSize = askSize;
  }

  get topOfBookChanges(): number {
    return this.#topOfBookChanges;
  }

  /** NaN if the side is empty; its size is 0 then. */
  get bestBid(): number {
    return this.#topBid;
  }

  get bestBidSize(): number {
    return this.#topBidSize;
  }

  /** NaN if the side is empty; its size is 0 then. */
  get bestAsk(): number {
    return this.#topAsk;
  }

  get bestAskSize(): number {
    return this.#topAskSize;
  }

  summary(): BookSummary {
    const { A, C, F, M, T } = this.#actions;
    return {
      events: A + C + F + M + T,
      actions: { A, C, F, M, T },
      unknownOrders: this.#unknownOrders,
      liveOrders: this.#orders.size,
      bidLevels: this.#bids.levels,
      askLevels: this.#asks.levels,
      topBids: this.#bids.top(TOP_LEVELS),
      topAsks: this.#asks.top(TOP_LEVELS),
      tradedVolume: this.#tradedVolume,
      vwap: averagePrice(this.#tradedNotional, this.#tradedVolume),
      topOfBookChanges: this.#topOfBookChanges,
    };
  }
}

function columnsOf(orders: ReadonlyMap<bigint, Order>): OrderColumns {
  const count = orders.size;
  const columns = {
    ids: new BigUint64Array(count),
    bids: new Uint8Array(count),
    prices: new Float64Array(count),
    sizes: new Float64Array(count),
  };
  let at = 0;
  for (const [id, { bid, price, size }] of orders) {
    columns.ids[at] = id;
    columns.bids[at] = bid ? 1 : 0;
    columns.prices[at] = price;
    columns.sizes[at] = size;
    at++;
  }
  return columns;
}

function ordersOf({ ids, bids, prices, sizes }: OrderColumns): Map<bigint, Order> {
  const orders = new Map<bigint, Order>();
  ids.forEach((id, at) => orders.set(id, { bid: bids[at] === 1, price: prices[at], size: sizes[at] }));
  return orders;
}

/** Volume-weighted average price to six decimals, the precision of the reference data; null without trades. */
export function averagePrice(notional: number, volume: number): number | null {
  return volume === 0 ? null : Math.round((notional / volume) * VWAP_SCALE) / VWAP_SCALE;
}

/**
 * One summary for several instruments: counts, live orders, levels and volume are added up, the average price is over all
 * trades. Levels of different instruments do not merge, so the best levels are those of a single instrument or none.
 */
export function mergeBooks(books: readonly BookSummary[]): BookSummary {
  if (books.length === 1) return books[0];
  const sum = (count: (book: BookSummary) => number): number => books.reduce((total, book) => total + count(book), 0);
  const tradedVolume = sum((book) => book.tradedVolume);
  return {
    events: sum((book) => book.events),
    actions: {
      A: sum((book) => book.actions.A),
      C: sum((book) => book.actions.C),
      F: sum((book) => book.actions.F),
      M: sum((book) => book.actions.M),
      T: sum((book) => book.actions.T),
    },
    unknownOrders: sum((book) => book.unknownOrders),
    liveOrders: sum((book) => book.liveOrders),
    bidLevels: sum((book) => book.bidLevels),
    askLevels: sum((book) => book.askLevels),
    topBids: [],
    topAsks: [],
    tradedVolume,
    vwap: averagePrice(
      sum((book) => (book.vwap ?? 0) * book.tradedVolume),
      tradedVolume,
    ),
    topOfBookChanges: sum((book) => book.topOfBookChanges),
  };
}
