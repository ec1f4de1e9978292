import assert from 'node:assert/strict';
import { section } from '../case.js';
import { assertLedger, range, Reports } from '../scene.js';
import { endsTheProcess } from './capabilities.js';

export const deaths = section('7. Threads that die', ({ needs }) => {
  for (const [way, what] of [
    ['exit 7', 'process.exit'],
    ['timer', 'an uncaught error'],
    ['rejection', 'an unhandled rejection'],
  ]) {
    needs(
      'survivesCrashes',
      'A thread that dies by itself is replaced, and the delivery that was in flight is made again, with `context.attempt` above 1.',
      async (scene) => {
        const bus = scene.bus();
        const reports = new Reports(scene, bus);
        const jobs = bus.subscribe('JOB', scene.on.perform);
        await bus.start();
        for (const n of range(6)) await bus.publish(scene.job(n, n === 2 ? `${way},ok` : 'ok'));
        await scene.settle(bus);
        assert.deepEqual(reports.numbers('done'), range(6));
        assert.deepEqual(
          reports.of('done').map(({ data }) => (data as { attempt: number }).attempt),
          [1, 1, 2, 1, 1, 1],
        );
        assertLedger(jobs, { owed: 6, processed: 6, redelivered: 1 });
        assert.deepEqual(bus.metrics().threads[1].restarts, { timeout: 0, crash: 1 });
      },
      endsTheProcess,
      what,
    );
  }

  needs(
    'survivesCrashes',
    'An event over which a thread has died `maxCrashes` times is poison: its delivery ends `failed`, and is a dead letter with the reason `poison`.',
    async (scene) => {
      const bus = scene.bus({ maxCrashes: 2 });
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform);
      await bus.start();
      await bus.publish(scene.job(1, 'exit 7'));
      await bus.publish(scene.job(2));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('begun'), [1, 1, 2]);
      assertLedger(jobs, { owed: 2, processed: 1, failed: 1 });
      const [{ reason, crashes, event }] = bus.deadLetters.list();
      assert.deepEqual({ reason, crashes, event }, { reason: 'poison', crashes: 2, event: scene.job(1, 'exit 7') });
    },
    endsTheProcess,
  );

  needs(
    'survivesCrashes',
    'What runs on other threads than the one that dies is not touched.',
    async (scene) => {
      const bus = scene.bus({ threads: 2 });
      const jobs = bus.subscribe('JOB', scene.on.perform);
      const elsewhere = bus.subscribe('JOB', scene.on.record);
      const here = bus.subscribe('JOB', () => undefined);
      await bus.start();
      assert.notDeepEqual(jobs.metrics().threads, elsewhere.metrics().threads);
      for (const n of range(20)) await bus.publish(scene.job(n, n === 9 ? 'exit,ok' : 'ok'));
      await scene.settle(bus);
      assertLedger(jobs, { owed: 20, processed: 20, redelivered: 1 });
      for (const one of [elsewhere, here]) assertLedger(one, { owed: 20, processed: 20, redelivered: 0 });
    },
    endsTheProcess,
  );

  for (const [act, maxCrashes, variant] of [
    ['exit 7', 2, 'in a handler that has the thread'],
    ['timer', 1, 'while handlers wait'],
  ] as const) {
    needs(
      'survivesCrashes',
      'Every delivery that was in flight on a thread that dies is a suspect, and only the guilty one ends as poison.',
      async (scene) => {
        const bus = scene.bus({ maxCrashes });
        const reports = new Reports(scene, bus);
        const innocent = bus.subscribe('JOB', scene.on.perform, { filter: { symbol: 'WAITS' } });
        const guilty = bus.subscribe('JOB', scene.on.performToo, { filter: { symbol: 'DIES' } });
        await bus.start();
        await bus.publish(scene.job(1, 'never,ok', 'WAITS'));
        await reports.until('begun');
        await bus.publish(scene.job(2, act, 'DIES'));
        await scene.settle(bus);
        assertLedger(innocent, { processed: 1, failed: 0 });
        assertLedger(guilty, { processed: 0, failed: 1 });
        assert.deepEqual(
          bus.deadLetters.list().map(({ type, reason }) => [type, reason]),
          [['JOB', 'poison']],
        );
      },
      endsTheProcess,
      variant,
    );
  }

  needs(
    'survivesCrashes',
    'What a thread had published before it died stays published.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform);
      bus.subscribe('TICK', scene.on.record);
      await bus.start();
      for (const n of range(5)) await bus.publish(scene.job(n, 'tick'));
      await bus.publish(scene.job(5, 'exit,ok'));
      for (const n of range(5, 6)) await bus.publish(scene.job(n, 'tick'));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), [...range(5), ...range(5, 6)]);
    },
    endsTheProcess,
  );
});
