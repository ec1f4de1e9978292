// start, drain and stop, in every order.
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Tick } from '../support/handlers/catalog.js';
import type * as derive from '../support/handlers/derive.js';
import type * as hang from '../support/handlers/hang.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, latch, newBus, Notes, range } from './buses.js';

const handlers = handlersOf<typeof record>('record');
const { onJob } = handlersOf<typeof hang>('hang');
const { deriveAndWait } = handlersOf<typeof derive>('derive');
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });

describe('before start', () => {
  it('every way to publish is refused, and nothing is written', async () => {
    const bus = newBus();
    const refused = {
      code: 'ERR_LANEBUS_NOT_STARTED',
      message: expect.stringContaining('await bus.start() first') as string,
    };
    await expect(bus.publish(tick(1))).rejects.toMatchObject(refused);
    await expect(bus.publishBatch([tick(1)])).rejects.toMatchObject(refused);
    expect(() => bus.tryPublish(tick(1))).toThrow(expect.objectContaining(refused));
    await expect(bus.drain()).rejects.toMatchObject({ code: 'ERR_LANEBUS_NOT_STARTED' });
    expect(bus.metrics()).toMatchObject({ state: 'created', lanes: { market: { published: 0 } } });
  });

  it('stop ends the bus for good', async () => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', handlers.quiet);
    expect(await bus.stop()).toMatchObject({ drained: true, discarded: 0, releasedPublishers: 0 });
    await subscription.ended;
    await expect(subscription.ready).rejects.toMatchObject({ code: 'ERR_LANEBUS_STOPPED' });
    await expect(bus.start()).rejects.toMatchObject({ code: 'ERR_LANEBUS_STOPPED' });
  });
});

describe('start', () => {
  it('twice is refused, whether the first one has ended or not', async () => {
    const bus = newBus();
    const first = bus.start();
    await expect(bus.start()).rejects.toMatchObject({ code: 'ERR_LANEBUS_ALREADY_STARTED' });
    await first;
    await expect(bus.start()).rejects.toMatchObject({ code: 'ERR_LANEBUS_ALREADY_STARTED' });
    expect(bus.metrics().state).toBe('running');
  });

  it('of a bus that is stopped meanwhile rejects, and the bus is stopped', async () => {
    const bus = newBus({ threads: 2 });
    bus.subscribe('TICK', handlers.quiet);
    const [started, report] = await Promise.allSettled([bus.start(), bus.stop()]);
    expect(started).toMatchObject({ status: 'rejected', reason: { code: 'ERR_LANEBUS_STOPPED' } });
    expect(report).toMatchObject({ status: 'fulfilled', value: { drained: true, discarded: 0 } });
    expect(bus.metrics().state).toBe('stopped');
    await expect(bus.publish(tick(1))).rejects.toMatchObject({ code: 'ERR_LANEBUS_STOPPED' });
  });
});

describe('drain', () => {
  it('resolves when every delivery has ended, with nothing pending', async () => {
    const bus = newBus({ threads: 2 });
    const subscriptions = [bus.subscribe('TICK', handlers.quiet), bus.subscribe('TICK', handlers.quietToo)];
    await bus.start();
    for (const n of range(10_000)) await bus.publish(tick(n));
    const report = await bus.drain();
    expect(report).toMatchObject({ drained: true, pending: 0 });
    expect(report.durationMs).toBeGreaterThan(0);
    for (const subscription of subscriptions) expect(subscription.metrics().processed).toBe(10_000);
    expectExact(bus.metrics());
  });

  it('waits for async handlers, not only for their start', async () => {
    const bus = newBus();
    const finish = latch();
    const subscription = bus.subscribe('TICK', () => finish.opened);
    await bus.start();
    await bus.publish(tick(1));
    expect(await bus.drain({ timeoutMs: 20 })).toMatchObject({ drained: false, pending: 1 });
    expect(subscription.metrics()).toMatchObject({ processed: 0, pending: 1 });
    finish.open();
    expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
    expect(subscription.metrics()).toMatchObject({ processed: 1, pending: 0, exact: true });
  });

  it('gives up after its timeoutMs and says how much is pending', async () => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    subscription.pause();
    for (const n of range(7)) await bus.publish(tick(n));
    const report = await bus.drain({ timeoutMs: 50 });
    expect(report).toMatchObject({ drained: false, pending: 7 });
    expect(report.durationMs).toBeGreaterThanOrEqual(50);
  });

  it('waits for publishers that wait for room', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024 } } });
    const subscription = bus.subscribe('TICK', () => undefined);
    await bus.start();
    subscription.pause();
    const published = range(100).map((n) => bus.publish(tick(n)));
    const drained = bus.drain();
    subscription.resume();
    await drained;
    await Promise.all(published);
    expect(subscription.metrics()).toMatchObject({ processed: 100, exact: true });
  });

  it('of an idle bus resolves at once', async () => {
    const bus = newBus();
    await bus.start();
    expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
  });

  it('after stop resolves', async () => {
    const bus = newBus();
    await bus.start();
    await bus.stop();
    expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
  });
});

describe('stop', () => {
  it('delivers what was published before it', async () => {
    const bus = newBus({ threads: 2 });
    bus.subscribe('TICK', handlers.quiet);
    bus.subscribe('TICK', handlers.quietToo);
    bus.subscribe('TICK', () => undefined);
    await bus.start();
    for (const n of range(10_000)) await bus.publish(tick(n));
    const report = await bus.stop();
    expect(report).toMatchObject({ drained: true, discarded: 0, releasedPublishers: 0 });
    for (const subscription of report.subscriptions) {
      expect(subscription).toMatchObject({ state: 'ended', owed: 10_000, processed: 10_000 });
    }
    expectExact(report);
  });

  it('refuses everything new from its first moment on', async () => {
    const bus = newBus();
    bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    await bus.publish(tick(1));
    const stopped = bus.stop();
    expect(bus.metrics().state).toBe('stopping');
    const refused = { code: 'ERR_LANEBUS_STOPPED' };
    for (const state of ['stopping', 'stopped']) {
      await expect(bus.publish(tick(2))).rejects.toMatchObject(refused);
      await expect(bus.publishBatch([tick(2)])).rejects.toMatchObject(refused);
      expect(bus.tryPublish(tick(2)), state).toBe('closed');
      expect(() => bus.subscribe('TICK', handlers.onTick)).toThrow(expect.objectContaining(refused));
      await expect(bus.start()).rejects.toMatchObject(refused);
      await stopped;
    }
    expect(bus.metrics()).toMatchObject({ state: 'stopped', lanes: { market: { published: 1 } } });
    expectExact(bus.metrics());
  });

  it('called twice is one stop with one report', async () => {
    const bus = newBus();
    await bus.start();
    const [first, second] = await Promise.all([bus.stop(), bus.stop()]);
    expect(second).toBe(first);
    expect(await bus.stop()).toBe(first);
  });

  it('discards what a hung thread leaves and reports it exactly', async () => {
    const bus = newBus({ threads: 2, timeoutMs: 0 });
    const notes = new Notes(bus);
    const hung = bus.subscribe('JOB', onJob);
    const well = bus.subscribe('JOB', () => undefined);
    await bus.start();
    for (const n of range(10)) await bus.publish({ type: 'JOB', n, act: n === 3 ? 'loop' : '' });
    await notes.until('begun', 4);
    const report = await bus.stop({ timeoutMs: 100 });
    expect(report).toMatchObject({ drained: false, discarded: 7 });
    expectExact(report);
    expect(hung.metrics()).toMatchObject({ owed: 10, processed: 3, timedOut: 0, discarded: 7 });
    expect(well.metrics()).toMatchObject({ owed: 10, processed: 10, discarded: 0 });
    expect(report.subscriptions).toEqual(bus.metrics().subscriptions);
  });

  it('discards what a paused subscription has not taken', async () => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    subscription.pause();
    for (const n of range(5)) await bus.publish(tick(n));
    expect(await bus.stop({ timeoutMs: 50 })).toMatchObject({ drained: false, discarded: 5 });
    expect(subscription.metrics()).toMatchObject({ owed: 5, processed: 0, discarded: 5, exact: true });
  });

  it('closes the books: a handler that settles later changes nothing', async () => {
    const bus = newBus();
    const finish = latch();
    const begun = latch();
    const subscription = bus.subscribe('TICK', async () => {
      begun.open();
      await finish.opened;
    });
    await bus.start();
    await bus.publish(tick(1));
    await bus.publish(tick(2));
    await begun.opened;
    const report = await bus.stop({ timeoutMs: 20 });
    expect(report).toMatchObject({ drained: false, discarded: 2 });
    const final = subscription.metrics();
    expect(final).toMatchObject({ owed: 2, discarded: 2, exact: true });
    finish.open();
    await turn();
    await turn();
    expect(subscription.metrics()).toEqual(final);
  });

  it('releases publishers that wait for room with ERR_LANEBUS_STOPPED, and counts them', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024 } } });
    const subscription = bus.subscribe('TICK', () => undefined);
    await bus.start();
    subscription.pause();
    let published = 0;
    while (bus.tryPublish(tick(published)) === 'published') published++;
    const waiting = range(3).map((n) =>
      expect(bus.publish(tick(n))).rejects.toMatchObject({ code: 'ERR_LANEBUS_STOPPED' }),
    );
    const batch = expect(bus.publishBatch([tick(8), tick(9)])).rejects.toMatchObject({ code: 'ERR_LANEBUS_STOPPED' });
    expect(bus.metrics().lanes.market).toMatchObject({ published, waiting: 4 });
    const report = await bus.stop({ timeoutMs: 20 });
    await Promise.all([...waiting, batch]);
    expect(report).toMatchObject({ releasedPublishers: 4, discarded: published });
    expectExact(report);
    // The tryPublish that found no room, and the five events that were released.
    expect(bus.metrics().lanes.market).toMatchObject({ published, rejected: 6, waiting: 0 });
  });

  it('discards what a spill lane still holds, and counts it', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024, whenFull: 'spill' } } });
    const subscription = bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    subscription.pause();
    for (const n of range(500)) await bus.publish(tick(n));
    expect(bus.metrics().lanes.market.spilled).toBeGreaterThan(400);
    const report = await bus.stop({ timeoutMs: 20 });
    expect(report).toMatchObject({ drained: false, discarded: 500 });
    expect(subscription.metrics()).toMatchObject({ owed: 500, discarded: 500 });
    expectExact(report);
    expect(bus.metrics().lanes.market).toMatchObject({ published: 500, spilled: 0 });
  });

  it('ends a handler that waits for room, and leaves no publisher waiting', async () => {
    const bus = newBus({ timeoutMs: 0, lanes: { signal: { capacityBytes: 1024 } } });
    const stuck = bus.subscribe('SIGNAL', () => undefined);
    const deriving = bus.subscribe('TICK', deriveAndWait);
    await bus.start();
    stuck.pause();
    for (const n of range(100)) await bus.publish(tick(n));
    await expect.poll(() => bus.metrics().lanes.signal.waiting).toBe(1);
    const report = await bus.stop({ timeoutMs: 50 });
    expect(report.drained).toBe(false);
    expectExact(report);
    expect(deriving.metrics()).toMatchObject({ owed: 100 });
    expect(bus.metrics().lanes.signal.waiting).toBe(0);
    expect(await bus.drain({ timeoutMs: 500 })).toMatchObject({ drained: true, pending: 0 });
  });

  it('takes what handlers on its own thread publish while it drains, and nothing else, of the same type either', async () => {
    const bus = newBus();
    const refused: unknown[] = [];
    const stopping = latch();
    bus.subscribe('TICK', async ({ n }, context) => {
      if (n === 0) await stopping.opened;
      if (n >= 3) return;
      await context.publish(tick(n + 1));
      await bus.publish(tick(100)).catch((error: unknown) => refused.push(error)); // the type that was just taken
    });
    await bus.start();
    await bus.publish(tick(0));
    await turn();
    const stopped = bus.stop();
    stopping.open();
    const report = await stopped;
    expect(report).toMatchObject({ drained: true, discarded: 0 });
    expect(report.subscriptions[0]).toMatchObject({ owed: 4, processed: 4, exact: true });
    expect(refused).toMatchObject([1, 2, 3].map(() => ({ code: 'ERR_LANEBUS_STOPPED' })));
  });

  it('lets a handler on its own thread that waits for room have it, and publish the rest', async () => {
    const bus = newBus({ lanes: { signal: { capacityBytes: 4096 } } });
    const signals = bus.subscribe('SIGNAL', () => undefined);
    const deriving = bus.subscribe('TICK', async (_, context) => {
      for (const n of range(1_000)) await context.publish({ type: 'SIGNAL', n, symbol: 'A' });
    });
    await bus.start();
    signals.pause();
    await bus.publish(tick(0));
    await expect.poll(() => bus.metrics().lanes.signal.waiting).toBe(1);
    const outside = expect(bus.publish({ type: 'SIGNAL', n: -1, symbol: 'A' })).rejects.toMatchObject({
      code: 'ERR_LANEBUS_STOPPED',
    });
    const stopped = bus.stop();
    signals.resume();
    expect(await stopped).toMatchObject({ drained: true, discarded: 0, releasedPublishers: 1 });
    await outside;
    expect(signals.metrics()).toMatchObject({ owed: 1_000, processed: 1_000, exact: true });
    expect(deriving.metrics()).toMatchObject({ owed: 1, processed: 1, exact: true });
  });

  it('is what `await using` does at the end of a block', async () => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    await bus.publish(tick(1));
    await bus[Symbol.asyncDispose]();
    expect(bus.metrics().state).toBe('stopped');
    expect(subscription.metrics()).toMatchObject({ processed: 1, exact: true });
  });

  it('refuses a bad limit', () => {
    const bus = newBus();
    expect(() => bus.stop({ timeoutMs: -1 })).toThrow(/timeoutMs: got -1; expected a number of ms/);
  });
});
