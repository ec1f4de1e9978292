// Subscriptions that keep only the newest event of each key when they are behind: `lag: 'conflate'`.
import { setImmediate as turn } from 'node:timers/promises';
import type { EventBus } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type { C, Context, Order, Tick } from '../support/handlers/catalog.js';
import type * as newest from '../support/handlers/newest.js';
import type * as record from '../support/handlers/record.js';
import type * as share from '../support/handlers/share.js';
import { Act, type Seen, seenOf } from '../support/handlers/share.js';
import type * as trace from '../support/handlers/trace.js';
import { SeededRandom } from '../support/random.js';
import { Feed, numbersByKey, symbolsNamed, threadsByKey, threadsOf } from '../support/told.js';
import { expectExact, handlersOf, latch, newBus, Notes, range } from './buses.js';
import { Killer, until } from './kills.js';

const { act, release, tell, tellSlowly } = handlersOf<typeof share>('share');
const { keepNewest, tellKept } = handlersOf<typeof newest>('newest');
const { keep, quiet } = handlersOf<typeof record>('record');
const { toOrderOrExit, toOrders } = handlersOf<typeof trace>('trace');
const seenBy = (notes: Notes): Seen[] => notes.of('seen').map(({ data }) => data as Seen);
const TINY = { market: { capacityBytes: 1024 } } as const;

/** A function handler that keeps what it was given, and waits in its first delivery until it is told. */
class Holder {
  readonly seen: Seen[] = [];
  readonly #go = latch();
  readonly #begun = latch();
  readonly begun = this.#begun.opened;

  readonly handler = (event: Tick | Order, context: Context): void | Promise<void> => {
    this.seen.push(seenOf(event, context));
    if (this.seen.length > 1) return;
    this.#begun.open();
    return this.#go.opened;
  };

  letGo(): void {
    this.#go.open();
  }

  get told(): [key: string, n: number, skipped: number][] {
    return this.seen.map(({ key, n, skipped }) => [key, n, skipped]);
  }
}

async function flood(bus: EventBus<C>, feed: Feed, random: SeededRandom, count: number, keys: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await bus.publish(feed.next(`S${random.below(keys)}`));
    if (i % 200 === 0) await turn();
  }
}

/** Of each key some events in publish order, each with the number of those before it that were passed over, the last one among them. */
function expectNewest(seen: readonly Seen[], newest: Readonly<Record<string, number>>): void {
  const last = new Map<string, number>();
  for (const { key, n, skipped } of seen) {
    expect(skipped, `${key} ${n}`).toBe(n - (last.get(key) ?? -1) - 1);
    last.set(key, n);
  }
  expect(Object.fromEntries(last)).toEqual(newest);
}

describe("lag: 'conflate'", () => {
  it('delivers the newest event of each key, in the order in which the keys came, and says how many it skipped', async () => {
    const bus = newBus();
    const holder = new Holder();
    const subscription = bus.subscribe('TICK', holder.handler, { lag: 'conflate' });
    await bus.start();
    const feed = new Feed();
    await bus.publish(feed.next('A'));
    await holder.begun;
    for (const symbol of ['B', 'A', 'C', 'B', 'B', 'A']) await bus.publish(feed.next(symbol));
    expect(subscription.metrics()).toMatchObject({ owed: 7, processed: 0, conflated: 0, pending: 7, exact: true });
    holder.letGo();
    await bus.drain();
    expect(holder.told).toEqual([
      ['A', 0, 0],
      ['B', 2, 2],
      ['A', 2, 1],
      ['C', 0, 0],
    ]);
    expect(subscription.metrics()).toMatchObject({ owed: 7, processed: 4, conflated: 3, pending: 0, exact: true });
    expect(subscription.metrics().lanes.market).toMatchObject({ owed: 7, processed: 4, conflated: 3, exact: true });
  });

  it('delivers every event while it keeps up', async () => {
    const bus = newBus();
    const holder = new Holder();
    holder.letGo();
    const subscription = bus.subscribe('TICK', holder.handler, { lag: 'conflate' });
    await bus.start();
    for (const n of range(50)) {
      await bus.publish({ type: 'TICK', n, symbol: 'A', price: 0 });
      await bus.drain();
    }
    expect(holder.told).toEqual(range(50).map((n) => ['A', n, 0]));
    expect(subscription.metrics()).toMatchObject({ owed: 50, processed: 50, conflated: 0 });
  });

  it('takes batches, and sees the rest of the event as it was published', async () => {
    const bus = newBus();
    const prices: number[] = [];
    const subscription = bus.subscribe('TICK', ({ price }) => void prices.push(price), { lag: 'conflate' });
    await bus.start();
    const batch = range(100).map((n): Tick => ({ type: 'TICK', n, symbol: `S${n % 2}`, price: n / 7 }));
    await bus.publishBatch(batch);
    await bus.drain();
    expect(prices).toEqual([98 / 7, 99 / 7]);
    expect(subscription.metrics()).toMatchObject({ owed: 100, processed: 2, conflated: 98, exact: true });
  });

  it('keeps the newest of each lane where its types have several', async () => {
    const bus = newBus();
    const holder = new Holder();
    const subscription = bus.subscribe(['TICK', 'ORDER'], holder.handler, {
      lag: 'conflate',
      key: { ORDER: 'symbol' },
    });
    await bus.start();
    await bus.publish({ type: 'TICK', n: 0, symbol: 'A', price: 0 });
    await holder.begun;
    for (const n of range(3, 1)) {
      await bus.publish({ type: 'ORDER', n, symbol: 'A' });
      await bus.publish({ type: 'TICK', n, symbol: 'A', price: 0 });
    }
    holder.letGo();
    await bus.drain();
    // The execution lane is the more urgent one.
    expect(holder.seen.map(({ type, n, skipped }) => [type, n, skipped])).toEqual([
      ['TICK', 0, 0],
      ['ORDER', 3, 2],
      ['TICK', 3, 2],
    ]);
    expect(subscription.metrics().lanes).toMatchObject({ market: { conflated: 2 }, execution: { conflated: 2 } });
    expectExact(bus.metrics());
  });

  it('keeps the newest of each type where one lane carries several', async () => {
    const bus = newBus({ lanes: { control: false, execution: false, signal: false } });
    const holder = new Holder();
    const key = { ORDER: 'symbol' } as const;
    const subscription = bus.subscribe(['TICK', 'ORDER'], holder.handler, { lag: 'conflate', key });
    await bus.start();
    await bus.publish({ type: 'TICK', n: 0, symbol: 'B', price: 0 });
    await holder.begun;
    for (const n of range(3)) {
      await bus.publish({ type: 'ORDER', n, symbol: 'A' });
      await bus.publish({ type: 'TICK', n, symbol: 'A', price: 0 });
    }
    holder.letGo();
    await bus.drain();
    expect(holder.seen.map(({ type, n, skipped }) => [type, n, skipped])).toEqual([
      ['TICK', 0, 0],
      ['ORDER', 2, 2],
      ['TICK', 2, 2],
    ]);
    expect(subscription.metrics()).toMatchObject({ owed: 7, processed: 3, conflated: 4, exact: true });
  });

  it.each([
    { shape: 'a roomy lane', lanes: {} },
    { shape: 'a lane of 1 KiB', lanes: TINY },
  ])(
    'accounts for every event in a pool thread that is behind, beside a subscription that gets all: $shape',
    async (given) => {
      const bus = newBus({ threads: 2, lanes: given.lanes });
      const notes = new Notes(bus);
      const subscription = bus.subscribe('TICK', tellSlowly, { lag: 'conflate' });
      const ordinary = bus.subscribe('TICK', keep);
      await bus.start();
      const feed = new Feed();
      await flood(bus, feed, new SeededRandom(21), 20_000, 50);
      await bus.drain();
      const { processed, conflated, owed } = subscription.metrics();
      expectNewest(seenBy(notes), feed.newest);
      expect(seenBy(notes)).toHaveLength(processed);
      expect(processed + conflated).toBe(owed);
      expect(owed).toBe(20_000);
      expect(conflated).toBeGreaterThan(0);
      expect(ordinary.metrics()).toMatchObject({ owed: 20_000, processed: 20_000, conflated: 0 });
      expectExact(bus.metrics());
    },
  );

  it('never holds a publisher: a lane of 1 KiB with only such subscriptions is never full', async () => {
    const bus = newBus({ threads: 2, lanes: TINY });
    const holder = new Holder();
    const here = bus.subscribe('TICK', holder.handler, { lag: 'conflate' });
    const there = bus.subscribe('TICK', tell, { lag: 'conflate' });
    there.pause();
    await bus.start();
    const feed = new Feed();
    const outcomes = new Set<string>();
    for (const round of range(50)) {
      for (const n of range(1_000)) outcomes.add(bus.tryPublish(feed.next(`S${n % 7}`)));
      if (round === 0) await holder.begun;
    }
    expect([...outcomes]).toEqual(['published']);
    expect(bus.metrics().lanes.market).toMatchObject({ depthBytes: 0, depthEvents: 0, blockedMs: 0, waiting: 0 });
    holder.letGo();
    there.resume();
    await bus.drain();
    expect(there.metrics()).toMatchObject({ owed: 50_000, processed: 7, conflated: 49_993 });
    expectNewest(holder.seen, feed.newest);
    expect(here.metrics().owed).toBe(50_000);
    expectExact(bus.metrics());
  });

  it('is owed everything from `ready` on when it is made while events flow', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(22);
    await flood(bus, feed, random, 500, 20);
    const subscription = bus.subscribe('TICK', tellSlowly, { lag: 'conflate', threads: 2 });
    const before = feed.total;
    const flooding = flood(bus, feed, random, 5_000, 20);
    await subscription.ready;
    const atReady = feed.total;
    await flooding;
    await bus.drain();
    const seen = numbersByKey(seenBy(notes));
    expect(Object.fromEntries(Object.entries(seen).map(([key, all]) => [key, all.at(-1)]))).toEqual(feed.newest);
    const { owed, processed, conflated } = subscription.metrics();
    expect(owed).toBe(processed + conflated);
    expect(owed).toBeGreaterThanOrEqual(feed.total - atReady);
    expect(owed).toBeLessThanOrEqual(feed.total - before);
    expectExact(bus.metrics());
  });

  it('spreads its keys over threads: each on one, the newest of all of them delivered', async () => {
    const bus = newBus({ threads: 2, lanes: TINY });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', tellSlowly, { lag: 'conflate', threads: 2 });
    await bus.start();
    const feed = new Feed();
    await flood(bus, feed, new SeededRandom(23), 20_000, 40);
    await bus.drain();
    expectNewest(seenBy(notes), feed.newest);
    for (const [key, threads] of Object.entries(threadsByKey(seenBy(notes)))) expect(threads, key).toHaveLength(1);
    expect(threadsOf(seenBy(notes))).toEqual([1, 2]);
    expect(subscription.metrics()).toMatchObject({ owed: 20_000, discarded: 0 });
    expectExact(bus.metrics());
  });

  it('filters what it delivers, not what it keeps', async () => {
    const bus = newBus();
    const holder = new Holder();
    const subscription = bus.subscribe('TICK', holder.handler, { lag: 'conflate', filter: { n: { min: 5 } } });
    await bus.start();
    subscription.pause();
    for (const n of range(5)) await bus.publish({ type: 'TICK', n, symbol: 'LOW', price: 0 });
    for (const n of range(9)) await bus.publish({ type: 'TICK', n, symbol: 'HIGH', price: 0 });
    holder.letGo();
    subscription.resume();
    await bus.drain();
    expect(holder.told).toEqual([['HIGH', 8, 8]]);
    expect(subscription.metrics()).toMatchObject({ owed: 14, processed: 1, filtered: 1, conflated: 12, exact: true });
  });
});

describe('what is still kept', () => {
  it('ends discarded when the subscription is unsubscribed', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act, { lag: 'conflate' });
    bus.subscribe('HALT', release);
    await bus.start();
    const feed = new Feed();
    await bus.publish(feed.next('BUSY', Act.wait));
    await notes.until('begun');
    for (const n of range(500)) await bus.publish(feed.next(`S${n % 10}`));
    subscription.unsubscribe();
    for (const n of range(500)) await bus.publish(feed.next(`S${n % 10}`));
    await bus.publish({ type: 'HALT', n: 0, reason: 'go on' });
    await subscription.ended;
    const final = subscription.metrics();
    expect(final).toMatchObject({ state: 'ended', processed: 1, discarded: 10, pending: 0, exact: true });
    expect(final.owed).toBe(11 + final.conflated);
    expect(final.conflated).toBeGreaterThanOrEqual(490);
    await bus.drain();
    expect(subscription.metrics()).toEqual(final);
    expect(numbersByKey(seenBy(notes))).toEqual({ BUSY: [0] });
  });

  it.each(['function', 'worker'] as const)('ends discarded when the bus stops: %s handler', async (kind) => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', kind === 'worker' ? quiet : () => undefined, { lag: 'conflate' });
    subscription.pause();
    await bus.start();
    for (const n of range(500)) await bus.publish({ type: 'TICK', n, symbol: `S${n % 10}`, price: 0 });
    const report = await bus.stop({ timeoutMs: 20 });
    expect(report).toMatchObject({ drained: false, discarded: 10 });
    expect(subscription.metrics()).toMatchObject({ owed: 500, processed: 0, discarded: 10, conflated: 490 });
    expectExact(report);
  });

  it('is at most maxKeys events; those of one more key end discarded, until there is room again', async () => {
    const bus = newBus();
    const holder = new Holder();
    const subscription = bus.subscribe('TICK', holder.handler, { lag: 'conflate', maxKeys: 4 });
    await bus.start();
    const feed = new Feed();
    await bus.publish(feed.next('IN FLIGHT'));
    await holder.begun;
    for (const symbol of symbolsNamed(10)) await bus.publish(feed.next(symbol));
    for (const symbol of symbolsNamed(10)) await bus.publish(feed.next(symbol));
    expect(subscription.metrics()).toMatchObject({ owed: 21, processed: 0, discarded: 12, pending: 9, exact: true });
    holder.letGo();
    await bus.drain();
    expect(holder.told).toEqual([['IN FLIGHT', 0, 0], ...range(4).map((key) => [`S${key}`, 1, 1])]);
    expect(subscription.metrics()).toMatchObject({ owed: 21, processed: 5, conflated: 4, discarded: 12, exact: true });
    for (const symbol of symbolsNamed(10)) {
      await bus.publish(feed.next(symbol));
      await bus.drain();
    }
    expect(holder.told.slice(5)).toEqual(symbolsNamed(10).map((symbol) => [symbol, 2, 0]));
    expectExact(bus.metrics());
  });
});

describe('threads that publish, and threads that die', () => {
  it('keeps the newest event of each key that pool threads publish', async () => {
    const bus = newBus({ threads: 2, lanes: { ...TINY, execution: { capacityBytes: 1024 } } });
    const seen: Seen[] = [];
    bus.subscribe('TICK', toOrderOrExit, { threads: 2 });
    const subscription = bus.subscribe('ORDER', (event, context) => void seen.push(seenOf(event, context)), {
      lag: 'conflate',
      key: 'symbol',
    });
    await bus.start();
    const feed = new Feed();
    await flood(bus, feed, new SeededRandom(24), 10_000, 30);
    await bus.drain();
    expectNewest(seen, feed.newest);
    expect(new Set(seen.map(({ publisher }) => publisher))).toEqual(new Set([1, 2]));
    const { owed, processed, conflated } = subscription.metrics();
    expect({ owed, ended: processed + conflated }).toEqual({ owed: 10_000, ended: 10_000 });
    expectExact(bus.metrics());
  });

  it('loses no key when a thread that publishes dies', async () => {
    const bus = newBus({ threads: 2 });
    const seen: Seen[] = [];
    const orders = bus.subscribe('TICK', toOrderOrExit, { threads: 2 });
    const subscription = bus.subscribe('ORDER', (event, context) => void seen.push(seenOf(event, context)), {
      lag: 'conflate',
      key: 'symbol',
    });
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(25);
    for (const round of range(4)) {
      await flood(bus, feed, random, 500, 30);
      await bus.publish(feed.next(`S${round}`, -1));
    }
    await bus.drain();
    const newest = Object.entries(numbersByKey(seen)).map(([key, numbers]) => [key, Math.max(...numbers)]);
    expect(Object.fromEntries(newest)).toEqual(feed.newest);
    expect(orders.metrics()).toMatchObject({ owed: 2_004, processed: 2_004, redelivered: 4 });
    // Those that died had published their ORDER; their successors did so again.
    const { owed, processed, conflated } = subscription.metrics();
    expect({ owed, ended: processed + conflated }).toEqual({ owed: 2_008, ended: 2_008 });
    expectExact(bus.metrics());
  });

  it('owes what was put aside, when a publisher has closed its gate and dies before it can say so', async () => {
    const bus = newBus({ timeoutMs: 0, maxCrashes: 1_000 });
    const killer = new Killer(bus, 1);
    bus.subscribe('TICK', toOrders, { concurrency: 4 });
    await bus.start();
    const wait = new Int32Array(new SharedArrayBuffer(4));
    for (const round of range(16)) {
      let seen = 0;
      const count = (): void => {
        seen++;
      };
      const subscription = bus.subscribe('ORDER', count, { lag: 'conflate', key: 'symbol' });
      if (round === 0) await bus.publish({ type: 'TICK', n: 0, symbol: 'A', price: 0 });
      await until(() => seen > 0, 'an order is delivered');
      await killer.allRun();
      subscription.unsubscribe();
      for (let turns = round % 4; turns > 0; turns--) await turn();
      // The thread closes its gate and publishes on. Its answer lies in the port: whether that is read before its exit is
      // known is anybody's guess.
      Atomics.wait(wait, 0, 0, 5);
      killer.killNow();
      Atomics.wait(wait, 0, 0, 20);
      await until(() => subscription.metrics().state === 'ended', 'it has ended');
      expect(subscription.metrics()).toMatchObject({ pending: 0, exact: true });
    }
  });

  it.each([
    { way: 'a timeout', price: Act.loop, ends: { timedOut: 1, redelivered: 0 }, attempts: [] },
    { way: 'process.exit', price: Act.exitOnce, ends: { timedOut: 0, redelivered: 1 }, attempts: [2] },
  ])('goes on after a thread that was killed in a delivery by $way, with the newest of each key', async (given) => {
    const bus = newBus({ threads: 2, timeoutMs: 300, graceMs: 0 });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act, { lag: 'conflate', threads: 2 });
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(26);
    await flood(bus, feed, random, 500, 20);
    await bus.drain();
    await bus.publish(feed.next('BAD', given.price));
    await notes.until('begun');
    await bus.publish(feed.next('BAD'));
    await flood(bus, feed, random, 5_000, 20);
    await bus.publish(feed.next('BAD'));
    await bus.drain();
    const seen = seenBy(notes);
    // What the delivery that was killed had been told of, none, is what it has in common with the one that timed out.
    const timedOut = given.ends.timedOut === 1 ? [{ ...(notes.of('begun')[0].data as Seen) }] : [];
    expectNewest([...timedOut, ...seen], feed.newest);
    expect(seen.filter(({ key, n }) => key === 'BAD' && n === 0).map(({ attempt }) => attempt)).toEqual(given.attempts);
    expect(subscription.metrics()).toMatchObject({ owed: 5_503, failed: 0, discarded: 0, ...given.ends });
    expectExact(bus.metrics());
  });

  it('tells the successor of a killed delivery too how many events were skipped', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act, { lag: 'conflate' });
    subscription.pause();
    await bus.start();
    for (const n of range(5)) await bus.publish({ type: 'TICK', n, symbol: 'A', price: n === 4 ? Act.exitOnce : 0 });
    subscription.resume();
    await bus.drain();
    const told = notes.of('begun').map(({ data }) => data as Seen);
    expect(told.map(({ attempt, skipped }) => ({ attempt, skipped }))).toEqual([
      { attempt: 1, skipped: 4 },
      { attempt: 2, skipped: 4 },
    ]);
    expect(subscription.metrics()).toMatchObject({ owed: 5, processed: 1, conflated: 4, redelivered: 1, exact: true });
  });
});

describe('a publisher at full speed', () => {
  const DURATION_MS = 3_000;
  const HANDLER_MS = 1;
  const LONG_MS = 500;
  const KEYS = 1_000;

  it(`for ${DURATION_MS / 1e3} s never waits for a conflating handler of ${HANDLER_MS} ms; memory is flat`, async () => {
    const bus = newBus({ threads: 2, lanes: { market: { whenFull: 'reject' } } });
    const notes = new Notes(bus);
    const slow = bus.subscribe('TICK', keepNewest, { lag: 'conflate', name: 'slow' });
    const fast = bus.subscribe('TICK', quiet, { name: 'fast' });
    const report = bus.subscribe('HALT', tellKept);
    expect(report.metrics().threads).toEqual(slow.metrics().threads);
    expect(fast.metrics().threads).not.toEqual(slow.metrics().threads);
    await bus.start();

    const symbols = symbolsNamed(KEYS);
    const counts = new Uint32Array(KEYS);
    let published = 0;
    let refused = 0;
    const publish = async (symbol: string, n: number, price: number): Promise<void> => {
      for (;;) {
        try {
          await bus.publish({ type: 'TICK', n, symbol, price });
          published++;
          return;
        } catch (error) {
          // Who holds the lane is named: it may be the fast one, for a moment, never the slow one.
          expect((error as Error).message).toMatch(/is full .* it waits for subscription "fast"$/);
          refused++;
          await turn();
        }
      }
    };
    const residentMib: number[] = [];
    const begun = performance.now();
    const elapsed = (): number => performance.now() - begun;
    for (let due = DURATION_MS / 6, at = 0; elapsed() < DURATION_MS;) {
      for (let i = 0; i < 1_000; i++, at = (at + 1) % KEYS) await publish(symbols[at], counts[at]++, HANDLER_MS);
      if (elapsed() < due) continue;
      residentMib.push(process.memoryUsage.rss() / 2 ** 20);
      due += DURATION_MS / 6;
      if (residentMib.length === 2) await publish('LONG', 0, LONG_MS);
    }
    await bus.drain();
    await bus.publish({ type: 'HALT', n: 0, reason: 'report' });
    const kept = (await notes.until('kept'))[0].data as newest.Kept;
    await bus.drain();

    const { owed, processed, conflated, handler } = slow.metrics();
    const figures = residentMib.map((mib) => mib.toFixed(0)).join(', ');
    process.stdout.write(
      `conflation: ${published} events in ${DURATION_MS / 1e3} s, ${processed} delivered of ${handler.meanMs.toFixed(2)} ms, ` +
        `${refused} refused for the fast one; resident ${figures} MiB\n`,
    );
    const newestOfEach = Object.fromEntries(symbols.map((symbol, at) => [symbol, counts[at] - 1]));
    expect(kept).toEqual({ newest: { ...newestOfEach, LONG: 0 }, delivered: processed, skipped: conflated, wrong: [] });
    expect(owed).toBe(published);
    expect(processed + conflated).toBe(owed);
    expect(handler.maxMs).toBeGreaterThanOrEqual(LONG_MS);
    // More than the slow one could have taken by far, so nobody waited for it.
    expect(published).toBeGreaterThan(20 * processed);
    expect(fast.metrics()).toMatchObject({ owed: published, processed: published });
    expect(bus.metrics().lanes.market).toMatchObject({ published, rejected: refused, blockedMs: 0 });
    expect(residentMib.at(-1)).toBeLessThan(residentMib[1] * 1.1);
    expectExact(bus.metrics());
  });
});
