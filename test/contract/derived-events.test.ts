// Handlers in pool threads that publish: each thread has lanes of its own, and everything reaches everybody.
import type { BusOptions } from 'lanebus';
import { describe, expect, it } from 'vitest';
import { type Context, epochNow, type Order, type Signal, type Tick } from '../support/handlers/catalog.js';
import type * as chain from '../support/handlers/chain.js';
import type * as derive from '../support/handlers/derive.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, latch, newBus, Notes, range } from './buses.js';

const { countDown, toOrder, toSignal } = handlersOf<typeof chain>('chain');
const { burst } = handlersOf<typeof derive>('derive');
const handlers = handlersOf<typeof record>('record');
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: `S${n % 100}`, price: n / 4 });

const TINY = { capacityBytes: 1024 } as const;
const SHAPES: readonly { shape: string; options: BusOptions }[] = [
  { shape: 'two threads', options: { threads: 2 } },
  { shape: 'one thread', options: { threads: 1 } },
  {
    shape: 'two threads and tiny lanes that block',
    options: { threads: 2, lanes: { market: TINY, signal: TINY, execution: TINY } },
  },
  {
    shape: 'one thread and tiny lanes that block',
    options: { lanes: { market: TINY, signal: TINY, execution: TINY } },
  },
];

describe('a chain of three handlers over pool threads', () => {
  it.each(SHAPES)('delivers every derived event once and in order: $shape', async ({ options }) => {
    const EVENTS = 3_000;
    const bus = newBus(options);
    const orders: Order[] = [];
    const signals = bus.subscribe('TICK', toSignal);
    const toOrders = bus.subscribe('SIGNAL', toOrder);
    const taken = bus.subscribe('ORDER', (event) => void orders.push(event));
    await bus.start();
    for (const n of range(EVENTS)) await bus.publish(tick(n));
    expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
    const [first, second] = [signals, toOrders].map((subscription) => subscription.metrics().threads[0]);
    expect(orders).toEqual(range(EVENTS).map((n) => ({ type: 'ORDER', n, symbol: `S${n % 100}>${first}>${second}` })));
    for (const subscription of [signals, toOrders, taken]) {
      expect(subscription.metrics()).toMatchObject({ owed: EVENTS, processed: EVENTS, exact: true });
    }
    const { lanes } = bus.metrics();
    for (const lane of ['market', 'signal', 'execution']) {
      expect(lanes[lane], lane).toMatchObject({ published: EVENTS, dropped: 0, rejected: 0, depthEvents: 0 });
    }
    expectExact(bus.metrics());
  });

  it('tells each handler where its event comes from', async () => {
    const began = epochNow();
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const signals = bus.subscribe('TICK', toSignal);
    const toOrders = bus.subscribe('SIGNAL', toOrder);
    const contexts: Record<string, unknown>[] = [];
    bus.subscribe('ORDER', (_, { sequence, lane, publisher, publishedAt, attempt, thread }: Context) => {
      contexts.push({ sequence, lane, publisher, publishedAt, attempt, thread });
    });
    await bus.start();
    for (const n of range(20)) await bus.publish(tick(n));
    await bus.drain();
    const [first, second] = [signals, toOrders].map((subscription) => subscription.metrics().threads[0]);
    expect(new Set([first, second])).toEqual(new Set([1, 2]));
    const steps = [(await notes.until('tick'))[0].data, (await notes.until('signal'))[0].data, contexts[7]];
    expect(steps).toMatchObject([
      { sequence: 7, lane: 'market', publisher: 0, attempt: 1, thread: first },
      { sequence: 7, lane: 'signal', publisher: first, attempt: 1, thread: second },
      { sequence: 7, lane: 'execution', publisher: second, attempt: 1, thread: 0 },
    ]);
    const times = steps.map((step) => (step as { publishedAt: number }).publishedAt);
    for (const time of times) {
      // Each thread has learnt the epoch by itself, to the millisecond.
      expect(time).toBeGreaterThan(began - 2);
      expect(time).toBeLessThan(epochNow() + 2);
    }
    expect(contexts.map(({ sequence }) => sequence)).toEqual(range(20));
  });
});

describe('symbols that pool threads intern', () => {
  it('mean the same to every reader, though each thread numbers its own', async () => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const seen: Signal[] = [];
    // Both threads and the main thread publish SIGNAL, with different symbols in different order.
    const here = bus.subscribe('TICK', toSignal);
    const there = bus.subscribe('JOB', burst);
    bus.subscribe('SIGNAL', (event) => void seen.push(event));
    bus.subscribe('SIGNAL', handlers.onAny);
    await bus.start();
    expect(here.metrics().threads[0]).not.toBe(there.metrics().threads[0]);
    for (const n of range(100)) {
      await bus.publish(tick(99 - n));
      await bus.publish({ type: 'JOB', n: 3, act: `J${n}` });
      await bus.publish({ type: 'SIGNAL', n: 1000 + n, symbol: `S${n}>main` });
    }
    await bus.drain();
    const expected = range(100).flatMap((n) => [
      `${n} S${n}>${here.metrics().threads[0]}`,
      `${1000 + n} S${n}>main`,
      ...range(3).map((i) => `${i} J${n}`),
    ]);
    expect(seen.map(({ n, symbol }) => `${n} ${symbol}`).sort()).toEqual(expected.sort());
    expect(await notes.until('SIGNAL', 500)).toHaveLength(500);
    await bus.drain();
    expectExact(bus.metrics());
  });
});

describe('drain', () => {
  it.each([1, 2])('waits for events that derived events bring about, over %i threads', async (threads) => {
    const bus = newBus({ threads });
    const numbers: number[] = [];
    const counting = bus.subscribe('SIGNAL', countDown);
    bus.subscribe('SIGNAL', ({ n }) => void numbers.push(n));
    await bus.start();
    await bus.publish({ type: 'SIGNAL', n: 500, symbol: 'ESH4' });
    expect(await bus.drain()).toMatchObject({ drained: true });
    expect(numbers).toEqual(range(501).map((n) => 500 - n));
    expect(counting.metrics()).toMatchObject({ owed: 501, processed: 501, exact: true });
    expectExact(bus.metrics());
  });

  it('sees the whole of what one delivery publishes', async () => {
    const bus = newBus();
    let taken = 0;
    bus.subscribe('JOB', burst);
    bus.subscribe('SIGNAL', () => {
      taken++;
    });
    await bus.start();
    for (const round of range(5)) {
      await bus.publish({ type: 'JOB', n: 4_000, act: 'ESH4' });
      await bus.drain();
      expect(taken).toBe((round + 1) * 4_000);
    }
  });
});

describe('a delivery', () => {
  it('ends only when everything it has published is admitted, awaited or not', async () => {
    const bus = newBus({ lanes: { signal: TINY } });
    const notes = new Notes(bus);
    const numbers: number[] = [];
    const begun = latch();
    const go = latch();
    const signals = bus.subscribe('SIGNAL', async ({ n }) => {
      numbers.push(n);
      begun.open();
      await go.opened;
    });
    const jobs = bus.subscribe('JOB', burst);
    bus.subscribe('TICK', handlers.onTick);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 500, act: 'ESH4' });
    await begun.opened;
    await expect.poll(() => bus.metrics().lanes.signal.waiting).toBeGreaterThan(0);
    // The handler has returned long ago when its thread has run two other deliveries, one after the other.
    for (const n of range(2)) {
      await bus.publish(tick(n));
      await notes.until('tick', n + 1);
    }
    expect(jobs.metrics()).toMatchObject({ owed: 1, processed: 0, pending: 1 });
    expect(await bus.drain({ timeoutMs: 5 })).toMatchObject({ drained: false });
    go.open();
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ processed: 1, exact: true });
    expect(numbers).toEqual(range(500));
    expect(signals.metrics()).toMatchObject({ owed: 500, processed: 500, exact: true });
    expect(bus.metrics().lanes.signal).toMatchObject({ published: 500, waiting: 0 });
    expect(bus.metrics().lanes.signal.blockedMs).toBeGreaterThan(0);
  });
});
