import type { EventOf, HandlerContext } from 'lanebus';
import { any, defineEvents, enumOf, f64, symbol, text, u32, u64 } from 'lanebus';

/**
 * What travels on the bus of this example. MBO and END share a priority, so they share a lane and END comes last. HALT is
 * on the control lane: it overtakes whatever market data waits. REPORT is for people, so it yields to everything.
 */
export const catalog = defineEvents({
  /** The risk monitor's breach: trades of `instrument` ranged from `low` to `high` within its window. */
  HALT: {
    priority: 1,
    payload: { instrument: symbol(), reason: text(), tsEventNs: u64(), low: f64(), high: f64() },
  },
  /** One market-by-order message. Times are nanoseconds since the Unix epoch and exceed 2^53, as order ids may. */
  MBO: {
    priority: 30,
    key: 'instrument',
    payload: {
      instrument: symbol(),
      tsEventNs: u64(),
      tsRecvNs: u64(),
      orderId: u64(),
      action: enumOf('A', 'C', 'M', 'F', 'T'),
      side: enumOf('B', 'A', 'N'),
      price: f64(),
      size: u32(),
      flags: u32(),
      sequence: u32(),
    },
  },
  /** The feed is over; every handler of market data answers with its reports. */
  END: { priority: 30, payload: { published: f64() } },
  /** What one handler ended with for one instrument. */
  REPORT: { priority: 90, payload: { source: symbol(), instrument: symbol(), summary: any() } },
});

export type MarketCatalog = typeof catalog;
export type MboEvent = EventOf<MarketCatalog, 'MBO'>;
export type HaltEvent = EventOf<MarketCatalog, 'HALT'>;
export type ReportEvent = EventOf<MarketCatalog, 'REPORT'>;
/** What every handler of market data is subscribed to. */
export type MarketEvent = EventOf<MarketCatalog, 'MBO' | 'END'>;
export type MarketContext = HandlerContext<MarketCatalog>;
