// What `metrics()` tells, read from shared memory: no thread is asked, and none has to answer.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { MetricsSnapshot } from 'lanebus';
import type { Tick } from '../support/handlers/catalog.js';
import type * as crash from '../support/handlers/crash.js';
import * as hang from '../support/handlers/hang.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';
import { runProgram } from './programs.js';

const { quiet } = handlersOf<typeof record>('record');
const hanging = handlersOf<typeof hang>('hang');
const crashing = handlersOf<typeof crash>('crash');
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function logFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lanebus-'));
  folders.push(folder);
  return join(folder, 'bus.log');
}

describe('while a thread hangs in an endless loop', () => {
  it('the depth of its lanes and what is pending are seen to grow, with no turn of the event loop', async () => {
    const bus = newBus({ timeoutMs: 0 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', hanging.onJobSync);
    const ticks = bus.subscribe('TICK', quiet);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 0, act: 'loop' });
    await notes.until('begun');
    const snapshots: MetricsSnapshot[] = [];
    for (let n = 0; n < 1000; n++) {
      if (n % 100 === 0) snapshots.push(bus.metrics());
      bus.tryPublish(tick(n));
    }
    for (const [index, { lanes, subscriptions, threads }] of snapshots.entries()) {
      const inLane = 1 + index * 100;
      // A burst becomes visible in groups of up to 16 events, and counts with that.
      const { published, depthEvents, depthBytes } = lanes.market;
      expect(published).toBeLessThanOrEqual(inLane);
      expect(published).toBeGreaterThan(inLane - 16);
      expect(depthEvents).toBe(published);
      expect(depthBytes).toBeGreaterThanOrEqual(depthEvents * 32);
      const [, ofJobs, ofTicks] = subscriptions;
      expect(ofJobs).toMatchObject({ owed: 1, processed: 0, pending: 1 });
      expect(ofTicks).toMatchObject({ owed: published - 1, processed: 0, pending: published - 1 });
      expect(threads[1]).toMatchObject({ state: 'running', incarnation: 0 });
    }
    await turn();
    expect(bus.metrics().lanes.market).toMatchObject({ published: 1001, depthEvents: 1001 });
    expect(await bus.stop({ timeoutMs: 1 })).toMatchObject({ drained: false, discarded: 1001 });
    expect(jobs.metrics()).toMatchObject({ discarded: 1, exact: true });
    expect(ticks.metrics()).toMatchObject({ discarded: 1000, exact: true });
  });

  it('its busy share rises', async () => {
    const bus = newBus({ threads: 2, timeoutMs: 0 });
    const notes = new Notes(bus);
    const hung = bus.subscribe('JOB', hanging.onJobSync);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 0, act: 'loop' });
    await notes.until('begun');
    const [thread] = hung.metrics().threads;
    const busyShare = (of: number): number => bus.metrics().threads[of].busyShare;
    const first = busyShare(thread);
    await expect.poll(() => busyShare(thread)).toBeGreaterThan(Math.max(0.8, first));
    expect(busyShare(thread)).toBeLessThanOrEqual(1);
    expect(busyShare(3 - thread)).toBeLessThan(0.5);
  });
});

describe('a lane', () => {
  it('keeps its high watermark after it was read', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 2 ** 16 } } });
    const subscription = bus.subscribe('TICK', quiet);
    await bus.start();
    expect(bus.metrics().lanes.market).toMatchObject({ highWatermarkBytes: 0, depthBytes: 0, depthEvents: 0 });
    subscription.pause();
    let n = 0;
    while (bus.tryPublish(tick(n)) === 'published') n++;
    const full = bus.metrics().lanes.market;
    expect(full).toMatchObject({ published: n, depthEvents: n, rejected: 1, capacityBytes: 2 * 2 ** 16 });
    expect(full.depthBytes).toBeGreaterThan(2 ** 16 - 64);
    expect(full.depthBytes).toBeLessThanOrEqual(2 ** 16);
    subscription.resume();
    await bus.drain();
    const { depthBytes, depthEvents, highWatermarkBytes } = bus.metrics().lanes.market;
    expect({ depthBytes, depthEvents }).toEqual({ depthBytes: 0, depthEvents: 0 });
    expect(highWatermarkBytes).toBeGreaterThanOrEqual(full.depthBytes);
    expect(highWatermarkBytes).toBeLessThanOrEqual(2 ** 16);
  });

  it('counts the time for which publishers wait, while they wait and afterwards', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024 } } });
    const subscription = bus.subscribe('TICK', quiet);
    await bus.start();
    expect(bus.metrics().lanes.market.blockedMs).toBe(0);
    subscription.pause();
    let n = 0;
    while (bus.tryPublish(tick(n)) === 'published') n++;
    const begun = performance.now();
    const waiting = bus.publish(tick(n));
    await expect.poll(() => bus.metrics().lanes.market.blockedMs).toBeGreaterThan(30);
    expect(bus.metrics().lanes.market.waiting).toBe(1);
    subscription.resume();
    await waiting;
    const elapsed = performance.now() - begun;
    const { blockedMs } = bus.metrics().lanes.market;
    expect(blockedMs).toBeGreaterThan(30);
    expect(blockedMs).toBeLessThanOrEqual(elapsed + 1);
    await bus.drain();
    expect(bus.metrics().lanes.market).toMatchObject({ blockedMs, waiting: 0 });
    expect(bus.metrics().lanes.signal.blockedMs).toBe(0);
  });

  it('counts by itself: nothing of one lane appears in another', async () => {
    const bus = newBus({ lanes: { signal: { capacityBytes: 1024, whenFull: 'dropNewest' } } });
    const subscription = bus.subscribe(['SIGNAL', 'TICK'], quiet);
    await bus.start();
    subscription.pause();
    for (const n of range(100)) await bus.publish({ type: 'SIGNAL', n, symbol: 'ESH4' });
    await expect(bus.publish({ ...tick(1), n: 0.5 })).rejects.toThrow();
    await bus.publish(tick(1));
    const { control, execution, signal, market, log } = bus.metrics().lanes;
    expect(signal.published + signal.dropped).toBe(100);
    expect(signal.dropped).toBeGreaterThan(0);
    expect(signal.rejected).toBe(0);
    expect(market).toMatchObject({ published: 1, dropped: 0, rejected: 1, depthEvents: 1 });
    for (const lane of [control, execution, log]) {
      expect(lane).toMatchObject({ published: 0, dropped: 0, rejected: 0, depthEvents: 0, highWatermarkBytes: 0 });
    }
    subscription.resume();
    await bus.drain();
    expectExact(bus.metrics());
  });
});

describe('a thread', () => {
  it('tells the share of its time that it was busy', async () => {
    const bus = newBus({ threads: 2 });
    const busy = bus.subscribe('TICK', hanging.busyOnTick);
    await bus.start();
    for (let n = 0; n < 10; n++) await bus.publish(tick(30));
    await bus.drain();
    const { threads, uptimeMs } = bus.metrics();
    const [thread] = busy.metrics().threads;
    expect(threads[thread].busyShare).toBeGreaterThan((0.9 * 300) / uptimeMs);
    expect(threads[thread].busyShare).toBeLessThanOrEqual(1);
    expect(threads[3 - thread].busyShare).toBeLessThan(threads[thread].busyShare / 2);
  });

  it('tells how often it was replaced, and why', async () => {
    const bus = newBus({ timeoutMs: 30, graceMs: 0 });
    const crashes = bus.subscribe('JOB', crashing.onJobSync);
    const loops = bus.subscribe('TICK', hanging.loopOnTick);
    await bus.start();
    expect(bus.metrics().threads[1]).toMatchObject({ incarnation: 0, restarts: { crash: 0, timeout: 0 } });
    await bus.publish({ ...tick(1), symbol: 'LOOP' });
    await bus.drain();
    expect(bus.metrics().threads[1]).toMatchObject({ incarnation: 1, restarts: { crash: 0, timeout: 1 } });
    await bus.publish({ type: 'JOB', n: 1, act: 'exit' });
    await bus.drain();
    expect(bus.metrics().threads[1]).toMatchObject({ incarnation: 3, restarts: { crash: 2, timeout: 1 } });
    expect(loops.metrics()).toMatchObject({ timedOut: 1 });
    expect(crashes.metrics()).toMatchObject({ owed: 1, processed: 0 });
    expectExact(bus.metrics());
  });
});

describe('a subscription', () => {
  it.each(['the main thread', 'a pool thread'])(
    'tells how long its handler takes and its events wait: %s',
    async (where) => {
      const bus = newBus();
      const subscription = bus.subscribe('TICK', where === 'a pool thread' ? hanging.busyOnTick : hang.busyOnTick);
      await bus.start();
      expect(subscription.metrics()).toMatchObject({
        handler: { meanMs: 0, maxMs: 0, samples: 0 },
        queueWait: { meanMs: 0, maxMs: 0, samples: 0 },
      });
      const begun = performance.now();
      for (const n of range(20)) await bus.publish({ ...tick(n === 10 ? 20 : 5) });
      await bus.drain();
      const elapsed = performance.now() - begun;
      const { handler, queueWait } = subscription.metrics();
      expect(handler.samples).toBeGreaterThan(10);
      expect(handler.samples).toBeLessThanOrEqual(20);
      expect(handler.meanMs).toBeGreaterThanOrEqual(5);
      expect(handler.meanMs).toBeLessThan(elapsed / 20 + 5);
      expect(handler.maxMs).toBeGreaterThanOrEqual(20);
      expect(handler.maxMs).toBeLessThan(elapsed);
      // The last one waited for all before it.
      expect(queueWait.maxMs).toBeGreaterThan(18 * 5);
      expect(queueWait.maxMs).toBeLessThan(elapsed);
      expect(queueWait.meanMs).toBeLessThan(queueWait.maxMs);
    },
  );
});

describe('the log', () => {
  it('has a line of metrics at each interval, and none with the interval 0', async () => {
    const [periodic, silent] = [logFile(), logFile()];
    const bus = newBus({ metricsLogIntervalMs: 10, logger: { destination: periodic } });
    const other = newBus({ metricsLogIntervalMs: 0, logger: { destination: silent } });
    const linesOf = (file: string): { msg: string; level: number; metrics: MetricsSnapshot }[] =>
      (existsSync(file) ? readFileSync(file, 'utf8') : '')
        .split('\n')
        .filter((line) => line.includes('"msg":"metrics"'))
        .map((line) => JSON.parse(line) as { msg: string; level: number; metrics: MetricsSnapshot });
    bus.subscribe('TICK', quiet);
    other.subscribe('TICK', quiet);
    await other.start();
    await bus.start();
    for (const n of range(5)) await Promise.all([bus.publish(tick(n)), other.publish(tick(n))]);
    await bus.drain();
    const before = linesOf(periodic).length;
    await expect.poll(() => linesOf(periodic).length).toBeGreaterThan(before + 2);
    const last = linesOf(periodic).at(-1);
    expect(last).toMatchObject({
      level: 30,
      metrics: {
        state: 'running',
        lanes: { market: { published: 5, depthEvents: 0 } },
        subscriptions: [{ name: 'record.js#quiet', owed: 5, processed: 5, exact: true }],
      },
    });
    await bus.stop();
    const atStop = linesOf(periodic).length;
    expect(linesOf(silent)).toEqual([]);
    // Three intervals of another timer later, nothing has been added.
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(linesOf(periodic)).toHaveLength(atStop);
  });
});

describe('an idle bus', () => {
  it('with two threads and three subscriptions uses less than 1% of one core', async () => {
    const { code, errors, lines } = await runProgram('idle', ['1500']);
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    const [{ share }] = lines as { share: number }[];
    process.stdout.write(`CPU time of an idle bus: ${(share * 100).toFixed(2)}% of one core\n`);
    expect(share).toBeLessThan(0.01);
  });
});
