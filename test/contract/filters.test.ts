// Which events a handler gets: filters and `once`. And where a derived event comes from: its cause.
import { describe, expect, it } from 'vitest';
import type { EventFilter } from 'lanebus';
import type { C, Note, Tick, Wide } from '../support/handlers/catalog.js';
import type * as derive from '../support/handlers/derive.js';
import type * as record from '../support/handlers/record.js';
import type * as share from '../support/handlers/share.js';
import type { Seen } from '../support/handlers/share.js';
import type * as sieve from '../support/handlers/sieve.js';
import type * as trace from '../support/handlers/trace.js';
import { Feed, numbersByKey } from '../support/told.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';

const { onWide } = handlersOf<typeof record>('record');
const { tell, tellLater, tellToo } = handlersOf<typeof share>('share');
const { isBuy, isEven, isEvenOrThrows } = handlersOf<typeof sieve>('sieve');
const { traceOrder, traceSignal, traceTick } = handlersOf<typeof trace>('trace');
const { deriveAndWait } = handlersOf<typeof derive>('derive');
const seenBy = (notes: Notes, what = 'seen'): Seen[] => notes.of(what).map(({ data }) => data as Seen);
const numbers = (seen: readonly { n: number }[]): number[] => seen.map(({ n }) => n).sort((a, b) => a - b);
const tick = (n: number, symbol = `S${n % 10}`): Tick => ({ type: 'TICK', n, symbol, price: n / 4 });
const evens = (count: number): number[] => range(count).filter((n) => n % 2 === 0);

const NO_BYTES = new Uint8Array();

/** Each number gives other values; a third of them leaves the optional fields out. */
function wide(n: number): Wide {
  const given: Wide = {
    type: 'WIDE',
    f64: n / 2,
    i32: n - 10,
    u32: 4_000_000_000 + n,
    u8: n,
    bool: n % 2 === 0,
    i64: BigInt(n - 10) * 2n ** 40n,
    u64: 2n ** 63n + BigInt(n),
    side: n % 2 === 0 ? 'BUY' : 'SELL',
    symbol: `S${n % 5}`,
    text: 'text',
    bytes: NO_BYTES,
    any: null,
  };
  return n % 3 === 0
    ? given
    : { ...given, maybeF64: n, maybeSide: 'SELL', maybeSymbol: `S${n % 5}`, maybeI64: BigInt(n) };
}

const COUNT = 30;
const FILTERS: readonly { of: string; filter: EventFilter<C, 'WIDE'>; passes: (n: number) => boolean }[] = [
  { of: 'a value of f64', filter: { f64: 3.5 }, passes: (n) => n === 7 },
  { of: 'a range of f64', filter: { f64: { min: 2, max: 4.5 } }, passes: (n) => n >= 4 && n <= 9 },
  { of: 'a set of i32', filter: { i32: [-3, 0, 5, 99] }, passes: (n) => [7, 10, 15].includes(n) },
  { of: 'a range of i32, open above', filter: { i32: { min: 15 } }, passes: (n) => n >= 25 },
  { of: 'a range of u32, open below', filter: { u32: { max: 4_000_000_003 } }, passes: (n) => n <= 3 },
  { of: 'a value of u8', filter: { u8: 29 }, passes: (n) => n === 29 },
  { of: 'bool', filter: { bool: false }, passes: (n) => n % 2 === 1 },
  { of: 'a range of i64', filter: { i64: { min: -(2n ** 41n), max: 0n } }, passes: (n) => n >= 8 && n <= 10 },
  { of: 'a set of u64', filter: { u64: [2n ** 63n, 2n ** 63n + 4n] }, passes: (n) => n === 0 || n === 4 },
  { of: 'an enum', filter: { side: 'BUY' }, passes: (n) => n % 2 === 0 },
  { of: 'a symbol', filter: { symbol: 'S3' }, passes: (n) => n % 5 === 3 },
  {
    of: 'a set of symbols, one never seen',
    filter: { symbol: ['S1', 'S2', 'none'] },
    passes: (n) => [1, 2].includes(n % 5),
  },
  { of: 'an optional number', filter: { maybeF64: { max: 10 } }, passes: (n) => n <= 10 && n % 3 > 0 },
  { of: 'an optional enum', filter: { maybeSide: ['BUY', 'SELL'] }, passes: (n) => n % 3 > 0 },
  { of: 'an optional symbol', filter: { maybeSymbol: 'S0' }, passes: (n) => n % 5 === 0 && n % 3 > 0 },
  { of: 'an optional bigint', filter: { maybeI64: 4n }, passes: (n) => n === 4 },
  {
    of: 'several fields, all of which must hold',
    filter: { side: 'SELL', f64: { min: 5 }, symbol: ['S1', 'S3'] },
    passes: (n) => n % 2 === 1 && n >= 10 && [1, 3].includes(n % 5),
  },
];

describe('a filter of conditions on fields', () => {
  it.each(FILTERS)('delivers what passes and counts the rest filtered: $of', async ({ filter, passes }) => {
    const bus = newBus();
    const notes = new Notes(bus);
    const here: number[] = [];
    const subscriptions = [
      bus.subscribe('WIDE', onWide, { filter }),
      bus.subscribe('WIDE', ({ u8 }) => void here.push(u8), { filter }),
    ];
    await bus.start();
    for (const n of range(COUNT)) await bus.publish(wide(n));
    await bus.drain();
    const expected = range(COUNT).filter(passes);
    expect(expected.length).toBeGreaterThan(0);
    expect(notes.of('wide').map(({ data }) => (data as Wide).u8)).toEqual(expected);
    expect(here).toEqual(expected);
    for (const subscription of subscriptions) {
      const counts = { owed: COUNT, processed: expected.length, filtered: COUNT - expected.length };
      expect(subscription.metrics()).toMatchObject({ ...counts, exact: true });
    }
  });

  it('holds for each type of a subscription, and for events of every publishing thread', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    bus.subscribe('TICK', deriveAndWait);
    const filtered = bus.subscribe(['TICK', 'SIGNAL'], tell, { filter: { symbol: ['S3', 'S7'], n: { min: 50 } } });
    await bus.start();
    for (const n of range(100)) await bus.publish(tick(n));
    await bus.drain();
    const expected = range(50, 50).filter((n) => [3, 7].includes(n % 10));
    for (const type of ['TICK', 'SIGNAL']) {
      expect(numbers(seenBy(notes).filter((one) => one.type === type)), type).toEqual(expected);
    }
    expect(filtered.metrics()).toMatchObject({ owed: 200, processed: 20, filtered: 180, exact: true });
  });

  it('leaves nothing of what it refuses in the lane', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024 } } });
    const filtered = bus.subscribe('TICK', tell, { filter: { n: 2_000 } });
    await bus.start();
    for (const n of range(2_001)) await bus.publish(tick(n));
    await bus.drain();
    expect(filtered.metrics()).toMatchObject({ owed: 2_001, processed: 1, filtered: 2_000, exact: true });
    expect(bus.metrics().lanes.market).toMatchObject({ depthEvents: 0 });
  });

  it('is refused when no event can be compared with it', () => {
    const bus = newBus();
    const subscribe = (filter: object) => (): unknown => bus.subscribe('WIDE', onWide, { filter });
    for (const [filter, message] of [
      [{ nope: 1 }, /filter\.nope/],
      [{ text: 'a' }, /filter\.text/],
      [{ i32: 'a' }, /filter\.i32/],
      [{ side: 'HOLD' }, /filter\.side/],
    ] as const) {
      expect(subscribe(filter)).toThrow(message);
    }
  });
});

describe('a filter that is a predicate', () => {
  it('is a function for a function handler', async () => {
    const bus = newBus();
    const seen: number[] = [];
    const subscription = bus.subscribe('TICK', ({ n }) => void seen.push(n), { filter: ({ n }) => n % 2 === 0 });
    await bus.start();
    for (const n of range(100)) await bus.publish(tick(n));
    await bus.drain();
    expect(seen).toEqual(evens(100));
    expect(subscription.metrics()).toMatchObject({ owed: 100, processed: 50, filtered: 50, exact: true });
  });

  it('is an export of a module for a worker handler', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const ticks = bus.subscribe('TICK', tell, { filter: isEven });
    const wides = bus.subscribe('WIDE', onWide, { filter: isBuy });
    await bus.start();
    for (const n of range(COUNT)) {
      await bus.publish(tick(n));
      await bus.publish(wide(n));
    }
    await bus.drain();
    expect(numbers(seenBy(notes))).toEqual(evens(COUNT));
    expect(notes.of('wide').map(({ data }) => (data as Wide).u8)).toEqual(evens(COUNT));
    for (const subscription of [ticks, wides]) {
      expect(subscription.metrics()).toMatchObject({ owed: COUNT, processed: COUNT / 2, filtered: COUNT / 2 });
    }
    expectExact(bus.metrics());
  });

  it.each(['function', 'worker'] as const)('fails a delivery that it cannot judge, and only that: %s', async (kind) => {
    const bus = newBus();
    const notes = new Notes(bus);
    const judge = ({ n, symbol }: Tick): boolean => {
      if (symbol === 'THROW') throw new Error('no');
      return n % 2 === 0;
    };
    const subscription =
      kind === 'worker'
        ? bus.subscribe('TICK', tell, { filter: isEvenOrThrows })
        : bus.subscribe('TICK', () => undefined, { filter: judge });
    await bus.start();
    for (const n of range(20)) await bus.publish(tick(n, n < 4 ? 'THROW' : 'A'));
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ owed: 20, processed: 8, filtered: 8, failed: 4, exact: true });
    if (kind === 'worker') expect(numbers(seenBy(notes))).toEqual(evens(20).slice(2));
  });

  it('fails start when its module does not export it', async () => {
    const bus = newBus();
    const missing = handlersOf<{ isOdd: (event: Tick) => boolean }>('sieve').isOdd;
    bus.subscribe('TICK', tell, { filter: missing });
    await expect(bus.start()).rejects.toMatchObject({
      code: 'ERR_LANEBUS_EXPORT_NOT_FOUND',
      message: expect.stringContaining('isOdd') as string,
    });
  });

  it('must run where the handler does', () => {
    const bus = newBus();
    expect(() => bus.subscribe('TICK', tell, { filter: () => true })).toThrow(/filter: .*workerHandlers/);
    expect(() => bus.subscribe('TICK', () => undefined, { filter: isEven })).toThrow(/filter: .*a function/);
  });
});

describe('a filter beside other options', () => {
  it.each([
    { shape: 'threads with a key', handler: tell, options: { threads: 2 } },
    { shape: "threads with order: 'none'", handler: tell, options: { threads: 2, order: 'none' } },
    { shape: 'concurrency', handler: tellLater, options: { concurrency: 8 } },
    { shape: 'threads and concurrency', handler: tellLater, options: { threads: 2, concurrency: 4 } },
  ] as const)('counts every event once: $shape', async ({ handler, options }) => {
    for (const filter of [{ symbol: ['S0', 'S2', 'S4', 'S6', 'S8'] }, isEven]) {
      const bus = newBus({ threads: 2, lanes: { market: { capacityBytes: 1024 } } });
      const notes = new Notes(bus);
      const subscription = bus.subscribe('TICK', handler, { ...options, filter });
      await bus.start();
      for (const n of range(1_000)) await bus.publish(tick(n));
      await bus.drain();
      expect(numbers(seenBy(notes))).toEqual(evens(1_000));
      expect(subscription.metrics()).toMatchObject({ owed: 1_000, processed: 500, filtered: 500, exact: true });
    }
  });
});

describe('once: true', () => {
  it.each(['function', 'worker'] as const)('delivers one event, then the subscription has ended: %s', async (kind) => {
    const bus = newBus();
    const notes = new Notes(bus);
    const here: number[] = [];
    const subscription =
      kind === 'worker'
        ? bus.subscribe('TICK', tell, { once: true })
        : bus.subscribe('TICK', ({ n }) => void here.push(n), { once: true });
    await bus.start();
    for (const n of range(100)) await bus.publish(tick(n));
    await subscription.ended;
    await bus.publish(tick(100));
    await bus.drain();
    expect(kind === 'worker' ? numbers(seenBy(notes)) : here).toEqual([0]);
    const { owed, discarded, ...metrics } = subscription.metrics();
    expect(metrics).toMatchObject({ state: 'ended', processed: 1, pending: 0, exact: true });
    expect(discarded).toBe(owed - 1);
    expectExact(bus.metrics());
  });

  it.each(['function', 'worker'] as const)('waits for one that passes the filter: %s', async (kind) => {
    const bus = newBus();
    const notes = new Notes(bus);
    const here: number[] = [];
    const options = { once: true, filter: { n: { min: 40 } } };
    const subscription =
      kind === 'worker'
        ? bus.subscribe('TICK', tellLater, options)
        : bus.subscribe('TICK', ({ n }) => void here.push(n), options);
    await bus.start();
    for (const n of range(40)) await bus.publish(tick(n));
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ state: 'active', owed: 40, processed: 0, filtered: 40 });
    for (const n of range(60, 40)) await bus.publish(tick(n));
    await subscription.ended;
    await bus.drain();
    expect(kind === 'worker' ? numbers(seenBy(notes)) : here).toEqual([40]);
    const { owed, discarded } = subscription.metrics();
    expect(subscription.metrics()).toMatchObject({ processed: 1, filtered: 40, exact: true });
    expect(discarded).toBe(owed - 41);
  });

  it('counts a delivery that fails as the one', async () => {
    const bus = newBus();
    let calls = 0;
    const fail = (): never => {
      calls++;
      throw new Error('no');
    };
    const subscription = bus.subscribe('TICK', fail, { once: true });
    await bus.start();
    for (const n of range(10)) await bus.publish(tick(n));
    await subscription.ended;
    expect(calls).toBe(1);
    expect(subscription.metrics()).toMatchObject({ failed: 1, processed: 0, exact: true });
  });

  it('takes the newest event of a conflating subscription', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', tell, { once: true, lag: 'conflate' });
    subscription.pause();
    await bus.start();
    for (const n of range(10)) await bus.publish(tick(n, n % 2 === 0 ? 'EVEN' : 'ODD'));
    subscription.resume();
    await subscription.ended;
    await bus.drain();
    expect(seenBy(notes).map(({ key, n, skipped }) => [key, n, skipped])).toEqual([['EVEN', 8, 4]]);
    expect(subscription.metrics()).toMatchObject({ owed: 10, processed: 1, conflated: 8, discarded: 1, exact: true });
  });
});

describe('context.cause', () => {
  const asCause = ({ lane, publisher, sequence }: Seen): object => ({ lane, publisher, sequence });
  const byNumber = (notes: Notes, what: string): Seen[] => seenBy(notes, what).sort((a, b) => a.n - b.n);
  const TINY = { capacityBytes: 1024 } as const;

  it.each([
    { shape: 'one delivery at a time', options: {}, lanes: {} },
    { shape: 'events that wait for room', options: {}, lanes: { signal: TINY, execution: TINY } },
    { shape: 'several deliveries in flight', options: { concurrency: 16 }, lanes: { signal: TINY, execution: TINY } },
  ])('is the event whose handler published this one, through a chain of three threads: $shape', async (given) => {
    const EVENTS = 400;
    const bus = newBus({ threads: 3, lanes: given.lanes });
    const notes = new Notes(bus);
    const causes = new Map<string, Note[]>();
    bus.subscribe('NOTE', (event, { cause }) => {
      causes.set(`${event.what} ${event.n}`, [cause as never]);
    });
    const steps = [
      bus.subscribe('TICK', traceTick, given.options),
      bus.subscribe('SIGNAL', traceSignal),
      bus.subscribe('ORDER', traceOrder),
    ];
    expect(steps.flatMap((step) => step.metrics().threads)).toEqual([1, 2, 3]);
    await bus.start();
    for (const n of range(EVENTS)) await bus.publish(tick(n));
    await bus.drain();
    const [ticks, signals, orders] = ['tick', 'signal', 'order'].map((what) => byNumber(notes, what));
    expect(ticks.map(({ n }) => n)).toEqual(range(EVENTS));
    for (const { n, cause } of ticks) expect(cause, `cause of tick ${n}`).toBeUndefined();
    expect(signals.map(({ cause }) => cause)).toEqual(ticks.map(asCause));
    expect(orders.map(({ cause }) => cause)).toEqual(signals.map(asCause));
    // What a handler tells the test is derived as well.
    for (const one of orders) expect(causes.get(`order ${one.n}`)).toEqual([asCause(one)]);
    for (const one of ticks) expect(causes.get(`tick ${one.n}`)).toEqual([asCause(one)]);
    expect(new Set([...ticks, ...signals, ...orders].map(({ publisher }) => publisher))).toEqual(new Set([0, 1, 2]));
    expectExact(bus.metrics());
  });

  it('is kept where events are conflated, and is that of the event that is delivered', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const seen: { n: number; cause: unknown }[] = [];
    bus.subscribe('TICK', deriveAndWait);
    bus.subscribe('TICK', tellToo);
    bus.subscribe('SIGNAL', traceSignal);
    const orders = bus.subscribe('ORDER', ({ n }, { cause }) => void seen.push({ n, cause }), {
      lag: 'conflate',
      key: 'symbol',
    });
    await bus.start();
    orders.pause();
    const feed = new Feed();
    for (const n of range(40)) await bus.publish(feed.next(`S${n % 4}`));
    await notes.until('signal', 40);
    orders.resume();
    await bus.drain();
    expect(Object.keys(numbersByKey(seenBy(notes, 'seen too')))).toHaveLength(4);
    const signals = seenBy(notes, 'signal').filter(({ n }) => n === 9);
    expect(seen).toEqual(signals.map((one) => ({ n: 9, cause: asCause(one) })));
  });

  it('is undefined for what bus.publish publishes, inside a handler too', async () => {
    const bus = newBus();
    const causes: unknown[] = [];
    bus.subscribe('TICK', async ({ n, symbol }, context) => {
      await context.publish({ type: 'SIGNAL', n, symbol });
      await bus.publish({ type: 'SIGNAL', n, symbol });
    });
    bus.subscribe('SIGNAL', (_, { cause }) => void causes.push(cause));
    await bus.start();
    await bus.publish(tick(1));
    await bus.drain();
    expect(causes).toEqual([{ lane: 'market', publisher: 0, sequence: 0 }, undefined]);
  });
});
