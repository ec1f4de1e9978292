import { describe, expect, it } from 'vitest';
import {
  catalogFrom,
  defineEvents,
  mergeEvents,
  MAX_TYPES,
  type Catalog,
  type EventDefinitions,
} from '../../src/shared/catalog.js';
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

/** `defineEvents` as untyped code calls it. */
const define = defineEvents as unknown as (definitions: unknown) => Catalog;
const enumFrom = enumOf as unknown as (...members: unknown[]) => unknown;

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    expect(error).toMatchObject({ name: 'LanebusError', code: 'ERR_LANEBUS_CATALOG' });
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

describe('defineEvents', () => {
  it('numbers types from 1 in the order of definition and finds them by name', () => {
    const catalog = defineEvents({
      TICK: { priority: 30, key: 'symbol', payload: { symbol: symbol(), price: f64() } },
      HALT: { priority: 1, payload: { reason: text() } },
    });
    expect(catalog.types.map(({ name, index, priority, key }) => [name, index, priority, key])).toEqual([
      ['TICK', 1, 30, 'symbol'],
      ['HALT', 2, 1, undefined],
    ]);
    expect(catalog.typeNamed('HALT')).toBe(catalog.types[1]);
    expect(catalog.typeNamed('toString')).toBeUndefined();
  });

  it('lays 8-byte values first, then 4-byte values and lengths, then single bytes and presence bits', () => {
    const [type] = defineEvents({
      T: {
        priority: 0,
        payload: { a: u8(), b: text(), c: f64(), d: optional(bool()), e: i32(), f: u64(), g: optional(any()) },
      },
    }).types;
    expect(type.fields.map(({ name, offset }) => [name, offset])).toEqual([
      ['a', 28],
      ['b', 16],
      ['c', 0],
      ['d', 29],
      ['e', 20],
      ['f', 8],
      ['g', 24],
    ]);
    expect(type.fields.map((field) => field.presenceMask)).toEqual([0, 0, 0, 1, 0, 0, 2]);
    expect(type.fields[3].presenceOffset).toBe(30);
    expect(type.fixedBytes).toBe(32);
    expect(type.fixedWidth).toBe(false);
  });

  it('calls a type fixed-width when it has neither text, bytes nor any', () => {
    const catalog = defineEvents({
      A: { priority: 0, payload: { a: enumOf('X'), b: symbol(), c: optional(u32()) } },
      B: { priority: 0, payload: { a: bytes() } },
      C: { priority: 0, payload: {} },
    });
    expect(catalog.types.map((type) => [type.fixedBytes, type.fixedWidth])).toEqual([
      [16, true],
      [8, false],
      [0, true],
    ]);
  });

  it('gives the other thread the same types through a structured clone', () => {
    const catalog = defineEvents({
      A: { priority: 7, key: 'k', payload: { k: symbol(), v: optional(enumOf('X', 'Y')), w: any<Date>() } },
      B: { priority: 1_000_000, payload: {} },
    });
    const other = catalogFrom(structuredClone(catalog.description));
    expect(other.types).toEqual(catalog.types);
    expect(other.description).toEqual(catalog.description);
  });

  it('does not change when the definitions do', () => {
    const members = enumOf('X', 'Y');
    const catalog = defineEvents({ A: { priority: 7, payload: { v: members } } });
    (members.members as string[]).push('Z');
    expect(catalog.types[0].fields[0].members).toEqual(['X', 'Y']);
    expect(catalog.description.types[0].fields[0].field.members).toEqual(['X', 'Y']);
  });

  it.each<[string, unknown, string]>([
    [
      'a payload field named type',
      { T: { priority: 0, payload: { type: f64() } } },
      'event type "T", field "type": every event has its type\'s name there; accepted: any other field name',
    ],
    [
      'a key that is no field',
      { T: { priority: 0, key: 'symbl', payload: { symbol: symbol() } } },
      'event type "T" has the key "symbl", which is no field of its payload; accepted: a required field that is neither any() nor bytes() (here: "symbol"); did you mean "symbol"?',
    ],
    [
      'an optional key',
      { T: { priority: 0, key: 'a', payload: { a: optional(symbol()) } } },
      'event type "T" has the key "a", which is optional; accepted: a required field that is neither any() nor bytes() (here: none)',
    ],
    [
      'a key of kind any',
      { T: { priority: 0, key: 'a', payload: { a: any(), b: i64() } } },
      'event type "T" has the key "a", which is of kind any; accepted: a required field that is neither any() nor bytes() (here: "b")',
    ],
    [
      'a key of kind bytes',
      { T: { priority: 0, key: 'a', payload: { a: bytes() } } },
      'event type "T" has the key "a", which is of kind bytes',
    ],
    [
      'a negative priority',
      { T: { priority: -1, payload: {} } },
      'event type "T" has priority -1; accepted: an integer from 0 to 1000000',
    ],
    ['a priority above the bound', { T: { priority: 1_000_001, payload: {} } }, 'event type "T" has priority 1000001;'],
    ['a fractional priority', { T: { priority: 1.5, payload: {} } }, 'event type "T" has priority 1.5;'],
    ['a priority that is no number', { T: { priority: '1', payload: {} } }, 'event type "T" has priority "1";'],
    ['no priority', { T: { payload: {} } }, 'event type "T" has priority undefined;'],
    ['an empty type name', { '': { priority: 0, payload: {} } }, 'an event type has an empty name'],
    [
      'a type name with a lone surrogate',
      { '\ud800': { priority: 0, payload: {} } },
      'has a lone surrogate in its name',
    ],
    ['a definition that is no object', { T: 3 }, 'event type "T" is 3; accepted: { priority, key?, payload }'],
    [
      'an unknown property',
      { T: { priorty: 0, payload: {} } },
      'event type "T" has the unknown property "priorty"; accepted: "priority", "key", "payload"; did you mean "priority"?',
    ],
    [
      'no payload',
      { T: { priority: 0 } },
      'event type "T" has the payload undefined; accepted: a plain object of fields',
    ],
    ['an array as payload', { T: { priority: 0, payload: [] } }, 'event type "T" has the payload an array;'],
    [
      'a field function that is not called',
      { T: { priority: 0, payload: { a: f64 } } },
      'event type "T", field "a": got the function "f64", which must be called; accepted: a call of a field function such as f64() or symbol()',
    ],
    [
      'a field that is a string',
      { T: { priority: 0, payload: { a: 'f64' } } },
      'event type "T", field "a": got "f64"; accepted: a call of a field function',
    ],
    [
      'a field of an unknown kind',
      { T: { priority: 0, payload: { a: { kind: 'f32' } } } },
      'event type "T", field "a": got an object (Object); accepted: a call of a field function',
    ],
    [
      'a field written by hand with bad members',
      { T: { priority: 0, payload: { a: { kind: 'enum', members: [] } } } },
      'event type "T", field "a": an enum has no members; accepted: 1 to 256 different strings',
    ],
    [
      'a payload with its prototype set by __proto__',
      { T: { priority: 0, payload: { __proto__: f64() } } },
      '(none may be called "__proto__")',
    ],
    [
      'a field named __proto__',
      { T: { priority: 0, payload: { ['__proto__']: f64() } } },
      '(none may be called "__proto__")',
    ],
    ['an array of definitions', [{ T: { priority: 0, payload: {} } }], 'defineEvents got an array;'],
    ['nothing', undefined, 'defineEvents got undefined;'],
  ])('refuses %s', (_, definitions, message) => {
    expect(refusal(() => define(definitions))).toContain(message);
  });

  it('refuses more types than a record header can number', () => {
    const definitions = (count: number): EventDefinitions =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`T${i}`, { priority: 0, payload: {} }]));
    expect(define(definitions(MAX_TYPES)).types.at(-1)?.index).toBe(2046);
    expect(refusal(() => define(definitions(MAX_TYPES + 1)))).toBe('the catalog has 2047 types; accepted: up to 2046');
  });
});

describe('enumOf and optional', () => {
  it.each<[string, unknown[], string]>([
    ['no members', [], 'enumOf: an enum has no members; accepted: 1 to 256 different strings'],
    [
      'a member twice',
      ['A', 'B', 'A'],
      'enumOf: an enum has the member "A" twice; accepted: 1 to 256 different strings',
    ],
    ['a member that is no string', ['A', 1], 'enumOf: an enum has the member 1; accepted: 1 to 256 different strings'],
    ['a member with a lone surrogate', ['\udc00'], 'with a lone surrogate'],
    ['257 members', Array.from({ length: 257 }, (_, i) => `M${i}`), 'enumOf: an enum has 257 members;'],
  ])('refuses an enum with %s', (_, members, message) => {
    expect(refusal(() => enumFrom(...members))).toContain(message);
  });

  it('refuses optional(optional(...)) and optional of something that is no field', () => {
    const make = optional as unknown as (field: unknown) => unknown;
    expect(refusal(() => make(optional(f64())))).toBe(
      'optional: the field is optional already; accepted: one optional(...) around a field',
    );
    expect(refusal(() => make(f64))).toContain('optional: got the function "f64", which must be called');
  });
});

describe('mergeEvents', () => {
  it('joins catalogs in order', () => {
    const merged = mergeEvents(
      defineEvents({ A: { priority: 1, payload: {} } }),
      defineEvents({ B: { priority: 2, key: 'x', payload: { x: u32() } } }),
    );
    expect(merged.types.map(({ name, index, key }) => [name, index, key])).toEqual([
      ['A', 1, undefined],
      ['B', 2, 'x'],
    ]);
  });

  it('refuses two types with one name and names it', () => {
    const market = defineEvents({ TICK: { priority: 1, payload: {} } });
    expect(refusal(() => mergeEvents(market, defineEvents({ TICK: { priority: 2, payload: {} } })))).toBe(
      'two event types have the name "TICK"; accepted: one type of each name',
    );
  });
});
