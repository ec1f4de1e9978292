import { isDeepStrictEqual } from 'node:util';
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
import { codecOf } from '../support/codec.js';
import { SeededRandom } from '../support/random.js';

const MANY_MEMBERS = Array.from({ length: 256 }, (_, i) => (i === 7 ? '__proto__' : `member ${i}`));
const [FIRST_MEMBER, ...OTHER_MEMBERS] = MANY_MEMBERS;

const STRINGS = [
  '',
  'a',
  'ESH4',
  'x'.repeat(32),
  'y'.repeat(33),
  'z'.repeat(300),
  'é',
  'naïve',
  '日経225',
  '👍',
  '\0',
  '\u2028"\\',
  `${'a'.repeat(40)}ß`,
  '\uffff',
  '__proto__',
];

const VALUES: Readonly<Record<string, { readonly field: () => Field; readonly values: readonly unknown[] }>> = {
  f64: {
    field: f64,
    values: [0, -0, 1.5, Number.NaN, Infinity, -Infinity, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 53],
  },
  i32: { field: i32, values: [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)] },
  u32: { field: u32, values: [0, 1, 2 ** 31, 2 ** 32 - 1] },
  u8: { field: u8, values: [0, 1, 127, 128, 255] },
  bool: { field: bool, values: [true, false] },
  i64: { field: i64, values: [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n)] },
  u64: { field: u64, values: [0n, 1n, 2n ** 63n, 2n ** 64n - 1n] },
  enum: { field: () => enumOf('A', 'B', 'with "quotes"', ''), values: ['A', 'B', 'with "quotes"', ''] },
  manyMembers: { field: () => enumOf(FIRST_MEMBER, ...OTHER_MEMBERS), values: MANY_MEMBERS },
  symbol: { field: symbol, values: STRINGS },
  text: { field: text, values: STRINGS },
  bytes: {
    field: bytes,
    values: [0, 1, 7, 64, 65, 300].map((length) => Uint8Array.from({ length }, (_, i) => i * 7)),
  },
  any: {
    field: any,
    values: [
      null,
      0,
      'text',
      1.5,
      2n ** 70n,
      -5n,
      { a: [1, { b: undefined }], c: new Date(1_700_000_000_123) },
      new Map<unknown, unknown>([[{ k: 1 }, new Set([1, 'x'])]]),
      [],
      {},
      new Uint8Array([1, 2, 3]),
      new Float64Array([1.5, -0]),
      /x+/gi,
    ],
  },
};
const KINDS = Object.keys(VALUES);

describe('the codec of a type', () => {
  it.each(KINDS)('returns every %s as it was given', (kind) => {
    const { field, values } = VALUES[kind];
    const { encode, decode, sink } = codecOf({ value: field() });
    for (const value of values) {
      sink.reset(64);
      expect(encode({ type: 'T', value })).toBe(64);
      expect(isDeepStrictEqual(decode(64), { type: 'T', value })).toBe(true);
      expect(sink.strayBytes()).toEqual([]);
    }
  });

  it('returns thousands of random events of random types, and writes inside their claims only', () => {
    const random = new SeededRandom(20_240_607);
    for (let round = 0; round < 400; round++) {
      const names = Array.from({ length: random.below(14) }, (_, i) =>
        random.pick([`f${i}`, `with space ${i}`, `é"${i}`]),
      );
      const kinds = names.map(() => random.pick(KINDS));
      const isOptional = names.map(() => random.next() < 0.3);
      const payload: Record<string, Field> = {};
      names.forEach((name, i) => {
        const field = VALUES[kinds[i]].field();
        payload[name] = isOptional[i] ? { ...field, optional: true } : field;
      });
      const { encode, decode, sink, type } = codecOf(payload, 1 << 14);
      for (let n = 0; n < 10; n++) {
        const event: Record<string, unknown> = { type: 'T' };
        const expected: Record<string, unknown> = { type: 'T' };
        names.forEach((name, i) => {
          const isAbsent = isOptional[i] && random.next() < 0.5;
          const value = isAbsent ? undefined : random.pick(VALUES[kinds[i]].values);
          expected[name] = value;
          if (!isAbsent || random.next() < 0.5) event[name] = value;
        });
        const at = random.below(64) * 8;
        sink.reset(at);
        expect(encode(event)).toBe(at);
        const decoded = decode(at);
        expect(isDeepStrictEqual(decoded, expected), JSON.stringify([type.fields, String(at)])).toBe(true);
        expect(Object.keys(decoded)).toEqual(['type', ...names]);
        expect(sink.strayBytes()).toEqual([]);
        if (type.fixedWidth) expect(sink.claims.at(-1)).toBe(type.fixedBytes);
      }
    }
  });

  it('claims the bytes of the values and not one more', () => {
    const { encode, sink, type } = codecOf({ a: text(), b: bytes(), c: optional(text()) });
    encode({ type: 'T', a: 'é日👍', b: new Uint8Array(5) });
    encode({ type: 'T', a: '', b: new Uint8Array(0), c: 'x' });
    expect(sink.claims).toEqual([type.fixedBytes + 2 + 3 + 4 + 5, type.fixedBytes + 1]);
  });

  it.each([
    ['ASCII', 'a'.repeat(1 << 20)],
    ['multi-byte', 'é日👍z'.repeat(1 << 18)],
    ['ASCII but for its last character', `${'a'.repeat(1 << 20)}é`],
  ])('returns a megabyte of %s text exactly', (_, value) => {
    const { encode, decode, sink } = codecOf({ before: text(), value: text(), after: text() }, 1 << 22);
    encode({ type: 'T', before: 'é', value, after: 'end' });
    expect(decode()).toEqual({ type: 'T', before: 'é', value, after: 'end' });
    expect(sink.claims[0]).toBe(16 + 2 + Buffer.byteLength(value) + 3);
  });

  it('returns strings that V8 keeps as ropes and slices', () => {
    const { encode, decode } = codecOf({ s: symbol(), t: text() });
    const long = 'ESH4 and a long text of more than thirty-two characters';
    const slice = long.slice(2, 40);
    let rope = '';
    for (const character of long) rope += character;
    encode({ type: 'T', s: slice, t: rope });
    expect(decode()).toEqual({ type: 'T', s: slice, t: rope });
  });

  it('passes on that there is no room, with nothing written', () => {
    const { encode, sink } = codecOf({ a: f64(), b: text() });
    sink.full = true;
    expect(encode({ type: 'T', a: 1, b: 'x' })).toBe(-1);
    expect(sink.strayBytes()).toEqual([]);
  });

  it('gives absent optional fields as properties with the value undefined, and takes 17 of them', () => {
    const payload: Record<string, Field> = {};
    for (let i = 0; i < 17; i++) payload[`f${i}`] = optional(u8());
    const { encode, decode } = codecOf(payload);
    for (let present = -1; present < 17; present++) {
      encode({ type: 'T', ...(present >= 0 && { [`f${present}`]: present }) });
      const decoded = decode();
      expect(Object.keys(decoded)).toHaveLength(18);
      for (let i = 0; i < 17; i++) expect(decoded[`f${i}`]).toBe(i === present ? i : undefined);
    }
  });

  it('accepts -0 as an integer and gives 0', () => {
    const { encode, decode } = codecOf({ a: i32(), b: u32(), c: u8() });
    encode({ type: 'T', a: -0, b: -0, c: -0 });
    expect(decode()).toStrictEqual({ type: 'T', a: 0, b: 0, c: 0 });
  });

  it('takes fields named like the properties that every object inherits', () => {
    const names = ['constructor', 'toString', 'hasOwnProperty', 'valueOf'];
    const { encode, decode } = codecOf(Object.fromEntries(names.map((name) => [name, optional(any())])));
    encode({ type: 'T', constructor: 'Ferrari' });
    expect(Object.entries(decode())).toEqual([
      ['type', 'T'],
      ['constructor', 'Ferrari'],
      ['toString', undefined],
      ['hasOwnProperty', undefined],
      ['valueOf', undefined],
    ]);
  });

  it('accepts an instance of a class whose fields are getters', () => {
    class Tick {
      readonly type = 'T';
      get price(): number {
        return 4808.25;
      }
    }
    const { encode, decode } = codecOf({ price: f64() });
    encode(new Tick());
    expect(decode()).toEqual({ type: 'T', price: 4808.25 });
  });
});

describe('bytes', () => {
  it.each([3, 100])(
    'arrive as an array of their own with %i bytes, from a view into the middle of a buffer',
    (length) => {
      const { encode, decode, sink } = codecOf({ value: bytes() });
      const whole = Uint8Array.from({ length: 256 }, (_, i) => i);
      const view = Buffer.from(whole.buffer, 11, length);
      encode({ type: 'T', value: view });
      const value = decode().value as Uint8Array;
      expect(Object.getPrototypeOf(value)).toBe(Uint8Array.prototype);
      expect(value).toEqual(whole.slice(11, 11 + length));
      expect(value.buffer).toBeInstanceOf(ArrayBuffer);
      expect(value.byteOffset).toBe(0);
      expect(value.buffer.byteLength).toBe(length);
      sink.memory.u8.fill(0);
      view.fill(0);
      expect(value[1]).toBe(12);
    },
  );

  it.each([3, 100])('come as they are from shared memory (%i)', (length) => {
    const { encode, decode } = codecOf({ value: bytes() });
    const value = new Uint8Array(new SharedArrayBuffer(length)).fill(9);
    encode({ type: 'T', value });
    expect(decode().value).toEqual(new Uint8Array(length).fill(9));
  });
});

describe('any', () => {
  it('keeps what structured clone keeps: cycles, shared references, errors, large maps of shapes', () => {
    const { encode, decode } = codecOf({ value: any() }, 1 << 20);
    const shared = { n: 1 };
    const cycle: Record<string, unknown> = { shared, again: shared, error: new RangeError('too far') };
    cycle.self = cycle;
    cycle.shapes = Array.from({ length: 300 }, (_, i) => ({ [`p${i}`]: i, [`q${i % 7}`]: { i } }));
    encode({ type: 'T', value: cycle });
    const value = decode().value as typeof cycle;
    expect(value.self).toBe(value);
    expect(value.again).toBe(value.shared);
    expect(value.error).toBeInstanceOf(RangeError);
    expect((value.error as Error).message).toBe('too far');
    expect(value.shapes).toEqual(cycle.shapes);
  });

  it('makes each value readable by itself, in any order', () => {
    const { encode, decode, sink } = codecOf({ value: any() }, 1 << 14);
    const values = Array.from({ length: 20 }, (_, i) => ({ same: 'shape', [`own${i % 3}`]: i }));
    const copies = values.map((value) => {
      sink.reset(0);
      encode({ type: 'T', value });
      return sink.memory.u8.slice();
    });
    for (const i of [19, 3, 7, 0, 12]) {
      sink.memory.u8.set(copies[i]);
      expect(decode().value).toEqual(values[i]);
    }
  });

  it('shares no memory with the lane', () => {
    const { encode, decode, sink } = codecOf({ value: any() });
    const given = { buffer: Buffer.alloc(40, 5), blob: new Uint8Array(40).fill(6), floats: new Float64Array([1, 2]) };
    encode({ type: 'T', value: given });
    const { buffer, blob, floats } = decode().value as typeof given;
    sink.memory.u8.fill(0);
    expect([...buffer]).toEqual([...given.buffer]);
    expect(blob).toEqual(given.blob);
    expect(floats).toEqual(given.floats);
    for (const view of [buffer, blob, floats]) expect(view.buffer).toBeInstanceOf(ArrayBuffer);
  });

  it('survives an event that encodes another one while it is packed', () => {
    const inner = codecOf({ value: any() });
    const outer = codecOf({ value: any() });
    const nested = {
      before: 'x'.repeat(50),
      get middle() {
        inner.encode({ type: 'T', value: { inside: [1, 2, 3] } });
        return 'middle';
      },
      after: { deep: [4, 5] },
    };
    outer.encode({ type: 'T', value: nested });
    expect(outer.decode().value).toEqual({ before: 'x'.repeat(50), middle: 'middle', after: { deep: [4, 5] } });
    expect(inner.decode().value).toEqual({ inside: [1, 2, 3] });
  });
});

describe('a hostile event', () => {
  const payload: Payload = {
    a: f64(),
    s: symbol(),
    t: text(),
    b: bytes(),
    e: enumOf('X', 'Y'),
    o: optional(text()),
    x: any(),
  };
  const honest = (): Record<string, unknown> => ({
    type: 'T',
    a: 1,
    s: 'S',
    t: 'text',
    b: new Uint8Array(3),
    e: 'X',
    o: 'o',
    x: {},
  });

  it('has each field read exactly once', () => {
    const { encode, decode } = codecOf(payload);
    const reads: Record<string, number> = {};
    const event = new Proxy(honest(), {
      get(target, name: string) {
        reads[name] = (reads[name] ?? 0) + 1;
        return reads[name] === 1 ? target[name] : 'y'.repeat(5000);
      },
    });
    encode(event);
    expect(reads).toEqual({ a: 1, s: 1, t: 1, b: 1, e: 1, o: 1, x: 1 });
    expect(decode()).toEqual(honest());
  });

  it.each([3, 100])('writes no more than was claimed when a later getter resizes the bytes (%i)', (length) => {
    const { encode, decode, sink } = codecOf({ b: bytes(), later: f64() });
    // Resizable buffers are not in the language version that this project compiles for.
    const buffer = Reflect.construct(ArrayBuffer, [length, { maxByteLength: 2000 }]) as ArrayBuffer & {
      resize(bytes: number): void;
    };
    const b = new Uint8Array(buffer);
    encode({
      type: 'T',
      b,
      get later() {
        buffer.resize(2000);
        return 1;
      },
    });
    expect((decode().b as Uint8Array).length).toBe(2000);
    expect(sink.claims).toEqual([16 + 2000]);
    expect(sink.strayBytes()).toEqual([]);
  });

  it('writes no more than was claimed when packing a later field shrinks the bytes', () => {
    const { encode, decode, sink } = codecOf({ b: bytes(), later: any() });
    const buffer = Reflect.construct(ArrayBuffer, [500, { maxByteLength: 2000 }]) as ArrayBuffer & {
      resize(bytes: number): void;
    };
    encode({
      type: 'T',
      b: new Uint8Array(buffer),
      later: {
        get x() {
          buffer.resize(4);
          return 1;
        },
      },
    });
    expect(decode()).toEqual({ type: 'T', b: new Uint8Array(4), later: { x: 1 } });
    expect(sink.strayBytes()).toEqual([]);
  });

  it.each([3, 100])('writes no more than was claimed when another thread grows the bytes (%i)', (length) => {
    const { encode, decode, sink } = codecOf({ b: bytes() });
    const buffer = Reflect.construct(SharedArrayBuffer, [length, { maxByteLength: 2000 }]) as SharedArrayBuffer & {
      grow(bytes: number): void;
    };
    sink.meanwhile = () => {
      buffer.grow(2000);
    };
    encode({ type: 'T', b: new Uint8Array(buffer) });
    expect(decode().b).toEqual(new Uint8Array(length));
    expect(sink.strayBytes()).toEqual([]);
  });

  it.each([3, 100])('is measured by the true length of its bytes (%i)', (length) => {
    const { encode, decode, sink } = codecOf({ b: bytes() });
    const b = new Uint8Array(length).fill(1);
    for (const name of ['length', 'byteLength', 'byteOffset', 'buffer']) Object.defineProperty(b, name, { value: 1 });
    encode({ type: 'T', b });
    expect(decode().b).toEqual(new Uint8Array(length).fill(1));
    expect(sink.claims).toEqual([8 + length]);
  });
});
