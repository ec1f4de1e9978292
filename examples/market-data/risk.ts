import type { MarketContext, MarketEvent } from './catalog.js';
import { MovingRange } from './moving-range.js';
import { publishReports } from './reports.js';

export interface RiskSummary {
  /** Messages seen, of any kind. */
  readonly events: number;
  readonly breaches: number;
  /** The widest range of trade prices within one window, in basis points of its low. */
  readonly widestBps: number;
}

export interface Breach {
  readonly low: number;
  readonly high: number;
  readonly rangeBps: number;
}

const WINDOW_NS = 60_000_000_000n;
const WINDOW_SECONDS = WINDOW_NS / 1_000_000_000n;
const LIMIT_BPS = 8;
const BPS = 10_000;

/**
 * Watches how far trade prices range within a minute of exchange time. A breach starts the window anew, so one move is reported
 * once.
 */
export class RiskMonitor {
  readonly #range = new MovingRange(WINDOW_NS);
  #events = 0;
  #breaches = 0;
  #widestBps = 0;

  /** The breach that this message caused, if it did. */
  apply(message: { action: string; tsEventNs: bigint; price: number }): Breach | undefined {
    this.#events++;
    if (message.action !== 'T') return undefined;
    this.#range.add(message.tsEventNs, message.price);
    const { low, high } = this.#range;
    // By magnitude, since spreads and some futures trade at negative prices.
    const rangeBps = high === low ? 0 : ((high - low) / Math.abs(low)) * BPS;
    if (rangeBps > this.#widestBps) this.#widestBps = rangeBps;
    if (rangeBps <= LIMIT_BPS) return undefined;
    this.#breaches++;
    this.#range.clear();
    return { low, high, rangeBps };
  }

  summary(): RiskSummary {
    return { events: this.#events, breaches: this.#breaches, widestBps: Math.round(this.#widestBps * 100) / 100 };
  }
}

const monitors = new Map<string, RiskMonitor>();

/** Publishes HALT on the control lane when an instrument's prices range too far. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'risk', monitors);
  const { instrument, tsEventNs } = event;
  let monitor = monitors.get(instrument);
  if (monitor === undefined) {
    monitor = new RiskMonitor();
    monitors.set(instrument, monitor);
  }
  const breach = monitor.apply(event);
  if (breach === undefined) return undefined;
  const { low, high, rangeBps } = breach;
  const reason = `trades ranged ${rangeBps.toFixed(2)} bps within ${WINDOW_SECONDS.toString()} s, limit ${LIMIT_BPS} bps`;
  return context.publish({ type: 'HALT', instrument, reason, tsEventNs, low, high });
}
