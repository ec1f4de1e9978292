import type { MarketContext, MarketEvent } from './catalog.js';
import { strike } from './faults.js';
import { Instruments } from './instruments.js';
import { type BookState, OrderBook } from './order-book.js';
import { publishReports } from './reports.js';

const books = new Instruments<OrderBook, BookState>(() => new OrderBook());

export const { snapshot, restore } = books;

/** Keeps every instrument's order book. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'book', books.all);
  strike('book', context);
  books.of(event.instrument).apply(event);
  return undefined;
}
