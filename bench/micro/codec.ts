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
  /** Fields of the event with this number. */
  readonly fields: (n: number) => object;
  /** Default EVENTS. */
  readonly events?: number;
}

interface Case extends Records {
  readonly name: string;
}

const SYMBOLS = Array.from({ length: 16 }, (_, n) => `ES${n}`);
/** A string of its own, as a parser makes them: not the engine's one copy of a name in the source. */
const fresh = (name: string): string => Buffer.from(name).toString('latin1');
const repeated = (part: string, length: number) => (n: number) => ({
  x: (String(n) + part.repeat(length)).slice(0, length),
});
const prices = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, at) => `price${from + at}`);
const LONG_ENUM = prices(0, 24) as [string, ...string[]];
const eightOf = (make: (at: number) => unknown) => Object.fromEntries(prices(0, 8).map((name, at) => [name, make(at)]));

const CASES: readonly Case[] = [
  { name: 'no field', payload: {}, fields: () => ({}) },
  { name: 'tick of 64 B', payload: payloadOfTick(), fields: (n) => makeTick(n, SYMBOLS) },
  {
    name: '32 numbers, 256 B',
    payload: Object.fromEntries(prices(0, 32).map((name) => [name, f64()])),
    fields: (n) => Object.fromEntries(prices(0, 32).map((name, at) => [name, n + at / 4])),
  },
  {
    name: '8 small integers and booleans',
    payload: { a: i32(), b: i32(), c: u32(), d: u32(), e: u8(), f: u8(), g: bool(), h: bool() },
    fields: (n) => ({ a: n, b: -1 - n, c: n, d: 2 ** 31 + n, e: n, f: 255 - n, g: n % 2 === 0, h: n % 3 === 0 }),
  },
  {
    name: '2 bigints',
    payload: { a: i64(), b: u64() },
    fields: (n) => ({ a: BigInt(-n), b: 2n ** 63n + BigInt(n) }),
  },
  {
    name: 'enum of 3',
    payload: { x: enumOf('BUY', 'SELL', 'NONE') },
    fields: (n) => ({ x: ['BUY', 'SELL', 'NONE'][n % 3] }),
  },
  { name: 'enum of 24', payload: { x: enumOf(...LONG_ENUM) }, fields: (n) => ({ x: LONG_ENUM[n % 24] }) },
  {
    name: '8 optional numbers, all there',
    payload: eightOf(() => optional(f64())) as Payload,
    fields: (n) => eightOf((at) => n + at),
  },
  {
    name: '8 optional numbers, every other there',
    payload: eightOf(() => optional(f64())) as Payload,
    fields: (n) => eightOf((at) => (at % 2 === 0 ? n + at : undefined)),
  },
  { name: 'symbol, always the same', payload: { x: symbol() }, fields: () => ({ x: 'ESH4' }) },
  { name: 'symbol, 16 in turn', payload: { x: symbol() }, fields: (n) => ({ x: SYMBOLS[n % 16] }) },
  { name: 'symbol, 16 in turn, new strings', payload: { x: symbol() }, fields: (n) => ({ x: fresh(SYMBOLS[n % 16]) }) },
  {
    // More than the writer's cache has slots: a look-up in its Map for almost each.
    name: 'symbol, 4,096 in turn',
    payload: { x: symbol() },
    fields: (n) => ({ x: `A${n}B` }),
    events: MAX_SYMBOLS,
  },
  { name: 'text, 16 ASCII', payload: { x: text() }, fields: repeated('order ', 16) },
  { name: 'text, 1,024 ASCII', payload: { x: text() }, fields: repeated('order ', 1024) },
  { name: 'text, 16 of UTF-8', payload: { x: text() }, fields: repeated('日経', 16) },
  { name: 'text, 1,024 of UTF-8', payload: { x: text() }, fields: repeated('日経', 1024) },
  { name: 'bytes, 32', payload: { x: bytes() }, fields: (n) => ({ x: new Uint8Array(32).fill(n) }) },
  { name: 'bytes, 1,024', payload: { x: bytes() }, fields: (n) => ({ x: new Uint8Array(1024).fill(n) }) },
  { name: 'any, a number', payload: { x: any() }, fields: (n) => ({ x: n + 0.5 }) },
  {
    name: 'any, an order of 6 fields',
    payload: { x: any() },
    fields: (n) => ({ x: { id: n, side: 'BUY', price: 4800.25 + n, size: 7, tags: ['a', 'b'], open: true } }),
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
export function codecOf({ payload, fields, events = EVENTS }: Records) {
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
  const given = Array.from({ length: events }, (_, n): object => ({ ...fields(n), type: 'TICK' }));
  const check = (): void => {
    room.reset();
    for (const event of given) deepStrictEqual(decode(room.memory, encode(event)), { ...event });
  };
  return { type, room, symbols, encode, decode, given, check };
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
  const { room, encode, decode, given: events, check } = codecOf(given);
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
        events.map((event) => ({ ...event })),
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
