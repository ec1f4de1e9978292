// Compiled with the tests and never run: each `@ts-expect-error` fails the build if its line compiles.
import { expectTypeOf } from 'vitest';
import type { EventBus, HandlerContext, HandlerFunction } from '../../src/shared/api.js';
import { defineEvents, mergeEvents, type Catalog, type EventOf, type TypeOf } from '../../src/shared/catalog.js';
import {
  any,
  bool,
  bytes,
  enumOf,
  f64,
  i32,
  i64,
  optional,
  symbol,
  text,
  u32,
  u64,
  u8,
} from '../../src/shared/fields.js';

const catalog = defineEvents({
  HALT: { priority: 1, payload: { reason: text(), source: symbol() } },
  TICK: {
    priority: 30,
    key: 'symbol',
    payload: { symbol: symbol(), price: f64(), side: enumOf('BUY', 'SELL'), size: optional(f64()) },
  },
  ALL: {
    priority: 40,
    payload: {
      a: i32(),
      b: u32(),
      c: u8(),
      d: bool(),
      e: i64(),
      f: u64(),
      g: bytes(),
      h: any<{ x: Date }>(),
      i: any(),
      j: optional(any<string[]>()),
      k: any<string | undefined>(),
    },
  },
});
type C = typeof catalog;

interface Tick {
  type: 'TICK';
  symbol: string;
  price: number;
  side: 'BUY' | 'SELL';
  size?: number | undefined;
}

expectTypeOf<TypeOf<C>>().toEqualTypeOf<'HALT' | 'TICK' | 'ALL'>();
expectTypeOf<EventOf<C, 'TICK'>>().toEqualTypeOf<Tick>();
expectTypeOf<EventOf<C, 'HALT' | 'TICK'>>().toEqualTypeOf<Tick | { type: 'HALT'; reason: string; source: string }>();
expectTypeOf<EventOf<C>['type']>().toEqualTypeOf<TypeOf<C>>();
expectTypeOf<EventOf<C, 'ALL'>>().toEqualTypeOf<{
  type: 'ALL';
  a: number;
  b: number;
  c: number;
  d: boolean;
  e: bigint;
  f: bigint;
  g: Uint8Array;
  h: { x: Date };
  i: unknown;
  j?: string[] | undefined;
  k: string | undefined;
}>();

// Without its argument, Catalog stands for all of them.
expectTypeOf(catalog).toExtend<Catalog>();
expectTypeOf<TypeOf<Catalog>>().toEqualTypeOf<string>();
expectTypeOf<EventOf<Catalog>['type']>().toEqualTypeOf<string>();
expectTypeOf<EventOf<Catalog>['price']>().toEqualTypeOf<unknown>();
declare const anyContext: HandlerContext;
void anyContext.publish({ type: 'WHATEVER', price: 1 });

const merged = mergeEvents(catalog, defineEvents({ LOG: { priority: 95, payload: { line: text() } } }));
expectTypeOf(merged).toExtend<Catalog>();
expectTypeOf<TypeOf<typeof merged>>().toEqualTypeOf<'HALT' | 'TICK' | 'ALL' | 'LOG'>();
expectTypeOf<EventOf<typeof merged, 'LOG'>>().toEqualTypeOf<{ type: 'LOG'; line: string }>();
expectTypeOf<EventOf<typeof merged, 'TICK'>>().toEqualTypeOf<Tick>();

declare const bus: EventBus<C>;
void bus.publish({ type: 'TICK', symbol: 'ESH4', price: 1, side: 'BUY' });
void bus.publish({ type: 'TICK', symbol: 'ESH4', price: 1, side: 'BUY', size: undefined });
// @ts-expect-error -- a value of the wrong type
void bus.publish({ type: 'TICK', symbol: 'ESH4', price: '1', side: 'BUY' });
// @ts-expect-error -- an unknown type
void bus.publish({ type: 'TOCK', symbol: 'ESH4', price: 1, side: 'BUY' });
// @ts-expect-error -- not a member of the enum
void bus.publish({ type: 'TICK', symbol: 'ESH4', price: 1, side: 'HOLD' });
// @ts-expect-error -- a missing field
void bus.publish({ type: 'TICK', symbol: 'ESH4', side: 'BUY' });
// @ts-expect-error -- a field that the type does not have
void bus.publish({ type: 'HALT', reason: 'x', source: 'y', price: 1 });
// @ts-expect-error -- null is not absent
void bus.publish({ type: 'TICK', symbol: 'ESH4', price: 1, side: 'BUY', size: null });
declare const all: EventOf<C, 'ALL'>;
// @ts-expect-error -- a number for a bigint
void bus.publish({ ...all, e: 1 });
// @ts-expect-error -- another value than any<T> names
void bus.publish({ ...all, h: { x: 1 } });

bus.subscribe('TICK', (event) => {
  expectTypeOf(event).toEqualTypeOf<Tick>();
});
bus.subscribe(['TICK', 'HALT'], (event) => {
  expectTypeOf(event.type).toEqualTypeOf<'TICK' | 'HALT'>();
});
declare const onHalt: HandlerFunction<C, 'HALT'>;
bus.subscribe('HALT', onHalt);
// @ts-expect-error -- a handler for another event's payload
bus.subscribe('TICK', onHalt);
// @ts-expect-error -- an unknown type
bus.subscribe('TOCK', onHalt);

// @ts-expect-error -- a key that is no field
defineEvents({ T: { priority: 1, key: 'b', payload: { a: f64() } } });
// @ts-expect-error -- an optional key
defineEvents({ T: { priority: 1, key: 'a', payload: { a: optional(f64()) } } });
// @ts-expect-error -- a key that does not compare by ===
defineEvents({ T: { priority: 1, key: 'a', payload: { a: bytes() } } });
// @ts-expect-error -- a payload field named type
defineEvents({ T: { priority: 1, payload: { type: f64() } } });
// @ts-expect-error -- a field function that is not called
defineEvents({ T: { priority: 1, payload: { a: f64 } } });
// @ts-expect-error -- an enum without members
enumOf();
// @ts-expect-error -- optional twice
optional(optional(f64()));
