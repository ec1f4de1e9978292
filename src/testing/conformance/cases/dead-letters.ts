import assert from 'node:assert/strict';
import type { DeadLetter, EventBus, Subscription } from '../../../main/index.js';
import { section } from '../case.js';
import type { C } from '../catalog.js';
import { assertLedger, CLOCK_MS, range, Reports, type Scene } from '../scene.js';

interface Failed {
  readonly bus: EventBus<C>;
  readonly reports: Reports;
  readonly jobs: Subscription;
  readonly letters: DeadLetter[];
}

/** A bus on which these acts have come to their ends, in order, on their first try or their last. */
async function failed(scene: Scene, acts: readonly string[], options: object = {}): Promise<Failed> {
  const bus = scene.bus(options);
  const reports = new Reports(scene, bus);
  const jobs = bus.subscribe('JOB', scene.on.perform, { name: 'jobs', timeoutMs: scene.heldMs, graceMs: 0 });
  await bus.start();
  for (const [n, act] of acts.entries()) await bus.publish(scene.job(n, act, `S${n}`));
  await scene.settle(bus);
  return { bus, reports, jobs, letters: bus.deadLetters.list() };
}

export const deadLetters = section('9. Dead letters', ({ both, once }) => {
  both('Every delivery that ends `failed` or `timedOut` is kept as a dead letter, exactly once.', async (scene) => {
    const { bus, letters, jobs } = await failed(scene, ['throw', 'ok', 'never', 'coded']);
    assert.deepEqual(
      letters.map(({ event, reason }) => [event.n, reason]),
      [
        [0, 'failed'],
        [2, 'timedOut'],
        [3, 'failed'],
      ],
    );
    assert.equal(bus.deadLetters.count(), 3);
    assertLedger(jobs, { owed: 4, processed: 1, failed: 2, timedOut: 1 });
  });

  both('A letter has the whole event, its key, lane, publisher and sequence.', async (scene) => {
    const { letters } = await failed(scene, ['ok', 'throw']);
    const [{ type, event, key, lane, publisher, sequence }] = letters;
    assert.deepEqual(
      { type, event, key, lane, publisher, sequence },
      { type: 'JOB', event: scene.job(1, 'throw', 'S1'), key: 'S1', lane: 'market', publisher: 0, sequence: 1 },
    );
  });

  both(
    'A letter has the subscription, the reason, the error with its stack and code, how many tries there were, and when.',
    async (scene) => {
      const before = Date.now();
      const { letters, jobs } = await failed(scene, ['coded']);
      const [{ id, subscription, reason, error, attempts, started, crashes, firstFailedAt, lastFailedAt, setAsideAt }] =
        letters;
      assert.deepEqual(
        { id, subscription, reason, attempts, started, crashes },
        { id: 1, subscription: { id: jobs.id, name: 'jobs' }, reason: 'failed', attempts: 1, started: 1, crashes: 0 },
      );
      assert.deepEqual([error?.name, error?.code, error?.message], ['Error', 'E_CODED', 'job 0 has a code']);
      assert.match(error?.stack ?? '', /handlers/);
      assert.ok(firstFailedAt >= before - CLOCK_MS && firstFailedAt <= lastFailedAt && lastFailedAt <= setAsideAt + 1);
      assert.ok(setAsideAt <= Date.now() + CLOCK_MS);
    },
  );

  both('The notice `deadLetter` tells of each letter.', async (scene) => {
    const bus = scene.bus();
    bus.subscribe('JOB', scene.on.perform);
    const told: DeadLetter[] = [];
    bus.on('deadLetter', (letter) => told.push(letter));
    await bus.start();
    for (const n of range(3)) await bus.publish(scene.job(n, 'throw'));
    await scene.settle(bus);
    await scene.until(() => told.length === 3, 'three notices');
    assert.deepEqual(
      told.map(({ event }) => event.n),
      range(3),
    );
  });

  both('Letters are listed oldest first, by type, subscription, reason, time and page.', async (scene) => {
    const { bus, letters } = await failed(scene, ['throw', 'never', 'throw', 'throw']);
    const ids = (query: Parameters<typeof bus.deadLetters.list>[0]): number[] =>
      bus.deadLetters.list(query).map(({ id }) => id);
    assert.deepEqual(ids({}), [1, 2, 3, 4]);
    assert.deepEqual(ids({ reason: 'timedOut' }), [2]);
    assert.deepEqual(ids({ type: 'TICK' }), []);
    assert.deepEqual(ids({ subscription: 'jobs', reason: 'failed' }), [1, 3, 4]);
    assert.deepEqual(ids({ limit: 2 }), [1, 2]);
    assert.deepEqual(ids({ limit: 2, cursor: 2 }), [3, 4]);
    assert.deepEqual(ids({ since: letters[3].setAsideAt + 1_000 }), []);
    assert.equal(bus.deadLetters.count({ reason: 'failed' }), 3);
    assert.deepEqual(bus.deadLetters.get(2), letters[1]);
    assert.equal(bus.deadLetters.get(99), undefined);
  });

  both(
    'A replay goes to the subscription that has failed only, with the event as it was published; once that is processed, the letter is gone.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform);
      bus.subscribe('JOB', scene.on.record);
      bus.subscribe('GATE', scene.on.openGate);
      await bus.start();
      await bus.publish(scene.job(1, 'locked 1'));
      await bus.publish(scene.job(2, 'locked 2'));
      await scene.settle(bus);
      await bus.publish(scene.event('GATE', 1));
      await scene.drain(bus);
      assert.deepEqual(await bus.deadLetters.replay(1), { replayed: 1, refused: [] });
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('done'), [1]);
      assert.deepEqual(reports.numbers('seen'), [1, 2]);
      assert.deepEqual(
        bus.deadLetters.list().map(({ event }) => event.n),
        [2],
      );
      assertLedger(jobs, { exact: true });
    },
  );

  both('A letter whose replay fails stays, with its history.', async (scene) => {
    const { bus } = await failed(scene, ['coded']);
    await bus.deadLetters.replay({ reason: 'failed' });
    await scene.settle(bus);
    const [{ error, history, replaying }] = bus.deadLetters.list();
    assert.equal(bus.deadLetters.count(), 1);
    assert.deepEqual([error?.code, replaying, history.length], ['E_CODED', false, 1]);
    assert.deepEqual([history[0].reason, history[0].error?.code], ['failed', 'E_CODED']);
  });

  both(
    "A replay `{ to: 'all' }` publishes the event again, for every subscription, and the letter is gone.",
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform);
      bus.subscribe('JOB', scene.on.record);
      await bus.start();
      await bus.publish(scene.job(1, 'throw'));
      await scene.settle(bus);
      assert.equal((await bus.deadLetters.replay(1, { to: 'all' })).replayed, 1);
      await scene.settle(bus);
      assert.deepEqual(
        [reports.numbers('begun'), reports.numbers('seen')],
        [
          [1, 1],
          [1, 1],
        ],
      );
      assert.equal(bus.metrics().lanes.market.published, 2);
      assert.deepEqual(
        bus.deadLetters.list().map(({ sequence }) => sequence),
        [1],
      );
    },
  );

  once('`purge` forgets one letter, those that a query finds, or all, and tells how many.', async (scene) => {
    const { bus } = await failed(scene, ['throw', 'never', 'throw', 'throw']);
    assert.equal(await bus.deadLetters.purge(1), 1);
    assert.equal(await bus.deadLetters.purge({ reason: 'timedOut' }), 1);
    assert.deepEqual(
      bus.deadLetters.list().map(({ id }) => id),
      [3, 4],
    );
    assert.equal(await bus.deadLetters.purge(), 2);
    assert.equal(bus.deadLetters.count(), 0);
  });

  once('In memory there are at most `maxDeadLetters`; the oldest go, and are counted in `evicted`.', async (scene) => {
    const { bus, letters, jobs } = await failed(
      scene,
      range(6).map(() => 'throw'),
      { maxDeadLetters: 4 },
    );
    assert.deepEqual(
      letters.map(({ event }) => event.n),
      range(4, 2),
    );
    assert.equal(bus.deadLetters.evicted, 2);
    assertLedger(jobs, { failed: 6 });
  });

  once('`export` gives one JSON object a line.', async (scene) => {
    const { bus } = await failed(scene, ['throw', 'ok', 'throw']);
    const lines = [...bus.deadLetters.export()].map((line) => JSON.parse(line) as { event: unknown });
    assert.deepEqual(
      lines.map(({ event }) => event),
      [scene.job(0, 'throw', 'S0'), scene.job(2, 'throw', 'S2')],
    );
  });
});
