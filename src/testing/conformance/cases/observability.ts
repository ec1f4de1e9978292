import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ErrorCode } from '../../../main/index.js';
import { section } from '../case.js';
import { assertCounts, range, refusal, Reports } from '../scene.js';
import { heldUntilItReturns } from './capabilities.js';

export const observability = section('13. Observability', ({ both, once, needs }) => {
  needs(
    'endsHungHandlers',
    'Metrics are read without a message to any thread, even while one hangs.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform, { timeoutMs: scene.heldMs, graceMs: 0 });
      await bus.start();
      await bus.publish(scene.job(0, 'loop'));
      await reports.until('begun');
      scene.fill(
        bus,
        range(50, 1).map((n) => scene.job(n)),
      );
      const { lanes, subscriptions } = bus.metrics();
      assert.ok(lanes.market.depthEvents >= 50, `${lanes.market.depthEvents} events deep`);
      assertCounts(subscriptions.find(({ id }) => id === jobs.id) ?? {}, { owed: 51, processed: 0, pending: 51 });
      await scene.settle(bus);
      assertCounts(jobs.metrics(), { owed: 51, processed: 50, timedOut: 1 });
    },
    heldUntilItReturns,
  );

  both('Per lane, the metrics tell how deep it is, in events and bytes, and how deep it has been.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    ticks.pause();
    scene.fill(
      bus,
      range(40).map((n) => scene.tick(n)),
    );
    const { depthEvents, depthBytes, capacityBytes } = bus.metrics().lanes.market;
    assert.equal(depthEvents, 40);
    assert.ok(depthBytes > 40 * 16 && depthBytes <= capacityBytes);
    ticks.resume();
    await scene.settle(bus);
    const after = bus.metrics().lanes.market;
    assertCounts(after, { depthEvents: 0, depthBytes: 0, published: 40 });
    assert.ok(after.highWatermarkBytes >= depthBytes);
  });

  once('Nothing of one lane is counted in another.', async (scene) => {
    const bus = scene.bus();
    bus.subscribe(['TICK', 'ORDER'], () => undefined);
    await bus.start();
    for (const n of range(3)) await bus.publish(scene.tick(n));
    await bus.publish(scene.event('ORDER', 1));
    await scene.settle(bus);
    const { lanes } = bus.metrics();
    const published = Object.fromEntries(Object.entries(lanes).map(([name, lane]) => [name, lane.published]));
    assert.deepEqual(published, { control: 0, execution: 1, signal: 0, market: 3, log: 0 });
  });

  both(
    'Per lane, the metrics tell how many publishers wait for room, and for how long publishers have waited.',
    async (scene) => {
      const bus = scene.bus({ lanes: { market: { capacityBytes: 1024 } } });
      const ticks = bus.subscribe('TICK', scene.on.record);
      await bus.start();
      ticks.pause();
      const published = range(100).map((n) => bus.publish(scene.tick(n)));
      const { waiting } = bus.metrics().lanes.market;
      assert.ok(waiting > 0 && waiting < 100, `${waiting} wait`);
      await bus.drain({ timeoutMs: 10 });
      ticks.resume();
      await Promise.all(published);
      await scene.settle(bus);
      const after = bus.metrics().lanes.market;
      assert.equal(after.waiting, 0);
      assert.ok(after.blockedMs >= 9, `${after.blockedMs} ms`);
    },
  );

  both(
    'Per subscription, the metrics tell its ledger, how its handler fares, how long it takes, and how long events wait for it.',
    async (scene) => {
      const bus = scene.bus();
      const jobs = bus.subscribe('JOB', scene.on.perform);
      await bus.start();
      jobs.pause();
      await bus.publish(scene.job(1, 'busy 15'));
      await bus.publish(scene.job(2, 'throw'));
      await bus.drain({ timeoutMs: 10 });
      jobs.resume();
      await scene.settle(bus);
      const { handler, queueWait, consecutiveFailures, types, state } = jobs.metrics();
      assert.deepEqual(
        { consecutiveFailures, types, state },
        { consecutiveFailures: 1, types: ['JOB'], state: 'active' },
      );
      assert.ok(handler.samples >= 1 && handler.maxMs >= 15, `handler: ${handler.maxMs} ms at most`);
      assert.ok(queueWait.samples >= 1 && queueWait.maxMs >= 9, `queue: ${queueWait.maxMs} ms at most`);
    },
  );

  once(
    'Per thread, the metrics tell its state, how busy it was, and how often it was replaced, and why.',
    async (scene) => {
      const bus = scene.bus();
      bus.subscribe('TICK', () => undefined);
      await bus.start();
      await bus.publish(scene.tick(1));
      await scene.settle(bus);
      const { threads, state, uptimeMs } = bus.metrics();
      for (const thread of threads) {
        assertCounts(thread, { state: 'running', incarnation: 0, restarts: { timeout: 0, crash: 0 } });
        assert.ok(thread.busyShare >= 0 && thread.busyShare <= 1);
      }
      assert.equal(threads[0].thread, 0);
      assert.equal(state, 'running');
      assert.ok(uptimeMs > 0);
    },
  );

  both(
    'The notice `laneHighWatermark` tells of a lane that has come to hold more than its share, once, until it is low again.',
    async (scene) => {
      const bus = scene.bus({ lanes: { market: { capacityBytes: 4096, highWatermark: 0.5 } } });
      const ticks = bus.subscribe('TICK', scene.on.record);
      const told: string[] = [];
      bus.on('laneHighWatermark', ({ lane, depthBytes, capacityBytes }) => {
        assert.ok(depthBytes >= capacityBytes / 2);
        told.push(lane);
      });
      await bus.start();
      ticks.pause();
      scene.fill(
        bus,
        range(60).map((n) => scene.tick(n)),
      );
      await scene.until(() => told.length > 0, 'a notice');
      scene.fill(
        bus,
        range(10).map((n) => scene.tick(n)),
      );
      bus.metrics(); // another look
      ticks.resume();
      await scene.settle(bus);
      assert.deepEqual(told, ['market']);
    },
  );

  both('`context.log` writes a line to the log of the bus, where it says so in `logger`.', async (scene) => {
    const folder = mkdtempSync(join(tmpdir(), 'lanebus-conformance-'));
    try {
      const destination = join(folder, 'bus.log');
      const bus = scene.bus({ logger: { destination, level: 'info' } });
      bus.subscribe('TICK', scene.on.log, { name: 'writes' });
      await bus.start();
      await bus.publish(scene.tick(7));
      await scene.settle(bus);
      const lines = readFileSync(destination, 'utf8').trim().split('\n');
      const told = lines.map((line) => JSON.parse(line) as Record<string, unknown>).filter((line) => 'told' in line);
      assert.equal(told.length, 1);
      assertCounts(told[0], { told: 7, msg: 'told by a handler', subscription: 'writes', level: 30 });
      await bus.stop();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  once('What `bus.on` returns takes the listener away; what a listener throws breaks nothing.', async (scene) => {
    const bus = scene.bus();
    bus.subscribe('TICK', () => {
      throw new Error('no');
    });
    const told: string[] = [];
    const off = bus.on('deadLetter', () => told.push('first'));
    bus.on('deadLetter', () => {
      told.push('second');
      throw new Error('a bad listener');
    });
    await bus.start();
    await bus.publish(scene.tick(1));
    await scene.settle(bus);
    await scene.until(() => told.length === 2, 'two notices');
    off();
    await bus.publish(scene.tick(2));
    await scene.settle(bus);
    await scene.until(() => told.length === 3, 'a third notice');
    assert.deepEqual(told, ['first', 'second', 'second']);
    await refusal(() => bus.on('deadLetters' as never, () => undefined), ErrorCode.OPTIONS);
  });
});
