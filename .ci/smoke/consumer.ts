// Compiled, never run: the packed types as a strict TypeScript project sees them, without skipLibCheck.
import {
  createBus,
  defineEvents,
  enumOf,
  f64,
  LanebusError,
  symbol,
  text,
  u64,
  workerHandlers,
  type EventOf,
  type HandlerFunction,
} from 'lanebus';

const catalog = defineEvents({
  HALT: { priority: 1, payload: { reason: text(), source: symbol() } },
  TICK: { priority: 30, key: 'symbol', payload: { symbol: symbol(), price: f64(), size: f64() } },
  ORDER: { priority: 15, payload: { id: u64(), side: enumOf('buy', 'sell') } },
});

export const onTick: HandlerFunction<typeof catalog, 'TICK'> = async (event, context) => {
  const price: number = event.price;
  if (price < 0 && !context.signal.aborted)
    await context.publish({ type: 'HALT', reason: 'price', source: event.symbol });
};
export const onOrder = (event: EventOf<typeof catalog, 'ORDER'>): void => {
  const id: bigint = event.id;
  const side: 'buy' | 'sell' = event.side;
  [id, side];
};

const bus = createBus(catalog, { threads: 2, logger: false, lanes: { market: { whenFull: 'reject' } } });
const handlers = workerHandlers<typeof import('./consumer.js')>(new URL('./consumer.js', import.meta.url));
const subscription = bus.subscribe('TICK', handlers.onTick, { name: 'ticks', timeoutMs: 500 });
bus.subscribe(['HALT', 'TICK'], (event) => {
  const told: string = event.type === 'HALT' ? event.reason : event.symbol;
  told;
});

// @ts-expect-error a handler of another event's payload
bus.subscribe('HALT', onOrder);
// @ts-expect-error a worker handler of another event's payload
bus.subscribe('TICK', handlers.onOrder);
// @ts-expect-error a type that is not in the catalog
bus.subscribe('TOCK', () => undefined);
// @ts-expect-error a field is missing
void bus.publish({ type: 'TICK', symbol: 'ESH4', price: 1 });
// @ts-expect-error a field has the wrong type
void bus.publish({ type: 'TICK', symbol: 'ESH4', price: '1', size: 1 });
// @ts-expect-error an option that does not exist
createBus(catalog, { thread: 2 });

await bus.start();
await bus.publish({ type: 'ORDER', id: 1n, side: 'buy' });
const exact: boolean = subscription.metrics().exact;
const report = await bus.stop({ timeoutMs: 1000 });
export const summary = [exact, report.discarded, bus.metrics().lanes['market']?.published, LanebusError.name];
