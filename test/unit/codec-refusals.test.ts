import { describe, expect, it } from 'vitest';
import { defineEvents } from '../../src/shared/catalog.js';
import { unknownTypeError } from '../../src/shared/codec.js';
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
import { codecOf, symbolTable } from '../support/codec.js';

function refusal(act: () => unknown, code = 'ERR_LANEBUS_INVALID_EVENT'): string {
  try {
    act();
  } catch (error) {
    expect(error).toMatchObject({ name: 'LanebusError', code });
    const { message } = error as Error;
    expect(message).not.toContain('\n');
    expect(message.length).toBeLessThan(400);
    return message;
  }
  throw new Error('it was accepted');
}

const revoked = Proxy.revocable({}, {});
revoked.revoke();

const untouchable = {
  toString() {
    throw new Error('toString was called');
  },
  get [Symbol.toStringTag](): string {
    throw new Error('toStringTag was read');
  },
};

describe('a bad value', () => {
  it.each<[string, Field, unknown, string]>([
    ['f64', f64(), '1', 'got "1"; accepted: a number'],
    ['f64', f64(), 1n, 'got 1n; accepted: a number'],
    ['f64', f64(), null, 'got null; accepted: a number'],
    ['f64', f64(), new Date(0), 'got an object (Date); accepted: a number'],
    ['i32', i32(), 2 ** 31, 'got 2147483648; accepted: an integer from -2147483648 to 2147483647'],
    ['i32', i32(), -(2 ** 31) - 1, 'got -2147483649;'],
    ['i32', i32(), 1.5, 'got 1.5;'],
    ['i32', i32(), Number.NaN, 'got NaN;'],
    ['i32', i32(), '1', 'got "1";'],
    ['i32', i32(), 1n, 'got 1n;'],
    ['i32', i32(), Symbol('x'), 'got Symbol(x);'],
    ['i32', i32(), { valueOf: () => 1 }, 'got an object (Object);'],
    ['u32', u32(), -1, 'got -1; accepted: an integer from 0 to 4294967295'],
    ['u32', u32(), 2 ** 32, 'got 4294967296;'],
    ['u32', u32(), Infinity, 'got Infinity;'],
    ['u32', u32(), 1n, 'got 1n;'],
    ['u8', u8(), 256, 'got 256; accepted: an integer from 0 to 255'],
    ['u8', u8(), -1, 'got -1;'],
    ['u8', u8(), 0.5, 'got 0.5;'],
    ['u8', u8(), '7', 'got "7";'],
    ['bool', bool(), 1, 'got 1; accepted: true or false'],
    ['bool', bool(), 'true', 'got "true"; accepted: true or false'],
    ['i64', i64(), 1, 'got 1; accepted: a bigint from -2^63 to 2^63 - 1'],
    ['i64', i64(), 2n ** 63n, 'got 9223372036854775808n;'],
    ['i64', i64(), -(2n ** 63n) - 1n, 'got -9223372036854775809n;'],
    ['i64', i64(), 10n ** 200n, `got 1${'0'.repeat(59)}…n;`],
    ['u64', u64(), -1n, 'got -1n; accepted: a bigint from 0 to 2^64 - 1'],
    ['u64', u64(), 2n ** 64n, 'got 18446744073709551616n;'],
    ['u64', u64(), '1', 'got "1";'],
    ['enum', enumOf('BUY', 'SELL'), 'SEL', 'got "SEL"; accepted: one of "BUY", "SELL"; did you mean "SELL"?'],
    ['enum', enumOf('BUY', 'SELL'), 'buy', 'got "buy"; accepted: one of "BUY", "SELL"; did you mean "BUY"?'],
    ['enum', enumOf('BUY', 'SELL'), 'toString', 'got "toString"; accepted: one of "BUY", "SELL"'],
    ['enum', enumOf('BUY', 'SELL'), 0, 'got 0; accepted: one of "BUY", "SELL"'],
    ['enum', enumOf('BUY', 'SELL'), ['BUY'], 'got an array; accepted: one of'],
    ['symbol', symbol(), 7, 'got 7; accepted: a well-formed string'],
    ['symbol', symbol(), Symbol('ESH4'), 'got Symbol(ESH4);'],
    [
      'symbol',
      symbol(),
      'ES\ud800',
      'got "ES\\ud800" with a lone surrogate at index 2; accepted: a well-formed string',
    ],
    ['text', text(), Object('x'), 'got an object (String); accepted: a well-formed string'],
    ['text', text(), '\udc00', 'got "\\udc00" with a lone surrogate at index 0;'],
    ['text', text(), `👍${'x'.repeat(100)}\ud83d`, '… with a lone surrogate at index 102;'.slice(1)],
    ['bytes', bytes(), [1, 2], 'got an array; accepted: a Uint8Array'],
    ['bytes', bytes(), new ArrayBuffer(3), 'got an object (ArrayBuffer);'],
    ['bytes', bytes(), new Uint16Array(3), 'got an object (Uint16Array);'],
    ['bytes', bytes(), new Proxy(new Uint8Array(3), {}), 'got a Proxy;'],
    ['bytes', bytes(), Object.create(Uint8Array.prototype), 'got an object (Uint8Array);'],
    [
      'any',
      any(),
      () => 1,
      'got a function, which cannot be packed (a function cannot be sent to another thread); accepted: what structured clone can copy',
    ],
    ['any', any(), { deep: [() => 1] }, 'got an object (Object), which cannot be packed (a function'],
    ['any', any(), Symbol('x'), 'got Symbol(x), which cannot be packed (Unknown type: symbol)'],
    ['any', any(), Promise.resolve(1), 'got an object (Promise), which cannot be packed'],
    [
      'any',
      any(),
      {
        get x() {
          throw new Error('no x today');
        },
      },
      'which cannot be packed (no x today)',
    ],
    ['f64', f64(), revoked.proxy, 'got a Proxy;'],
    ['f64', f64(), untouchable, 'got an object (Object);'],
    ['f64', f64(), Object.create(null), 'got an object;'],
    ['f64', f64(), () => 1, 'got a function;'],
    ['f64', f64(), 'x'.repeat(100_000), `got "${'x'.repeat(60)}…";`],
  ])('of %s is refused by type, field, value and what is accepted', (_, field, value, message) => {
    for (const payload of [{ value: field }, { value: { ...field, optional: true } }]) {
      const { encode, sink } = codecOf(payload);
      expect(refusal(() => encode({ type: 'T', value }))).toContain(message);
      expect(refusal(() => encode({ type: 'T', value }))).toMatch(/^event "T", field "value": /);
      expect(sink.claims).toEqual([]);
      expect(sink.strayBytes()).toEqual([]);
    }
  });

  it('of a long enum is refused too, after good ones and without taking an inherited name for a member', () => {
    const members = Array.from({ length: 40 }, (_, i) => `M${i}`);
    const { encode } = codecOf({ value: enumOf('FIRST', ...members) });
    encode({ type: 'T', value: 'M7' });
    for (const value of ['', 'toString', '__proto__', 'M40', 3, undefined, ['M7'], Symbol('M7')]) {
      refusal(() => encode({ type: 'T', value }));
    }
    encode({ type: 'T', value: 'M7' });
    expect(refusal(() => encode({ type: 'T', value: 'M0!' }))).toContain('"M6", … (41 in all); did you mean "M0"?');
  });

  it('null does not count as an absent optional field', () => {
    const { encode } = codecOf({ value: optional(f64()) });
    expect(refusal(() => encode({ type: 'T', value: null }))).toBe(
      'event "T", field "value": got null; accepted: a number',
    );
  });

  it('leaves no symbol of its event in the table', () => {
    const { encode, table } = codecOf({ a: symbol(), b: symbol(), c: any(), d: f64() });
    const good = { type: 'T', a: 'A', b: 'B', c: 1, d: 1 };
    for (const bad of [{ b: '\ud800' }, { c: () => 1 }, { d: '1' }, { e: 1 }])
      refusal(() => encode({ ...good, ...bad }));
    expect(table.state[0]).toBe(0);
    encode(good);
    expect(table.state[0]).toBe(2);
  });
});

describe('a bad event', () => {
  const { encode, sink } = codecOf({ price: f64(), size: f64(), note: optional(text()) });

  it.each<[string, unknown, string]>([
    ['without a field', { type: 'T', size: 1 }, 'event "T", field "price": missing; accepted: a number'],
    [
      'with a field misspelt',
      { type: 'T', prcie: 1, size: 1 },
      'event "T", field "price": missing; accepted: a number; the event has "prcie", which the type does not',
    ],
    [
      'with an extra field',
      { type: 'T', price: 1, size: 1, sise: 1 },
      'event "T": unknown field "sise"; accepted: "price", "size", "note"; did you mean "size"?',
    ],
    [
      'with an extra field beside an absent optional one',
      { type: 'T', price: 1, size: 1, notes: 'x' },
      'event "T": unknown field "notes"; accepted: "price", "size", "note"; did you mean "note"?',
    ],
    [
      'with an extra field that is undefined',
      { type: 'T', price: 1, size: 1, zzzzzzzz: undefined },
      'event "T": unknown field "zzzzzzzz"; accepted: "price", "size", "note"',
    ],
    ['that is null', null, 'event "T": got null; accepted: an object'],
    ['that is a string', 'T', 'event "T": got "T"; accepted: an object'],
    ['that is undefined', undefined, 'event "T": got undefined; accepted: an object'],
    ['that is a function', () => 1, 'event "T": got a function; accepted: an object'],
    ['that is an array', [], 'event "T", field "price": missing; accepted: a number'],
  ])('%s is refused', (_, event, message) => {
    expect(refusal(() => encode(event))).toBe(message);
    expect(sink.claims).toEqual([]);
  });

  it('of a type without fields is refused for any field', () => {
    const empty = codecOf({});
    empty.encode({ type: 'T' });
    expect(refusal(() => empty.encode({ type: 'T', x: 1 }))).toBe('event "T": unknown field "x"; accepted: no fields');
  });

  it('fails with the full symbol table, with nothing claimed, and other symbols go on', () => {
    const one = codecOf({ s: symbol() }, 64, symbolTable(1, 10));
    one.encode({ type: 'T', s: 'A' });
    expect(refusal(() => one.encode({ type: 'T', s: 'B' }), 'ERR_LANEBUS_SYMBOL_TABLE_FULL')).toContain('symbol "B"');
    one.encode({ type: 'T', s: 'A' });
    expect(one.sink.claims).toHaveLength(2);
    expect(one.decode()).toEqual({ type: 'T', s: 'A' });
  });
});

describe('unknownTypeError', () => {
  const catalog = defineEvents({ TICK: { priority: 1, payload: {} }, HALT: { priority: 1, payload: {} } });

  it.each<[unknown, string]>([
    ['TIK', 'the catalog has no event type "TIK"; accepted: "TICK", "HALT"; did you mean "TICK"?'],
    ['tick', 'the catalog has no event type "tick"; accepted: "TICK", "HALT"; did you mean "TICK"?'],
    ['ORDER_FILLED', 'the catalog has no event type "ORDER_FILLED"; accepted: "TICK", "HALT"'],
    [undefined, 'the catalog has no event type undefined; accepted: "TICK", "HALT"'],
    [{}, 'the catalog has no event type an object (Object); accepted: "TICK", "HALT"'],
  ])('for %o names the nearest known type', (name, message) => {
    const error = unknownTypeError(name, catalog);
    expect(error.message).toBe(message);
    expect(error.code).toBe('ERR_LANEBUS_UNKNOWN_TYPE');
  });

  it('says so when the catalog is empty', () => {
    expect(unknownTypeError('A', defineEvents({})).message).toBe(
      'the catalog has no event type "A"; accepted: none, it is empty',
    );
  });
});
