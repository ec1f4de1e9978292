import { type BookState, OrderBook } from '../order-book.js';
import type { MboEvent, QuoteEvent } from './catalog.js';
import type { StageLogic, State } from './stage.js';
import { stageModule } from './stage.js';

// The exchange marks so the messages that build the book at the start: what it looks like in between never was.
const FLAG_SNAPSHOT = 32;

interface BookStageState {
  readonly book: BookState;
  readonly unquoted: number;
}

/** MBO → QUOTE: follows the order book, and tells when its top has changed. */
export class BookStage implements StageLogic<MboEvent, BookStageState> {
  readonly #book = new OrderBook();
  #unquoted = 0;

  apply(event: MboEvent): QuoteEvent | undefined {
    const book = this.#book;
    const changes = book.topOfBookChanges;
    book.apply(event);
    if (book.topOfBookChanges === changes) return undefined;
    const { bestBid, bestBidSize, bestAsk, bestAskSize } = book;
    // One side may be empty; and until the opening auction, or between two messages of one trade, the sides may meet.
    const open = bestBidSize > 0 && bestAskSize > 0 && bestBid < bestAsk;
    if (!open || (event.flags & FLAG_SNAPSHOT) !== 0) {
      this.#unquoted++;
      return undefined;
    }
    const { instrument, index, timeUs } = event;
    return {
      type: 'QUOTE',
      instrument,
      index,
      timeUs,
      bid: bestBid,
      ask: bestAsk,
      bidSize: bestBidSize,
      askSize: bestAskSize,
    };
  }

  snapshot(): BookStageState {
    return { book: this.#book.snapshot(), unquoted: this.#unquoted };
  }

  restore({ book, unquoted }: BookStageState): void {
    this.#book.restore(book);
    this.#unquoted = unquoted;
  }

  state(): State {
    const { actions, liveOrders, unknownOrders, bidLevels, askLevels, topBids, topAsks, tradedVolume } =
      this.#book.summary();
    return {
      ...actions,
      liveOrders,
      unknownOrders,
      bidLevels,
      askLevels,
      topBids,
      topAsks,
      tradedVolume,
      topOfBookChanges: this.#book.topOfBookChanges,
      unquoted: this.#unquoted,
    };
  }
}

export const { onEvent: onMarketData, snapshot, restore } = stageModule('book', () => new BookStage());
