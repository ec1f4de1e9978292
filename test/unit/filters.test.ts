import { describe, expect, it } from 'vitest';
import { defineEvents, type EventType, type Payload } from '../../src/shared/catalog.js';
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
import { compileFilter, filterProblems, normaliseFilter } from '../../src/shared/filters.js';
import { SymbolReader } from '../../src/shared/symbols.js';
import { codecOf } from '../support/codec.js';
import { SeededRandom } from '../support/random.js';

/** Not at the start of the memory: an offset left out would be noticed. */
const AT = 64;

/** Tests events with this payload against filters. */
function filtersOf(payload: Payload) {
  const { type, sink, encode, table } = codecOf(payload);
  sink.reset(AT);
  const symbols = new SymbolReader(table);
  const compile = (filter: object) => {
    const problems = filterProblems(filter, [type]);
    if (problems.length > 0) throw new Error(JSON.stringify(problems));
    // As a pool thread gets it.
    const test = compileFilter(type, structuredClone(normaliseFilter(filter)), symbols);
    return (event: object) => test(sink.memory, encode({ type: 'T', ...event }));
  };
  return { compile };
}

/** Which of the values of a field `x`, between other fields, pass the condition. */
function passing(field: Field, condition: unknown, values: readonly unknown[]): unknown[] {
  const passes = filtersOf({ b: u8(), d: f64(), w: i32(), x: field, w2: i32(), d2: i64() }).compile({ x: condition });
  return values.filter((x) => passes({ b: 1, d: 1, w: 1, x, w2: 1, d2: 1n }));
}

const integers = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('a condition on one value', () => {
  const kinds: readonly (readonly [string, Field, readonly unknown[]])[] = [
    ['f64', f64(), [1.5, 1, -1.5, Infinity, -Infinity, Number.NaN, 0, 1e300, 5e-324]],
    ['i32', i32(), [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]],
    ['u32', u32(), [0, 1, 2 ** 31, 2 ** 32 - 1]],
    ['u8', u8(), [0, 1, 128, 255]],
    ['bool', bool(), [true, false]],
    ['i64', i64(), [0n, 1n, -1n, 2n ** 32n, 2n ** 32n + 1n, -(2n ** 32n), 2n ** 63n - 1n, -(2n ** 63n)]],
    ['u64', u64(), [0n, 1n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 63n, 2n ** 64n - 1n]],
    ['enum', enumOf('A', 'B', 'with "quotes"', ''), ['A', 'B', 'with "quotes"', '']],
    ['symbol', symbol(), ['ESH4', 'NQH4', '', '日経225']],
  ];
  it.each(kinds)('passes that value and no other: %s', (_kind, field, values) => {
    for (const value of values) expect(passing(field, value, values)).toEqual([value]);
  });

  it('does not tell 0 from -0', () => {
    expect(passing(f64(), 0, [-0, 0, 1])).toEqual([-0, 0]);
    expect(passing(f64(), -0, [-0, 0, 1])).toEqual([-0, 0]);
  });
});

describe('a condition on a set', () => {
  it('passes each of its values, and what is not in it does not', () => {
    expect(passing(f64(), [1, 2.5, Number.NaN, -Infinity], [1, 2, 2.5, Number.NaN, -Infinity, Infinity])).toEqual([
      1,
      2.5,
      Number.NaN,
      -Infinity,
    ]);
    expect(passing(enumOf('A', 'B', 'C'), ['C', 'A'], ['A', 'B', 'C'])).toEqual(['A', 'C']);
    expect(passing(symbol(), ['NQH4', 'ESH4'], ['ESH4', 'CLH4', 'NQH4'])).toEqual(['ESH4', 'NQH4']);
    expect(passing(bool(), [true, false], [true, false])).toEqual([true, false]);
  });

  const asNumbers = (n: number) => n;
  it.each<[string, Field, (n: number) => unknown]>([
    ['f64', f64(), (n) => n * 1.5 - 100],
    ['i32', i32(), (n) => n * 1_000_003 - 2 ** 30],
    ['u32', u32(), (n) => n * 10_000_019],
    ['u8', u8(), asNumbers],
    ['i64', i64(), (n) => (BigInt(n) << 30n) - 2n ** 36n],
    ['u64', u64(), (n) => BigInt(n) << 55n],
    ['symbol', symbol(), (n) => `ES${n}`],
  ])('may be large, in any order: %s', (_kind, field, valueOf) => {
    const values = integers(200).map(valueOf);
    const set = values.filter((_, i) => i % 3 === 1).toReversed();
    expect(passing(field, set, values)).toEqual(set.toReversed());
  });

  it('may be large and have NaN', () => {
    const set = [...integers(100), Number.NaN];
    expect(passing(f64(), set, [99, 100, -1, Number.NaN, 0])).toEqual([99, Number.NaN, 0]);
  });
});

describe('a condition on a range', () => {
  const kinds: readonly (readonly [string, Field, readonly (number | bigint)[]])[] = [
    ['f64', f64(), [-Infinity, -1e9, -1, -0.5, 0, 1, 1.5, 1e9, Infinity]],
    ['i32', i32(), [-(2 ** 31), -1, 0, 1, 2 ** 31 - 1]],
    ['u32', u32(), [0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]],
    ['u8', u8(), [0, 1, 127, 128, 255]],
    [
      'i64',
      i64(),
      [-(2n ** 63n), -(2n ** 32n) - 1n, -(2n ** 32n), -1n, 0n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n - 1n],
    ],
    ['u64', u64(), [0n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 32n + 1n, 2n ** 63n, 2n ** 64n - 1n]],
  ];
  it.each(kinds)('has both its ends, and may lack either: %s', (_kind, field, values) => {
    values.forEach((min, from) => {
      expect(passing(field, { min }, values)).toEqual(values.slice(from));
      expect(passing(field, { max: min, min: undefined }, values)).toEqual(values.slice(0, from + 1));
      values.slice(from).forEach((max, length) => {
        expect(passing(field, { min, max }, values)).toEqual(values.slice(from, from + length + 1));
      });
    });
  });

  it('never has NaN', () => {
    for (const range of [{ min: 0 }, { max: 0 }, { min: -Infinity, max: Infinity }]) {
      expect(passing(f64(), range, [Number.NaN])).toEqual([]);
    }
  });
});

describe('a filter', () => {
  it('without conditions passes everything', () => {
    const { compile } = filtersOf({ x: i32() });
    expect(compile({})({ x: 5 })).toBe(true);
    expect(compile({ x: undefined })({ x: 5 })).toBe(true);
    expect(filterProblems(Object.create(null), [typeOf('T', { x: i32() })])).toEqual([]);
  });

  it('passes what fulfils all its conditions', () => {
    const { compile } = filtersOf({ symbol: symbol(), price: f64(), note: text(), side: enumOf('BUY', 'SELL') });
    const passes = compile({ symbol: ['ESH4', 'NQH4'], price: { min: 10 }, side: 'BUY' });
    const event = { symbol: 'ESH4', price: 10, note: 'a note', side: 'BUY' };
    expect(passes(event)).toBe(true);
    expect(passes({ ...event, symbol: 'CLH4' })).toBe(false);
    expect(passes({ ...event, price: 9.99 })).toBe(false);
    expect(passes({ ...event, side: 'SELL' })).toBe(false);
  });

  it('knows the symbols that come after it was made', () => {
    const passes = filtersOf({ x: symbol() }).compile({ x: ['ES70', 'ES500'] });
    expect(integers(600).filter((n) => passes({ x: `ES${n}` }))).toEqual([70, 500]);
    expect(integers(600).filter((n) => passes({ x: `ES${n}` }))).toEqual([70, 500]);
  });

  it.each<[string, Field, unknown, unknown]>([
    ['f64', f64(), 0, Number.NaN],
    ['i32', i32(), { min: -5 }, 0],
    ['u8', u8(), [0, 255], 0],
    ['bool', bool(), false, false],
    ['i64', i64(), { max: 5n }, 0n],
    ['enum', enumOf('A', 'B'), 'A', 'A'],
    ['symbol', symbol(), '', ''],
  ])('is not fulfilled by a field that the event leaves out: %s', (_kind, field, condition, other) => {
    const optionals = Object.fromEntries(integers(9).map((i) => [`o${i}`, optional(bool())]));
    const { compile } = filtersOf({ ...optionals, y: optional(field as never), x: optional(field as never) });
    const held = typeof condition === 'object' ? other : condition;
    const passes = compile({ x: condition });
    expect(passes({ x: held })).toBe(true);
    // The value that was there before lies there still.
    expect(passes({})).toBe(false);
    expect(passes({ y: held })).toBe(false);
    expect(passes({ x: held, y: held, o0: true })).toBe(true);
  });

  it('agrees with the same conditions on the decoded event, for random ones', () => {
    const random = new SeededRandom(42);
    const members = ['A', 'B', 'C', 'D'] as const;
    const pools: Readonly<Record<string, readonly (readonly [Field, () => unknown])[]>> = {
      n: [
        [f64(), () => random.pick([-0, 0, 0.5, 1, 2, Number.NaN, -3])],
        [i32(), () => random.below(5) - 2],
        [u32(), () => random.below(4) + 2 ** 32 - 5],
        [u8(), () => random.below(4)],
      ],
      big: [
        [i64(), () => (BigInt(random.below(5) - 2) << 32n) + BigInt(random.below(3) - 1)],
        [u64(), () => (BigInt(random.below(3) + 1) << 32n) + BigInt(random.below(3) - 1)],
      ],
      word: [
        [symbol(), () => `ES${random.below(6)}`],
        [enumOf(...members), () => random.pick(members)],
      ],
    };
    let passed = 0;
    for (let round = 0; round < 300; round++) {
      const chosen = Object.entries(pools).map(([name, kinds]) => ({ name, kind: random.pick(kinds) }));
      const payload = Object.fromEntries(
        chosen.map(({ name, kind: [field] }) => [name, random.below(2) === 0 ? field : optional(field as never)]),
      );
      const filter = Object.fromEntries(
        chosen
          .filter(() => random.below(3) > 0)
          .map(({ name, kind: [, draw] }) => [name, randomCondition(random, draw)]),
      );
      const passes = filtersOf(payload).compile(filter);
      for (let i = 0; i < 20; i++) {
        const event = Object.fromEntries(
          chosen
            .filter(({ name }) => payload[name].optional !== true || random.below(4) > 0)
            .map(({ name, kind: [, draw] }) => [name, draw()]),
        );
        const expected = Object.entries(filter).every(([name, condition]) => holds(condition, event[name]));
        expect({ filter, event, passes: passes(event) }).toEqual({ filter, event, passes: expected });
        if (expected) passed++;
      }
    }
    expect(passed).toBeGreaterThan(1000);
    expect(passed).toBeLessThan(5000);
  });
});

function randomCondition(random: SeededRandom, draw: () => unknown): unknown {
  const isNaNish = (value: unknown): boolean => Number.isNaN(value);
  const [first, second] = [draw(), draw()];
  if (random.below(3) === 0) return first;
  if (typeof first === 'string' || isNaNish(first) || isNaNish(second) || random.below(2) === 0) {
    return Array.from({ length: 1 + random.below(40) }, draw);
  }
  const [min, max] = (first as number) <= (second as number) ? [first, second] : [second, first];
  return random.pick([{ min, max }, { min }, { max }]);
}

/** The rule, as the documentation states it. */
function holds(condition: unknown, value: unknown): boolean {
  if (value === undefined) return false;
  if (Array.isArray(condition)) return condition.includes(value);
  if (typeof condition !== 'object' || condition === null) return [condition].includes(value);
  const { min = value, max = value } = condition as { min?: unknown; max?: unknown };
  return (value as number) >= (min as number) && (value as number) <= (max as number);
}

function typeOf(name: string, payload: Payload): EventType {
  const definitions: Record<string, { priority: number; payload: Payload }> = { [name]: { priority: 1, payload } };
  return defineEvents(definitions).types[0];
}

describe('what is wrong with a filter', () => {
  const tick = typeOf('TICK', {
    symbol: symbol(),
    price: f64(),
    size: i32(),
    level: u8(),
    id: i64(),
    side: enumOf('BUY', 'SELL'),
    last: bool(),
    note: text(),
    raw: bytes(),
    extra: any(),
  });
  const names = '"symbol", "price", "size", "level", "id", "side", "last"';
  const kinds = 'f64, i64, u64, i32, u32, u8, bool, enum, symbol';
  const comparable = (kind: string) =>
    `a field of a kind that can be compared (${kinds}); in "TICK" it is of kind ${kind}`;
  const word = 'an integer from -2147483648 to 2147483647';

  it.each<[string, unknown, (string | number)[], string]>([
    ['no object', 'ESH4', [], 'an object of conditions by field'],
    ['null', null, [], 'an object of conditions by field'],
    ['an array', ['ESH4'], [], 'an object of conditions by field'],
    ['an instance', new Map([['symbol', 'ESH4']]), [], 'an object of conditions by field'],
    [
      'an unknown field',
      { prize: 5 },
      ['prize'],
      `a field of "TICK" that can be compared: ${names}; did you mean "price"?`,
    ],
    [
      'an unknown field, left out',
      { prize: undefined },
      ['prize'],
      `a field of "TICK" that can be compared: ${names}; did you mean "price"?`,
    ],
    ['a text', { note: 'x' }, ['note'], comparable('text')],
    ['bytes', { raw: new Uint8Array(1) }, ['raw'], comparable('bytes')],
    ['any', { extra: 5 }, ['extra'], comparable('any')],
    ['a string for a number', { price: '5' }, ['price'], 'a number'],
    ['null for a number', { price: null }, ['price'], 'a number'],
    ['a fraction for an integer', { size: 5.5 }, ['size'], word],
    ['a number for a bigint', { id: 5 }, ['id'], 'a bigint from -2^63 to 2^63 - 1'],
    ['a bigint for a number', { size: 5n }, ['size'], word],
    ['a number beyond the range', { level: 256 }, ['level'], 'an integer from 0 to 255'],
    ['an integer beyond the range', { size: 2 ** 31 }, ['size'], word],
    ['a bigint beyond the range', { id: 2n ** 63n }, ['id'], 'a bigint from -2^63 to 2^63 - 1'],
    ['no member', { side: 'BUYY' }, ['side'], 'one of "BUY", "SELL"; did you mean "BUY"?'],
    ['a number for a bool', { last: 1 }, ['last'], 'true or false'],
    ['a number for a symbol', { symbol: 5 }, ['symbol'], 'a well-formed string'],
    ['a lone surrogate', { symbol: '\ud800' }, ['symbol'], 'a well-formed string'],
    ['an empty set', { price: [] }, ['price'], 'at least one value in the array'],
    ['a bad value of a set', { level: [1, -1, 2] }, ['level', 1], 'an integer from 0 to 255'],
    ['a hole in a set', { level: [1, , 2] }, ['level', 1], 'an integer from 0 to 255'],
    ['a range in a set', { level: [{ min: 1 }] }, ['level', 0], 'an integer from 0 to 255'],
    ['a range without ends', { price: {} }, ['price'], 'min, max or both'],
    ['a range with ends left out', { price: { min: undefined } }, ['price'], 'min, max or both'],
    ['a range that ends before it starts', { id: { min: 2n, max: 1n } }, ['id'], 'a min that is not above max'],
    ['a bad end', { size: { min: 1, max: 5.5 } }, ['size', 'max'], word],
    ['NaN as an end', { price: { min: Number.NaN } }, ['price', 'min'], 'a number other than NaN'],
    ['an unknown end', { price: { min: 1, mx: 2 } }, ['price', 'mx'], 'min or max; did you mean "max"?'],
    ['a range of strings', { side: { min: 'BUY' } }, ['side'], 'one of "BUY", "SELL", or several in an array'],
    ['a Set', { price: new Set([1]) }, ['price'], 'a number, several in an array, or { min, max }'],
  ])('is told with its place and what is accepted: %s', (_name, filter, path, expected) => {
    const value = path.reduce<unknown>((outer, key) => (outer as Record<string, unknown>)[key], filter);
    expect(filterProblems(filter, [tick])).toEqual([{ path, value, expected }]);
  });

  it('is told all at once', () => {
    const filter = { prize: 5, size: [5.5, 1, '2'], price: { min: 'a', max: 'b', step: 1 }, symbol: 'ESH4' };
    expect(filterProblems(filter, [tick]).map(({ path }) => path.join('.'))).toEqual([
      'prize',
      'size.0',
      'size.2',
      'price.step',
      'price.min',
      'price.max',
    ]);
  });
});

describe('a filter for several types', () => {
  const order = typeOf('ORDER', {
    symbol: symbol(),
    side: enumOf('BUY', 'SELL'),
    qty: i32(),
    id: i64(),
    tag: symbol(),
  });
  const alert = typeOf('ALERT', { symbol: symbol(), side: enumOf('BUY', 'NONE'), qty: f64(), id: i32(), tag: text() });
  const halt = typeOf('HALT', { symbol: symbol(), reason: text() });
  const problems = (filter: object, ...types: EventType[]) =>
    filterProblems(filter, types).map(({ path, expected }) => `${path.join('.')}: ${expected}`);

  it('may have values that only some of the types have', () => {
    expect(problems({ side: ['BUY', 'NONE', 'SELL'], symbol: 'ESH4', qty: [5, 5.5] }, order, alert)).toEqual([]);
    const { type, sink, encode, table } = codecOf({ side: enumOf('NONE', 'BUY') });
    const test = compileFilter(type, normaliseFilter({ side: ['SELL', 'BUY'] }), new SymbolReader(table));
    expect(['NONE', 'BUY'].map((side) => test(sink.memory, encode({ type: 'T', side })))).toEqual([false, true]);
    const never = compileFilter(type, normaliseFilter({ side: ['SELL'] }), new SymbolReader(table));
    expect(never(sink.memory, encode({ type: 'T', side: 'NONE' }))).toBe(false);
  });

  it('does not take a number for the bigint of the same value', () => {
    expect(problems({ id: [5n, 7] }, order, alert)).toEqual([]);
    const spec = normaliseFilter({ id: [5n, 7] });
    const wide = codecOf({ id: i64() });
    const narrow = codecOf({ id: i32() });
    const ofWide = compileFilter(wide.type, spec, new SymbolReader(wide.table));
    const ofNarrow = compileFilter(narrow.type, spec, new SymbolReader(narrow.table));
    expect([5n, 7n].filter((id) => ofWide(wide.sink.memory, wide.encode({ type: 'T', id })))).toEqual([5n]);
    expect([5, 7].filter((id) => ofNarrow(narrow.sink.memory, narrow.encode({ type: 'T', id })))).toEqual([7]);
  });

  it('is refused with the name of a type that lacks the field, or has it of a kind that cannot be compared', () => {
    expect(problems({ qty: 5, symbol: 'ESH4' }, order, halt, alert)).toEqual([
      'qty: a field that every type has; "HALT" lacks it',
    ]);
    expect(problems({ tag: 'a' }, order, alert)[0]).toMatch(/in "ALERT" it is of kind text$/);
    expect(problems({ prize: 5 }, order, halt)).toEqual([
      'prize: a field that every type has and that can be compared: "symbol"',
    ]);
  });

  it('is refused with the name of a type of which no event can pass', () => {
    expect(problems({ side: 'SELL' }, order, alert)).toEqual([
      'side: one of "BUY", "NONE", as "ALERT" has, or nothing of that type passes',
    ]);
    expect(problems({ id: 5 }, order, alert)).toEqual([
      'id: a bigint from -2^63 to 2^63 - 1, as "ORDER" has, or nothing of that type passes',
    ]);
  });

  it('is refused for a value that no type has, and for an end of a range that one of them has not', () => {
    expect(problems({ side: ['BUY', 'NOON'] }, order, alert)).toEqual([
      'side.1: one of "BUY", "SELL", or one of "BUY", "NONE"; did you mean "NONE"?',
    ]);
    expect(problems({ qty: { min: 0.5, max: 10 } }, order, alert)).toEqual([
      'qty.min: an integer from -2147483648 to 2147483647',
    ]);
  });
});
