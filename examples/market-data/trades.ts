import type { MarketContext, MarketEvent } from './catalog.js';
import { averagePrice } from './order-book.js';
import { publishReports } from './reports.js';

export interface TradesSummary {
  /** Messages seen, of any kind. */
  readonly events: number;
  readonly trades: number;
  readonly volume: number;
  /** Volume of trades whose aggressor bought, and sold; the rest had none (an auction). */
  readonly boughtVolume: number;
  readonly soldVolume: number;
  /** To six decimals; these and the prices below are null without trades. */
  readonly vwap: number | null;
  readonly high: number | null;
  readonly low: number | null;
  readonly last: number | null;
}

/** What traded: number, volume, volume-weighted average price, range, and who was the aggressor. */
export class TradeStatistics {
  #events = 0;
  #trades = 0;
  #volume = 0;
  #notional = 0;
  #boughtVolume = 0;
  #soldVolume = 0;
  #high = -Infinity;
  #low = Infinity;
  #last = NaN;

  apply(message: { action: string; side: string; price: number; size: number }): void {
    this.#events++;
    if (message.action !== 'T') return;
    const { price, side, size } = message;
    this.#trades++;
    this.#volume += size;
    this.#notional += price * size;
    if (side === 'B') this.#boughtVolume += size;
    else if (side === 'A') this.#soldVolume += size;
    if (price > this.#high) this.#high = price;
    if (price < this.#low) this.#low = price;
    this.#last = price;
  }

  summary(): TradesSummary {
    const traded = this.#trades > 0;
    return {
      events: this.#events,
      trades: this.#trades,
      volume: this.#volume,
      boughtVolume: this.#boughtVolume,
      soldVolume: this.#soldVolume,
      vwap: averagePrice(this.#notional, this.#volume),
      high: traded ? this.#high : null,
      low: traded ? this.#low : null,
      last: traded ? this.#last : null,
    };
  }
}

const statistics = new Map<string, TradeStatistics>();

/** Keeps every instrument's trade statistics. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'trades', statistics);
  let trades = statistics.get(event.instrument);
  if (trades === undefined) {
    trades = new TradeStatistics();
    statistics.set(event.instrument, trades);
  }
  trades.apply(event);
  return undefined;
}
