// Subscriptions that several threads share: by key, and without any order.
import { setImmediate as turn } from 'node:timers/promises';
import type { EventBus, Subscription } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type { C, Job, Order, Tick } from '../support/handlers/catalog.js';
import type * as derive from '../support/handlers/derive.js';
import type * as share from '../support/handlers/share.js';
import { Act, type Seen } from '../support/handlers/share.js';
import { SeededRandom } from '../support/random.js';
import { Feed, numbersByKey, symbolsNamed, threadsByKey, threadsOf } from '../support/told.js';
import { expectExact, handlersOf, newBus, Notes, PATIENCE_MS, range } from './buses.js';

const { act, release, releaseToo, tell, tellSlowly, tellToo } = handlersOf<typeof share>('share');
const { deriveAndWait } = handlersOf<typeof derive>('derive');
const seenBy = (notes: Notes, what = 'seen'): Seen[] => notes.of(what).map(({ data }) => data as Seen);
const TINY = { market: { capacityBytes: 1024 } } as const;

/** Publishes ticks of random symbols; lets the event loop turn now and then. */
async function flood(bus: EventBus<C>, feed: Feed, random: SeededRandom, count: number, keys: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await bus.publish(feed.next(`S${random.below(keys)}`));
    if (i % 200 === 0) await turn();
  }
}

/** Every key on one thread, in the order in which it was published, nothing twice. */
function expectOrderPerKey(seen: readonly Seen[], feed: Feed): void {
  expect(numbersByKey(seen)).toEqual(feed.numbers);
  for (const [key, threads] of Object.entries(threadsByKey(seen))) expect(threads, key).toHaveLength(1);
}

describe('threads: n with a key', () => {
  it.each([
    { shape: 'a roomy lane', lanes: {} },
    { shape: 'a lane of 1 KiB', lanes: TINY },
  ])('keeps each key on one thread, in publish order, and spreads keys over all threads: $shape', async ({ lanes }) => {
    const bus = newBus({ threads: 3, lanes });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', tell, { threads: 3 });
    expect(shared.metrics().threads).toEqual([1, 2, 3]);
    await bus.start();
    const feed = new Feed();
    await flood(bus, feed, new SeededRandom(1), 6_000, 60);
    expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
    const seen = seenBy(notes);
    expectOrderPerKey(seen, feed);
    expect(threadsOf(seen)).toEqual([1, 2, 3]);
    expect(shared.metrics()).toMatchObject({ owed: 6_000, processed: 6_000, redelivered: 0, exact: true });
    expectExact(bus.metrics());
  });

  it('runs all types with one key value on one thread, whatever kind of field the key is', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const shared = bus.subscribe(['TICK', 'ORDER', 'JOB'], tell, { threads: 2, key: { ORDER: 'symbol', JOB: 'act' } });
    await bus.start();
    const symbols = symbolsNamed(40);
    for (const n of range(20)) {
      for (const symbol of symbols) {
        await bus.publish({ type: 'TICK', n, symbol, price: 0 });
        await bus.publish({ type: 'ORDER', n, symbol });
        await bus.publish({ type: 'JOB', n, act: symbol });
      }
    }
    await bus.drain();
    const seen = seenBy(notes);
    for (const type of ['TICK', 'ORDER', 'JOB']) {
      const ofType = numbersByKey(seen.filter((one) => one.type === type));
      expect(ofType).toEqual(Object.fromEntries(symbols.map((symbol) => [symbol, range(20)])));
    }
    const threads = Object.values(threadsByKey(seen));
    expect(threads.every((found) => found.length === 1)).toBe(true);
    expect(new Set(threads.flat())).toEqual(new Set([1, 2]));
    expect(shared.metrics()).toMatchObject({ owed: 2_400, processed: 2_400, exact: true });
  });

  it('holds for derived events too, from several threads to several threads', async () => {
    const bus = newBus({ threads: 2, lanes: { signal: { capacityBytes: 1024 } } });
    const notes = new Notes(bus);
    bus.subscribe('TICK', deriveAndWait, { threads: 2 });
    const signals = bus.subscribe('SIGNAL', tell, { threads: 2, key: 'symbol' });
    await bus.start();
    const feed = new Feed();
    await flood(bus, feed, new SeededRandom(2), 3_000, 30);
    await bus.drain();
    const seen = seenBy(notes);
    expectOrderPerKey(seen, feed);
    expect(new Set(seen.map(({ publisher }) => publisher))).toEqual(new Set([1, 2]));
    expect(threadsOf(seen)).toEqual([1, 2]);
    expect(signals.metrics()).toMatchObject({ owed: 3_000, processed: 3_000, exact: true });
    expectExact(bus.metrics());
  });

  it('is owed every event after `ready` when it is made while the bus runs', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(3);
    await flood(bus, feed, random, 500, 20);
    const shared = bus.subscribe('TICK', tell, { threads: 2 });
    const flooding = flood(bus, feed, random, 3_000, 20);
    await shared.ready;
    const atReady = Object.fromEntries(feed.symbols.map((symbol) => [symbol, feed.count(symbol)]));
    await flooding;
    await bus.drain();
    const seen = numbersByKey(seenBy(notes));
    for (const [key, numbers] of Object.entries(seen)) {
      expect(numbers, key).toEqual(range(feed.count(key) - numbers[0], numbers[0]));
      expect(numbers[0], key).toBeLessThanOrEqual(atReady[key]);
    }
    expect(Object.keys(seen)).toHaveLength(20);
    expect(shared.metrics()).toMatchObject({ owed: seenBy(notes).length, exact: true });
    expectExact(bus.metrics());
  });

  it('ends every delivery processed or discarded when it is unsubscribed while events flow', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', tellSlowly, { threads: 2 });
    const other = bus.subscribe('TICK', tellToo, { threads: 2 });
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(4);
    await flood(bus, feed, random, 2_000, 20);
    shared.unsubscribe();
    await flood(bus, feed, random, 1_000, 20);
    await shared.ended;
    const final = shared.metrics();
    expect(final).toMatchObject({ state: 'ended', pending: 0, exact: true });
    expect(final.owed).toBe(final.processed + final.discarded);
    await bus.drain();
    expect(shared.metrics()).toEqual(final);
    const seen = seenBy(notes);
    expect(seen).toHaveLength(final.processed);
    for (const [key, numbers] of Object.entries(numbersByKey(seen)))
      expect(numbers, key).toEqual(range(numbers.length));
    expectOrderPerKey(seenBy(notes, 'seen too'), feed);
    expect(other.metrics()).toMatchObject({ owed: 3_000, processed: 3_000, exact: true });
  });

  it('loses nothing and keeps the order when it is paused and resumed while events flow', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', tell, { threads: 2 });
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(5);
    for (const round of range(20)) {
      await flood(bus, feed, random, 100, 20);
      if (round % 2 === 0) shared.pause();
      else shared.resume();
    }
    await bus.drain();
    expectOrderPerKey(seenBy(notes), feed);
    expect(shared.metrics()).toMatchObject({ owed: 2_000, processed: 2_000, exact: true });
  });

  it('starts nothing on any of its threads while it is paused', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', tell, { threads: 2 });
    const other = bus.subscribe('TICK', tellToo, { threads: 2 });
    shared.pause();
    await bus.start();
    const feed = new Feed();
    await flood(bus, feed, new SeededRandom(6), 500, 20);
    await notes.until('seen too', 500);
    expect(shared.metrics()).toMatchObject({ state: 'paused', owed: 500, processed: 0, pending: 500, exact: true });
    expect(notes.of('seen')).toEqual([]);
    shared.resume();
    await bus.drain();
    expectOrderPerKey(seenBy(notes), feed);
    expect(other.metrics()).toMatchObject({ processed: 500, exact: true });
  });

  it.each([
    { way: 'a timeout', price: Act.loop, ended: { processed: 2_000, timedOut: 1, redelivered: 0 }, again: false },
    { way: 'process.exit', price: Act.exitOnce, ended: { processed: 2_001, timedOut: 0, redelivered: 1 }, again: true },
  ])(
    'goes on with the keys of a thread killed by $way, and leaves the others alone',
    async ({ price, ended, again }) => {
      const bus = newBus({ threads: 2, timeoutMs: 150, graceMs: 0 });
      const notes = new Notes(bus);
      const shared = bus.subscribe('TICK', act, { threads: 2 });
      await bus.start();
      const feed = new Feed();
      const random = new SeededRandom(7);
      await flood(bus, feed, random, 1_000, 30);
      await bus.publish(feed.next('BAD', price));
      await flood(bus, feed, random, 1_000, 30);
      expect(await bus.drain()).toMatchObject({ drained: true });
      const [begun] = notes.of('begun').map(({ data }) => data as Seen);
      const seen = seenBy(notes);
      const { BAD, ...others } = numbersByKey(seen);
      expect(BAD).toEqual(again ? [0] : undefined);
      expect({ ...others, BAD: [0] }).toEqual(feed.numbers);
      for (const [key, threads] of Object.entries(threadsByKey(seen))) expect(threads, key).toHaveLength(1);
      expect(threadsOf(seen)).toEqual([1, 2]);
      expect(seen.filter(({ attempt }) => attempt > 1).map(({ key }) => key)).toEqual(again ? ['BAD'] : []);
      expect(shared.metrics()).toMatchObject({ owed: 2_001, failed: 0, discarded: 0, ...ended });
      const { threads } = bus.metrics();
      expect(threads.map(({ incarnation }) => incarnation)).toEqual(
        [0, 1, 2].map((thread) => +(thread === begun.thread)),
      );
      expectExact(bus.metrics());
    },
  );

  it('survives the death of each of its threads, one after the other, on a lane of 1 KiB', async () => {
    const bus = newBus({ threads: 2, lanes: TINY });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', act, { threads: 2 });
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(8);
    for (const round of range(6)) {
      await flood(bus, feed, random, 300, 30);
      await bus.publish(feed.next(`S${round}`, Act.exitOnce));
    }
    await flood(bus, feed, random, 300, 30);
    await bus.drain();
    expectOrderPerKey(seenBy(notes), feed);
    expect(shared.metrics()).toMatchObject({ owed: feed.total, processed: feed.total, redelivered: 6 });
    expectExact(bus.metrics());
  });

  it('is refused for more threads than the bus has, for a function, and for a type without a key', () => {
    const bus = newBus({ threads: 2 });
    expect(() => bus.subscribe('TICK', tell, { threads: 3 })).toThrow(
      expect.objectContaining({
        code: 'ERR_LANEBUS_OPTIONS',
        message: expect.stringMatching(/threads.*3.*1 to 2, the threads of the bus/) as string,
      }) as Error,
    );
    expect(() => bus.subscribe('TICK', () => undefined, { threads: 2 })).toThrow(/threads.*2.*1: a function/);
    const keyless = (): Subscription => bus.subscribe('ORDER', tell, { threads: 2 });
    // What would help is said: a key, or no order.
    expect(keyless).toThrow(/key: .*"ORDER".*\("n", "symbol"\).*order: 'none'/);
    expect(bus.subscribe('ORDER', tell, { threads: 2, key: 'symbol' }).metrics().threads).toEqual([1, 2]);
    expect(bus.subscribe('ORDER', tellToo, { threads: 2, order: 'none' }).metrics().threads).toEqual([1, 2]);
  });
});

describe("order: 'none'", () => {
  const numbers = (seen: readonly Seen[]): number[] => seen.map(({ n }) => n).sort((a, b) => a - b);
  const tick = (n: number, price = 0): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price });
  const order = (n: number): Order => ({ type: 'ORDER', n, symbol: 'ESH4' });
  const job = (n: number): Job => ({ type: 'JOB', n, act: 'ESH4' });

  it.each([
    { shape: 'a roomy lane', lanes: {} },
    { shape: 'a lane of 1 KiB', lanes: TINY },
  ])('gives each event to one of the threads, once, and both have their share: $shape', async ({ lanes }) => {
    const bus = newBus({ threads: 2, lanes });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', tellSlowly, { threads: 2, order: 'none' });
    await bus.start();
    for (const n of range(5_000)) {
      await bus.publish(tick(n));
      if (n % 200 === 0) await turn();
    }
    await bus.drain();
    const seen = seenBy(notes);
    expect(numbers(seen)).toEqual(range(5_000));
    for (const thread of [1, 2]) expect(seen.filter((one) => one.thread === thread).length).toBeGreaterThan(0);
    expect(shared.metrics()).toMatchObject({ owed: 5_000, processed: 5_000, redelivered: 0 });
    expectExact(bus.metrics());
  });

  it('takes events of types without a key, of several lanes, and from several publishing threads', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const shared = bus.subscribe(['ORDER', 'JOB', 'SIGNAL'], tell, { threads: 2, order: 'none' });
    bus.subscribe('TICK', deriveAndWait, { threads: 2, order: 'none' });
    await bus.start();
    for (const n of range(1_000)) {
      await bus.publish(order(n));
      await bus.publish(job(n));
      await bus.publish(tick(n));
    }
    await bus.drain();
    for (const type of ['ORDER', 'JOB', 'SIGNAL']) {
      expect(numbers(seenBy(notes).filter((one) => one.type === type)), type).toEqual(range(1_000));
    }
    expect(shared.metrics()).toMatchObject({ owed: 3_000, processed: 3_000, exact: true });
    expectExact(bus.metrics());
  });

  it('lets a slow event hold up nothing but itself', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', act, { threads: 2, order: 'none' });
    const releases = [bus.subscribe('HALT', release), bus.subscribe('HALT', releaseToo)];
    expect(releases.flatMap((one) => one.metrics().threads)).toEqual([1, 2]);
    await bus.start();
    await bus.publish(tick(0, Act.wait));
    const [begun] = await notes.until('begun');
    for (const n of range(1_000, 1)) await bus.publish(tick(n));
    await notes.until('seen', 1_000);
    await expect.poll(() => shared.metrics().processed, { timeout: PATIENCE_MS }).toBe(1_000);
    expect(numbers(seenBy(notes))).toEqual(range(1_000, 1));
    expect(threadsOf(seenBy(notes))).toEqual([(begun.data as Seen).thread === 1 ? 2 : 1]);
    expect(await bus.drain({ timeoutMs: 5 })).toMatchObject({ drained: false, pending: 1 });
    await bus.publish({ type: 'HALT', n: 0, reason: 'go on' });
    await bus.drain();
    expect(numbers(seenBy(notes))).toEqual(range(1_001));
    expect(shared.metrics()).toMatchObject({ owed: 1_001, processed: 1_001, exact: true });
  });

  it('lets the other thread take everything while one hangs, then ends only the event that hung', async () => {
    const bus = newBus({ threads: 2, timeoutMs: 2_000, graceMs: 0 });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', act, { threads: 2, order: 'none' });
    await bus.start();
    await bus.publish(tick(0, Act.loop));
    await notes.until('begun');
    for (const n of range(1_000, 1)) await bus.publish(tick(n));
    await notes.until('seen', 1_000);
    expect(bus.metrics().threads.map(({ incarnation }) => incarnation)).toEqual([0, 0, 0]);
    await bus.drain();
    expect(numbers(seenBy(notes))).toEqual(range(1_000, 1));
    expect(shared.metrics()).toMatchObject({ owed: 1_001, processed: 1_000, timedOut: 1, redelivered: 0 });
    expectExact(bus.metrics());
  });

  it.each([
    { way: 'process.exit', price: Act.exitOnce, lanes: {} },
    { way: 'process.exit, on a lane of 1 KiB', price: Act.exitOnce, lanes: TINY },
    { way: 'an uncaught error', price: Act.crashOnce, lanes: {} },
    { way: 'an uncaught error, on a lane of 1 KiB', price: Act.crashOnce, lanes: TINY },
  ])('loses nothing when a thread dies by $way, and repeats only what was in flight', async ({ price, lanes }) => {
    const bus = newBus({ threads: 2, lanes });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', act, { threads: 2, order: 'none' });
    await bus.start();
    const bad = new Set([300, 301, 700, 1_100]);
    for (const n of range(1_500)) {
      await bus.publish(tick(n, bad.has(n) ? price : 0));
      if (n % 100 === 0) await turn();
    }
    expect(await bus.drain()).toMatchObject({ drained: true });
    const seen = seenBy(notes);
    expect(numbers(seen)).toEqual(range(1_500));
    for (const { n, attempt } of seen) expect(attempt > 1, `attempt of ${n}`).toBe(bad.has(n));
    expect(shared.metrics()).toMatchObject({ owed: 1_500, processed: 1_500, failed: 0, redelivered: 4 });
    expectExact(bus.metrics());
  });

  it('ends every delivery processed or discarded when it is unsubscribed while events flow', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const shared = bus.subscribe('TICK', tellSlowly, { threads: 2, order: 'none' });
    await bus.start();
    for (const n of range(3_000)) {
      if (n === 2_000) shared.unsubscribe();
      await bus.publish(tick(n));
      if (n % 200 === 0) await turn();
    }
    await shared.ended;
    const final = shared.metrics();
    expect(final).toMatchObject({ state: 'ended', pending: 0, exact: true });
    expect(final.owed).toBe(final.processed + final.discarded);
    await bus.drain();
    expect(new Set(numbers(seenBy(notes))).size).toBe(final.processed);
    expect(seenBy(notes)).toHaveLength(final.processed);
  });

  it('waits while it is paused, and stop accounts for what was never taken', async () => {
    const bus = newBus({ threads: 2 });
    const shared = bus.subscribe('TICK', tell, { threads: 2, order: 'none' });
    await bus.start();
    for (const n of range(100)) await bus.publish(tick(n));
    await bus.drain();
    shared.pause();
    for (const n of range(100)) await bus.publish(tick(n));
    const report = await bus.stop({ timeoutMs: 20 });
    expect(report).toMatchObject({ drained: false, discarded: 100 });
    expect(shared.metrics()).toMatchObject({ owed: 200, processed: 100, discarded: 100 });
    expectExact(report);
  });
});
