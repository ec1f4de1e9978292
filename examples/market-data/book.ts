import type { MarketContext, MarketEvent } from './catalog.js';
import { OrderBook } from './order-book.js';
import { publishReports } from './reports.js';

const books = new Map<string, OrderBook>();

/** Keeps every instrument's order book. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'book', books);
  let book = books.get(event.instrument);
  if (book === undefined) {
    book = new OrderBook();
    books.set(event.instrument, book);
  }
  book.apply(event);
  return undefined;
}
