import assert from 'node:assert/strict';
import { ErrorCode, type EventBus, type LaneOptions, type Subscription } from '../../../main/index.js';
import { section } from '../case.js';
import type { C } from '../catalog.js';
import type { Seen } from '../handlers.js';
import { assertCounts, assertLedger, range, refusal, Reports, type Scene } from '../scene.js';

/** More ticks than a lane of a kibibyte holds, by far. */
const TOO_MANY = 1_000;

interface Full {
  readonly bus: EventBus<C>;
  readonly reports: Reports;
  /** Paused. */
  readonly ticks: Subscription;
  /** Ticks that were published, numbered from 0; the next one has found the lane full. */
  readonly inLane: number;
}

/** A bus whose market lane is full. */
async function fullLane(scene: Scene, lane: LaneOptions): Promise<Full> {
  const bus = scene.bus({ lanes: { market: { capacityBytes: 1024, ...lane } } });
  const reports = new Reports(scene, bus);
  const ticks = bus.subscribe('TICK', scene.on.record);
  await bus.start();
  ticks.pause();
  const isFull = (n: number): boolean =>
    bus.tryPublish(scene.tick(n)) !== 'published' || bus.metrics().lanes.market.spilled > 0;
  let inLane = 0;
  while (!isFull(inLane)) assert.ok(++inLane < TOO_MANY, 'a lane of 1 KiB never fills');
  return { bus, reports, ticks, inLane };
}

/** These were delivered, in this order. */
async function expectSeen(scene: Scene, { bus, reports, ticks }: Full, numbers: readonly number[]): Promise<void> {
  ticks.resume();
  await scene.settle(bus);
  assert.deepEqual(reports.numbers('seen'), numbers);
  assertLedger(ticks, { owed: numbers.length, processed: numbers.length });
}

/** The lane is emptied, of these and of what handlers have published there. */
async function expectSeenAtLeast(scene: Scene, { bus, reports, ticks }: Full, count: number): Promise<void> {
  ticks.resume();
  await scene.settle(bus);
  assert.ok(reports.of('seen').length >= count);
}

export const backpressure = section('5. Backpressure', ({ both, once }) => {
  both('`publish` resolves when its event is admitted to the lane, not when it is delivered.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    ticks.pause();
    await bus.publish(scene.tick(1));
    assertLedger(ticks, { owed: 1, processed: 0, pending: 1 });
    assert.equal(bus.metrics().lanes.market.published, 1);
    ticks.resume();
    await scene.settle(bus);
    assertLedger(ticks, { processed: 1 });
  });

  both('`publishBatch` resolves when the last of its events is admitted.', async (scene) => {
    const full = await fullLane(scene, {});
    const { bus, inLane, ticks } = full;
    let isAdmitted = false;
    const batch = bus.publishBatch(range(50, inLane).map((n) => scene.tick(n))).then(() => (isAdmitted = true));
    await bus.drain({ timeoutMs: 5 });
    assert.equal(isAdmitted, false);
    ticks.resume();
    await batch;
    assert.equal(bus.metrics().lanes.market.published, inLane + 50);
    await expectSeen(scene, full, range(inLane + 50));
  });

  both(
    'With `block`, the default, `publish` waits while the lane is full; who came first is admitted first.',
    async (scene) => {
      const full = await fullLane(scene, {});
      const { bus, inLane, ticks } = full;
      const admitted: number[] = [];
      const waiting = range(40, inLane).map((n) => bus.publish(scene.tick(n)).then(() => admitted.push(n)));
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(admitted, []);
      assert.equal(bus.metrics().lanes.market.waiting, 40);
      ticks.resume();
      await Promise.all(waiting);
      assert.deepEqual(admitted, range(40, inLane));
      await expectSeen(scene, full, range(inLane + 40));
    },
  );

  once(
    'With `timeoutMs` for the lane, `publish` waits no longer than that, and is refused with `ERR_LANEBUS_LANE_FULL`.',
    async (scene) => {
      const full = await fullLane(scene, { timeoutMs: 30 });
      const { bus, inLane } = full;
      const begun = performance.now();
      const { message } = await refusal(() => bus.publish(scene.tick(TOO_MANY)), ErrorCode.LANE_FULL);
      assert.ok(performance.now() - begun >= 29, 'it was refused before its time');
      assert.match(message, /market/);
      assertCounts(bus.metrics().lanes.market, { published: inLane, rejected: 2, waiting: 0 });
      await expectSeen(scene, full, range(inLane));
    },
  );

  once('With `reject`, `publish` is refused at once, with the same error.', async (scene) => {
    const full = await fullLane(scene, { whenFull: 'reject' });
    const { bus, inLane } = full;
    for (const n of range(3)) await refusal(() => bus.publish(scene.tick(TOO_MANY + n)), ErrorCode.LANE_FULL);
    assertCounts(bus.metrics().lanes.market, { published: inLane, rejected: 4, waiting: 0 });
    await expectSeen(scene, full, range(inLane));
    await bus.publish(scene.tick(inLane));
    await expectSeen(scene, full, range(inLane + 1));
  });

  once('Of a batch that does not fit, `reject` publishes nothing.', async (scene) => {
    const full = await fullLane(scene, { whenFull: 'reject' });
    const { bus, inLane } = full;
    await expectSeen(scene, full, range(inLane));
    await refusal(() => bus.publishBatch(range(200).map((n) => scene.tick(n))), ErrorCode.LANE_FULL);
    assertCounts(bus.metrics().lanes.market, { published: inLane, rejected: 201 });
    await expectSeen(scene, full, range(inLane));
  });

  once('With `dropNewest` the event is dropped, and counted; `publish` resolves.', async (scene) => {
    const full = await fullLane(scene, { whenFull: 'dropNewest' });
    const { bus, inLane } = full;
    for (const n of range(10)) await bus.publish(scene.tick(TOO_MANY + n));
    assertCounts(bus.metrics().lanes.market, { published: inLane, dropped: 11, rejected: 0 });
    await expectSeen(scene, full, range(inLane));
  });

  both(
    'The next delivery after such a gap says in `context.missed` how many events it has cost the subscription, once.',
    async (scene) => {
      const full = await fullLane(scene, { whenFull: 'dropNewest' });
      const { bus, inLane, ticks, reports } = full;
      for (const n of range(4)) await bus.publish(scene.tick(TOO_MANY + n));
      ticks.resume();
      await scene.drain(bus);
      await bus.publish(scene.tick(inLane));
      await bus.publish(scene.tick(inLane + 1));
      await expectSeen(scene, full, range(inLane + 2));
      assert.deepEqual(
        reports.data<Seen>('seen').map(({ missed }) => missed),
        [...range(inLane).map(() => 0), 5, 0],
      );
      assertLedger(ticks, { missed: 5 });
    },
  );

  both('With `spill` the event waits in memory without bound, and the order is kept.', async (scene) => {
    const full = await fullLane(scene, { whenFull: 'spill' });
    const { bus, inLane } = full;
    for (const n of range(200, inLane + 1)) await bus.publish(scene.tick(n));
    const { published, spilled, waiting } = bus.metrics().lanes.market;
    assert.deepEqual({ published, waiting }, { published: inLane + 201, waiting: 0 });
    assert.equal(spilled, 201);
    await expectSeen(scene, full, range(inLane + 201));
    assert.equal(bus.metrics().lanes.market.spilled, 0);
  });

  const outcomes = { block: 'full', reject: 'full', dropNewest: 'dropped', spill: 'published' } as const;
  for (const [whenFull, outcome] of Object.entries(outcomes) as [keyof typeof outcomes, string][]) {
    once(
      "`tryPublish` never waits: at a full lane it returns `'full'`, with `dropNewest` `'dropped'`, with `spill` `'published'`.",
      async (scene) => {
        const full = await fullLane(scene, { whenFull });
        const { bus } = full;
        assert.equal(bus.tryPublish(scene.tick(full.inLane + 1)), outcome);
        await expectSeen(scene, full, range(full.inLane + (whenFull === 'spill' ? 2 : 0)));
        assert.equal(bus.tryPublish(scene.tick(0)), 'published');
        await scene.settle(bus);
      },
      whenFull,
    );
  }

  for (const whenFull of ['block', 'reject', 'dropNewest', 'spill'] as const) {
    once(
      'An event that does not fit its type is refused as ever, whatever the room.',
      async (scene) => {
        const full = await fullLane(scene, { whenFull });
        const { bus, inLane } = full;
        const rejectedBefore = bus.metrics().lanes.market.rejected;
        const bad = { ...scene.tick(1), n: 0.5 };
        await refusal(() => bus.tryPublish(bad), ErrorCode.INVALID_EVENT);
        await refusal(() => bus.publish(bad), ErrorCode.INVALID_EVENT);
        await refusal(() => bus.publishBatch([bad]), ErrorCode.INVALID_EVENT);
        assert.equal(bus.metrics().lanes.market.rejected, rejectedBefore + 3);
        await expectSeen(scene, full, range(inLane + (whenFull === 'spill' ? 1 : 0)));
      },
      whenFull,
    );
  }

  once('`tryPublish` does not overtake who waits.', async (scene) => {
    const full = await fullLane(scene, {});
    const { bus, inLane, ticks } = full;
    const waiting = bus.publish(scene.tick(inLane));
    ticks.resume();
    assert.equal(bus.tryPublish(scene.tick(TOO_MANY)), 'full');
    await waiting;
    await expectSeen(scene, full, range(inLane + 1));
  });

  for (const whenFull of ['block', 'reject', 'dropNewest', 'spill'] as const) {
    both(
      'No policy loses an event without counting it.',
      async (scene) => {
        const lanes = { market: { capacityBytes: 1024, whenFull, ...(whenFull === 'block' && { timeoutMs: 1 }) } };
        const bus = scene.bus({ lanes });
        const reports = new Reports(scene, bus);
        const ticks = bus.subscribe('TICK', scene.on.record);
        await bus.start();
        await Promise.allSettled(range(300).map((n) => bus.publish(scene.tick(n))));
        await scene.settle(bus);
        const { published, dropped, rejected } = bus.metrics().lanes.market;
        assert.equal(published + dropped + rejected, 300);
        assert.equal(reports.of('seen').length, published);
        assertLedger(ticks, { owed: published, processed: published });
      },
      whenFull,
    );
  }

  both('A lane waits for its slowest subscription, and is free again when that ends.', async (scene) => {
    const full = await fullLane(scene, {});
    const { bus, inLane, ticks } = full;
    const others = bus.subscribe('TICK', scene.on.recordToo);
    await others.ready;
    assert.equal(bus.tryPublish(scene.tick(inLane)), 'full');
    ticks.unsubscribe();
    await ticks.ended;
    for (const n of range(100)) await bus.publish(scene.tick(n));
    await scene.settle(bus);
    assertLedger(ticks, { processed: 0, discarded: inLane });
    assertLedger(others, { owed: 100, processed: 100 });
  });

  both(
    "A subscription with `lag: 'conflate'` gets, when it is behind, the newest event of each key only; `context.skipped` says how many older ones it replaces.",
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record, { lag: 'conflate' });
      await bus.start();
      ticks.pause();
      for (const n of range(60)) await bus.publish(scene.tick(n, 'ABC'[n % 3]));
      ticks.resume();
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), [57, 58, 59]);
      assert.deepEqual(
        reports.data<Seen>('seen').map(({ skipped }) => skipped),
        [19, 19, 19],
      );
    },
  );

  both('What a conflating subscription skips ends `conflated`, and is counted.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.subscribe('TICK', scene.on.record, { lag: 'conflate' });
    await bus.start();
    ticks.pause();
    for (const n of range(50)) await bus.publish(scene.tick(n));
    ticks.resume();
    await scene.settle(bus);
    assertLedger(ticks, { owed: 50, processed: 1, conflated: 49 });
  });

  both('While a conflating subscription keeps up it gets every event.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const ticks = bus.subscribe('TICK', scene.on.record, { lag: 'conflate' });
    await bus.start();
    for (const n of range(10)) {
      await bus.publish(scene.tick(n));
      await scene.drain(bus);
    }
    assert.deepEqual(reports.numbers('seen'), range(10));
    assertLedger(ticks, { processed: 10, conflated: 0 });
  });

  both(
    'A conflating subscription keeps at most `maxKeys` keys; an event of one more ends `discarded`.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record, { lag: 'conflate', maxKeys: 2 });
      await bus.start();
      ticks.pause();
      for (const n of range(9)) await bus.publish(scene.tick(n, 'ABC'[n % 3]));
      ticks.resume();
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), [6, 7]);
      assertLedger(ticks, { owed: 9, processed: 2, conflated: 4, discarded: 3 });
    },
  );

  both('A conflating subscription never holds a lane back.', async (scene) => {
    const bus = scene.bus({ lanes: { market: { capacityBytes: 1024 } } });
    const reports = new Reports(scene, bus);
    const ticks = bus.subscribe('TICK', scene.on.record, { lag: 'conflate' });
    await bus.start();
    ticks.pause();
    scene.fill(
      bus,
      range(TOO_MANY).map((n) => scene.tick(n)),
    );
    assert.equal(bus.metrics().lanes.market.waiting, 0);
    ticks.resume();
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen'), [TOO_MANY - 1]);
  });

  both(
    'A delivery ends only when everything that it published was admitted, whether or not its handler awaits that.',
    async (scene) => {
      const full = await fullLane(scene, {});
      const { bus, ticks, reports, inLane } = full;
      const orders = bus.subscribe('ORDER', scene.on.publishTwice);
      await orders.ready;
      // Where handlers publish on lanes of their own, those are filled as well.
      for (const n of range(60)) await bus.publish(scene.event('ORDER', n));
      await scene.until(() => orders.metrics().processed < 60 && orders.metrics().owed === 60, 'deliveries that wait');
      assert.equal((await bus.drain({ timeoutMs: 20 })).drained, false);
      assert.ok(orders.metrics().processed < 60, 'a handler has run ahead of a full lane');
      ticks.resume();
      await scene.settle(bus);
      assertLedger(orders, { owed: 60, processed: 60 });
      assert.equal(reports.of('seen').length, inLane + 120);
    },
  );

  both(
    'A handler whose `context.publish` is refused fails its delivery, unless it has dealt with the refusal.',
    async (scene) => {
      const full = await fullLane(scene, { whenFull: 'reject' });
      const { bus, reports, inLane } = full;
      const careless = bus.subscribe('ORDER', scene.on.publishTwice);
      const careful = bus.subscribe('JOB', scene.on.publishBad);
      await Promise.all([careless.ready, careful.ready]);
      for (const n of range(60)) await bus.publish(scene.event('ORDER', n));
      await scene.until(() => careless.metrics().owed === 60 && careless.metrics().failed > 0, 'a failure');
      await expectSeenAtLeast(scene, full, inLane);
      await bus.publish(scene.job(1));
      await scene.settle(bus);
      assert.equal(reports.of('refused').length, 1);
      assertLedger(careful, { owed: 1, processed: 1 });
      const { processed, failed } = careless.metrics();
      assert.equal(processed + failed, 60);
      assert.equal(careless.metrics().circuit, 'closed');
    },
  );

  both(
    'Handlers that wait for room in lanes that only they can empty do not wait for ever: one is refused with `ERR_LANEBUS_DEADLOCK`.',
    async (scene) => {
      const bus = scene.bus({ lanes: { market: { capacityBytes: 1024 } } });
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.flood);
      await bus.start();
      await bus.publish(scene.job(1, 'flood'));
      await scene.settle(bus);
      assert.deepEqual(reports.data('refused'), [ErrorCode.DEADLOCK]);
    },
  );
});
