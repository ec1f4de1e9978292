/** What an encoder and a decoder cost, by kind of field, with nothing else: the sink only hands out room. */
import { deepStrictEqual } from 'node:assert/strict';
import { any, bool, bytes, defineEvents, enumOf, f64, i32, i64, optional, symbol, text, u32, u64, u8 } from 'lanebus';
import type { Payload } from '../../src/shared/catalog.js';
import type { RecordSink } from '../../src/shared/codec.js';
import { ticks } from '../systems/lanebus-catalog.js';
import { makeTick } from '../ticks.js';
import { compileDecoder, compileEncoder, Memory, SymbolReader, SymbolWriter } from './internals.js';
import type { Micro, MicroSpec } from './micro.js';

/** As many as the caches next to the core hold, however long their texts. */
const EVENTS = 64;
const ROUNDS = 16;
const ROOM_BYTES = 1 << 18;
const MAX_SYMBOLS = 4096;

interface Records {
  readonly payload: Payload;
  /** The event with this number. */
  readonly event: (n: number) => object;
  /** Default EVENTS. */
  readonly events?: number;
}

interface Case extends Records {
  readonly name: string;
}

const SYMBOLS = Array.from({ length: 16 }, (_, n) => `ES${n}`);
/** A string of its own, as a parser makes them: not the engine's one copy of a name in the source. */
const fresh = (name: string): string => Buffer.from(name).toString('latin1');
/** Characters in a row, as a parser makes them: not a part of another string, which is slower to read. */
const textOf = (part: string, length: number) => (n: number) => ({
  type: 'TICK',
  x: Buffer.from((String(n) + part.repeat(length)).slice(0, length)).toString(),
});
const prices = (count: number): string[] => Array.from({ length: count }, (_, at) => `price${at}`);
const payloadOf = (count: number, field: Payload[string]): Payload =>
  Object.fromEntries(prices(count).map((name) => [name, field]));
/** As a parser makes it: `Object.fromEntries` of so many, or a spread, has properties that take 25 ns each to read. */
const pricesOf = (count: number, valueOf: (at: number) => number): object =>
  JSON.parse(
    JSON.stringify({ type: 'TICK', ...Object.fromEntries(prices(count).map((name, at) => [name, valueOf(at)])) }),
  ) as object;
const LONG_ENUM = prices(24) as [string, ...string[]];

const CASES: readonly Case[] = [
  { name: 'no field', payload: {}, event: () => ({ type: 'TICK' }) },
  { name: 'tick of 64 B', payload: payloadOfTick(), event: (n) => makeTick(n, SYMBOLS) },
  {
    name: '32 numbers, 256 B',
    payload: payloadOf(32, f64()),
    event: (n) => pricesOf(32, (at) => n + at / 4),
  },
  {
    name: '8 small integers and booleans',
    payload: { a: i32(), b: i32(), c: u32(), d: u32(), e: u8(), f: u8(), g: bool(), h: bool() },
    event: (n) => ({
      type: 'TICK',
      a: n,
      b: -1 - n,
      c: n,
      d: 2 ** 31 + n,
      e: n,
      f: 255 - n,
      g: n % 2 === 0,
      h: n % 3 === 0,
    }),
  },
  {
    name: '2 bigints',
    payload: { a: i64(), b: u64() },
    event: (n) => ({ type: 'TICK', a: BigInt(-n), b: 2n ** 63n + BigInt(n) }),
  },
  {
    name: 'enum of 3',
    payload: { x: enumOf('BUY', 'SELL', 'NONE') },
    event: (n) => ({ type: 'TICK', x: ['BUY', 'SELL', 'NONE'][n % 3] }),
  },
  { name: 'enum of 24', payload: { x: enumOf(...LONG_ENUM) }, event: (n) => ({ type: 'TICK', x: LONG_ENUM[n % 24] }) },
  {
    name: '8 optional numbers, all there',
    payload: payloadOf(8, optional(f64())),
    event: (n) => pricesOf(8, (at) => n + at),
  },
  {
    name: '8 optional numbers, every other left out',
    payload: payloadOf(8, optional(f64())),
    event: (n) => ({ type: 'TICK', price0: n, price2: n + 2, price4: n + 4, price6: n + 6 }),
  },
  {
    // As an event has them that was received, and is published again.
    name: '8 optional numbers, every other undefined',
    payload: payloadOf(8, optional(f64())),
    event: (n) => ({
      type: 'TICK',
      price0: n,
      price1: undefined,
      price2: n + 2,
      price3: undefined,
      price4: n + 4,
      price5: undefined,
      price6: n + 6,
      price7: undefined,
    }),
  },
  { name: 'symbol, always the same', payload: { x: symbol() }, event: () => ({ type: 'TICK', x: 'ESH4' }) },
  { name: 'symbol, 16 in turn', payload: { x: symbol() }, event: (n) => ({ type: 'TICK', x: SYMBOLS[n % 16] }) },
  {
    name: 'symbol, 16 in turn, new strings',
    payload: { x: symbol() },
    event: (n) => ({ type: 'TICK', x: fresh(SYMBOLS[n % 16]) }),
  },
  {
    // More than the writer's cache has slots: a look-up in its Map for almost each.
    name: 'symbol, 4,096 in turn',
    payload: { x: symbol() },
    event: (n) => ({ type: 'TICK', x: `A${n}B` }),
    events: MAX_SYMBOLS,
  },
  { name: 'text, 16 ASCII', payload: { x: text() }, event: textOf('order ', 16) },
  { name: 'text, 1,024 ASCII', payload: { x: text() }, event: textOf('order ', 1024) },
  { name: 'text, 16 of UTF-8', payload: { x: text() }, event: textOf('日経', 16) },
  { name: 'text, 1,024 of UTF-8', payload: { x: text() }, event: textOf('日経', 1024) },
  { name: 'bytes, 32', payload: { x: bytes() }, event: (n) => ({ type: 'TICK', x: new Uint8Array(32).fill(n) }) },
  { name: 'bytes, 1,024', payload: { x: bytes() }, event: (n) => ({ type: 'TICK', x: new Uint8Array(1024).fill(n) }) },
  { name: 'any, a number', payload: { x: any() }, event: (n) => ({ type: 'TICK', x: n + 0.5 }) },
  {
    name: 'any, an order of 6 fields',
    payload: { x: any() },
    event: (n) => ({
      type: 'TICK',
      x: { id: n, side: 'BUY', price: 4800.25 + n, size: 7, tags: ['a', 'b'], open: true },
    }),
  },
];

export function payloadOfTick(): Payload {
  return Object.fromEntries(ticks.description.types[0].fields.map(({ name, field }) => [name, field]));
}

/** Room for one record after the other, from the start again when it is used up. */
class Room implements RecordSink {
  readonly memory = new Memory(new SharedArrayBuffer(ROOM_BYTES));
  #next = 0;

  claim(payloadBytes: number): number {
    const bytes = (payloadBytes + 7) & -8;
    const at = this.#next + bytes > ROOM_BYTES ? 0 : this.#next;
    this.#next = at + bytes;
    return at;
  }

  reset(): void {
    this.#next = 0;
  }
}

/** A type's encoder and decoder, and events for them. */
export function codecOf({ payload, event, events = EVENTS }: Records) {
  const [type] = defineEvents({ TICK: { priority: 30, payload } }).types;
  const table = {
    state: new Int32Array(new SharedArrayBuffer(8)),
    ends: new Int32Array(new SharedArrayBuffer(4 * MAX_SYMBOLS)),
    names: new Uint8Array(new SharedArrayBuffer(16 * MAX_SYMBOLS)),
  };
  const room = new Room();
  const encode = compileEncoder(type, new SymbolWriter(table, 'the bench'), room);
  const symbols = new SymbolReader(table);
  const decode = compileDecoder(type, symbols);
  const given = Array.from({ length: events }, (_, n) => event(n));
  /** What a decoder makes of a field that was left out. */
  const absent = Object.fromEntries(Object.keys(payload).map((name) => [name, undefined]));
  const check = (): void => {
    room.reset();
    for (const one of given) deepStrictEqual(decode(room.memory, encode(one)), { ...absent, ...one });
  };
  return { type, room, symbols, encode, decode, given, absent, check };
}

function makeEncode(given: Case): Micro {
  const { room, encode, given: events, check } = codecOf(given);
  const rounds = Math.ceil((EVENTS * ROUNDS) / events.length);
  return {
    operations: rounds * events.length,
    run() {
      let sum = 0;
      room.reset();
      for (let round = 0; round < rounds; round++) for (const event of events) sum += encode(event);
      return sum;
    },
    check,
  };
}

function makeDecode(given: Case): Micro {
  const { room, encode, decode, given: events, absent, check } = codecOf(given);
  const { memory } = room;
  const places = events.map((event) => encode(event));
  // An event that is not kept anywhere need not be made: the engine would leave out what nobody reads of it.
  const kept = places.map((at) => decode(memory, at));
  const rounds = Math.ceil((EVENTS * ROUNDS) / events.length);
  return {
    operations: rounds * events.length,
    run() {
      for (let round = 0; round < rounds; round++) {
        for (let n = 0; n < places.length; n++) kept[n] = decode(memory, places[n]);
      }
      return kept.length;
    },
    check() {
      deepStrictEqual(
        kept,
        events.map((event) => ({ ...absent, ...event })),
      );
      check();
    },
  };
}

/** A thread's first event of each instrument, for its table and for a reader of that. */
function makeNewSymbols(): { readonly intern: Micro; readonly read: Micro } {
  const names = Array.from({ length: MAX_SYMBOLS }, (_, n) => `ES${n}`);
  const table = {
    state: new Int32Array(new SharedArrayBuffer(8)),
    ends: new Int32Array(new SharedArrayBuffer(4 * MAX_SYMBOLS)),
    names: new Uint8Array(new SharedArrayBuffer(16 * MAX_SYMBOLS)),
  };
  const intern = (): number => {
    table.state.fill(0);
    const writer = new SymbolWriter(table, 'the bench');
    let sum = 0;
    for (const name of names) sum += writer.intern(name);
    return sum;
  };
  const read = (): number => {
    const reader = new SymbolReader(table);
    let sum = 0;
    for (let id = 0; id < names.length; id++) sum += reader.nameOf(id).length;
    return sum;
  };
  const check = (): void => {
    intern();
    const reader = new SymbolReader(table);
    deepStrictEqual(
      names.map((_, id) => reader.nameOf(id)),
      names,
    );
  };
  return {
    intern: { operations: names.length, run: intern, check },
    read: { operations: names.length, run: read, check },
  };
}

export const codec: readonly MicroSpec[] = [
  ...CASES.flatMap((given) => [
    { name: `codec: ${given.name}, encode`, make: () => makeEncode(given) },
    { name: `codec: ${given.name}, decode`, make: () => makeDecode(given) },
  ]),
  { name: 'codec: a new symbol, interned', make: () => makeNewSymbols().intern },
  { name: 'codec: a new symbol, read', make: () => makeNewSymbols().read },
];
