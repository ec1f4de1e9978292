// Compiled with the tests and never run: each `@ts-expect-error` fails the build if its line compiles.
import {
  createBus,
  defineEvents,
  enumOf,
  type EventBus,
  type EventOf,
  f64,
  type HandlerContext,
  optional,
  symbol,
  text,
  u64,
  type WorkerHandlers,
  workerHandlers,
} from 'lanebus';
import { expectTypeOf } from 'vitest';

const catalog = defineEvents({
  HALT: { priority: 1, payload: { reason: text() } },
  ORDER: { priority: 10, payload: { id: u64(), side: enumOf('BUY', 'SELL') } },
  TICK: { priority: 30, key: 'symbol', payload: { symbol: symbol(), price: f64(), size: optional(f64()) } },
});
type C = typeof catalog;
type Tick = EventOf<C, 'TICK'>;
type Halt = EventOf<C, 'HALT'>;

declare function use(value: unknown): void;

/** What `typeof import('./book.js')` would be. */
interface Book {
  readonly onTick: (event: Tick, context: HandlerContext<C>) => void;
  readonly onTickAsync: (event: Tick) => Promise<void>;
  readonly onHalt: (event: Halt) => void;
  readonly onAny: (event: EventOf<C>) => void;
  readonly onNothing: () => void;
  readonly onPrice: (event: { price: number }) => void;
  readonly onPriceText: (event: { price: string }) => void;
  readonly isLarge: (event: Tick) => boolean;
  readonly isLoud: (event: Halt) => boolean;
  readonly wantsMore: (event: Tick, context: HandlerContext<C>, more: number) => void;
  readonly depth: number;
}

const bus = createBus(catalog, { threads: 2 });
expectTypeOf(bus).toEqualTypeOf<EventBus<C>>();
const book = workerHandlers<Book>(new URL('file:///book.js'));
expectTypeOf(book).toEqualTypeOf<WorkerHandlers<Book>>();

// Publishing.
void bus.publish({ type: 'ORDER', id: 1n, side: 'BUY' });
void bus.publishBatch([
  { type: 'HALT', reason: 'x' },
  { type: 'TICK', symbol: 'ESH4', price: 1 },
]);
// @ts-expect-error -- an unknown type
void bus.publish({ type: 'TOCK', symbol: 'ESH4', price: 1 });
// @ts-expect-error -- the payload of another type
void bus.publish({ type: 'HALT', symbol: 'ESH4', price: 1 });
// @ts-expect-error -- no type
void bus.publish({ symbol: 'ESH4', price: 1 });
// @ts-expect-error -- a number for a bigint
void bus.publish({ type: 'ORDER', id: 1, side: 'BUY' });
// @ts-expect-error -- not a member of the enum
bus.tryPublish({ type: 'ORDER', id: 1n, side: 'HOLD' });
// @ts-expect-error -- a missing field
bus.tryPublish({ type: 'TICK', symbol: 'ESH4' });
// @ts-expect-error -- one bad event in a batch
void bus.publishBatch([{ type: 'HALT', reason: 'x' }, { type: 'HALT' }]);
// @ts-expect-error -- an event is no batch
void bus.publishBatch({ type: 'HALT', reason: 'x' });

// Functions.
bus.subscribe('TICK', (event, context) => {
  expectTypeOf(event).toEqualTypeOf<Tick>();
  expectTypeOf(context).toEqualTypeOf<HandlerContext<C>>();
  void context.publish({ type: 'HALT', reason: 'x' });
  // @ts-expect-error -- a derived event is checked as any other
  void context.publish({ type: 'HALT', price: 1 });
});
bus.subscribe(['TICK', 'ORDER'], (event) => {
  if (event.type === 'TICK') expectTypeOf(event.price).toEqualTypeOf<number>();
  else expectTypeOf(event.id).toEqualTypeOf<bigint>();
});
bus.subscribe('TICK', async () => {
  await bus.drain();
});
bus.subscribe('TICK', (event: { price: number }) => {
  use(event.price);
});
// @ts-expect-error -- an unknown type
bus.subscribe('TOCK', () => undefined);
// @ts-expect-error -- an unknown type among known ones
bus.subscribe(['TICK', 'TOCK'], () => undefined);
// @ts-expect-error -- a function for another event
bus.subscribe('TICK', (event: Halt) => {
  use(event.reason);
});
// @ts-expect-error -- a function for one of the two types only
bus.subscribe(['TICK', 'HALT'], (event: Tick) => {
  use(event.price);
});
// @ts-expect-error -- a field of another type
bus.subscribe('TICK', (event: { price: string }) => {
  use(event.price);
});
bus.subscribe('HALT', (event) => {
  expectTypeOf(event).not.toHaveProperty('price');
});
// @ts-expect-error -- an option that does not exist
bus.subscribe('HALT', () => undefined, { timeoutMS: 5 });

// Worker handlers: as functions, by the type of their module.
bus.subscribe('TICK', book.onTick);
bus.subscribe('TICK', book.onTickAsync);
bus.subscribe('HALT', book.onHalt, { name: 'halts', timeoutMs: 0 });
bus.subscribe(['TICK', 'HALT', 'ORDER'], book.onAny);
bus.subscribe('TICK', book.onAny);
bus.subscribe('TICK', book.onNothing);
bus.subscribe('TICK', book.onPrice);
// @ts-expect-error -- a worker handler for another event
bus.subscribe('TICK', book.onHalt);
// @ts-expect-error -- a worker handler for one of the two types only
bus.subscribe(['TICK', 'HALT'], book.onTick);
// @ts-expect-error -- a worker handler for a field of another type
bus.subscribe('TICK', book.onPriceText);
// @ts-expect-error -- a worker handler that wants more than an event and its context
bus.subscribe('TICK', book.wantsMore);
// Only what the module exports as a function is there to be subscribed.
expectTypeOf(book).not.toHaveProperty('onTock');
expectTypeOf(book).not.toHaveProperty('depth');
// @ts-expect-error -- neither a function nor a reference
bus.subscribe('TICK', 'book.js#onTick');

// How deliveries are divided.
bus.subscribe('TICK', book.onTick, { threads: 2, concurrency: 8, order: 'key', key: 'symbol' });
bus.subscribe('TICK', book.onTick, { lag: 'conflate', maxKeys: 100, key: { TICK: 'price' } });
bus.subscribe(['TICK', 'ORDER'], book.onAny, { concurrency: 8, key: { ORDER: 'side' } });
// @ts-expect-error -- no field of the type
bus.subscribe('TICK', book.onTick, { key: 'reason' });
// @ts-expect-error -- a field that not every type has
bus.subscribe(['TICK', 'ORDER'], book.onAny, { key: 'side' });
// @ts-expect-error -- a field of another type
bus.subscribe(['TICK', 'ORDER'], book.onAny, { key: { ORDER: 'symbol' } });
// @ts-expect-error -- a type that is not subscribed to
bus.subscribe('TICK', book.onTick, { key: { HALT: 'reason' } });
// @ts-expect-error -- neither of the orders
bus.subscribe('TICK', book.onTick, { order: 'fifo' });
// @ts-expect-error -- neither of the ways to fall behind
bus.subscribe('TICK', book.onTick, { lag: 'dropNewest' });

// Filters: conditions by field, or a predicate.
bus.subscribe('TICK', book.onTick, { filter: { symbol: ['ESH4', 'NQH4'], price: { min: 5 }, size: 1 } });
bus.subscribe('ORDER', book.onAny, { filter: { id: { max: 5n }, side: 'BUY' }, once: true });
bus.subscribe('TICK', book.onTick, { filter: book.isLarge });
bus.subscribe('TICK', () => undefined, { filter: (event) => event.price > 5 });
bus.subscribe(['TICK', 'ORDER'], () => undefined, {
  filter: (event) => event.type === 'TICK' || event.side === 'BUY',
});
// @ts-expect-error -- no field of the type
bus.subscribe('TICK', book.onTick, { filter: { side: 'BUY' } });
// @ts-expect-error -- a value of another kind
bus.subscribe('TICK', book.onTick, { filter: { price: '5' } });
// @ts-expect-error -- no member of the enum
bus.subscribe('ORDER', book.onAny, { filter: { side: ['BUY', 'HOLD'] } });
// @ts-expect-error -- names have no order
bus.subscribe('TICK', book.onTick, { filter: { symbol: { min: 'ESH4' } } });
// @ts-expect-error -- a predicate for another event
bus.subscribe('TICK', book.onTick, { filter: book.isLoud });
// @ts-expect-error -- a handler is no predicate
bus.subscribe('TICK', book.onTick, { filter: book.onTick });

// Unsubscribing.
bus.unsubscribe('TICK', book.onTick);
// @ts-expect-error -- an unknown type
bus.unsubscribe('TOCK', book.onTick);
// @ts-expect-error -- a handler that cannot have been subscribed to the type
bus.unsubscribe('TICK', book.onHalt);
