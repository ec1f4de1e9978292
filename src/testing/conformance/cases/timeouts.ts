import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { section } from '../case.js';
import { Latch } from '../latch.js';
import { assertLedger, range, Reports } from '../scene.js';
import { epochNow } from '../tell.js';
import { heldUntilItReturns } from './capabilities.js';

interface Begun {
  readonly at: number;
  readonly attempt: number;
  readonly thread: number;
}

export const timeouts = section('6. Timeouts', ({ both, once, needs }) => {
  both(
    'At `timeoutMs` from the start of its handler the `signal` of a delivery aborts, with a `TimeoutError`, not earlier.',
    async (scene) => {
      const bus = scene.bus({ graceMs: scene.patienceMs });
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform, { timeoutMs: 30 });
      await bus.start();
      await bus.publish(scene.job(1, 'heed'));
      await scene.settle(bus);
      const [{ at }] = reports.data<Begun>('begun');
      const [aborted] = reports.data<{ name: string; at: number }>('aborted');
      assert.equal(aborted.name, 'TimeoutError');
      assert.ok(aborted.at - at >= 29, `it aborted after ${aborted.at - at} ms`);
    },
  );

  both(
    'A handler that ends within `graceMs` after its deadline has its own outcome, and keeps its thread.',
    async (scene) => {
      const bus = scene.bus({ graceMs: scene.patienceMs });
      const jobs = bus.subscribe('JOB', scene.on.perform, { timeoutMs: 20 });
      await bus.start();
      await bus.publish(scene.job(1, 'heed'));
      await bus.publish(scene.job(2));
      await scene.settle(bus);
      assertLedger(jobs, { owed: 2, processed: 2, timedOut: 0, redelivered: 0 });
      for (const { incarnation, restarts } of bus.metrics().threads) {
        assert.deepEqual({ incarnation, restarts }, { incarnation: 0, restarts: { timeout: 0, crash: 0 } });
      }
    },
  );

  both(
    'A delivery whose promise does not settle ends `timedOut`, not before `timeoutMs` and `graceMs` have passed.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform, { timeoutMs: 20, graceMs: 20 });
      await bus.start();
      await bus.publish(scene.job(1, 'never'));
      const [begun] = await reports.until('begun');
      await scene.until(() => jobs.metrics().timedOut === 1, 'a delivery that timed out');
      const { at } = begun.data as Begun;
      const lasted = epochNow() - at;
      assert.ok(lasted >= 39, `it has ended after ${lasted} ms`);
      await scene.settle(bus);
      assertLedger(jobs, { owed: 1, processed: 0, failed: 0, timedOut: 1 });
    },
  );

  both('After a delivery that has timed out the subscription goes on with the next event, in order.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const jobs = bus.subscribe('JOB', scene.on.perform, { timeoutMs: scene.heldMs / 4, graceMs: 0 });
    await bus.start();
    for (const n of range(10)) await bus.publish(scene.job(n, n === 3 ? 'never' : 'ok'));
    await scene.settle(bus);
    assert.deepEqual(
      reports.numbers('done'),
      range(10).filter((n) => n !== 3),
    );
    assertLedger(jobs, { owed: 10, processed: 9, timedOut: 1 });
  });

  once("What a handler on the bus's own thread comes to after it was given up changes nothing.", async (scene) => {
    const bus = scene.bus();
    const finish = new Latch();
    const ticks = bus.subscribe('TICK', () => finish.opened, { timeoutMs: 10, graceMs: 0 });
    await bus.start();
    await bus.publish(scene.tick(1));
    await scene.settle(bus);
    const before = ticks.metrics();
    finish.open();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(ticks.metrics(), before);
    assertLedger(ticks, { owed: 1, processed: 0, timedOut: 1 });
  });

  both('The time an event waits for its handler does not count.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const jobs = bus.subscribe('JOB', scene.on.perform, { timeoutMs: scene.heldMs, graceMs: 0 });
    await bus.start();
    jobs.pause();
    for (const n of range(3)) await bus.publish(scene.job(n));
    await sleep(1.2 * scene.heldMs);
    jobs.resume();
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('done'), range(3));
    assertLedger(jobs, { owed: 3, processed: 3, timedOut: 0 });
  });

  once('With `timeoutMs: 0` a delivery may take any time.', async (scene) => {
    const bus = scene.bus({ timeoutMs: 20, graceMs: 0 });
    const finish = new Latch();
    const limited = bus.subscribe('TICK', () => finish.opened);
    const unlimited = bus.subscribe('TICK', () => finish.opened.then(), { timeoutMs: 0 });
    const others = bus.subscribe(
      'TICK',
      async () => {
        await finish.opened;
      },
      { timeoutMs: 0 },
    );
    await bus.start();
    await bus.publish(scene.tick(1));
    await scene.until(() => limited.metrics().timedOut === 1, 'the time-out of the one that has a limit');
    for (const one of [unlimited, others]) assertLedger(one, { processed: 0, timedOut: 0, pending: 1 });
    finish.open();
    await scene.settle(bus);
    for (const one of [unlimited, others]) assertLedger(one, { processed: 1, timedOut: 0 });
  });

  needs(
    'endsHungHandlers',
    'A handler that never gives its thread back is ended with the thread, and its delivery ends `timedOut`.',
    async (scene) => {
      const bus = scene.bus();
      const jobs = bus.subscribe('JOB', scene.on.perform, { timeoutMs: 30, graceMs: 10 });
      await bus.start();
      await bus.publish(scene.job(1, 'loop'));
      await scene.settle(bus);
      assertLedger(jobs, { owed: 1, timedOut: 1, redelivered: 0 });
      assert.deepEqual(bus.metrics().threads[1].restarts, { timeout: 1, crash: 0 });
    },
    heldUntilItReturns,
  );

  needs(
    'endsHungHandlers',
    'All subscriptions of a thread that was ended go on, each where it was.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const hung = bus.subscribe('JOB', scene.on.perform, { timeoutMs: scene.heldMs / 4, graceMs: 0 });
      const others = bus.subscribe('JOB', scene.on.record);
      await bus.start();
      for (const n of range(20)) await bus.publish(scene.job(n, n === 5 ? 'loop' : 'ok'));
      await scene.settle(bus);
      assert.deepEqual(
        reports.numbers('done'),
        range(20).filter((n) => n !== 5),
      );
      assert.deepEqual([...new Set(reports.numbers('seen'))], range(20));
      assertLedger(hung, { owed: 20, processed: 19, timedOut: 1 });
      assertLedger(others, { owed: 20, processed: 20 });
    },
    heldUntilItReturns,
  );

  needs(
    'endsHungHandlers',
    'Other deliveries that were in flight on a thread that was ended are made again, with `context.attempt` above 1.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const innocent = bus.subscribe('JOB', scene.on.perform, { filter: { symbol: 'WAITS' } });
      const hung = bus.subscribe('JOB', scene.on.performToo, {
        filter: { symbol: 'HANGS' },
        timeoutMs: 30,
        graceMs: 0,
      });
      await bus.start();
      await bus.publish(scene.job(1, 'never,ok', 'WAITS'));
      await reports.until('begun');
      await bus.publish(scene.job(2, 'loop', 'HANGS'));
      await scene.settle(bus);
      assert.deepEqual(
        reports
          .of('begun')
          .filter(({ n }) => n === 1)
          .map(({ data }) => (data as Begun).attempt),
        [1, 2],
      );
      assertLedger(innocent, { owed: 2, filtered: 1, processed: 1, redelivered: 1 });
      assertLedger(hung, { owed: 2, filtered: 1, timedOut: 1, redelivered: 0 });
    },
    heldUntilItReturns,
  );

  needs(
    'endsHungHandlers',
    'While a thread hangs, all others go on.',
    async (scene) => {
      const bus = scene.bus({ threads: 2 });
      const reports = new Reports(scene, bus);
      const hung = bus.subscribe('JOB', scene.on.perform, { timeoutMs: scene.heldMs, graceMs: 0 });
      const others = bus.subscribe('TICK', scene.on.record);
      await bus.start();
      assert.notDeepEqual(hung.metrics().threads, others.metrics().threads);
      await bus.publish(scene.job(1, 'loop'));
      await reports.until('begun');
      for (const n of range(50)) await bus.publish(scene.tick(n));
      await scene.settle(bus);
      const order = reports.all.map(({ what }) => what);
      assert.equal(order.filter((what) => what === 'seen').length, 50);
      assertLedger(hung, { timedOut: 1 });
      assertLedger(others, { processed: 50, redelivered: 0 });
      assert.deepEqual(
        bus.metrics().threads.map(({ restarts }) => restarts.timeout),
        [0, 1, 0],
      );
    },
    heldUntilItReturns,
  );

  needs(
    'endsHungHandlers',
    'The notice `threadRestarted` tells of each successor, and of why its thread was lost.',
    async (scene) => {
      const bus = scene.bus();
      bus.subscribe('JOB', scene.on.perform, { timeoutMs: 20, graceMs: 0 });
      const told: unknown[] = [];
      bus.on('threadRestarted', (notice) => told.push(notice));
      await bus.start();
      await bus.publish(scene.job(1, 'loop'));
      await scene.settle(bus);
      await scene.until(() => told.length > 0, 'a notice');
      assert.deepEqual(told, [{ thread: 1, reason: 'timeout', incarnation: 1 }]);
    },
    heldUntilItReturns,
  );
});
