import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { ErrorCode, type Handler, workerHandlers } from '../../../main/index.js';
import { section } from '../case.js';
import type { C } from '../catalog.js';
import { Latch } from '../latch.js';
import { assertCounts, assertExact, assertLedger, fateOf, range, refusal, Reports } from '../scene.js';

const moduleNamed = (name: string): Record<string, Handler<C, 'TICK'>> =>
  workerHandlers<Record<string, (event: never) => void>>(new URL(`../${name}.js`, import.meta.url)) as never;

/** Handlers that cannot be loaded. */
const BROKEN = [
  ['a module that does not exist', moduleNamed('handlers-that-are-missing').record, ErrorCode.MODULE_NOT_FOUND],
  ['a module that throws', moduleNamed('handlers-that-throw').record, ErrorCode.MODULE_FAILED],
  ['an export that does not exist', moduleNamed('handlers').missing, ErrorCode.EXPORT_NOT_FOUND],
] as const;

export const lifecycle = section('11. Lifecycle', ({ both, once, worker }) => {
  once(
    'Before `start` has resolved, whatever publishes is refused with `ERR_LANEBUS_NOT_STARTED`, as is `drain`.',
    async (scene) => {
      const bus = scene.bus();
      const seen: number[] = [];
      bus.subscribe('TICK', ({ n }) => void seen.push(n));
      for (const act of [
        () => bus.publish(scene.tick(1)),
        () => bus.tryPublish(scene.tick(1)),
        () => bus.publishBatch([scene.tick(1)]),
        () => bus.drain(),
      ]) {
        await refusal(act, ErrorCode.NOT_STARTED);
      }
      assert.equal(bus.metrics().state, 'created');
      assert.equal(bus.metrics().lanes.market.published, 0);
      await bus.start();
      await scene.settle(bus);
      assert.deepEqual(seen, []);
    },
  );

  once('A bus is started once: a second `start` is refused with `ERR_LANEBUS_ALREADY_STARTED`.', async (scene) => {
    const bus = scene.bus();
    const first = bus.start();
    await refusal(() => bus.start(), ErrorCode.ALREADY_STARTED);
    await first;
    await refusal(() => bus.start(), ErrorCode.ALREADY_STARTED);
    assert.equal(bus.metrics().state, 'running');
  });

  for (const [what, handler, code] of BROKEN) {
    worker(
      '`start` imports every module and checks every export: it rejects for one that fails, and everything is closed again.',
      async (scene) => {
        const bus = scene.bus();
        const well = bus.subscribe('TICK', scene.on.record);
        bus.subscribe('TICK', handler);
        const { message } = await refusal(() => bus.start(), code);
        assert.match(message, /handlers/);
        assert.equal(bus.metrics().state, 'stopped');
        await well.ended;
        await refusal(() => bus.publish(scene.tick(1)), ErrorCode.STOPPED);
      },
      what,
    );

    worker(
      'While the bus runs, a handler that cannot be loaded rejects `ready`, is owed nothing, and leaves the bus as it was.',
      async (scene) => {
        const bus = scene.bus();
        const reports = new Reports(scene, bus);
        bus.subscribe('TICK', scene.on.record);
        await bus.start();
        const broken = bus.subscribe('TICK', handler);
        await bus.publish(scene.tick(1));
        await refusal(() => broken.ready, code);
        await broken.ended;
        await bus.publish(scene.tick(2));
        await scene.settle(bus);
        assert.deepEqual(reports.numbers('seen'), [1, 2]);
        assertLedger(broken, { owed: 0 });
        assert.equal(bus.metrics().state, 'running');
      },
      what,
    );
  }

  both(
    '`drain` resolves when nothing is pending any more: every handler, also an async one, has ended.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform);
      await bus.start();
      for (const n of range(10)) await bus.publish(scene.job(n, n % 2 === 0 ? 'sleep 3' : 'ok'));
      assert.deepEqual(await bus.drain().then(({ drained, pending }) => ({ drained, pending })), {
        drained: true,
        pending: 0,
      });
      assertLedger(jobs, { processed: 10, pending: 0 });
      assert.deepEqual(reports.numbers('done'), range(10));
    },
  );

  both('`drain` waits for the events that derived events bring about.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe(['TICK', 'SIGNAL', 'ORDER'], scene.on.chain);
    await bus.start();
    await bus.publishBatch(range(30).map((n) => scene.tick(n)));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('chained'), range(30));
  });

  both('`drain` waits for retries.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 2, backoffMs: 40 } });
    await bus.start();
    await bus.publish(scene.job(1, 'throw,ok'));
    await scene.drain(bus);
    assert.deepEqual(reports.numbers('done'), [1]);
  });

  both('`drain` waits for publishers that wait for room.', async (scene) => {
    const bus = scene.bus({ lanes: { market: { capacityBytes: 1024 } } });
    const reports = new Reports(scene, bus);
    const ticks = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    ticks.pause();
    const published = range(100).map((n) => bus.publish(scene.tick(n)));
    const drained = scene.drain(bus);
    ticks.resume();
    await drained;
    assert.deepEqual(reports.numbers('seen'), range(100));
    await Promise.all(published);
    await scene.settle(bus);
  });

  both('After its `timeoutMs`, `drain` gives up, and says how much is pending.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    ticks.pause();
    for (const n of range(7)) await bus.publish(scene.tick(n));
    const { drained, pending, durationMs } = await bus.drain({ timeoutMs: 15 });
    assert.deepEqual({ drained, pending }, { drained: false, pending: 7 });
    assert.ok(durationMs >= 15);
    ticks.resume();
    await scene.settle(bus);
  });

  both('`stop` delivers what was published before it.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    for (const n of range(200)) await bus.publish(scene.tick(n));
    const report = await bus.stop();
    assertCounts(report, { drained: true, discarded: 0, releasedPublishers: 0 });
    assertLedger(ticks, { state: 'ended', owed: 200, processed: 200 });
    assertExact(report);
    await ticks.ended;
  });

  both('What handlers publish while `stop` delivers is admitted, and delivered too.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const all = bus.subscribe(['TICK', 'SIGNAL', 'ORDER'], scene.on.chain);
    const others: Promise<unknown>[] = [];
    // Of a type that is just being taken from handlers.
    bus.subscribe('SIGNAL', () => void others.push(fateOf(bus.publish(scene.event('SIGNAL', 1_000)))));
    await bus.start();
    all.pause();
    for (const n of range(50)) await bus.publish(scene.tick(n));
    const stopped = bus.stop();
    all.resume();
    assertCounts(await stopped, { drained: true, discarded: 0 });
    assertLedger(all, { owed: 150, processed: 150, failed: 0 });
    assert.deepEqual(reports.numbers('chained'), range(50));
    assert.deepEqual(await Promise.all(others), Array(50).fill(ErrorCode.STOPPED));
  });

  both(
    'What handlers publish while `stop` delivers is admitted, and delivered too.',
    async (scene) => {
      const bus = scene.bus({ lanes: { market: { capacityBytes: 1024 } } });
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record);
      const orders = bus.subscribe('ORDER', scene.on.publishTwice);
      await bus.start();
      ticks.pause();
      for (const n of range(60)) await bus.publish(scene.event('ORDER', n));
      await scene.until(() => bus.metrics().lanes.market.waiting > 0, 'a handler that waits for room');
      const stopped = bus.stop({ timeoutMs: scene.patienceMs });
      ticks.resume();
      assertCounts(await stopped, { drained: true, discarded: 0, releasedPublishers: 0 });
      assertLedger(orders, { owed: 60, processed: 60, failed: 0 });
      assert.equal(reports.of('seen').length, 120);
    },
    'by handlers that wait for room',
  );

  once(
    "From its first moment on `stop` refuses what is new, with `ERR_LANEBUS_STOPPED`, and `tryPublish` returns `'closed'`.",
    async (scene) => {
      const bus = scene.bus();
      const seen: number[] = [];
      bus.subscribe('TICK', ({ n }) => void seen.push(n));
      await bus.start();
      await bus.publish(scene.tick(1));
      const stopped = bus.stop();
      for (const state of ['stopping', 'stopped']) {
        assert.equal(bus.metrics().state, state);
        assert.equal(bus.tryPublish(scene.tick(2)), 'closed');
        await refusal(() => bus.publish(scene.tick(2)), ErrorCode.STOPPED);
        await refusal(() => bus.publishBatch([scene.tick(2)]), ErrorCode.STOPPED);
        await refusal(() => bus.subscribe('ORDER', () => undefined), ErrorCode.STOPPED);
        await stopped;
      }
      assert.deepEqual(seen, [1]);
      assert.equal(bus.metrics().lanes.market.published, 1);
      assertExact(bus.metrics());
    },
  );

  both('What has not ended within the `timeoutMs` of `stop` is discarded, and its report counts it.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const jobs = bus.subscribe('JOB', scene.on.perform);
    const others = bus.subscribe('JOB', scene.on.recordToo);
    await bus.start();
    for (const n of range(5)) await bus.publish(scene.job(n, n === 2 ? 'never' : 'ok'));
    await reports.until('begun', 3);
    const report = await bus.stop({ timeoutMs: 20 });
    assertCounts(report, { drained: false, discarded: 3 });
    assertExact(report);
    assertLedger(jobs, { owed: 5, processed: 2, discarded: 3, timedOut: 0 });
    assertLedger(others, { owed: 5, processed: 5 });
  });

  once('What a handler comes to after `stop` changes nothing.', async (scene) => {
    const bus = scene.bus();
    const finish = new Latch();
    const ticks = bus.subscribe('TICK', () => finish.opened);
    await bus.start();
    await bus.publish(scene.tick(1));
    assertCounts(await bus.stop({ timeoutMs: 10 }), { drained: false, discarded: 1 });
    const final = ticks.metrics();
    finish.open();
    await turn();
    assert.deepEqual(ticks.metrics(), final);
  });

  both(
    'A publisher that waits for room is released by `stop` with `ERR_LANEBUS_STOPPED`, and its report counts it.',
    async (scene) => {
      const bus = scene.bus({ lanes: { market: { capacityBytes: 1024 } } });
      const ticks = bus.subscribe('TICK', scene.on.record);
      await bus.start();
      ticks.pause();
      let inLane = 0;
      while (bus.tryPublish(scene.tick(inLane)) === 'published') inLane++;
      const released = range(3).map((n) => fateOf(bus.publish(scene.tick(n))));
      const report = await bus.stop({ timeoutMs: 10 });
      assert.deepEqual(await Promise.all(released), Array(3).fill(ErrorCode.STOPPED));
      assertCounts(report, { releasedPublishers: 3, discarded: inLane });
      assertCounts(bus.metrics().lanes.market, { published: inLane, rejected: 4, waiting: 0 });
      assertExact(report);
    },
  );

  both('A delivery that waits for its next try when the bus stops ends `discarded`.', async (scene) => {
    const bus = scene.bus();
    const jobs = bus.subscribe('JOB', scene.on.perform, {
      retry: { attempts: 5, backoffMs: 1_000_000, maxBackoffMs: 1_000_000 },
    });
    await bus.start();
    for (const n of range(2)) await bus.publish(scene.job(n, 'throw'));
    await scene.until(() => jobs.metrics().retrying === 2, 'two retries that wait');
    assertLedger(jobs, { pending: 2 });
    assertCounts(await bus.stop({ timeoutMs: 10 }), { drained: false, discarded: 2 });
    assertLedger(jobs, { owed: 2, discarded: 2, failed: 0, exact: true });
  });

  once('`stop` called again is the same stop, with the same report; `await using` calls it.', async (scene) => {
    const bus = scene.bus();
    await bus.start();
    const [first, second] = await Promise.all([bus.stop(), bus.stop()]);
    assert.deepEqual(second, first);
    const other = scene.bus();
    await other.start();
    await other[Symbol.asyncDispose]();
    assert.equal(other.metrics().state, 'stopped');
  });

  once('A bus that is stopped before or while it starts, or has stopped, is not started any more.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', () => undefined);
    assertCounts(await bus.stop(), { drained: true, discarded: 0, releasedPublishers: 0 });
    await ticks.ended;
    await refusal(() => ticks.ready, ErrorCode.STOPPED);
    await refusal(() => bus.start(), ErrorCode.STOPPED);
    const other = scene.bus();
    const started = fateOf(other.start());
    await other.stop();
    assert.equal(await started, ErrorCode.STOPPED);
    assert.equal(other.metrics().state, 'stopped');
  });
});
