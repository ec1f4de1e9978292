// createTestBus: an application's own tests neither wait for time nor miss what was published.
import { createBus, type HandlerContext } from 'lanebus';
import { createTestBus, type TestBus } from 'lanebus/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { catalog, type C } from '../support/handlers/catalog.js';
import type * as acts from '../support/handlers/acts.js';
import { handlersOf } from './buses.js';

const running: TestBus<C>[] = [];
afterEach(async () => {
  await Promise.all(running.splice(0).map((bus) => bus.stop({ timeoutMs: 1 })));
});

function testBus(options: Parameters<typeof createTestBus>[1] = {}): TestBus<C> {
  const bus = createTestBus(catalog, options);
  running.push(bus);
  return bus;
}

const order = { type: 'ORDER', n: 1, symbol: 'ESH4' } as const;
const SECOND_MS = 1_000;

describe('the time of a test bus', () => {
  it('lets a retry come when its back-off has passed, and not before', async () => {
    const bus = testBus({ retry: { attempts: 3, backoffMs: 10 * SECOND_MS, factor: 3, jitter: 0 } });
    const tries: number[] = [];
    bus.subscribe('ORDER', () => {
      tries.push(bus.time);
      throw new Error('no');
    });
    await bus.start();
    await bus.publish(order);
    await bus.idle();
    const from = tries[0];
    await bus.advance(10 * SECOND_MS - 1);
    expect(tries).toHaveLength(1);
    await bus.advance(1);
    expect(tries).toHaveLength(2);
    await bus.advance(30 * SECOND_MS);
    expect(tries.map((time) => time - from)).toEqual([0, 10 * SECOND_MS, 40 * SECOND_MS]);
    expect(bus.deadLetters.list()).toMatchObject([
      { reason: 'failed', attempts: 3, setAsideAt: from + 40 * SECOND_MS },
    ]);
  });

  it('passes by itself while a drain or a stop waits for it', async () => {
    const begun = performance.now();
    const bus = testBus({ retry: { attempts: 2, backoffMs: 600 * SECOND_MS, jitter: 0 } });
    let tries = 0;
    bus.subscribe('ORDER', () => {
      if (++tries % 2 === 1) throw new Error('not at once');
    });
    await bus.start();
    await bus.publish(order);
    expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
    expect(tries).toBe(2);
    await bus.publish(order);
    await bus.idle();
    expect(await bus.stop({ timeoutMs: 60 * SECOND_MS })).toMatchObject({ drained: true, discarded: 0 });
    expect(tries).toBe(4);
    expect(performance.now() - begun).toBeLessThan(60 * SECOND_MS);
  });

  it('passes in a drain exactly as far as the last try', async () => {
    const bus = testBus({ retry: { attempts: 3, backoffMs: 100, factor: 1, jitter: 0 } });
    bus.subscribe('ORDER', () => {
      throw new Error('no');
    });
    await bus.start();
    for (let round = 0; round < 3; round++) {
      const from = bus.time;
      await bus.publish(order);
      await bus.drain();
      expect(bus.time - from).toBe(200);
    }
  });

  it('passes in a drain as it does outside while a handler waits: its deadline comes', async () => {
    const bus = testBus({ timeoutMs: 50, graceMs: 10 });
    const orders = bus.subscribe('ORDER', () => new Promise<void>(() => undefined));
    await bus.start();
    await bus.publish(order);
    expect(await bus.drain()).toMatchObject({ drained: true });
    expect(orders.metrics()).toMatchObject({ timedOut: 1, exact: true });
  });

  it('does not keep the event loop from its turn', async () => {
    const bus = testBus();
    bus.subscribe('ORDER', () => undefined);
    await bus.start();
    const timer = { hasRung: false };
    setTimeout(() => (timer.hasRung = true), 30);
    while (!timer.hasRung) await bus.publish(order);
    await bus.drain();
    expect(bus.metrics().subscriptions[0]).toMatchObject({ pending: 0, exact: true });
  });

  it('is not shared with other buses: whichever comes second is refused', async () => {
    const real = createBus(catalog, { backend: 'inline', logger: false });
    await real.start();
    const bus = testBus();
    const message = 'another bus runs on this thread, in real time';
    await expect(bus.start()).rejects.toMatchObject({ message: expect.stringContaining(message) as string });
    await real.stop();
    await bus.start();
    await expect(bus.start()).rejects.toMatchObject({ code: 'ERR_LANEBUS_ALREADY_STARTED' });
    const second = createBus(catalog, { backend: 'inline', logger: false });
    await expect(second.start()).rejects.toMatchObject({ message: expect.stringContaining('virtual time') as string });
    const before = bus.time;
    await bus.advance(1);
    expect(bus.time - before).toBe(1);
  });

  it('ends a delivery at its deadline and grace', async () => {
    const bus = testBus({ timeoutMs: 5 * SECOND_MS, graceMs: 2 * SECOND_MS });
    let context: HandlerContext<C> | undefined;
    const orders = bus.subscribe('ORDER', (_, given) => {
      context = given;
      return new Promise<void>(() => undefined);
    });
    await bus.start();
    await bus.publish(order);
    await bus.advance(0);
    const { signal } = context as unknown as HandlerContext<C>;
    await bus.advance(4.9 * SECOND_MS);
    expect(signal.aborted).toBe(false);
    await bus.advance(0.2 * SECOND_MS);
    expect(signal.aborted).toBe(true);
    expect(orders.metrics()).toMatchObject({ timedOut: 0, pending: 1 });
    await bus.advance(2 * SECOND_MS);
    expect(orders.metrics()).toMatchObject({ timedOut: 1, pending: 0, exact: true });
  });

  it('opens a circuit again after its cool-down', async () => {
    const bus = testBus({ maxFailures: 2, onMaxFailures: 'pause', coolDownMs: 30 * SECOND_MS });
    let isBroken = true;
    const orders = bus.subscribe('ORDER', () => {
      if (isBroken) throw new Error('no');
    });
    await bus.start();
    for (let n = 0; n < 4; n++) await bus.publish(order);
    await bus.idle();
    expect(orders.metrics()).toMatchObject({ circuit: 'open', failed: 2, pending: 2 });
    isBroken = false;
    await bus.advance(29 * SECOND_MS);
    expect(orders.metrics()).toMatchObject({ circuit: 'open', pending: 2 });
    await bus.advance(SECOND_MS);
    expect(orders.metrics()).toMatchObject({ circuit: 'closed', processed: 2, pending: 0 });
  });

  it('rejects a publisher when its wait for room is over', async () => {
    const lanes = { execution: { capacityBytes: 4096, timeoutMs: 7 * SECOND_MS } };
    const bus = testBus({ lanes });
    const orders = bus.subscribe('ORDER', () => undefined);
    await bus.start();
    orders.pause();
    while (bus.tryPublish(order) === 'published');
    const refused = expect(bus.publish(order)).rejects.toMatchObject({ code: 'ERR_LANEBUS_LANE_FULL' });
    const count = bus.published.length;
    await bus.advance(7 * SECOND_MS);
    await refused;
    expect(bus.published).toHaveLength(count - 1);
  });

  it('is one for all test buses, and real again when they have stopped', async () => {
    const [one, other] = [testBus(), testBus()];
    await Promise.all([one.start(), other.start()]);
    const before = other.time;
    await one.advance(3_600 * SECOND_MS);
    expect(other.time - before).toBe(3_600 * SECOND_MS);
    await Promise.all([one.stop(), other.stop()]);
    const bus = createBus(catalog, { backend: 'inline', logger: false });
    expect(Math.abs(bus.metrics().takenAt - Date.now())).toBeLessThan(60 * SECOND_MS);
  });
});

describe('what a test bus shows', () => {
  it('is everything that was published, in order: by the application, by handlers, in batches; and nothing that was refused', async () => {
    const bus = testBus();
    bus.subscribe('TICK', ({ n, symbol }, context) => context.publish({ type: 'SIGNAL', n, symbol }));
    bus.subscribe('SIGNAL', ({ n, symbol }, context) => context.publish({ type: 'ORDER', n, symbol }));
    await bus.start();
    await bus.publish({ type: 'TICK', n: 1, symbol: 'A', price: 1 });
    await bus.idle();
    await expect(bus.publish({ type: 'TICK', n: 1.5, symbol: 'A', price: 1 })).rejects.toThrow('n');
    expect(() => bus.tryPublish({ type: 'TACK' } as never)).toThrow('TACK');
    await bus.publishBatch([order, { type: 'HALT', n: 2, reason: 'x' }]);
    await bus.idle();
    expect(bus.published).toEqual([
      { type: 'TICK', n: 1, symbol: 'A', price: 1 },
      { type: 'SIGNAL', n: 1, symbol: 'A' },
      { type: 'ORDER', n: 1, symbol: 'A' },
      order,
      { type: 'HALT', n: 2, reason: 'x' },
    ]);
  });

  it('is neither what a full lane has dropped nor changed by what becomes of the event', async () => {
    const bus = testBus({ lanes: { execution: { capacityBytes: 4096, whenFull: 'dropNewest' } } });
    const orders = bus.subscribe('ORDER', () => undefined);
    await bus.start();
    orders.pause();
    const event: { type: 'ORDER'; n: number; symbol: string } = { ...order };
    for (let n = 0; n < 500; n++) await bus.publish(Object.assign(event, { n }));
    const { published, dropped } = bus.metrics().lanes.execution;
    expect(dropped).toBeGreaterThan(0);
    expect(bus.published.map((one) => (one as typeof event).n)).toEqual(Array.from({ length: published }, (_, n) => n));
  });

  it('is there when idle resolves: handlers that wait for something outside have ended', async () => {
    const bus = testBus();
    let ended = 0;
    bus.subscribe('ORDER', async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      ended++;
    });
    await bus.start();
    await bus.publishBatch([order, order]);
    await bus.idle();
    expect(ended).toBe(2);
  });

  it('runs worker handlers on the calling thread', async () => {
    const bus = testBus();
    const { onJob } = handlersOf<typeof acts>('acts');
    bus.subscribe('JOB', onJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'tell' });
    await bus.idle();
    expect(bus.published.at(-1)).toMatchObject({ type: 'NOTE', what: 'tell', data: { thread: 0 } });
  });

  it('refuses a time that is none', async () => {
    const bus = testBus();
    await bus.start();
    await expect(bus.advance(-1)).rejects.toThrow('advance: got -1; expected a number of ms from 0');
  });
});
