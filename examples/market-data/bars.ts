import type { MarketContext, MarketEvent } from './catalog.js';
import { publishReports } from './reports.js';

export interface Bar {
  /** Start of the bar's minute, milliseconds since the Unix epoch. */
  readonly startMs: number;
  readonly open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

export interface BarsSummary {
  /** Messages seen, of any kind. */
  readonly events: number;
  /** Minutes that had trades. */
  readonly bars: number;
  readonly volume: number;
  /** The newest bars, oldest first. */
  readonly latest: readonly Bar[];
}

const MINUTE_NS = 60_000_000_000n;
const MINUTE_MS = 60_000;
const LATEST_BARS = 5;

/**
 * Open, high, low, close and volume per minute of exchange time, from the trades. Minutes without trades have no bar; a trade
 * that is stamped earlier than the bar at hand belongs to that bar. Keeps only the newest bars, so memory does not grow with
 * the length of the feed.
 */
export class BarSeries {
  readonly #latest: Bar[] = [];
  #events = 0;
  #bars = 0;
  #volume = 0;
  #endNs = 0n;

  apply(message: { action: string; tsEventNs: bigint; price: number; size: number }): void {
    this.#events++;
    if (message.action !== 'T') return;
    const { tsEventNs, price, size } = message;
    this.#volume += size;
    if (this.#bars === 0 || tsEventNs >= this.#endNs) {
      this.#open(tsEventNs, price, size);
      return;
    }
    const bar = this.#latest[this.#latest.length - 1];
    if (price > bar.high) bar.high = price;
    if (price < bar.low) bar.low = price;
    bar.close = price;
    bar.volume += size;
  }

  #open(tsEventNs: bigint, price: number, size: number): void {
    const minute = tsEventNs / MINUTE_NS;
    this.#endNs = (minute + 1n) * MINUTE_NS;
    this.#bars++;
    this.#latest.push({
      startMs: Number(minute) * MINUTE_MS,
      open: price,
      high: price,
      low: price,
      close: price,
      volume: size,
    });
    if (this.#latest.length > LATEST_BARS) this.#latest.shift();
  }

  summary(): BarsSummary {
    return {
      events: this.#events,
      bars: this.#bars,
      volume: this.#volume,
      latest: this.#latest.map((bar) => ({ ...bar })),
    };
  }
}

const series = new Map<string, BarSeries>();

/** Keeps every instrument's one-minute bars. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'bars', series);
  let bars = series.get(event.instrument);
  if (bars === undefined) {
    bars = new BarSeries();
    series.set(event.instrument, bars);
  }
  bars.apply(event);
  return undefined;
}
