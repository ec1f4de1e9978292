// Several deliveries of one subscription in flight on one thread: `concurrency`.
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Tick } from '../support/handlers/catalog.js';
import type * as share from '../support/handlers/share.js';
import { Act, type Seen } from '../support/handlers/share.js';
import { SeededRandom } from '../support/random.js';
import { Feed, numbersByKey, threadsByKey, threadsOf } from '../support/told.js';
import { expectExact, handlersOf, latch, type Latch, newBus, Notes, PATIENCE_MS, range } from './buses.js';

const { act, release, tellLater } = handlersOf<typeof share>('share');
const seenBy = (notes: Notes): Seen[] => notes.of('seen').map(({ data }) => data as Seen);
const tick = (n: number, symbol = `S${n}`, price = 0): Tick => ({ type: 'TICK', n, symbol, price });
const POLL = { timeout: PATIENCE_MS, interval: 1 };
const TINY = { market: { capacityBytes: 1024 } } as const;
/** Ticks that a lane of 1 KiB holds. */
const ROOM = 32;

/** A function handler whose deliveries wait until they are let go. */
class Pier {
  /** Numbers of those in flight, oldest first. */
  readonly inFlight = new Map<number, Latch>();
  readonly begun: number[] = [];
  most = 0;

  readonly handler = async ({ n }: Tick): Promise<void> => {
    const gate = latch();
    this.begun.push(n);
    this.inFlight.set(n, gate);
    this.most = Math.max(this.most, this.inFlight.size);
    await gate.opened;
    this.inFlight.delete(n);
  };

  async until(count: number): Promise<void> {
    await expect.poll(() => this.inFlight.size, POLL).toBe(count);
  }

  letGo(...numbers: number[]): void {
    for (const n of numbers) this.inFlight.get(n)?.open();
  }
}

describe('concurrency: n', () => {
  it.each(['key', 'none'] as const)("has n deliveries in flight and never more: order '%s'", async (order) => {
    const bus = newBus();
    const pier = new Pier();
    const subscription = bus.subscribe('TICK', pier.handler, { concurrency: 4, order });
    await bus.start();
    for (const n of range(40)) await bus.publish(tick(n));
    for (const round of range(10, 1)) {
      await pier.until(4);
      expect(pier.begun).toEqual(range(4 * round));
      pier.letGo(...pier.inFlight.keys());
    }
    await bus.drain();
    expect(pier.most).toBe(4);
    expect(subscription.metrics()).toMatchObject({ owed: 40, processed: 40, exact: true });
  });

  it('fills a place as soon as it is free', async () => {
    const bus = newBus();
    const pier = new Pier();
    bus.subscribe('TICK', pier.handler, { concurrency: 3 });
    await bus.start();
    for (const n of range(100)) await bus.publish(tick(n));
    await pier.until(3);
    for (const n of range(97, 3)) {
      pier.letGo(n - 2);
      await expect.poll(() => pier.inFlight.has(n), POLL).toBe(true);
      expect([...pier.inFlight.keys()]).toEqual([0, n - 1, n]);
    }
    pier.letGo(...range(100));
    await bus.drain();
    expect(pier.most).toBe(3);
  });

  it('is for each thread: two threads have 2 × n in flight', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act, { threads: 2, concurrency: 4, order: 'none' });
    for (const { threads } of [
      bus.subscribe('HALT', release).metrics(),
      bus.subscribe('HALT', handlersOf<typeof share>('share').releaseToo).metrics(),
    ])
      expect(threads).toHaveLength(1);
    await bus.start();
    for (const n of range(80)) await bus.publish(tick(n, 'ESH4', Act.wait));
    for (const round of range(10, 1)) {
      const begun = (await notes.until('begun', 8 * round)).map(({ data }) => data as Seen);
      for (const thread of [1, 2]) expect(begun.filter((one) => one.thread === thread)).toHaveLength(4 * round);
      expect(notes.of('begun')).toHaveLength(8 * round);
      await bus.publish({ type: 'HALT', n: round, reason: 'go on' });
    }
    await bus.drain();
    expect(seenBy(notes).map(({ n }) => n).sort((a, b) => a - b)).toEqual(range(80)); // prettier-ignore
    expect(subscription.metrics()).toMatchObject({ owed: 80, processed: 80, redelivered: 0, exact: true });
  });

  it('keeps the order of each key, one after the other, and lets other keys overtake', async () => {
    const bus = newBus();
    const pier = new Pier();
    bus.subscribe('TICK', pier.handler, { concurrency: 4 });
    await bus.start();
    // 0, 1, 2 have one key; 3 to 9 one each.
    for (const n of range(10)) await bus.publish(tick(n, n < 3 ? 'SAME' : `S${n}`));
    await pier.until(4);
    expect(pier.begun).toEqual([0, 3, 4, 5]);
    pier.letGo(3, 4, 5);
    await pier.until(4);
    expect(pier.begun).toEqual([0, 3, 4, 5, 6, 7, 8]);
    pier.letGo(0);
    await expect.poll(() => pier.inFlight.has(1), POLL).toBe(true);
    expect(pier.begun).not.toContain(2);
    pier.letGo(1);
    await expect.poll(() => pier.inFlight.has(2), POLL).toBe(true);
    await pier.until(4);
    expect(pier.begun).toEqual([0, 3, 4, 5, 6, 7, 8, 1, 2]);
    pier.letGo(2, 6, 7, 8);
    await expect.poll(() => pier.inFlight.has(9), POLL).toBe(true);
    pier.letGo(9);
    await bus.drain();
    expectExact(bus.metrics());
  });

  it.each([
    { shape: 'one thread', threads: 1, lanes: {} },
    { shape: 'two threads', threads: 2, lanes: {} },
    { shape: 'two threads and a lane of 1 KiB', threads: 2, lanes: TINY },
  ])('keeps each key in order in pool threads, exactly once, with handlers that await: $shape', async (given) => {
    const { threads, lanes } = given;
    const bus = newBus({ threads, lanes });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', tellLater, { threads, concurrency: 8 });
    await bus.start();
    const feed = new Feed();
    const random = new SeededRandom(11);
    for (let i = 0; i < 3_000; i++) await bus.publish(feed.next(`S${random.below(20)}`));
    await bus.drain();
    const seen = seenBy(notes);
    expect(numbersByKey(seen)).toEqual(feed.numbers);
    for (const [key, found] of Object.entries(threadsByKey(seen))) expect(found, key).toHaveLength(1);
    expect(threadsOf(seen)).toEqual(range(threads, 1));
    expect(subscription.metrics()).toMatchObject({ owed: 3_000, processed: 3_000, redelivered: 0 });
    expectExact(bus.metrics());
  });

  it('counts those that fail, each for itself', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act, { concurrency: 8 });
    await bus.start();
    for (const n of range(500)) await bus.publish(tick(n, `S${n % 20}`, n % 5 === 0 ? Act.reject : 0));
    await bus.drain();
    expect(notes.of('seen').map(({ n }) => n).sort((a, b) => a - b)).toEqual(range(500).filter((n) => n % 5 > 0)); // prettier-ignore
    expect(subscription.metrics()).toMatchObject({ owed: 500, processed: 400, failed: 100, exact: true });
  });
});

describe('pause, unsubscribe and stop with several in flight', () => {
  it('pause lets those in flight end and starts none, put off or not, until resume', async () => {
    const bus = newBus();
    const pier = new Pier();
    const subscription = bus.subscribe('TICK', pier.handler, { concurrency: 3 });
    await bus.start();
    for (const n of range(20)) await bus.publish(tick(n, `S${n % 4}`));
    await pier.until(3);
    subscription.pause();
    pier.letGo(0, 1, 2);
    await pier.until(0);
    await turn();
    expect(pier.begun).toEqual([0, 1, 2]);
    expect(subscription.metrics()).toMatchObject({ state: 'paused', processed: 3, pending: 17 });
    subscription.resume();
    while (pier.begun.length < 20) {
      pier.letGo(...pier.inFlight.keys());
      await turn();
    }
    pier.letGo(...pier.inFlight.keys());
    await bus.drain();
    expectExact(bus.metrics());
  });

  it('unsubscribe waits in `ended` for all in flight; what was put off or not read ends discarded', async () => {
    const bus = newBus();
    const pier = new Pier();
    const subscription = bus.subscribe('TICK', pier.handler, { concurrency: 3 });
    await bus.start();
    for (const n of range(50)) await bus.publish(tick(n, n < 10 ? 'SAME' : `S${n}`));
    await pier.until(3);
    subscription.unsubscribe();
    let ended = false;
    void subscription.ended.then(() => (ended = true));
    pier.letGo(0, 10);
    await pier.until(1);
    await turn();
    expect(ended).toBe(false);
    pier.letGo(11);
    await subscription.ended;
    expect(pier.begun).toEqual([0, 10, 11]);
    expect(subscription.metrics()).toMatchObject({ owed: 50, processed: 3, discarded: 47, pending: 0, exact: true });
  });

  it('stop discards what does not end in time, in flight or not', async () => {
    const bus = newBus({ graceMs: 10 });
    const pier = new Pier();
    const subscription = bus.subscribe('TICK', pier.handler, { concurrency: 3, timeoutMs: 0 });
    await bus.start();
    for (const n of range(50)) await bus.publish(tick(n, n < 10 ? 'SAME' : `S${n}`));
    await pier.until(3);
    pier.letGo(10);
    await expect.poll(() => pier.begun.length, POLL).toBe(4);
    const report = await bus.stop({ timeoutMs: 20 });
    expect(report).toMatchObject({ drained: false, discarded: 49 });
    expectExact(report);
    pier.letGo(...pier.inFlight.keys());
    await turn();
    expect(subscription.metrics()).toMatchObject({ owed: 50, processed: 1, discarded: 49, exact: true });
  });
});

describe('a delivery that takes too long beside others', () => {
  it("ends alone on the bus's own thread; the others go on", async () => {
    const bus = newBus({ timeoutMs: 60, graceMs: 0 });
    const pier = new Pier();
    const subscription = bus.subscribe('TICK', pier.handler, { concurrency: 4, order: 'none' });
    await bus.start();
    for (const n of range(4)) await bus.publish(tick(n));
    await pier.until(4);
    pier.letGo(1, 2);
    // 0 and 3 stay: each has a limit of its own.
    await expect.poll(() => subscription.metrics().timedOut, POLL).toBe(2);
    for (const n of range(4, 4)) await bus.publish(tick(n));
    await expect.poll(() => pier.begun.length, POLL).toBe(8);
    pier.letGo(...range(8));
    await bus.drain();
    await turn();
    expect(subscription.metrics()).toMatchObject({ owed: 8, processed: 6, timedOut: 2, redelivered: 0, exact: true });
  });

  it('gives its key free on the bus’s own thread', async () => {
    const bus = newBus({ timeoutMs: 60, graceMs: 0 });
    const pier = new Pier();
    const subscription = bus.subscribe('TICK', pier.handler, { concurrency: 4 });
    await bus.start();
    for (const n of range(2)) await bus.publish(tick(n, 'SAME'));
    await expect.poll(() => pier.begun, POLL).toEqual([0, 1]);
    pier.letGo(1);
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ owed: 2, processed: 1, timedOut: 1, exact: true });
  });

  it('takes its pool thread with it: it ends timedOut, those in flight with it are repeated, in order', async () => {
    const bus = newBus({ timeoutMs: 1_000, graceMs: 300 });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act, { concurrency: 4 });
    const releases = bus.subscribe('HALT', release);
    await bus.start();
    await bus.publish(tick(0, 'BAD', Act.never));
    await notes.until('aborted');
    // 1 begins when the time of 0 is up, so it is not late when the thread dies; 2 waits behind it.
    await bus.publish(tick(1, 'A', Act.wait));
    await bus.publish(tick(2, 'A'));
    await bus.publish(tick(3, 'B'));
    const begun = await notes.until('begun', 3);
    expect(begun.map(({ n, data }) => [n, (data as Seen).attempt])).toEqual([[0, 1], [1, 1], [1, 2]]); // prettier-ignore
    expect(subscription.metrics()).toMatchObject({ timedOut: 1 });
    await bus.publish({ type: 'HALT', n: 0, reason: 'go on' });
    await bus.drain();
    expect(seenBy(notes).map(({ n, attempt }) => [n, attempt])).toEqual([[3, 1], [1, 2], [2, 1]]); // prettier-ignore
    expect(subscription.metrics()).toMatchObject({ owed: 4, processed: 3, timedOut: 1, redelivered: 1 });
    expect(releases.metrics()).toMatchObject({ processed: 1 });
    expectExact(bus.metrics());
  });

  it.each(['key', 'none'] as const)(
    "whatever dies with it: every event ends once, only those in flight are repeated (order '%s')",
    async (order) => {
      const bus = newBus({ threads: 2, lanes: TINY, maxCrashes: 5 });
      const notes = new Notes(bus);
      const subscription = bus.subscribe('TICK', act, { threads: 2, concurrency: 4, order });
      await bus.start();
      const bad = new Set([100, 101, 250, 400, 550]);
      for (const n of range(700)) await bus.publish(tick(n, `S${n % 20}`, bad.has(n) ? Act.crashOnce : 0));
      expect(await bus.drain()).toMatchObject({ drained: true });
      const seen = seenBy(notes);
      expect(seen.map(({ n }) => n).sort((a, b) => a - b)).toEqual(range(700));
      const repeated = seen.filter(({ attempt }) => attempt > 1).map(({ n }) => n);
      expect(repeated).toEqual(expect.arrayContaining([...bad]));
      if (order === 'key') {
        const inOrder = Object.fromEntries(range(20).map((key) => [`S${key}`, range(35).map((i) => i * 20 + key)]));
        expect(numbersByKey(seen)).toEqual(inOrder);
      }
      expect(subscription.metrics()).toMatchObject({ owed: 700, processed: 700, failed: 0 });
      expectExact(bus.metrics());
    },
  );
});

describe('room in the lane', () => {
  it.each(['key', 'none'] as const)("is given back up to the oldest that has not ended: order '%s'", async (order) => {
    const bus = newBus({ lanes: TINY });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act, { concurrency: 4, order });
    bus.subscribe('HALT', release);
    await bus.start();
    for (const n of range(10)) await bus.publish(tick(n));
    await bus.publish(tick(10, 'OLD', Act.wait));
    await notes.until('begun');
    for (const n of range(ROOM - 1, 11)) await bus.publish(tick(n));
    await expect.poll(() => subscription.metrics().processed, POLL).toBe(10 + ROOM - 1);
    // All but one have ended, and yet nothing can enter.
    expect(subscription.metrics()).toMatchObject({ owed: 10 + ROOM, pending: 1 });
    expect(bus.tryPublish(tick(100))).toBe('full');
    expect(bus.metrics().lanes.market).toMatchObject({ depthEvents: ROOM, depthBytes: 1024 });
    await bus.publish({ type: 'HALT', n: 0, reason: 'go on' });
    for (const n of range(ROOM, 100)) await bus.publish(tick(n));
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ owed: 10 + 2 * ROOM, processed: 10 + 2 * ROOM, exact: true });
    expect(bus.metrics().lanes.market).toMatchObject({ depthEvents: 0, waiting: 0 });
  });
});

describe('memory', () => {
  let collect: () => void;
  beforeAll(() => {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  });
  const EVENTS = 100_000;

  it.each([
    { shape: 'keys in order', order: 'key', keys: 50 },
    { shape: 'one key for all: every other delivery is put off', order: 'key', keys: 1 },
    { shape: 'no order', order: 'none', keys: 50 },
  ] as const)('stays bounded with a handler that is slower than 1e5 events: $shape', async ({ order, keys }) => {
    const bus = newBus();
    let most = 0;
    let heapBytes = 0;
    let taken = 0;
    let inFlight = 0;
    const subscription = bus.subscribe(
      'TICK',
      async () => {
        most = Math.max(most, ++inFlight);
        await turn();
        inFlight--;
        if (++taken % 25_000 === 5_000) {
          collect();
          heapBytes = Math.max(heapBytes, process.memoryUsage().heapUsed);
        }
      },
      { concurrency: 16, order },
    );
    await bus.start();
    collect();
    const before = process.memoryUsage().heapUsed;
    for (const n of range(EVENTS)) await bus.publish(tick(n, `S${n % keys}`));
    await bus.drain({ timeoutMs: 50_000 });
    expect(subscription.metrics()).toMatchObject({ owed: EVENTS, processed: EVENTS, exact: true });
    expect(most).toBe(keys === 1 ? 1 : 16);
    // A million bytes are 10 for each event: nothing is kept for those that wait.
    expect(heapBytes - before).toBeLessThan(8e6);
  });
});
