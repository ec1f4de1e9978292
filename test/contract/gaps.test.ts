// What a subscription is told of events that a `dropNewest` lane has refused: `context.missed`.
import { setImmediate as turn } from 'node:timers/promises';
import type { BusOptions, EventBus } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type { C, Context, Job, Tick } from '../support/handlers/catalog.js';
import type * as hang from '../support/handlers/hang.js';
import type * as share from '../support/handlers/share.js';
import { Act, type Seen } from '../support/handlers/share.js';
import type * as trace from '../support/handlers/trace.js';
import { expectExact, handlersOf, newBus, Notes, PATIENCE_MS, range } from './buses.js';

const { act, tellLater, tellSlowly } = handlersOf<typeof share>('share');
const { toOrderOrExit } = handlersOf<typeof trace>('trace');
const { busyOnTick } = handlersOf<typeof hang>('hang');
const seenBy = (notes: Notes): Seen[] => notes.of('seen').map(({ data }) => data as Seen);
const tick = (n: number, symbol = 'ESH4', price = 0): Tick => ({ type: 'TICK', n, symbol, price });
const job = (n: number): Job => ({ type: 'JOB', n, act: '' });
/** Room for 32 ticks. */
const ROOM = 32;
const DROPPING: BusOptions = { lanes: { market: { capacityBytes: 1024, whenFull: 'dropNewest' } } };

/** Publishes ticks, numbered on from `from`, until so many were dropped. @returns The number behind the last. */
function publishUntilDropped(bus: EventBus<C>, from: number, drops: number): number {
  let n = from;
  for (let dropped = 0; dropped < drops; n++) if (bus.tryPublish(tick(n)) === 'dropped') dropped++;
  return n;
}

/** What the handler was told: of each event its number and `missed`. */
class Listener {
  readonly told: [n: number, missed: number][] = [];

  readonly handler = ({ n }: { n: number }, { missed }: Context): void => {
    this.told.push([n, missed]);
  };

  get gaps(): [n: number, missed: number][] {
    return this.told.filter(([, missed]) => missed > 0);
  }

  get missed(): number {
    return this.told.reduce((sum, [, missed]) => sum + missed, 0);
  }
}

describe('context.missed', () => {
  it('is the number of dropped events, once, on the first delivery after the gap', async () => {
    const bus = newBus(DROPPING);
    const listener = new Listener();
    const subscription = bus.subscribe('TICK', listener.handler);
    await bus.start();
    subscription.pause();
    let next = publishUntilDropped(bus, 0, 5);
    expect(next).toBe(ROOM + 5);
    expect(subscription.metrics()).toMatchObject({ owed: ROOM, missed: 0 });
    subscription.resume();
    await bus.drain();
    expect(listener.gaps).toEqual([]);
    for (const n of range(3, next)) await bus.publish(tick(n));
    next += 3;
    await bus.drain();
    expect(listener.gaps).toEqual([[ROOM + 5, 5]]);
    expect(subscription.metrics()).toMatchObject({ owed: ROOM + 3, processed: ROOM + 3, missed: 5, exact: true });

    subscription.pause();
    const second = publishUntilDropped(bus, next, 2);
    subscription.resume();
    await bus.drain();
    await bus.publish(tick(second));
    await bus.drain();
    expect(listener.gaps).toEqual([
      [ROOM + 5, 5],
      [second, 2],
    ]);
    expect(subscription.metrics().missed).toBe(7);
    expect(bus.metrics().lanes.market).toMatchObject({ dropped: 7 });
    expectExact(bus.metrics());
  });

  it.each([
    { shape: 'one thread', handler: tellSlowly, options: {}, bus: { threads: 1 } },
    { shape: 'one thread, a starved lane', handler: tellSlowly, options: {}, bus: { threads: 1, starvation: false } },
    {
      shape: 'concurrency without order',
      handler: act,
      options: { concurrency: 8, order: 'none' },
      bus: { threads: 1 },
    },
  ] as const)('is exactly the gap in the numbers, whenever events are dropped: $shape', async (given) => {
    const bus = newBus({ ...DROPPING, ...given.bus });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', given.handler, given.options);
    await bus.start();
    const EVENTS = 20_000;
    for (const n of range(EVENTS)) {
      bus.tryPublish(tick(n));
      if (n % 100 === 0) await turn();
    }
    await bus.drain();
    await bus.publish(tick(EVENTS));
    await bus.drain();
    let expected = 0;
    for (const { n, missed } of seenBy(notes)) {
      expect(missed, `missed at ${n}`).toBe(n - expected);
      expected = n + 1;
    }
    expect(expected).toBe(EVENTS + 1);
    const { dropped } = bus.metrics().lanes.market;
    expect(dropped).toBeGreaterThan(0);
    expect(subscription.metrics()).toMatchObject({ owed: EVENTS + 1 - dropped, missed: dropped, exact: true });
  });

  it('counts only the types that the subscription wants', async () => {
    const bus = newBus(DROPPING);
    const listeners = { ticks: new Listener(), jobs: new Listener(), both: new Listener(), halts: new Listener() };
    const subscriptions = [
      bus.subscribe('TICK', listeners.ticks.handler),
      bus.subscribe('JOB', listeners.jobs.handler),
      bus.subscribe(['TICK', 'JOB'], listeners.both.handler),
      bus.subscribe(['HALT', 'TICK'], listeners.halts.handler),
    ];
    await bus.start();
    for (const subscription of subscriptions) subscription.pause();
    const next = publishUntilDropped(bus, 0, 5);
    for (const n of range(3)) expect(bus.tryPublish(job(n))).toBe('dropped');
    for (const subscription of subscriptions) subscription.resume();
    await bus.drain();
    await bus.publish({ type: 'HALT', n: -1, reason: 'another lane has no gap' });
    await bus.publish(tick(next));
    await bus.publish(job(3));
    await bus.drain();
    expect(listeners.ticks.gaps).toEqual([[next, 5]]);
    expect(listeners.jobs.gaps).toEqual([[3, 3]]);
    expect(listeners.both.gaps).toEqual([[next, 8]]);
    expect(listeners.halts.gaps).toEqual([[next, 5]]);
    expect(subscriptions.map((subscription) => subscription.metrics().missed)).toEqual([5, 3, 8, 5]);
    expectExact(bus.metrics());
  });

  it('tells of events that a batch has lost', async () => {
    const bus = newBus(DROPPING);
    const listener = new Listener();
    const subscription = bus.subscribe('TICK', listener.handler);
    await bus.start();
    subscription.pause();
    await bus.publishBatch(range(ROOM + 20).map((n) => tick(n)));
    await bus.publishBatch(range(4).map((n) => tick(n)));
    expect(bus.metrics().lanes.market).toMatchObject({ published: ROOM, dropped: 24 });
    subscription.resume();
    await bus.drain();
    await bus.publishBatch(range(4, 100).map((n) => tick(n)));
    await bus.drain();
    expect(listener.told).toEqual([...range(ROOM).map((n) => [n, 0]), [100, 24], [101, 0], [102, 0], [103, 0]]);
    expect(subscription.metrics()).toMatchObject({ missed: 24, exact: true });
  });

  it('tells of what pool threads publish, by lane', async () => {
    const bus = newBus({ threads: 2, lanes: { execution: { capacityBytes: 1024, whenFull: 'dropNewest' } } });
    const listener = new Listener();
    const ticks = bus.subscribe('TICK', toOrderOrExit, { threads: 2 });
    const orders = bus.subscribe('ORDER', listener.handler);
    await bus.start();
    orders.pause();
    for (const n of range(500)) await bus.publish(tick(n, `S${n % 20}`));
    await expect.poll(() => ticks.metrics().processed, { timeout: PATIENCE_MS }).toBe(500);
    // Two threads' rings have room for some.
    const { dropped } = bus.metrics().lanes.execution;
    expect(dropped).toBeGreaterThan(400);
    orders.resume();
    await bus.drain();
    for (const n of range(20, 500)) await bus.publish(tick(n, `S${n % 20}`));
    await bus.drain();
    expect(listener.missed).toBe(dropped);
    expect(listener.gaps).toHaveLength(2);
    expect(orders.metrics()).toMatchObject({ owed: 520 - dropped, missed: dropped, exact: true });
  });

  it.each([
    { shape: 'keys in order', options: {} },
    { shape: 'no order', options: { order: 'none' } },
  ] as const)('is told on every thread that shares the subscription: $shape', async ({ options }) => {
    const bus = newBus({ ...DROPPING, threads: 2 });
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', tellLater, { threads: 2, ...options });
    await bus.start();
    subscription.pause();
    const next = publishUntilDropped(bus, 0, 7);
    subscription.resume();
    await bus.drain();
    for (const n of range(200, next)) {
      await bus.publish(tick(n, `S${n % 20}`));
      await bus.drain();
    }
    for (const thread of [1, 2]) {
      const told = seenBy(notes).filter((one) => one.thread === thread);
      expect(told.filter(({ missed }) => missed > 0).map(({ missed }) => missed)).toEqual([7]);
      expect(told.find(({ n }) => n >= next)?.missed).toBe(7);
    }
    expect(subscription.metrics()).toMatchObject({ missed: 7, exact: true });
  });

  it('is not lost with an event that the filter refuses', async () => {
    const bus = newBus(DROPPING);
    const listener = new Listener();
    const judged = new Listener();
    const subscriptions = [
      bus.subscribe('TICK', listener.handler, { filter: { symbol: 'GOOD' } }),
      bus.subscribe('TICK', judged.handler, { filter: ({ symbol }) => symbol === 'GOOD' }),
    ];
    await bus.start();
    for (const subscription of subscriptions) subscription.pause();
    const next = publishUntilDropped(bus, 0, 5);
    for (const subscription of subscriptions) subscription.resume();
    await bus.drain();
    await bus.publish(tick(next, 'BAD'));
    await bus.publish(tick(next + 1, 'GOOD'));
    await bus.publish(tick(next + 2, 'GOOD'));
    await bus.drain();
    for (const { told } of [listener, judged])
      expect(told).toEqual([
        [next + 1, 5],
        [next + 2, 0],
      ]);
  });

  it('is told again, and counted once, when its delivery is repeated', async () => {
    const bus = newBus(DROPPING);
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act);
    await bus.start();
    subscription.pause();
    const next = publishUntilDropped(bus, 0, 5);
    subscription.resume();
    await bus.drain();
    await bus.publish(tick(next, 'ESH4', Act.exitOnce));
    await bus.drain();
    const begun = notes.of('begun').map(({ data }) => data as Seen);
    expect(begun.map(({ attempt, missed }) => [attempt, missed])).toEqual([
      [1, 5],
      [2, 5],
    ]);
    expect(subscription.metrics()).toMatchObject({ missed: 5, redelivered: 1, exact: true });
  });

  it('adds up over the lives of the thread', async () => {
    const bus = newBus(DROPPING);
    const notes = new Notes(bus);
    const subscription = bus.subscribe('TICK', act);
    await bus.start();
    let next = 0;
    for (const drops of [5, 7]) {
      subscription.pause();
      next = publishUntilDropped(bus, next, drops);
      subscription.resume();
      await bus.drain();
      await bus.publish(tick(next++));
      await bus.publish(tick(next++, 'ESH4', Act.exitOnce));
      await bus.drain();
    }
    expect(seenBy(notes).map(({ missed }) => missed).filter((missed) => missed > 0)).toEqual([5, 7]); // prettier-ignore
    expect(subscription.metrics()).toMatchObject({ missed: 12, redelivered: 2, exact: true });
  });

  it('is 0 for a subscription made after the gap, and where nothing was dropped', async () => {
    const bus = newBus(DROPPING);
    const early = new Listener();
    const late = new Listener();
    const first = bus.subscribe('TICK', early.handler);
    bus.subscribe('TICK', busyOnTick);
    await bus.start();
    first.pause();
    const next = publishUntilDropped(bus, 0, 5);
    first.resume();
    await bus.drain();
    await bus.publish(tick(next));
    await bus.drain();
    const second = bus.subscribe('TICK', late.handler);
    await second.ready;
    await bus.publish(tick(next + 1));
    await bus.drain();
    expect(early.gaps).toEqual([[next, 5]]);
    expect(late.told).toEqual([[next + 1, 0]]);
    expect(second.metrics()).toMatchObject({ missed: 0 });
  });
});
