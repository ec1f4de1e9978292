import { describe, expect, it } from 'vitest';
import type { Payload } from '../../src/shared/catalog.js';
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
  type Field,
} from '../../src/shared/fields.js';
import { compileKey, compileKeyHash, ownerOf } from '../../src/shared/keys.js';
import { SymbolReader, SymbolWriter } from '../../src/shared/symbols.js';
import { codecOf, symbolTable } from '../support/codec.js';
import { SeededRandom } from '../support/random.js';

/** Not at the start of the memory, and between other fields: an offset left out would be noticed. */
const AT = 64;

/** Hash and value of the field `key` of an event with these fields. */
function keyOf(payload: Payload, event: Readonly<Record<string, unknown>>, table = symbolTable()) {
  const { type, sink, encode } = codecOf(payload, 1 << 16, table);
  sink.reset(AT);
  const at = encode({ type: 'T', ...event });
  const symbols = new SymbolReader(table);
  return {
    hash: compileKeyHash(type, 'key', symbols)(sink.memory, at),
    value: compileKey(type, 'key', symbols)(sink.memory, at),
  };
}

/** As the only field that matters of an event with others of every width around it. */
function keyIn(field: Field, value: unknown, table = symbolTable()) {
  const around = { b: u8(), d: f64(), w: i32(), key: field, w2: u32(), b2: bool(), d2: i64() };
  return keyOf(around, { b: 1, d: 2, w: 3, key: value, w2: 4, b2: true, d2: 5n }, table);
}

/** Hashes of many values of one field. */
function hashesOf(field: Field, values: readonly unknown[]): number[] {
  const { type, sink, encode, table } = codecOf({ before: u8(), key: field });
  const hashOf = compileKeyHash(type, 'key', new SymbolReader(table));
  return values.map((key) => hashOf(sink.memory, encode({ type: 'T', before: 7, key })));
}

function integers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

const ROOTS = ['ES', 'NQ', 'YM', 'RTY', 'CL', 'NG', 'GC', 'SI', 'HG', 'ZN', 'ZB', 'ZF', 'ZT', '6E', '6J', '6B'];
const FUTURES = ROOTS.flatMap((root) =>
  'F G H J K M N Q U V X Z'.split(' ').flatMap((month) => ['3', '4', '5', '6'].map((y) => root + month + y)),
);
const STOCKS =
  'AAPL MSFT AMZN NVDA GOOGL GOOG META TSLA BRK.A BRK.B UNH JNJ JPM V PG XOM HD CVX MA ABBV PFE AVGO COST DIS KO PEP ' +
  'CSCO WMT TMO MRK BAC ADBE CRM ABT ACN MCD DHR LIN NKE TXN CMCSA VZ PM NEE WFC RTX UPS BMY T QCOM AMD INTC HON LOW';

describe('the hash of a key', () => {
  const groups: readonly (readonly [name: string, keys: readonly (readonly [Field, unknown])[]])[] = [
    ['a small number', [i32(), u32(), u8(), f64()].map((field) => [field, 200])],
    ['zero, with either sign', [...[i32(), u32(), u8(), f64()].map((field) => [field, 0] as const), [f64(), -0]]],
    ['a negative number', [i32(), f64()].map((field) => [field, -7])],
    ['a number above 2^31', [u32(), f64()].map((field) => [field, 3_000_000_000])],
    ['a bigint', [i64(), u64()].map((field) => [field, 2n ** 62n + 5n])],
    ['a string', [symbol(), text(), enumOf('NQH4', 'ESH4')].map((field) => [field, 'ESH4'])],
    ['an empty string', [symbol(), text(), enumOf('', 'x')].map((field) => [field, ''])],
    ['a string beyond ASCII', [symbol(), text(), enumOf('x', '日経225é👍')].map((field) => [field, '日経225é👍'])],
  ];
  it.each(groups)('is one for equal values of every kind of field: %s', (_name, keys) => {
    const hashes = keys.map(([field, value]) => keyIn(field, value).hash);
    expect(new Set(hashes).size).toBe(1);
    expect(hashes[0] | 0).toBe(hashes[0]);
  });

  it('is one for every NaN, whatever its bits', () => {
    const { type, sink, encode, table } = codecOf({ key: f64() });
    const hashOf = compileKeyHash(type, 'key', new SymbolReader(table));
    const at = encode({ type: 'T', key: Number.NaN });
    const plain = hashOf(sink.memory, at);
    sink.memory.u64[at >> 3] = 0xfff8_dead_beef_0001n;
    expect(sink.memory.f64[at >> 3]).toBeNaN();
    expect(hashOf(sink.memory, at)).toBe(plain);
  });

  it('is one for a symbol that has another number in each thread, as tables grow', () => {
    const [first, second] = [symbolTable(), symbolTable()];
    const names = integers(500).map((n) => `ES${n}`);
    const writer = new SymbolWriter(first, 'main thread');
    for (const name of names.toReversed()) writer.intern(name);
    const [one, other] = [first, second].map((table) => {
      const { type, sink, encode } = codecOf({ key: symbol() }, 4096, table);
      const hashOf = compileKeyHash(type, 'key', new SymbolReader(table));
      return names.map((key) => hashOf(sink.memory, encode({ type: 'T', key })));
    });
    expect(one).toEqual(other);
    expect(one).toEqual(hashesOf(text(), names));
  });

  it.each([
    ['', 0],
    ['test', 0xba6b_d213],
    ['Hello, world!', 0xc036_3e43],
    ['The quick brown fox jumps over the lazy dog', 0x2e4f_f723],
  ])('is MurmurHash3_x86_32 over the UTF-8 of %j', (key, expected) => {
    expect(keyIn(text(), key).hash >>> 0).toBe(expected);
    expect(keyIn(symbol(), key).hash >>> 0).toBe(expected);
  });

  it('takes all bits of a value into account', () => {
    const bits = Array.from({ length: 63 }, (_, bit) => 1n << BigInt(bit));
    expect(new Set(hashesOf(i64(), bits)).size).toBe(63);
    const doubles = Array.from({ length: 500 }, (_, i) => 2 ** (i - 250) * 1.1);
    expect(new Set(hashesOf(f64(), doubles)).size).toBe(500);
    expect(new Set(hashesOf(i32(), integers(10_000))).size).toBe(10_000);
    expect(new Set(hashesOf(bool(), [false, true])).size).toBe(2);
  });

  it('refuses a record whose symbol its table does not have', () => {
    const { type, sink, encode, table } = codecOf({ key: symbol() });
    const hashOf = compileKeyHash(type, 'key', new SymbolReader(table));
    const at = encode({ type: 'T', key: 'ESH4' });
    hashOf(sink.memory, at);
    for (const id of [-1, 1, 2 ** 31 - 1]) {
      sink.memory.i32[at >> 2] = id;
      expect(() => hashOf(sink.memory, at)).toThrow(`symbol ${id} is not in the symbol table`);
    }
  });
});

describe('the members that share the keys', () => {
  // The value that chi-square exceeds in one of 1000 fair draws, by members.
  const critical = { 2: 10.83, 3: 13.82, 7: 22.46, 8: 24.32 };
  const keys: Readonly<Record<string, readonly [Field, readonly unknown[]]>> = {
    '10,000 sequential i32': [i32(), integers(10_000)],
    '10,000 sequential f64': [f64(), integers(10_000)],
    '10,000 multiples of 4096': [u32(), integers(10_000).map((n) => n * 4096)],
    '10,000 sequential i64': [i64(), integers(10_000).map(BigInt)],
    '10,000 u64 that differ in their upper half': [u64(), integers(10_000).map((n) => BigInt(n) << 40n)],
    '10,000 prices in quarters': [f64(), integers(10_000).map((n) => 4000 + n / 4)],
    'ES0 to ES999': [symbol(), integers(1000).map((n) => `ES${n}`)],
    '768 futures': [symbol(), FUTURES],
    '54 stocks': [symbol(), STOCKS.split(' ')],
    '10,000 order numbers as text': [text(), integers(10_000).map((n) => `ORD-2024-${n}`)],
  };
  const cases = Object.keys(keys).flatMap((name) => [2, 3, 7, 8].map((members) => [name, members] as const));
  it.each(cases)('get a fair share of %s over %i members', (name, members) => {
    const [field, values] = keys[name];
    const counts = new Array<number>(members).fill(0);
    for (const hash of hashesOf(field, values)) counts[ownerOf(hash, members)]++;
    const fair = values.length / members;
    const chiSquare = counts.reduce((sum, count) => sum + (count - fair) ** 2 / fair, 0);
    expect(chiSquare).toBeLessThan(critical[members as keyof typeof critical]);
  });

  it('split the range of the hash without rounding, whatever their number', () => {
    const random = new SeededRandom(5);
    const hashes = [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), ...Array.from({ length: 200 }, () => random.below(2 ** 32) | 0)];
    for (const members of [1, 2, 3, 5, 7, 8, 63, 64, 1000, 2 ** 21]) {
      // Where one member's share ends and the next one's starts.
      const edges = [1, members >> 1, members - 1].map((member) => Math.ceil((member * 2 ** 32) / members) | 0);
      for (const hash of [...hashes, ...edges, ...edges.map((edge) => (edge - 1) | 0)]) {
        expect(ownerOf(hash, members)).toBe(Number((BigInt(hash >>> 0) * BigInt(members)) >> 32n));
      }
    }
  });
});

describe('the value of a key', () => {
  const values: readonly (readonly [string, Field, readonly unknown[]])[] = [
    ['f64', f64(), [1.5, -Infinity, Number.NaN, 0]],
    ['i32', i32(), [-(2 ** 31), 2 ** 31 - 1]],
    ['u32', u32(), [0, 2 ** 32 - 1]],
    ['u8', u8(), [0, 255]],
    ['bool', bool(), [true, false]],
    ['i64', i64(), [-(2n ** 63n), -1n, 7n]],
    ['u64', u64(), [2n ** 64n - 1n, 7n]],
    ['enum', enumOf('A', 'B'), ['A', 'B']],
    ['symbol', symbol(), ['', 'ESH4', '日経225']],
    ['text', text(), ['', 'ESH4', '日経225', 'x'.repeat(300)]],
  ];
  it.each(values)('is what the event has there: %s', (_kind, field, keys) => {
    for (const key of keys) expect(keyIn(field, key).value).toBe(key);
  });

  it('is 0 for -0', () => {
    expect(keyIn(f64(), -0).value).toBe(0);
  });
});

describe('a text key', () => {
  const payload = {
    first: text(),
    maybeText: optional(text()),
    maybeBytes: optional(bytes()),
    number: i32(),
    anything: any(),
    key: text(),
    last: text(),
  };
  const full = { first: 'naïve', maybeText: 'é'.repeat(40), maybeBytes: new Uint8Array(9), anything: { a: [1, 2] } };
  const without = (...names: string[]) => Object.fromEntries(Object.entries(full).filter(([n]) => !names.includes(n)));

  it.each([
    ['all', full],
    ['all but a text', without('maybeText')],
    ['all but bytes', without('maybeBytes')],
    ['only the required', without('maybeText', 'maybeBytes')],
    ['empty ones', { ...full, first: '', maybeText: '', maybeBytes: new Uint8Array(0) }],
  ])('is found behind the variable-length fields before it: %s', (_name, before) => {
    const { hash, value } = keyOf(payload, { ...before, number: 1, key: 'ESH4é', last: 'ESH4' });
    expect(value).toBe('ESH4é');
    expect(hash).toBe(keyIn(symbol(), 'ESH4é').hash);
  });
});

describe('a field that can be no key', () => {
  it.each([
    ['any', any()],
    ['bytes', bytes()],
    ['optional', optional(i32())],
  ])('is refused: %s', (_name, field) => {
    const { type, table } = codecOf({ key: field });
    const refusal =
      'event type "T" cannot have the key "key"; accepted: a required field that is neither any() nor bytes()';
    expect(() => compileKeyHash(type, 'key', new SymbolReader(table))).toThrow(refusal);
    expect(() => compileKey(type, 'key', new SymbolReader(table))).toThrow(refusal);
    expect(() => compileKey(type, 'kee', new SymbolReader(table))).toThrow('cannot have the key "kee"');
  });
});
