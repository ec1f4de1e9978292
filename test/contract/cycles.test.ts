// Handlers that publish in a cycle, on lanes of the smallest size that block: what waits for itself is refused, by name.
import { createBus, workerHandlers } from 'lanebus';
import type { BusOptions, EventBus, SubscribeOptions, Subscription } from 'lanebus';
import { afterEach, describe, expect, it } from 'vitest';
import { type C, catalog, passOn, type Type } from '../support/handlers/cycles.js';
import type * as cycles from '../support/handlers/cycles.js';
import { expectExact, moduleUrl } from './buses.js';

const handlers = workerHandlers<typeof cycles>(moduleUrl('cycles'));
const RING = ['A', 'B', 'C', 'D', 'E'] as const;
const RUNS = 100;
const LANES = Object.fromEntries([
  ...['control', 'execution', 'signal', 'market', 'log'].map((name) => [name, false] as const),
  ...[...RING, 'F'].map((name, at) => [
    `lane${name}`,
    { maxPriority: at === RING.length ? Infinity : 30 + at, capacityBytes: 1024 },
  ]),
]) as NonNullable<BusOptions['lanes']>;

const running: EventBus<C>[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((bus) => bus.stop({ timeoutMs: 1 })));
});

function newBus(threads: number): EventBus<C> {
  const bus = createBus(catalog, {
    threads,
    lanes: LANES,
    timeoutMs: 0,
    watchdogIntervalMs: 5,
    logger: false,
    metricsLogIntervalMs: 0,
  });
  running.push(bus);
  return bus;
}

/** What every cycle comes to, whoever was refused: nothing is left, and everything is accounted for. */
function expectSettled(bus: EventBus<C>): void {
  expectExact(bus.metrics());
  for (const { timedOut, redelivered } of bus.metrics().subscriptions)
    expect({ timedOut, redelivered }).toEqual({ timedOut: 0, redelivered: 0 });
  for (const { restarts } of bus.metrics().threads) expect(restarts).toEqual({ timeout: 0, crash: 0 });
  for (const { waiting, depthEvents } of Object.values(bus.metrics().lanes))
    expect({ waiting, depthEvents }).toEqual({ waiting: 0, depthEvents: 0 });
}

const failedOf = (subscriptions: readonly Subscription[]): number =>
  subscriptions.reduce((sum, subscription) => sum + subscription.metrics().failed, 0);

/** One load of events with these `ttl`s, to its end. */
async function run(bus: EventBus<C>, ttls: readonly number[]): Promise<void> {
  for (const [n, ttl] of ttls.entries()) await bus.publish({ type: 'A', ttl, n });
  expect(await bus.drain({ timeoutMs: 20_000 })).toMatchObject({ drained: true });
}

const SIZES = [
  { cycle: 'a handler that publishes its own type', size: 1 },
  { cycle: 'two handlers', size: 2 },
  { cycle: 'five handlers', size: 5 },
] as const;

/** Subscribes a cycle of so many worker handlers: A to B to … to A. */
function ringOf(bus: EventBus<C>, size: number, kind: 'one' | 'crowd'): Subscription[] {
  return RING.slice(0, size).map((type, at) => bus.subscribe(type, handlers[`${kind}To${RING[(at + 1) % size]}`]));
}

describe.each(SIZES)('in a cycle of $cycle', ({ size }) => {
  it.each([1, 2])(`each of ${RUNS} loads that cannot fit ends, with a refusal, over %i threads`, async (threads) => {
    const bus = newBus(threads);
    const ring = ringOf(bus, size, 'crowd');
    await bus.start();
    for (let runs = 0; runs < RUNS; runs++) {
      const before = failedOf(ring);
      await run(bus, [size]);
      expectSettled(bus);
      expect(failedOf(ring)).toBeGreaterThan(before);
    }
  });

  it('a load that fits is refused nothing', async () => {
    const bus = newBus(2);
    const ring = ringOf(bus, size, 'one');
    await bus.start();
    for (let runs = 0; runs < 20; runs++) await run(bus, Array<number>(5).fill(20));
    expectSettled(bus);
    expect(failedOf(ring)).toBe(0);
  });
});

const WAYS: readonly { way: string; threads: number; options: SubscribeOptions<C, Type> }[] = [
  { way: 'four deliveries at a time', threads: 1, options: { concurrency: 4, order: 'none' } },
  { way: 'four deliveries at a time, by key', threads: 1, options: { concurrency: 4 } },
  { way: 'two threads by key', threads: 2, options: { threads: 2 } },
  { way: 'two threads by key with four deliveries each', threads: 2, options: { threads: 2, concurrency: 4 } },
  { way: 'two threads in any order', threads: 2, options: { threads: 2, order: 'none' } },
];

describe('however its deliveries are shared out', () => {
  it.each(WAYS)('a cycle of two handlers ends: $way', async ({ threads, options }) => {
    const bus = newBus(threads);
    const ring = [bus.subscribe('A', handlers.twoToB, options), bus.subscribe('B', handlers.twoToA, options)];
    await bus.start();
    for (let runs = 0; runs < 5; runs++) await run(bus, Array<number>(20).fill(5));
    expectSettled(bus);
    expect(failedOf(ring)).toBeGreaterThan(0);
  });
});

describe('the refusal', () => {
  it('names the lanes, the threads and the subscriptions of the cycle', async () => {
    const bus = newBus(1);
    const errors: { code?: string; message: string }[] = [];
    for (const [from, to] of [
      ['A', 'B'],
      ['B', 'A'],
    ] as const) {
      const pass = passOn(to, 2);
      bus.subscribe(
        from,
        (event, context) =>
          pass(event, context).catch((error: unknown) => {
            errors.push(error as Error);
            throw error;
          }),
        { name: `on ${from}` },
      );
    }
    await bus.start();
    await run(bus, Array<number>(12).fill(4));
    expectSettled(bus);
    expect(errors.length).toBe(bus.metrics().subscriptions.reduce((sum, { failed }) => sum + failed, 0));
    expect(errors.length).toBeGreaterThan(0);
    for (const { code, message } of errors) {
      expect(code).toBe('ERR_LANEBUS_DEADLOCK');
      expect(message).toMatch(
        /^handlers publish in a cycle whose lanes are full: lane "lane([AB])" of thread 0, which waits for subscription "on \1"/,
      );
    }
  });

  it('fails a delivery that does not await what it publishes', async () => {
    const bus = newBus(1);
    const later = bus.subscribe('A', handlers.twoToALater);
    await bus.start();
    await run(bus, Array<number>(20).fill(5));
    expectSettled(bus);
    expect(later.metrics().failed).toBeGreaterThan(0);
  });

  it('does not fail a delivery that catches it and goes on', async () => {
    const bus = newBus(1);
    const told: number[] = [];
    const catching = bus.subscribe('A', handlers.twoToAOrF);
    bus.subscribe('F', ({ ttl }) => void told.push(ttl));
    await bus.start();
    await run(bus, Array<number>(20).fill(5));
    expectSettled(bus);
    expect(catching.metrics().failed).toBe(0);
    expect(told.length).toBe(bus.metrics().lanes.laneA.rejected);
    expect(told.length).toBeGreaterThan(0);
  });

  it('comes while the bus stops, too', async () => {
    const bus = newBus(2);
    const ring = ringOf(bus, 2, 'crowd');
    await bus.start();
    await bus.publish({ type: 'A', ttl: 2, n: 0 });
    expect(await bus.stop()).toMatchObject({ drained: true, discarded: 0 });
    expect(failedOf(ring)).toBeGreaterThan(0);
    expectExact(bus.metrics());
  });
});

describe('a pipeline without a cycle', () => {
  it.each([1, 2, 3])('on full lanes is refused nothing, over %i threads', async (threads) => {
    const bus = newBus(threads);
    const subscriptions = [
      bus.subscribe('A', handlers.manyToB, threads === 1 ? { concurrency: 4 } : { threads: 2 }),
      bus.subscribe('B', handlers.busyToC, { threads: Math.min(2, threads), order: 'none' }),
      bus.subscribe('C', handlers.oneToD),
      bus.subscribe('D', handlers.oneToE, { concurrency: 3 }),
      bus.subscribe('E', handlers.slowly),
    ];
    await bus.start();
    await run(bus, Array<number>(300).fill(0));
    expectSettled(bus);
    expect(failedOf(subscriptions)).toBe(0);
    expect(subscriptions.map((subscription) => subscription.metrics().processed)).toEqual([
      300, 1_500, 1_500, 1_200, 900,
    ]);
    expect(bus.metrics().lanes.laneB.blockedMs).toBeGreaterThan(0);
  });

  it('may publish on the very lane of the class that it reads, what it does not read itself', async () => {
    const bus = createBus(catalog, {
      ...{ threads: 1, timeoutMs: 0, logger: false, metricsLogIntervalMs: 0 },
      lanes: { market: { capacityBytes: 1024 } },
    });
    running.push(bus);
    const subscriptions = [bus.subscribe('A', handlers.manyToB), bus.subscribe('B', handlers.slowly)];
    await bus.start();
    await run(bus, Array<number>(300).fill(0));
    expectSettled(bus);
    expect(subscriptions.map((subscription) => subscription.metrics().processed)).toEqual([300, 1_500]);
    expect(bus.metrics().lanes.market.blockedMs).toBeGreaterThan(0);
  });
});
