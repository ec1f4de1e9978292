import type { MarketContext, MarketEvent } from './catalog.js';
import { strike } from './faults.js';
import { Instruments } from './instruments.js';
import { MovingRange, type RangeState } from './moving-range.js';
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

/** All that a monitor is, for a checkpoint. */
export interface RiskState {
  readonly range: RangeState;
  readonly events: number;
  readonly breaches: number;
  readonly widestBps: number;
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

  snapshot(): RiskState {
    const [events, breaches, widestBps] = [this.#events, this.#breaches, this.#widestBps];
    return { range: this.#range.snapshot(), events, breaches, widestBps };
  }

  restore({ range, events, breaches, widestBps }: RiskState): void {
    this.#range.restore(range);
    this.#events = events;
    this.#breaches = breaches;
    this.#widestBps = widestBps;
  }

  summary(): RiskSummary {
    return { events: this.#events, breaches: this.#breaches, widestBps: Math.round(this.#widestBps * 100) / 100 };
  }
}

const monitors = new Instruments<RiskMonitor, RiskState>(() => new RiskMonitor());

export const { snapshot, restore } = monitors;

/** Publishes HALT on the control lane when an instrument's prices range too far. */
export function onMarketData(event: MarketEvent, context: MarketContext): Promise<void> | undefined {
  if (event.type === 'END') return publishReports(context, 'risk', monitors.all);
  strike('risk', context);
  const { instrument, tsEventNs } = event;
  const breach = monitors.of(instrument).apply(event);
  if (breach === undefined) return undefined;
  const { low, high, rangeBps } = breach;
  const reason = `trades ranged ${rangeBps.toFixed(2)} bps within ${WINDOW_SECONDS.toString()} s, limit ${LIMIT_BPS} bps`;
  return context.publish({ type: 'HALT', instrument, reason, tsEventNs, low, high });
}
