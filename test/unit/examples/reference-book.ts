import type { BookSummary, Level } from '../../../examples/market-data/order-book.js';

interface Message {
  readonly orderId: bigint;
  readonly action: 'A' | 'C' | 'M' | 'F' | 'T';
  readonly side: 'B' | 'A' | 'N';
  readonly price: number;
  readonly size: number;
}

interface Order {
  readonly side: string;
  readonly price: number;
  readonly size: number;
}

/** The same book, the slow way: only the orders are kept, and all levels are added up anew after every message. */
export function referenceBook(messages: Iterable<Message>): BookSummary {
  const orders = new Map<string, Order>();
  const actions = { A: 0, C: 0, F: 0, M: 0, T: 0 };
  let unknownOrders = 0;
  let volume = 0;
  let notional = 0;
  let changes = 0;
  let top = JSON.stringify([[], []]);
  for (const { orderId, action, side, price, size } of messages) {
    const id = orderId.toString();
    const known = orders.get(id);
    actions[action]++;
    if (action === 'A' || action === 'M') orders.set(id, { side, price, size });
    if (action === 'C' && known === undefined) unknownOrders++;
    if (action === 'C' && known !== undefined) orders.set(id, { ...known, size: known.size - size });
    if ((orders.get(id)?.size ?? 0) <= 0) orders.delete(id);
    if (action === 'T') {
      volume += size;
      notional += size * price;
    }
    const now = JSON.stringify([levels(orders, 'B').slice(0, 1), levels(orders, 'A').slice(0, 1)]);
    if (now !== top) changes++;
    top = now;
  }
  const bids = levels(orders, 'B');
  const asks = levels(orders, 'A');
  return {
    events: Object.values(actions).reduce((sum, count) => sum + count, 0),
    actions,
    unknownOrders,
    liveOrders: orders.size,
    bidLevels: bids.length,
    askLevels: asks.length,
    topBids: bids.slice(0, 10),
    topAsks: asks.slice(0, 10),
    tradedVolume: volume,
    vwap: volume === 0 ? null : Number((notional / volume).toFixed(6)),
    topOfBookChanges: changes,
  };
}

function levels(orders: ReadonlyMap<string, Order>, side: string): Level[] {
  const sizes = new Map<number, number>();
  for (const order of orders.values()) {
    if (order.side === side) sizes.set(order.price, (sizes.get(order.price) ?? 0) + order.size);
  }
  return [...sizes].sort(([a], [b]) => (side === 'B' ? b - a : a - b));
}
