import type { MarketContext, MarketEvent } from './catalog.js';
import { strike } from './faults.js';
import { Instruments } from './instruments.js';
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

/** All that a series is, for a checkpoint. */
export interface BarsState {
  readonly latest: Bar[];
  readonly events: number;
  readonly bars: number;
  readonly volume: number;
  readonly endNs: bigint;
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
  #latest: Bar[] = [];
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

  snapshot(): BarsState {
    const [latest, events, bars, volume, endNs] = [this.#latest, this.#events, this.#bars, this.#volume, this.#endNs];
    return { latest, events, bars, volume, endNs };
  }

  restore({ latest, events, bars, volume, endNs }: BarsState): void {
    this.#latest = latest;
    this.#events = events;
    this.#bars = bars;
    this.#volume = volume;
    this.#endNs = endNs;
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

const series = new Instruments<BarSeries, BarsState>(() => new BarSeries());

export const { snapshot, restore } = series;

/** Keeps every instrument's one-minute bars. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'bars', series.all);
  strike('bars', context);
  series.of(event.instrument).apply(event);
  return undefined;
}
