import type { MboEvent as MarketEvent } from '../catalog.js';
import { FeedError, instrumentOf, openFeed } from '../feed.js';
import { show } from '../feed-row.js';
import { instrumentsOf, simulate } from '../simulator.js';
import type { MboEvent } from './catalog.js';
import { TickSize } from './tick-size.js';

/** Where the pipeline's events come from. */
export interface Source {
  readonly name: string;
  /** Of the simulated exchange. */
  readonly seed?: number;
  readonly instruments: readonly string[];
  readonly bursts: AsyncIterable<readonly MboEvent[]> | Iterable<readonly MboEvent[]>;
}

const US_NS = 1_000n;
// What one read of a feed brings, times the symbols, would hold the publishing thread's loop for long.
const MAX_BURST = 1_024;
const HEADER_LINES = 1;

/** Names for copies of an instrument: `ES`, `ES-2`, `ES-3`, … */
export function copiesOf(instrument: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => (index === 0 ? instrument : `${instrument}-${index + 1}`));
}

/** A feed file's events, each for every one of so many symbols before the next event. Rejects with `FeedError`. */
export async function feedSource(file: string, copies: number, tickSize = TickSize.QUARTER): Promise<Source> {
  const name = instrumentOf(file);
  const instruments = copiesOf(name, copies);
  return { name, instruments, bursts: feedEvents(await openFeed(file), file, instruments, tickSize) };
}

async function* feedEvents(
  batches: AsyncIterable<readonly MarketEvent[]>,
  file: string,
  instruments: readonly string[],
  tickSize: TickSize,
): AsyncGenerator<readonly MboEvent[], void> {
  let index = 0;
  for await (const batch of batches) {
    let burst: MboEvent[] = [];
    for (const event of batch) {
      const price = tickSize.ticksOf(event.price);
      if (price === undefined) {
        yield burst;
        const problem = `expected price to be a multiple of the tick ${tickSize.toString()} (see --tick), found ${show(event.price.toString())}`;
        throw new FeedError(file, index + HEADER_LINES + 1, problem, undefined);
      }
      const timeUs = Number(event.tsEventNs / US_NS);
      for (const instrument of instruments) burst.push(inTicks(event, instrument, index, timeUs, price));
      index++;
      if (burst.length >= MAX_BURST) {
        yield burst;
        burst = [];
      }
    }
    yield burst;
  }
}

/** The simulated exchange's events, without end. */
export function simulatedSource(seed: number, count: number): Source {
  const instruments = instrumentsOf(count).map((instrument) => instrument.name);
  const name = `simulated exchange, ${count} instruments, seed ${seed}`;
  return { name, seed, instruments, bursts: simulatedEvents(seed, count) };
}

function* simulatedEvents(seed: number, count: number): Generator<readonly MboEvent[], void> {
  const streams = new Map(
    instrumentsOf(count).map((instrument) => [instrument.name, { tickSize: TickSize.of(instrument), index: 0 }]),
  );
  for (const burst of simulate({ seed, instruments: count })) {
    const events: MboEvent[] = [];
    for (const event of burst) {
      const stream = streams.get(event.instrument);
      const price = stream?.tickSize.ticksOf(event.price);
      if (stream === undefined || price === undefined) {
        throw new Error(`the simulated exchange sent ${event.instrument} at ${event.price}, which is no tick of it`);
      }
      events.push(inTicks(event, event.instrument, stream.index++, Number(event.tsEventNs / US_NS), price));
    }
    yield events;
  }
}

function inTicks(event: MarketEvent, instrument: string, index: number, timeUs: number, price: number): MboEvent {
  const { orderId, action, side, size, flags } = event;
  return { type: 'MBO', instrument, index, timeUs, orderId, action, side, price, size, flags };
}
