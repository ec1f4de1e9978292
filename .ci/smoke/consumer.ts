// Compiled, never run: the packed types as a strict TypeScript project sees them, without skipLibCheck.
import { createBus, type DeadLetter, LanebusError, NonRetryableError, toEventEmitter, workerHandlers } from 'lanebus';
import { tradingCatalog } from 'lanebus/catalogs/trading';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import { catalog, onOrder } from './typed-handlers.js';

const bus = createBus(catalog, { threads: 2, logger: false, lanes: { market: { whenFull: 'reject' } } });
const handlers = workerHandlers<typeof import('./typed-handlers.js')>(new URL('./typed-handlers.js', import.meta.url));
const subscription = bus.subscribe('TICK', handlers.onTick, {
  ...{ name: 'ticks', timeoutMs: 500, maxFailures: 3, onMaxFailures: 'pause' },
  retry: { attempts: 3, backoffMs: 10, retryIf: (error, attempts) => error.code !== 'E_FATAL' && attempts < 3 },
});
const letters: DeadLetter[] = bus.deadLetters.list({ type: 'TICK', reason: 'failed' });
void lmdbDeadLetters({ path: 'letters' });
bus.subscribe(['HALT', 'TICK'], (event) => {
  const told: string = event.type === 'HALT' ? event.reason : event.symbol;
  void told;
});

const emitter = toEventEmitter(createBus(tradingCatalog, { backend: 'inline', logger: false }));
emitter.on('MARKET_DATA_L2', ({ bidPrice0, sequence }) => {
  const told: [number, bigint] = [bidPrice0, sequence];
  void told;
});
// @ts-expect-error a payload of another type
emitter.emit('LOG_ENTRY', { symbol: 'ESH4' });

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
export const summary = [
  exact,
  report.discarded,
  bus.metrics().lanes['market']?.published,
  LanebusError.name,
  letters.length,
  new NonRetryableError().retryable,
];
