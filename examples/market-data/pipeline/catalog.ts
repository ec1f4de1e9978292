import type { BusOptions, EventOf, HandlerContext } from 'lanebus';
import { any, defineEvents, enumOf, f64, i32, symbol, u32, u64 } from 'lanebus';

// Every number is an integer below 2^53: nothing is rounded but where a stage says how, so equal events give equal results
// on every machine. Prices are in ticks. `index` is the number of the exchange's message within its instrument's stream, and
// `timeUs` that message's exchange time in microseconds since the Unix epoch: both are carried along the whole way, so that
// a stage can say "from here on" without looking at a clock.
const origin = { instrument: symbol(), index: u32(), timeUs: f64() };
/** The best prices in ticks, and their sizes, at the time of the message: every later stage decides by these. */
const quote = { ...origin, bid: i32(), ask: i32(), bidSize: u32(), askSize: u32() };

/**
 * What travels on the bus of the pipeline. Each stage's events have a lane of their own, the more urgent the further along,
 * so what is in the pipeline comes out before more goes in, and no stage publishes to a lane that it reads.
 */
export const catalog = defineEvents({
  /** Risk stops an instrument: no order of an event behind `index` until exchange time `untilUs`. */
  HALT: {
    priority: 1,
    key: 'instrument',
    payload: { ...origin, reason: enumOf('drawdown', 'fills'), value: f64(), limit: f64(), untilUs: f64() },
  },
  /** Risk has seen the fill at `index` and has nothing against it. */
  CLEAR: { priority: 2, key: 'instrument', payload: { ...origin } },
  /** An order has traded. `quantity` and `position` count contracts, below 0 for sold; `cash` is in hundredths of a tick. */
  FILL: {
    priority: 10,
    key: 'instrument',
    payload: { ...quote, quantity: i32(), price: i32(), position: i32(), cash: f64() },
  },
  /** Be long (1), short (-1) or neither (0) from now on. */
  SIGNAL: { priority: 20, key: 'instrument', payload: { ...quote, direction: i32() } },
  /** The move of the middle that is expected, in half ticks times 2^16. */
  PREDICTION: { priority: 30, key: 'instrument', payload: { ...quote, move: f64(), volatility: f64() } },
  /** See features.ts for the units. */
  FEATURES: {
    priority: 40,
    key: 'instrument',
    payload: { ...quote, spread: u32(), imbalance: i32(), emaShort: f64(), emaLong: f64(), volatility: f64() },
  },
  /** The top of the book is another one. */
  QUOTE: { priority: 50, key: 'instrument', payload: { ...quote } },
  /** One market-by-order message. Order ids exceed 2^53; nobody calculates with them. */
  MBO: {
    priority: 60,
    key: 'instrument',
    payload: {
      ...origin,
      orderId: u64(),
      action: enumOf('A', 'C', 'M', 'F', 'T'),
      side: enumOf('B', 'A', 'N'),
      price: i32(),
      size: u32(),
      flags: u32(),
    },
  },
  /** Every stage answers with a REPORT of what it ended with for the instrument. */
  SNAPSHOT: { priority: 90, key: 'instrument', payload: { instrument: symbol() } },
  REPORT: { priority: 95, key: 'instrument', payload: { instrument: symbol(), stage: symbol(), state: any() } },
});

/**
 * The default lanes, and between signal and market one for each stage. Market data has more room than by default: a
 * quarter of it is what a checkpoint may hold back, and books of many instruments take long to keep.
 */
export const lanes = {
  market: { capacityBytes: 16 * 2 ** 20 },
  prediction: { maxPriority: 39 },
  features: { maxPriority: 49 },
  quotes: { maxPriority: 59 },
  snapshot: { maxPriority: 94 },
} as const satisfies BusOptions['lanes'];

export type PipelineCatalog = typeof catalog;
export type PipelineContext = HandlerContext<PipelineCatalog>;
export type MboEvent = EventOf<PipelineCatalog, 'MBO'>;
export type QuoteEvent = EventOf<PipelineCatalog, 'QUOTE'>;
export type FeaturesEvent = EventOf<PipelineCatalog, 'FEATURES'>;
export type PredictionEvent = EventOf<PipelineCatalog, 'PREDICTION'>;
export type SignalEvent = EventOf<PipelineCatalog, 'SIGNAL'>;
export type FillEvent = EventOf<PipelineCatalog, 'FILL'>;
export type HaltEvent = EventOf<PipelineCatalog, 'HALT'>;
export type ClearEvent = EventOf<PipelineCatalog, 'CLEAR'>;
export type SnapshotEvent = EventOf<PipelineCatalog, 'SNAPSHOT'>;
export type ReportEvent = EventOf<PipelineCatalog, 'REPORT'>;
/** What some stage publishes for the next one. */
export type DerivedEvent = EventOf<
  PipelineCatalog,
  'QUOTE' | 'FEATURES' | 'PREDICTION' | 'SIGNAL' | 'FILL' | 'CLEAR' | 'HALT'
>;
