// What a user can get wrong, on a bus that runs: a clear error, nothing written, and the next good event goes through.
import { type BusOptions, createBus, type EventBus, LanebusError } from 'lanebus';
import { describe, expect, it } from 'vitest';
import { type C, catalog, type Tick, type Wide } from '../support/handlers/catalog.js';
import type * as derive from '../support/handlers/derive.js';
import type * as publish from '../support/handlers/publish.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';

const handlers = handlersOf<typeof record>('record');
const { derive: deriveUnawaited, deriveAndCatch, deriveAndWait } = handlersOf<typeof derive>('derive');
const { publishAndTell, publishUnseen } = handlersOf<typeof publish>('publish');

const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });
const wide: Wide = {
  type: 'WIDE',
  f64: 0.1,
  i32: -1,
  u32: 1,
  u8: 1,
  bool: true,
  i64: -1n,
  u64: 1n,
  side: 'BUY',
  symbol: 'ESH4',
  text: 'text',
  bytes: new Uint8Array(8),
  any: [1],
};

/** The market lane takes records of up to 64 KiB in these tests. */
const LANES = { market: { capacityBytes: 2 ** 20, maxRecordBytes: 65_536 } };
const MEGABYTE = 1_000_000;

/** An event that the compiler would refuse, its lane (undefined when nobody can tell), and the error. */
interface Bad {
  readonly what: string;
  readonly event: unknown;
  readonly lane?: string;
  readonly code: string;
  readonly message: RegExp;
}

const UNKNOWN_TYPE = 'ERR_LANEBUS_UNKNOWN_TYPE';
const TOO_LARGE = 'ERR_LANEBUS_RECORD_TOO_LARGE';

function invalidTick(what: string, event: object, message: RegExp): Bad {
  return { what, event: { type: 'TICK', ...event }, lane: 'market', code: 'ERR_LANEBUS_INVALID_EVENT', message };
}

function invalidWide(what: string, field: object, message: RegExp): Bad {
  return { what, event: { ...wide, ...field }, lane: 'market', code: 'ERR_LANEBUS_INVALID_EVENT', message };
}

const BAD_EVENTS: readonly Bad[] = [
  {
    what: 'an unknown type',
    event: { ...tick(1), type: 'TOCK' },
    code: UNKNOWN_TYPE,
    message: /^the catalog has no event type "TOCK"; accepted: "HALT", .*; did you mean "TICK"\?$/,
  },
  { what: 'no type', event: { n: 1 }, code: UNKNOWN_TYPE, message: /no event type undefined; accepted: "HALT", / },
  {
    what: 'an inherited property as type',
    event: { type: 'constructor' },
    code: UNKNOWN_TYPE,
    message: /no event type "constructor"/,
  },
  {
    what: 'no object',
    event: undefined,
    code: 'ERR_LANEBUS_INVALID_EVENT',
    message: /event is undefined: expected an object/,
  },
  invalidTick('a missing field', { n: 1, symbol: 'A' }, /^event "TICK", field "price": missing; accepted: a number$/),
  invalidTick(
    'a field by a wrong name',
    { n: 1, symbol: 'A', prize: 1 },
    /field "price": missing; .*the event has "prize"/,
  ),
  invalidTick(
    'an extra field',
    { n: 1, symbol: 'A', price: 1, size: 2 },
    /^event "TICK": unknown field "size"; accepted: "n", "symbol", "price"/,
  ),
  invalidTick(
    'a number as text',
    { n: 1, symbol: 'A', price: '1' },
    /^event "TICK", field "price": got "1"; accepted: a number$/,
  ),
  invalidTick(
    'a symbol that is a number',
    { n: 1, symbol: 5, price: 1 },
    /field "symbol": got 5; accepted: a well-formed string$/,
  ),
  invalidTick(
    'null',
    { n: 1, symbol: 'A', price: null },
    /^event "TICK", field "price": got null; accepted: a number$/,
  ),
  invalidWide(
    'NaN where an integer belongs',
    { i32: NaN },
    /field "i32": got NaN; accepted: an integer from -2147483648/,
  ),
  invalidWide('a fraction where an integer belongs', { i32: 1.5 }, /field "i32": got 1.5; accepted: an integer/),
  invalidWide('an i32 above its range', { i32: 2 ** 31 }, /field "i32": got 2147483648; accepted: .* to 2147483647$/),
  invalidWide('an i32 below its range', { i32: -(2 ** 31) - 1 }, /field "i32": got -2147483649; accepted/),
  invalidWide('a u32 above its range', { u32: 2 ** 32 }, /field "u32": got 4294967296; accepted: .* 0 to 4294967295$/),
  invalidWide('a negative u32', { u32: -1 }, /field "u32": got -1; accepted/),
  invalidWide('a u8 above its range', { u8: 256 }, /field "u8": got 256; accepted: an integer from 0 to 255$/),
  invalidWide(
    'an i64 above its range',
    { i64: 2n ** 63n },
    /field "i64": got 9223372036854775808n; accepted: a bigint from -2\^63 to 2\^63 - 1$/,
  ),
  invalidWide(
    'a u64 above its range',
    { u64: 2n ** 64n },
    /field "u64": got 18446744073709551616n; accepted: a bigint/,
  ),
  invalidWide('a negative u64', { u64: -1n }, /field "u64": got -1n; accepted: a bigint from 0 to 2\^64 - 1$/),
  invalidWide('a number for a bigint', { u64: 5 }, /field "u64": got 5; accepted: a bigint/),
  invalidWide('a truthy value for a bool', { bool: 1 }, /field "bool": got 1; accepted: true or false$/),
  invalidWide('an array for bytes', { bytes: [1, 2] }, /field "bytes": got an array; accepted: a Uint8Array$/),
  invalidWide(
    'a lone surrogate in a text',
    { text: 'a\ud83d' },
    /field "text": got .* with a lone surrogate at index 1/,
  ),
  invalidWide('a lone surrogate in a symbol', { symbol: '\ude00' }, /field "symbol": .*lone surrogate at index 0/),
  invalidWide(
    'an unknown enum member',
    { side: 'SELLL' },
    /field "side": got "SELLL"; accepted: one of "BUY", "SELL"; did you mean "SELL"\?$/,
  ),
  invalidWide('a function in an any field', { any: () => 1 }, /field "any": got .*; accepted: what structured clone/),
  {
    what: 'a text of a megabyte',
    event: { ...wide, text: 'x'.repeat(MEGABYTE) },
    lane: 'market',
    code: TOO_LARGE,
    message: /^record of 1,000,\d{3} bytes exceeds lane "market" limit of 65,536 bytes$/,
  },
  {
    what: 'a megabyte of bytes',
    event: { ...wide, bytes: new Uint8Array(MEGABYTE) },
    lane: 'market',
    code: TOO_LARGE,
    message: /^record of 1,000,\d{3} bytes exceeds lane "market" limit of 65,536 bytes$/,
  },
  {
    what: 'a symbol when the table is full',
    event: { ...tick(1), symbol: 'THIRD' },
    lane: 'market',
    code: 'ERR_LANEBUS_SYMBOL_TABLE_FULL',
    message: /^symbol "THIRD" does not fit the symbol table of .*, which holds 2 symbols \(option symbols\.max\)/,
  },
];

/** Published and rejected of all lanes. */
function countsOf(bus: EventBus<C>): Record<string, { published: number; rejected: number }> {
  const { lanes } = bus.metrics();
  return Object.fromEntries(
    Object.entries(lanes).map(([name, { published, rejected }]) => [name, { published, rejected }]),
  );
}

function refusalOf(call: () => unknown): LanebusError {
  try {
    call();
  } catch (error) {
    if (error instanceof LanebusError) return error;
    throw error;
  }
  throw new Error('expected it to throw');
}

describe('an event that is refused', () => {
  const WAYS = {
    publish: (bus: EventBus<C>, bad: unknown) => bus.publish(bad as Tick),
    tryPublish: async (bus: EventBus<C>, bad: unknown) => Promise.resolve(bus.tryPublish(bad as Tick)),
    publishBatch: (bus: EventBus<C>, bad: unknown) => bus.publishBatch([bad as Tick]),
  };

  it.each(BAD_EVENTS)('with $what is named, not written and counted', async ({ event, lane, code, message }) => {
    const bus = newBus({ lanes: LANES, symbols: { max: 2 } });
    const notes = new Notes(bus);
    const subscription = bus.subscribe(['TICK', 'WIDE'], handlers.quiet);
    bus.subscribe('TICK', handlers.onTick);
    await bus.start();
    await bus.publish({ ...tick(0), symbol: 'FIRST' });
    await bus.publish(tick(1));
    await bus.drain();
    const before = countsOf(bus);
    for (const [way, publish] of Object.entries(WAYS)) {
      const refused: unknown = await publish(bus, event).catch((error: unknown) => error);
      expect(refused, way).toBeInstanceOf(LanebusError);
      expect(refused, way).toMatchObject({ code, message: expect.stringMatching(message) as string });
      if (lane !== undefined) before[lane].rejected++;
      expect(countsOf(bus), way).toEqual(before);
    }
    await bus.publish(tick(2));
    expect(await notes.until('tick', 3)).toMatchObject([{ n: 0 }, { n: 1 }, { n: 2, data: { sequence: 2 } }]);
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ owed: 3, processed: 3, exact: true });
    expectExact(bus.metrics());
  });

  it('keeps all others of its batch from being published, and all of them count as rejected', async () => {
    const bus = newBus();
    const subscription = bus.subscribe(['TICK', 'SIGNAL'], handlers.quiet);
    await bus.start();
    const bad = { ...tick(3), price: '1' } as unknown as Tick;
    const signal = { type: 'SIGNAL', n: 1, symbol: 'ESH4' } as const;
    await expect(bus.publishBatch([tick(1), signal, tick(2), bad, tick(4)])).rejects.toMatchObject({
      code: 'ERR_LANEBUS_INVALID_EVENT',
      message: expect.stringContaining('event "TICK", field "price": got "1"') as string,
    });
    expect(countsOf(bus)).toMatchObject({
      market: { published: 0, rejected: 4 },
      signal: { published: 0, rejected: 1 },
    });
    await bus.publishBatch([tick(1), signal, tick(2)]);
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ owed: 3, processed: 3, exact: true });
    expect(countsOf(bus)).toMatchObject({
      market: { published: 2, rejected: 4 },
      signal: { published: 1, rejected: 1 },
    });
  });

  it('is refused in a pool thread in the same words', async () => {
    const bus = newBus({ symbols: { max: 1 } });
    const notes = new Notes(bus);
    bus.subscribe('TICK', handlers.quiet);
    const told = bus.subscribe('JOB', publishAndTell);
    const unseen = bus.subscribe('JOB', publishUnseen);
    await bus.start();
    const events = [
      tick(0),
      { ...tick(1), type: 'TOCK' },
      { ...tick(2), price: '2' },
      { ...tick(3), symbol: 'SECOND' },
      tick(4),
    ];
    for (const [n, event] of events.entries()) await bus.publish({ type: 'JOB', n, act: JSON.stringify(event) });
    await notes.until('published', 2);
    expect(notes.of('refused')).toMatchObject([
      {
        n: 1,
        data: { code: UNKNOWN_TYPE, message: expect.stringMatching(/no event type "TOCK".*"TICK"\?$/) as string },
      },
      {
        n: 2,
        data: {
          code: 'ERR_LANEBUS_INVALID_EVENT',
          message: 'event "TICK", field "price": got "2"; accepted: a number',
        },
      },
      {
        n: 3,
        data: {
          code: 'ERR_LANEBUS_SYMBOL_TABLE_FULL',
          message: expect.stringMatching(/^symbol "SECOND" does not fit the symbol table of .*thread 1/) as string,
        },
      },
    ]);
    await bus.drain();
    expect(told.metrics()).toMatchObject({ processed: 5, failed: 0 });
    // A refusal that nobody looks at is not lost: it fails the delivery.
    expect(unseen.metrics()).toMatchObject({ processed: 2, failed: 3, consecutiveFailures: 0 });
    // By each of the two: one bad field, one symbol too many.
    expect(bus.metrics().lanes.market).toMatchObject({ published: 5 + 4, rejected: 4 });
    expectExact(bus.metrics());
  });
});

describe('a full lane', () => {
  const full = (whenFull: 'reject' | 'dropNewest') => {
    const bus = newBus({ lanes: { signal: { capacityBytes: 1024, whenFull } } });
    const notes = new Notes(bus);
    const signals = bus.subscribe('SIGNAL', handlers.quiet);
    return { bus, notes, signals };
  };

  it('with `reject`: a handler that awaits and catches is processed', async () => {
    const { bus, notes, signals } = full('reject');
    const ticks = bus.subscribe('TICK', deriveAndCatch);
    await bus.start();
    signals.pause();
    for (const n of range(100)) await bus.publish(tick(n));
    await expect.poll(() => ticks.metrics().processed).toBe(100);
    await expect.poll(() => notes.of('published').length + notes.of('refused').length).toBe(100);
    const published = notes.of('published').length;
    expect(published).toBeGreaterThan(0);
    expect(notes.of('refused').length).toBe(100 - published);
    expect(notes.of('refused')[0].data).toBe('ERR_LANEBUS_LANE_FULL');
    expect(bus.metrics().lanes.signal).toMatchObject({ published, rejected: 100 - published });
    signals.resume();
    await bus.drain();
    expect(signals.metrics()).toMatchObject({ owed: published, processed: published });
    expectExact(bus.metrics());
  });

  it.each([
    ['does not await', deriveUnawaited],
    ['does not catch', deriveAndWait],
  ] as const)('with `reject`: the delivery of a handler that %s fails', async (_, handler) => {
    const { bus, signals } = full('reject');
    const ticks = bus.subscribe('TICK', handler);
    await bus.start();
    signals.pause();
    for (const n of range(100)) await bus.publish(tick(n));
    await expect.poll(() => ticks.metrics().pending).toBe(0);
    const { processed, failed, consecutiveFailures } = ticks.metrics();
    expect(processed).toBeGreaterThan(0);
    expect(failed).toBe(100 - processed);
    expect(failed).toBeGreaterThan(0);
    expect(consecutiveFailures).toBe(failed);
    expect(bus.metrics().lanes.signal).toMatchObject({ published: processed, rejected: failed });
    signals.resume();
    await bus.drain();
    expect(signals.metrics().processed).toBe(processed);
    expectExact(bus.metrics());
  });

  it('with `dropNewest`: the event is dropped and counted, and the delivery is processed', async () => {
    const { bus, signals } = full('dropNewest');
    const ticks = bus.subscribe('TICK', deriveAndWait);
    await bus.start();
    signals.pause();
    for (const n of range(100)) await bus.publish(tick(n));
    await expect.poll(() => ticks.metrics().processed).toBe(100);
    const { published, dropped, rejected } = bus.metrics().lanes.signal;
    expect(published + dropped).toBe(100);
    expect(dropped).toBeGreaterThan(0);
    expect(rejected).toBe(0);
    signals.resume();
    await bus.drain();
    expect(signals.metrics()).toMatchObject({ owed: published, processed: published });
    expectExact(bus.metrics());
  });
});

describe('subscribe', () => {
  it('to an unknown type names it and the nearest one', () => {
    const bus = newBus();
    const refused = refusalOf(() => bus.subscribe('TOCK' as string as 'TICK', handlers.quiet));
    expect(refused).toMatchObject({ code: UNKNOWN_TYPE });
    expect(refused.message).toMatch(/"TOCK".*did you mean "TICK"\?$/);
    const names = ['TICK', 'HLAT'] as unknown as 'HALT'[];
    expect(refusalOf(() => bus.subscribe(names, () => undefined)).message).toMatch(/"HLAT".*did you mean "HALT"\?$/);
    expect(refusalOf(() => bus.subscribe([], () => undefined))).toMatchObject({ code: UNKNOWN_TYPE });
    expect(bus.metrics().subscriptions).toEqual([]);
  });

  it.each(['created', 'running'] as const)('the same handler twice is refused while the bus is %s', async (state) => {
    const bus = newBus();
    const onTick = (): void => undefined;
    bus.subscribe(['TICK', 'SIGNAL'], onTick);
    bus.subscribe('TICK', handlers.quiet);
    if (state === 'running') await bus.start();
    const twice = { code: 'ERR_LANEBUS_DUPLICATE_HANDLER' };
    const again = refusalOf(() => bus.subscribe('TICK', onTick));
    expect(again).toMatchObject(twice);
    expect(again.message).toMatch(/^subscribe "TICK": handler onTick is subscribed to it already/);
    expect(refusalOf(() => bus.subscribe(['HALT', 'SIGNAL'] as never, onTick))).toMatchObject(twice);
    // Another reference to the same export.
    const { quiet } = handlersOf<typeof record>('record');
    expect(refusalOf(() => bus.subscribe('TICK', quiet)).message).toMatch(
      /^subscribe "TICK": handler record\.js#quiet/,
    );
    expect(bus.metrics().subscriptions).toHaveLength(2);
  });

  it.each([undefined, null, 'record.js#quiet', {}])('a handler that is none is refused: %o', (handler) => {
    const refused = refusalOf(() => newBus().subscribe('TICK', handler as () => void));
    expect(refused).toMatchObject({ code: 'ERR_LANEBUS_OPTIONS' });
    expect(refused.message).toMatch(/^subscribe "TICK": handler is .*; expected a function or a reference/);
  });

  it('with a bad option names it and what is accepted', () => {
    const refused = refusalOf(() => newBus().subscribe('TICK', () => undefined, { timeoutMS: 5 } as never));
    expect(refused).toMatchObject({ code: 'ERR_LANEBUS_OPTIONS' });
    expect(refused.message).toMatch(/timeoutMS: got 5; expected a known option, the nearest is "timeoutMs"$/);
  });
});

describe('createBus', () => {
  it.each<[string, unknown, RegExp]>([
    [
      'a negative capacity',
      { lanes: { market: { capacityBytes: -1024 } } },
      /^lanes\.market\.capacityBytes: got -1024; expected a power of two/m,
    ],
    [
      'a capacity that is no power of two',
      { lanes: { market: { capacityBytes: 5000 } } },
      /^lanes\.market\.capacityBytes: got 5000; expected a power of two .*, the nearest are 4,096 and 8,192$/m,
    ],
    ['no threads', { threads: 0 }, /^threads: got 0; expected an integer of threads from 1 to 1,024$/m],
    ['an unknown option', { treads: 2 }, /^treads: got 2; expected a known option, the nearest is "threads"$/m],
    [
      'an unknown option of a lane',
      { lanes: { market: { capacity: 1024 } } },
      /^lanes\.market\.capacity: got 1024; expected a known option, the nearest is "capacityBytes"$/m,
    ],
    [
      'an unknown policy',
      { lanes: { market: { whenFull: 'drop' } } },
      /^lanes\.market\.whenFull: got 'drop'; expected .*'dropNewest'/m,
    ],
  ])('refuses %s', (_, options, line) => {
    const refused = refusalOf(() => createBus(catalog, options as BusOptions));
    expect(refused).toMatchObject({ code: 'ERR_LANEBUS_OPTIONS' });
    expect(refused.message).toMatch(line);
  });

  it('names all problems in one error', () => {
    const options = { threads: 0, treads: 2, lanes: { market: { capacityBytes: -1 } }, graceMs: '5' } as unknown;
    const { message } = refusalOf(() => createBus(catalog, options as BusOptions));
    expect(message.split('\n')[0]).toBe('4 problems in the options of createBus');
    for (const path of ['threads', 'treads', 'lanes.market.capacityBytes', 'graceMs']) {
      expect(message).toContain(`\n${path}: got `);
    }
  });
});

describe('a bus out of its time', () => {
  const STOPPED = { code: 'ERR_LANEBUS_STOPPED', message: expect.stringContaining('has been stopped') as string };

  it('takes no event before start', async () => {
    const bus = newBus();
    bus.subscribe('TICK', handlers.quiet);
    await expect(bus.publish(tick(1))).rejects.toMatchObject({
      code: 'ERR_LANEBUS_NOT_STARTED',
      message: expect.stringContaining('await bus.start() first') as string,
    });
    await bus.start();
    await bus.publish(tick(2));
    await bus.drain();
    expect(bus.metrics().subscriptions[0]).toMatchObject({ owed: 1, processed: 1 });
  });

  it('is started once', async () => {
    const bus = newBus();
    await bus.start();
    await expect(bus.start()).rejects.toMatchObject({
      code: 'ERR_LANEBUS_ALREADY_STARTED',
      message: expect.stringContaining('running already') as string,
    });
    await bus.publish(tick(1));
    expect(bus.metrics().lanes.market.published).toBe(1);
  });

  it('takes nothing after stop', async () => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    await bus.publish(tick(1));
    await bus.stop();
    await expect(bus.publish(tick(2))).rejects.toMatchObject(STOPPED);
    await expect(bus.publishBatch([tick(2)])).rejects.toMatchObject(STOPPED);
    expect(bus.tryPublish(tick(2))).toBe('closed');
    await expect(bus.start()).rejects.toMatchObject(STOPPED);
    expect(() => bus.subscribe('TICK', () => undefined)).toThrow(expect.objectContaining(STOPPED));
    expect(subscription.unsubscribe()).toBe(false);
    expect(subscription.metrics()).toMatchObject({ state: 'ended', owed: 1, processed: 1, exact: true });
  });
});
