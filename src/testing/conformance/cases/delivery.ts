import assert from 'node:assert/strict';
import { ErrorCode } from '../../../main/index.js';
import { section } from '../case.js';
import { assertCounts, assertExact, assertLedger, outcomes, range, refusal, Reports } from '../scene.js';
import { endsTheProcess, heldUntilItReturns } from './capabilities.js';

export const delivery = section('3. Delivery and the ledger', ({ both, once, needs }) => {
  both('Publishing the same event to S subscriptions makes S deliveries.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const all = [
      bus.subscribe('TICK', scene.on.record),
      bus.subscribe('TICK', scene.on.recordToo),
      bus.subscribe(['TICK', 'HALT'], scene.on.chain as never),
    ];
    await bus.start();
    for (const n of range(10)) await bus.publish(scene.tick(n));
    await scene.settle(bus);
    for (const one of all) assertLedger(one, { owed: 10, processed: 10 });
    assert.deepEqual([reports.numbers('seen'), reports.numbers('seenToo')], [range(10), range(10)]);
  });

  both('Where no thread dies, each delivery is made exactly once.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const counted = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    for (const n of range(250)) await bus.publish(scene.tick(n));
    await bus.publishBatch(range(150, 250).map((n) => scene.tick(n)));
    for (const n of range(100, 400)) assert.equal(bus.tryPublish(scene.tick(n)), 'published');
    await scene.settle(bus);
    assert.deepEqual(
      reports.numbers('seen').sort((a, b) => a - b),
      range(500),
    );
    assertLedger(counted, { owed: 500, processed: 500, redelivered: 0, retries: 0 });
  });

  both('Every delivery ends in exactly one outcome.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const jobs = bus.subscribe('JOB', scene.on.perform, { filter: { symbol: ['A', 'B'] } });
    bus.subscribe('GATE', scene.on.openGate);
    await bus.start();
    for (const n of range(40)) await bus.publish(scene.job(n, n % 10 === 0 ? 'throw' : 'ok', 'ABC'[n % 3]));
    await scene.drain(bus);
    await bus.publish(scene.job(40, 'gate 1', 'A'));
    await reports.until('begun', 28);
    for (const n of range(5, 41)) await bus.publish(scene.job(n, 'ok', 'A'));
    jobs.unsubscribe();
    await bus.publish(scene.event('GATE', 1));
    await jobs.ended;
    await scene.settle(bus);
    // 0, 10 and 30 fail; 20 is of C, as are 13 of 40.
    assertLedger(jobs, { owed: 46, processed: 25, failed: 3, filtered: 13, discarded: 5, timedOut: 0, conflated: 0 });
  });

  both(
    'A delivery is `processed` when its handler has returned, and what it returned has settled, not before.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform);
      bus.subscribe('GATE', scene.on.openGate);
      await bus.start();
      await bus.publish(scene.job(1, 'gate 1'));
      await bus.publish(scene.job(2));
      await reports.until('begun');
      assert.deepEqual(await bus.drain({ timeoutMs: 10 }).then(({ drained }) => drained), false);
      assertLedger(jobs, { processed: 0, pending: 2 });
      assert.deepEqual(reports.numbers('begun'), [1]);
      await bus.publish(scene.event('GATE', 1));
      await scene.settle(bus);
      assertLedger(jobs, { processed: 2 });
    },
  );

  both('A handler that throws or rejects fails its delivery, which ends `failed`.', async (scene) => {
    const bus = scene.bus();
    const jobs = bus.subscribe('JOB', scene.on.perform);
    await bus.start();
    for (const n of range(6)) await bus.publish(scene.job(n, n % 2 === 0 ? 'throw' : 'ok'));
    await scene.settle(bus);
    assertLedger(jobs, { owed: 6, processed: 3, failed: 3 });
  });

  both('A failing handler affects no other handler, no other event, and not the bus.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('JOB', scene.on.perform);
    const others = [bus.subscribe('JOB', scene.on.record), bus.subscribe('JOB', () => undefined)];
    await bus.start();
    for (const n of range(30)) await bus.publish(scene.job(n, n % 3 === 0 ? 'throw' : 'ok'));
    await scene.settle(bus);
    assert.deepEqual(
      reports.numbers('done'),
      range(30).filter((n) => n % 3 !== 0),
    );
    assert.deepEqual(reports.numbers('seen'), range(30));
    for (const other of others) assertLedger(other, { owed: 30, processed: 30 });
  });

  both(
    'What the filter of a subscription refuses is not delivered, and ends `filtered`.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const filter = { symbol: ['A', 'B'], n: { min: 5, max: 24 } };
      const filtered = bus.subscribe('TICK', scene.on.record, { filter });
      await bus.start();
      for (const n of range(30)) await bus.publish(scene.tick(n, 'ABC'[n % 3]));
      await scene.settle(bus);
      const passes = range(20, 5).filter((n) => n % 3 !== 2);
      assert.deepEqual(reports.numbers('seen'), passes);
      assertLedger(filtered, { owed: 30, processed: passes.length, filtered: 30 - passes.length });
    },
    'conditions on fields',
  );

  both(
    'What the filter of a subscription refuses is not delivered, and ends `filtered`.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const filtered = bus.subscribe('TICK', scene.on.record, { filter: scene.on.isEven as never });
      await bus.start();
      for (const n of range(10)) await bus.publish(scene.tick(n));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), [0, 2, 4, 6, 8]);
      assertLedger(filtered, { owed: 10, processed: 5, filtered: 5 });
    },
    'a predicate',
  );

  both('A predicate that throws fails that delivery alone.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const filtered = bus.subscribe('TICK', scene.on.record, { filter: scene.on.isNotThree as never });
    await bus.start();
    for (const n of range(6)) await bus.publish(scene.tick(n));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen'), [0, 1, 2, 4, 5]);
    assertLedger(filtered, { owed: 6, processed: 5, failed: 1 });
  });

  both('A subscription made before `start` misses nothing.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const early = bus.subscribe('TICK', scene.on.record);
    const started = bus.start();
    await early.ready;
    await started;
    for (const n of range(120)) await bus.publish(scene.tick(n));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen'), range(120));
    assertLedger(early, { owed: 120, processed: 120 });
  });

  both(
    'A subscription made while the bus runs is owed every event that is published after its `ready` has resolved.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      await bus.start();
      const late = bus.subscribe('TICK', scene.on.record);
      let isReady = false;
      const ready = late.ready.then(() => (isReady = true));
      let n = 0;
      while (!isReady) {
        await bus.publish(scene.tick(n++));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await ready;
      const first = n;
      for (; n < first + 50; n++) await bus.publish(scene.tick(n));
      await scene.settle(bus);
      const seen = reports.numbers('seen');
      assert.deepEqual(seen.slice(-50), range(50, first));
      assert.deepEqual(seen, range(seen.length, n - seen.length), 'the events from before are its last ones');
      assertLedger(late, { owed: seen.length, processed: seen.length });
    },
  );

  both(
    'What has not started when its subscription ends is not delivered any more, and ends `discarded`.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record);
      await bus.start();
      for (const n of range(5)) await bus.publish(scene.tick(n));
      await scene.drain(bus);
      ticks.pause();
      for (const n of range(7, 5)) await bus.publish(scene.tick(n));
      assert.equal(ticks.unsubscribe(), true);
      assert.equal(ticks.unsubscribe(), false);
      await ticks.ended;
      for (const n of range(5, 12)) await bus.publish(scene.tick(n));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), range(5));
      assertLedger(ticks, { state: 'ended', owed: 12, processed: 5, discarded: 7 });
    },
  );

  both(
    '`ended` resolves when nothing of the subscription is in flight any more, and its ledger is final.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform);
      bus.subscribe('GATE', scene.on.openGate);
      await bus.start();
      await bus.publish(scene.job(1, 'gate 1'));
      await bus.publish(scene.job(2));
      await reports.until('begun');
      jobs.unsubscribe();
      let hasEnded = false;
      const ended = jobs.ended.then(() => (hasEnded = true));
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(hasEnded, false, 'it has ended while a delivery is in flight');
      await bus.publish(scene.event('GATE', 1));
      await ended;
      const final = jobs.metrics();
      assertCounts(final, { owed: 2, processed: 1, discarded: 1, pending: 0, exact: true });
      await scene.settle(bus);
      assert.deepEqual(jobs.metrics(), final);
    },
  );

  once('A subscription that ends before `start` is owed nothing.', async (scene) => {
    const bus = scene.bus();
    const gone = bus.subscribe('TICK', () => undefined);
    gone.unsubscribe();
    await gone.ended;
    await bus.start();
    await bus.publish(scene.tick(1));
    await scene.settle(bus);
    assertLedger(gone, { owed: 0, processed: 0 });
  });

  both(
    'The ledger adds up, per subscription and per lane: `owed = processed + failed + timedOut + conflated + discarded + filtered + pending`.',
    async (scene) => {
      const bus = scene.bus();
      const all = bus.subscribe(['TICK', 'JOB', 'ORDER', 'LOG'], scene.on.record, { filter: { n: { min: 3 } } });
      await bus.start();
      for (const n of range(8)) {
        await bus.publish(scene.tick(n));
        await bus.publish(scene.event('ORDER', n));
      }
      for (const n of range(4)) await bus.publish(scene.event('LOG', n));
      await scene.settle(bus);
      const { lanes } = all.metrics();
      assertCounts(lanes.market, { owed: 8, processed: 5, filtered: 3, pending: 0, exact: true });
      assertCounts(lanes.execution, { owed: 8, processed: 5, filtered: 3, pending: 0, exact: true });
      assertCounts(lanes.log, { owed: 4, processed: 1, filtered: 3, pending: 0, exact: true });
      assertLedger(all, { owed: 20, processed: 11, filtered: 9, exact: true });
    },
  );

  both('In a live snapshot `pending` is approximate; when `drain` has resolved it is zero.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    for (const n of range(200)) {
      await bus.publish(scene.tick(n));
      const { owed, pending, ...rest } = ticks.metrics();
      assert.ok(owed <= n + 1, `${owed} are owed of ${n + 1}`);
      assert.ok(pending >= 0 && outcomes({ owed, pending, ...rest }) <= n + 1);
    }
    await scene.settle(bus);
    assertLedger(ticks, { owed: 200, processed: 200, pending: 0, exact: true });
  });

  once('The ledger holds after `stop`, whose report has it.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', () => undefined);
    await bus.start();
    for (const n of range(5)) await bus.publish(scene.tick(n));
    await scene.drain(bus);
    ticks.pause();
    for (const n of range(5)) await bus.publish(scene.tick(n));
    const report = await bus.stop({ timeoutMs: 10 });
    assertExact(report);
    assert.deepEqual(report.subscriptions, bus.metrics().subscriptions);
    assertLedger(ticks, { owed: 10, processed: 5, discarded: 5 });
  });

  both('The ledger holds after retries.', async (scene) => {
    const bus = scene.bus();
    const jobs = bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 3, backoffMs: 1 } });
    await bus.start();
    for (const [n, act] of ['ok', 'throw,ok', 'throw,throw,ok', 'throw'].entries())
      await bus.publish(scene.job(n, act));
    await scene.settle(bus);
    assertLedger(jobs, { owed: 4, processed: 3, failed: 1, retries: 5, retrying: 0 });
  });

  needs(
    'survivesCrashes',
    'The ledger holds after the death of a thread.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const all = [bus.subscribe('JOB', scene.on.perform), bus.subscribe('JOB', scene.on.record)];
      await bus.start();
      for (const n of range(30)) await bus.publish(scene.job(n, n === 11 ? 'exit,ok' : 'ok'));
      await scene.settle(bus);
      for (const one of all) assertLedger(one, { owed: 30, processed: 30 });
      assert.deepEqual(reports.numbers('done'), range(30));
    },
    endsTheProcess,
  );

  needs(
    'endsHungHandlers',
    'The ledger holds after a thread was terminated.',
    async (scene) => {
      const bus = scene.bus();
      const hangs = bus.subscribe('JOB', scene.on.perform, { timeoutMs: scene.heldMs / 4, graceMs: 0 });
      const others = bus.subscribe('JOB', scene.on.record);
      await bus.start();
      for (const n of range(30)) await bus.publish(scene.job(n, n === 11 ? 'loop' : 'ok'));
      await scene.settle(bus);
      assertLedger(hangs, { owed: 30, processed: 29, timedOut: 1 });
      assertLedger(others, { owed: 30, processed: 30 });
    },
    heldUntilItReturns,
  );

  once('Every event that is offered ends `published`, `dropped` or `rejected`.', async (scene) => {
    const bus = scene.bus({ lanes: { market: { capacityBytes: 1024, whenFull: 'dropNewest' } } });
    const ticks = bus.subscribe('TICK', () => undefined);
    await bus.start();
    ticks.pause();
    for (const n of range(100)) bus.tryPublish(scene.tick(n));
    await refusal(() => bus.publish({ ...scene.tick(1), n: 0.5 }), ErrorCode.INVALID_EVENT);
    ticks.resume();
    await scene.settle(bus);
    const { published, dropped, rejected } = bus.metrics().lanes.market;
    assert.equal(published + dropped, 100);
    assert.equal(rejected, 1);
    assert.ok(published > 0 && dropped > 0, `published ${published}, dropped ${dropped}`);
    assertLedger(ticks, { owed: published, processed: published });
  });
});
