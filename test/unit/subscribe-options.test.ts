import { describe, expect, it } from 'vitest';
import { FAILURE_DEFAULTS } from '../../src/main/failure-options.js';
import { resolveOptions } from '../../src/main/options.js';
import { resolveSubscribeOptions, type ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';
import { workerHandlers } from '../../src/main/worker-handlers.js';
import { defineEvents, type Payload } from '../../src/shared/catalog.js';
import { ErrorCode, LanebusError } from '../../src/shared/errors.js';
import { any, bytes, f64, i32, optional, symbol, text } from '../../src/shared/fields.js';

/** 40 numbers of 8 bytes: records of 336 bytes, and 16 more where they derive from another event. */
const wide: Payload = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`n${at}`, f64()]));

const catalog = defineEvents({
  TICK: { priority: 30, key: 'symbol', payload: { symbol: symbol(), price: f64(), size: i32() } },
  BAR: { priority: 30, payload: { symbol: symbol(), minute: i32() } },
  NOTE: { priority: 95, payload: { author: symbol(), body: text() } },
  BLOB: { priority: 95, payload: { body: bytes(), meta: any(), part: optional(i32()) } },
  WIDE: { priority: 30, key: 'n0', payload: wide },
  constructor: { priority: 95, key: 'n', payload: { n: i32() } },
});
type Type = 'TICK' | 'BAR' | 'NOTE' | 'BLOB' | 'WIDE' | 'constructor';

const defaults = resolveOptions({ threads: 4, timeoutMs: 123, graceMs: 45 }, catalog);
const WORKER = 'a worker handler';
const FUNCTION = 'a function';
const reference = workerHandlers('file:///handlers.js') as Readonly<Record<string, object>>;

function resolve(options: unknown, types: readonly Type[] = ['TICK'], handler = WORKER): ResolvedSubscribeOptions {
  const wanted = catalog.types.filter(({ name }) => types.includes(name as Type));
  return resolveSubscribeOptions(options, defaults, { types: wanted, isFunction: handler === FUNCTION });
}

function problemsOf(options: unknown, types?: readonly Type[], handler?: string): string[] {
  try {
    resolve(options, types, handler);
  } catch (error) {
    expect(error).toBeInstanceOf(LanebusError);
    expect((error as LanebusError).code).toBe(ErrorCode.OPTIONS);
    const [head, ...lines] = (error as LanebusError).message.split('\n');
    expect(head).toBe(`${lines.length} ${lines.length === 1 ? 'problem' : 'problems'} in the options of subscribe`);
    return lines;
  }
  return [];
}

const NONE = {
  name: undefined,
  timeoutMs: 123,
  graceMs: 45,
  signal: undefined,
  threads: 1,
  concurrency: 1,
  mode: 'ordered',
  keys: undefined,
  maxKeys: 16_384,
  filter: undefined,
  predicate: undefined,
  once: false,
  holds: undefined,
  checkpointEvery: undefined,
  maxCheckpointBytes: 64 * 1024 * 1024,
  ...FAILURE_DEFAULTS,
} as const satisfies ResolvedSubscribeOptions;

describe('the options of a subscription', () => {
  it("that were not given are the bus's own times, and one delivery after the other of every event", () => {
    expect(resolve(undefined)).toStrictEqual(NONE);
    expect(resolve({})).toStrictEqual(NONE);
    expect(resolve({}, ['TICK'], FUNCTION)).toStrictEqual(NONE);
  });

  it('that are undefined count as not given', () => {
    const names = [
      'name',
      'timeoutMs',
      'graceMs',
      'signal',
      'threads',
      'concurrency',
      'order',
      'key',
      'lag',
      'maxKeys',
    ];
    const given = Object.fromEntries([...names, 'filter', 'once'].map((name) => [name, undefined]));
    expect(resolve(given)).toStrictEqual(NONE);
    expect(resolve({ key: { TICK: undefined }, concurrency: 2 }).keys).toStrictEqual({ 1: 'symbol' });
  });

  it('are kept as they were given', () => {
    const { signal } = new AbortController();
    const given = { name: 'book', timeoutMs: 0, graceMs: 0, signal };
    expect(resolve({ ...given, threads: 4, concurrency: 1024, order: 'none' })).toStrictEqual({
      ...NONE,
      ...given,
      threads: 4,
      concurrency: 1024,
      mode: 'claimed',
    });
    expect(resolve({ once: true })).toStrictEqual({ ...NONE, once: true });
    expect(resolve({ lag: 'conflate', maxKeys: 7 })).toMatchObject({ mode: 'conflated', maxKeys: 7 });
  });

  const MS = 'a number of ms from 0 to 2,147,483,647';
  const KEY = "a field's name, or an object from types to names of fields";
  const bad: [options: unknown, line: string][] = [
    [
      5,
      'options: got 5; expected an object of: name, timeoutMs, graceMs, signal, threads, concurrency, order, key, lag, ' +
        'maxKeys, filter, once, checkpointEvery, maxCheckpointBytes, retry, maxFailures, onMaxFailures, coolDownMs, maxCoolDownMs',
    ],
    [{ name: '' }, `name: got ''; expected a text that is not empty`],
    [{ timeoutMs: -1 }, `timeoutMs: got -1; expected ${MS} (0 = no limit)`],
    [{ graceMs: '5' }, `graceMs: got '5'; expected ${MS}`],
    [{ signal: {} }, 'signal: got {}; expected an AbortSignal'],
    [{ timeout: 5 }, 'timeout: got 5; expected a known option, the nearest is "timeoutMs"'],
    [{ threads: 0 }, 'threads: got 0; expected an integer of threads from 1 to 1,024'],
    [{ threads: 1.5 }, 'threads: got 1.5; expected an integer of threads from 1 to 1,024'],
    [{ threads: 5 }, 'threads: got 5; expected an integer from 1 to 4, the threads of the bus'],
    [{ concurrency: 0 }, 'concurrency: got 0; expected an integer of deliveries from 1 to 1,024'],
    [{ concurrency: 1025 }, 'concurrency: got 1025; expected an integer of deliveries from 1 to 1,024'],
    [{ order: 'fifo' }, `order: got 'fifo'; expected 'key' or 'none'`],
    [{ key: 5 }, `key: got 5; expected ${KEY}`],
    [{ key: { TICK: 5 } }, `key.TICK: got 5; expected ${KEY}`],
    [{ lag: 'drop' }, `lag: got 'drop'; expected 'block' or 'conflate'`],
    [{ lag: 'conflate', maxKeys: 0 }, 'maxKeys: got 0; expected an integer of keys from 1 to 1,048,576'],
    [
      { lag: 'conflate', maxKeys: 2 ** 20 + 1 },
      'maxKeys: got 1048577; expected an integer of keys from 1 to 1,048,576',
    ],
    [
      { filter: 5 },
      'filter: got 5; expected an object of conditions by field, a function, or a reference made by workerHandlers',
    ],
    [
      { filter: null },
      'filter: got null; expected an object of conditions by field, a function, or a reference made by workerHandlers',
    ],
    [{ once: 1 }, 'once: got 1; expected true or false'],
  ];
  it.each(bad.map(([options, line]) => ({ options, line })))('are refused: $line', ({ options, line }) => {
    expect(problemsOf(options)).toStrictEqual([line]);
  });

  it('are refused with a line for each problem', () => {
    expect(problemsOf({ threads: 0, lag: 'drop', once: 1 })).toHaveLength(3);
    expect(problemsOf({ threads: 9, once: true, maxKeys: 5, key: 'prize', filter: { prize: 5 } })).toStrictEqual([
      'threads: got 9; expected an integer from 1 to 4, the threads of the bus',
      "maxKeys: got 5; expected nothing, unless with lag: 'conflate'",
      'once: got true; expected false with threads or concurrency above 1',
      'filter.prize: got 5; expected a field of "TICK" that can be compared: "symbol", "price", "size"; did you mean "price"?',
      `key: got 'prize'; expected ${usable('TICK', 'symbol', 'price', 'size')}; did you mean "price"?`,
    ]);
  });
});

/** The fields that can be a type's key, as a refusal names them. */
function usable(type: Type, ...fields: string[]): string {
  const names = fields.length === 0 ? 'it has none' : fields.map((name) => `"${name}"`).join(', ');
  return `a required field of type "${type}" that is neither any() nor bytes() (${names})`;
}

describe('how deliveries are divided', () => {
  it.each([
    [{}, 'ordered', undefined],
    [{ order: 'none' }, 'ordered', undefined],
    [{ threads: 2 }, 'ordered', { 1: 'symbol' }],
    [{ threads: 2, order: 'key' }, 'ordered', { 1: 'symbol' }],
    [{ threads: 2, order: 'none' }, 'claimed', undefined],
    [{ concurrency: 2 }, 'claimed', { 1: 'symbol' }],
    [{ concurrency: 2, order: 'none' }, 'claimed', undefined],
    [{ threads: 2, concurrency: 2 }, 'claimed', { 1: 'symbol' }],
    [{ threads: 2, concurrency: 2, order: 'none' }, 'claimed', undefined],
    [{ lag: 'conflate' }, 'conflated', { 1: 'symbol' }],
    [{ lag: 'conflate', threads: 2 }, 'conflated', { 1: 'symbol' }],
    [{ lag: 'block' }, 'ordered', undefined],
  ] as const)('with %j is %s', (options, mode, keys) => {
    expect(resolve(options)).toMatchObject({ mode, keys });
  });

  it('among threads is for worker handlers: a function has the one thread of the bus', () => {
    expect(problemsOf({ threads: 2 }, ['TICK'], FUNCTION)).toStrictEqual([
      "threads: got 2; expected 1: a function runs on the bus's own thread; workerHandlers run in the pool",
    ]);
    expect(resolve({ concurrency: 2 }, ['TICK'], FUNCTION)).toMatchObject({ mode: 'claimed', concurrency: 2 });
    expect(resolve({ threads: 1, lag: 'conflate' }, ['TICK'], FUNCTION)).toMatchObject({ mode: 'conflated' });
  });

  it('with conflation is by key, one delivery at a time', () => {
    expect(problemsOf({ lag: 'conflate', concurrency: 2, order: 'none' })).toStrictEqual([
      "concurrency: got 2; expected 1 with lag: 'conflate'",
      "order: got 'none'; expected 'key' with lag: 'conflate'",
    ]);
    expect(resolve({ lag: 'conflate', order: 'key', concurrency: 1 })).toMatchObject({ mode: 'conflated' });
  });

  it.each([{ threads: 2 }, { concurrency: 2 }, { threads: 2, order: 'none' }])(
    'does not go with once, where more than one delivery could be in flight: %j',
    (options) => {
      expect(problemsOf({ ...options, once: true })).toStrictEqual([
        'once: got true; expected false with threads or concurrency above 1',
      ]);
    },
  );

  it('has a bound of keys with conflation only', () => {
    expect(problemsOf({ maxKeys: 5 })).toStrictEqual(["maxKeys: got 5; expected nothing, unless with lag: 'conflate'"]);
    expect(problemsOf({ maxKeys: 5, lag: 'block' })).toHaveLength(1);
  });
});

describe('the key of each type', () => {
  it("is the catalog's, where the subscription names none", () => {
    expect(resolve({ concurrency: 2 }, ['TICK', 'WIDE']).keys).toStrictEqual({ 1: 'symbol', 5: 'n0' });
  });

  it('is the field that the subscription names, for all types or by type', () => {
    expect(resolve({ concurrency: 2, key: 'symbol' }, ['TICK', 'BAR']).keys).toStrictEqual({
      1: 'symbol',
      2: 'symbol',
    });
    const byType = { BAR: 'minute' };
    expect(resolve({ concurrency: 2, key: byType }, ['TICK', 'BAR']).keys).toStrictEqual({ 1: 'symbol', 2: 'minute' });
    expect(resolve({ concurrency: 2, key: { TICK: 'size' } }).keys).toStrictEqual({ 1: 'size' });
    expect(resolve({ concurrency: 2, key: 'body' }, ['NOTE']).keys).toStrictEqual({ 3: 'body' });
  });

  it('is not looked for among what every object has', () => {
    expect(resolve({ concurrency: 2, key: {} }, ['constructor']).keys).toStrictEqual({ 6: 'n' });
  });

  it.each([
    [{ threads: 2 }, 'threads or concurrency above 1', "; or order: 'none'"],
    [{ concurrency: 2 }, 'threads or concurrency above 1', "; or order: 'none'"],
    [{ lag: 'conflate' }, "lag: 'conflate'", ''],
  ])('must be there with %j', (options, why, otherwise) => {
    const expected = `expected with ${why}, ${usable('BAR', 'symbol', 'minute')}, as the catalog has no key for it${otherwise}`;
    expect(problemsOf(options, ['TICK', 'BAR'])).toStrictEqual([`key: got undefined; ${expected}`]);
    expect(problemsOf({ ...options, key: { TICK: 'size' } }, ['TICK', 'BAR'])).toStrictEqual([
      `key.BAR: got undefined; ${expected}`,
    ]);
  });

  it('need not be there where none is used', () => {
    expect(resolve({}, ['BAR', 'BLOB'])).toMatchObject({ mode: 'ordered', keys: undefined });
    expect(resolve({ threads: 2, concurrency: 2, order: 'none' }, ['BAR', 'BLOB'])).toMatchObject({ keys: undefined });
  });

  it.each<[key: unknown, types: Type[], line: string]>([
    [
      'prise',
      ['TICK'],
      `key: got 'prise'; expected ${usable('TICK', 'symbol', 'price', 'size')}; did you mean "price"?`,
    ],
    ['', ['TICK'], `key: got ''; expected ${usable('TICK', 'symbol', 'price', 'size')}`],
    ['price', ['TICK', 'BAR'], `key: got 'price'; expected ${usable('BAR', 'symbol', 'minute')}`],
    [{ BAR: 'price' }, ['TICK', 'BAR'], `key.BAR: got 'price'; expected ${usable('BAR', 'symbol', 'minute')}`],
    ['body', ['BLOB'], `key: got 'body'; expected ${usable('BLOB')}`],
    ['meta', ['BLOB'], `key: got 'meta'; expected ${usable('BLOB')}`],
    ['part', ['BLOB'], `key: got 'part'; expected ${usable('BLOB')}`],
    [{ BAR: 'minute' }, ['TICK'], `key.BAR: got 'BAR'; expected a type of the subscription ("TICK")`],
    [
      { TOCK: 'size' },
      ['TICK'],
      `key.TOCK: got 'TOCK'; expected a type of the subscription ("TICK"); did you mean "TICK"?`,
    ],
  ])('%j of %j is refused, whether it is used or not', (key, types, line) => {
    expect(problemsOf({ key }, types)).toStrictEqual([line]);
    expect(problemsOf({ key, concurrency: 2 }, types)).toContain(line);
  });
});

describe('conflation', () => {
  it('is for types of fixed width', () => {
    const variable = 'a field of variable width (text, bytes, any)';
    expect(problemsOf({ lag: 'conflate', key: { NOTE: 'author' } }, ['TICK', 'NOTE'])).toStrictEqual([
      `lag: got 'conflate'; expected 'block' for "NOTE" has ${variable}`,
    ]);
    expect(problemsOf({ lag: 'conflate', key: { NOTE: 'author' } }, ['BLOB', 'NOTE'])).toContain(
      `lag: got 'conflate'; expected 'block' for "NOTE", "BLOB" have ${variable}`,
    );
  });

  it('keeps no more keys than have room in a gibibyte, with three buffers each', () => {
    const most = Math.floor(2 ** 30 / (3 * (352 + 8)));
    expect(resolve({ lag: 'conflate', maxKeys: most }, ['TICK', 'WIDE']).maxKeys).toBe(most);
    expect(problemsOf({ lag: 'conflate', maxKeys: most + 1 }, ['TICK', 'WIDE'])).toStrictEqual([
      `maxKeys: got ${most + 1}; expected at most ${most.toLocaleString('en-US')}, for records of 352 bytes`,
    ]);
    expect(resolve({ lag: 'conflate', maxKeys: 2 ** 20 }, ['TICK']).maxKeys).toBe(2 ** 20);
  });
});

describe('a filter', () => {
  it('of conditions becomes plain data, for a handler of either kind', () => {
    const filter = [
      { field: 'symbol', values: ['ESH4', 'NQH4'] },
      { field: 'price', min: 100, max: undefined },
    ];
    for (const handler of [WORKER, FUNCTION]) {
      expect(resolve({ filter: { symbol: ['ESH4', 'NQH4'], price: { min: 100 } } }, ['TICK'], handler)).toStrictEqual({
        ...NONE,
        filter,
      });
    }
  });

  it('is a function for a function, and an export for a worker handler', () => {
    const predicate = (): boolean => true;
    expect(resolve({ filter: predicate }, ['TICK'], FUNCTION)).toStrictEqual({ ...NONE, predicate });
    expect(resolve({ filter: reference.isLarge })).toStrictEqual({ ...NONE, predicate: reference.isLarge });
    expect(problemsOf({ filter: predicate })).toStrictEqual([
      'filter: got [Function: predicate]; expected a reference made by workerHandlers or an object of conditions, ' +
        'as the handler is one',
    ]);
    expect(problemsOf({ filter: reference.isLarge }, ['TICK'], FUNCTION)).toStrictEqual([
      "filter: got { module: 'file:///handlers.js', exportName: 'isLarge' }; " +
        'expected a function or an object of conditions, as the handler is a function',
    ]);
  });

  it('names each of its problems by its place', () => {
    expect(problemsOf({ filter: { symbol: [5], size: { min: 2, max: 1 } } })).toStrictEqual([
      expect.stringMatching(/^filter\.symbol\[0\]: got 5; expected /),
      'filter.size: got { min: 2, max: 1 }; expected a min that is not above max',
    ]);
    expect(problemsOf({ filter: [] })).toStrictEqual(['filter: got []; expected an object of conditions by field']);
  });
});

describe('the option checkpointEvery', () => {
  it('is taken for a worker handler with one delivery at a time, on several threads by key too', () => {
    expect(resolve({ checkpointEvery: 10 })).toMatchObject({ checkpointEvery: 10, maxCheckpointBytes: 64 * 1024 ** 2 });
    const options = { checkpointEvery: 1, maxCheckpointBytes: 4096, threads: 3 };
    expect(resolve(options)).toMatchObject({ ...options, mode: 'ordered' });
  });

  it.each<[object, string[], string?]>([
    [{ checkpointEvery: 0 }, ['checkpointEvery: got 0; expected an integer of deliveries from 1 to 2,147,483,647']],
    [{ checkpointEvery: 10, concurrency: 2 }, ['concurrency: got 2; expected 1 with checkpointEvery']],
    [{ checkpointEvery: 10, order: 'none' }, ["order: got 'none'; expected 'key' with checkpointEvery"]],
    [{ checkpointEvery: 10, lag: 'conflate' }, ["lag: got 'conflate'; expected 'block' with checkpointEvery"]],
    [{ checkpointEvery: 10, once: true }, ['once: got true; expected false with checkpointEvery']],
    [
      { checkpointEvery: 10 },
      [
        "checkpointEvery: got 10; expected nothing: a function's state is on the bus's own thread, which is not replaced",
      ],
      FUNCTION,
    ],
    [{ maxCheckpointBytes: 4096 }, ['maxCheckpointBytes: got 4096; expected nothing, unless with checkpointEvery']],
  ])('is refused where it cannot be kept: %j', (options, lines, handler) => {
    expect(problemsOf(options, ['TICK'], handler)).toStrictEqual(lines);
  });
});
