import type { MarketContext, MarketEvent } from './catalog.js';
import { strike } from './faults.js';
import { Instruments } from './instruments.js';
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

/** All that the statistics are, for a checkpoint. Prices are -Infinity, Infinity and NaN without trades. */
export interface TradesState {
  events: number;
  trades: number;
  volume: number;
  notional: number;
  boughtVolume: number;
  soldVolume: number;
  high: number;
  low: number;
  last: number;
}

/** What traded: number, volume, volume-weighted average price, range, and who was the aggressor. */
export class TradeStatistics {
  #kept: TradesState = {
    events: 0,
    trades: 0,
    volume: 0,
    notional: 0,
    boughtVolume: 0,
    soldVolume: 0,
    high: -Infinity,
    low: Infinity,
    last: NaN,
  };

  apply(message: { action: string; side: string; price: number; size: number }): void {
    const kept = this.#kept;
    kept.events++;
    if (message.action !== 'T') return;
    const { price, side, size } = message;
    kept.trades++;
    kept.volume += size;
    kept.notional += price * size;
    if (side === 'B') kept.boughtVolume += size;
    else if (side === 'A') kept.soldVolume += size;
    if (price > kept.high) kept.high = price;
    if (price < kept.low) kept.low = price;
    kept.last = price;
  }

  snapshot(): TradesState {
    return this.#kept;
  }

  restore(state: TradesState): void {
    this.#kept = state;
  }

  summary(): TradesSummary {
    const { events, trades, volume, notional, boughtVolume, soldVolume, high, low, last } = this.#kept;
    const traded = trades > 0;
    return {
      events,
      trades,
      volume,
      boughtVolume,
      soldVolume,
      vwap: averagePrice(notional, volume),
      high: traded ? high : null,
      low: traded ? low : null,
      last: traded ? last : null,
    };
  }
}

const statistics = new Instruments<TradeStatistics, TradesState>(() => new TradeStatistics());

export const { snapshot, restore } = statistics;

/** Keeps every instrument's trade statistics. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'trades', statistics.all);
  strike('trades', context);
  statistics.of(event.instrument).apply(event);
  return undefined;
}
