import assert from 'node:assert/strict';
import { ErrorCode, workerHandlers } from '../../../main/index.js';
import { section } from '../case.js';
import { assertLedger, range, refusal, Reports } from '../scene.js';
import { endsTheProcess } from './capabilities.js';

const { keep, keepToo } = workerHandlers<typeof import('../handlers-with-state.js')>(
  new URL('../handlers-with-state.js', import.meta.url),
);
const { record: unready } = workerHandlers<typeof import('../handlers-with-bad-setup.js')>(
  new URL('../handlers-with-bad-setup.js', import.meta.url),
);

interface Life {
  readonly setups: readonly { incarnation: number; lastEnd?: string; name: string }[];
  readonly teardowns: number;
}

export const state = section('10. Handler state', ({ worker, needs }) => {
  worker(
    'A `setup` that the module of a handler exports is awaited before the first delivery, and told of its subscription.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const name = scene.name('kept');
      bus.subscribe('JOB', keep, { name });
      await bus.start();
      await bus.publish(scene.job(1, `life ${name}`));
      await scene.settle(bus);
      assert.deepEqual(
        reports.data<Life>('life').map(({ setups }) => setups.map((one) => [one.incarnation, one.lastEnd, one.name])),
        [[[0, undefined, name]]],
      );
    },
  );

  worker(
    'A `setup` is called for each subscription of its module, also for one made while the bus runs.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', keep, { name: scene.name('kept') });
      await bus.start();
      await bus.subscribe('JOB', keepToo, { name: scene.name('late'), filter: { symbol: 'none' } }).ready;
      for (const one of ['kept', 'late']) await bus.publish(scene.job(1, `life ${scene.name(one)}`));
      await scene.settle(bus);
      assert.deepEqual(
        reports.data<Life>('life').map(({ setups }) => setups.length),
        [1, 1],
      );
    },
  );

  worker(
    'A `setup` that throws fails `start` with `ERR_LANEBUS_SETUP_FAILED`; while the bus runs, it fails its subscription only.',
    async (scene) => {
      const failing = scene.bus();
      failing.subscribe('JOB', unready);
      assert.match((await refusal(() => failing.start(), ErrorCode.SETUP_FAILED)).message, /handlers-with-bad-setup/);
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.record);
      await bus.start();
      await refusal(() => bus.subscribe('JOB', unready).ready, ErrorCode.SETUP_FAILED);
      await bus.publish(scene.job(1));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), [1]);
    },
  );

  worker(
    'A `teardown` that the module exports is awaited before a subscription that was unsubscribed has ended.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', keep, { name: scene.name('kept') });
      const gone = bus.subscribe('JOB', keepToo, { name: scene.name('gone') });
      await bus.start();
      await bus.publish(scene.job(1, `life ${scene.name('gone')}`));
      await scene.drain(bus);
      gone.unsubscribe();
      await gone.ended;
      await bus.publish(scene.job(2, `life ${scene.name('gone')}`));
      await scene.settle(bus);
      assert.deepEqual(
        reports.data<Life>('life').map(({ teardowns }) => teardowns),
        [0, 0, 1],
      );
    },
  );

  worker(
    'With `checkpointEvery` the bus takes what `snapshot` returns after every so many deliveries.',
    async (scene) => {
      const bus = scene.bus();
      const jobs = bus.subscribe('JOB', keep, { checkpointEvery: 10 });
      await bus.start();
      for (const n of range(35)) {
        await bus.publish(scene.job(n));
      }
      await scene.settle(bus);
      const { taken, failed, replayed, lastBytes } = jobs.metrics().checkpoints ?? assert.fail('no checkpoints');
      assert.deepEqual({ taken, failed, replayed }, { taken: 3, failed: 0, replayed: 0 });
      assert.ok(lastBytes > 0);
    },
  );

  needs(
    'survivesCrashes',
    'A successor calls `setup`, is told which life it is and why the last one ended, and `restore` with the checkpoint.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const name = scene.name('kept');
      bus.subscribe('JOB', keep, { name, checkpointEvery: 10 });
      await bus.start();
      for (const n of range(10)) await bus.publish(scene.job(n));
      await bus.publish(scene.job(10, 'exit'));
      await bus.publish(scene.job(11, `life ${name}`));
      await bus.publish(scene.job(12, 'state'));
      await scene.settle(bus);
      const [{ setups }] = reports.data<Life>('life');
      assert.deepEqual(
        setups.map(({ incarnation, lastEnd }) => [incarnation, lastEnd]),
        [[1, 'crash']],
      );
      assert.deepEqual(reports.data('state'), [range(11)]);
    },
    endsTheProcess,
  );

  needs(
    'survivesCrashes',
    'A successor is shown again, with `context.replay` true, exactly what had followed the checkpoint, so that its state is as if nothing had died.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', keep, { checkpointEvery: 10 });
      await bus.start();
      for (const n of range(17)) await bus.publish(scene.job(n));
      await bus.publish(scene.job(17, 'exit'));
      for (const n of range(3, 18)) await bus.publish(scene.job(n));
      await bus.publish(scene.job(21, 'state'));
      await scene.settle(bus);
      assert.deepEqual(reports.data('state'), [range(21)]);
      assertLedger(jobs, { owed: 22, processed: 22, redelivered: 1 });
      assert.equal(jobs.metrics().checkpoints?.replayed, 7);
    },
    endsTheProcess,
  );

  needs(
    'survivesCrashes',
    'What is shown again is not counted again, and what it publishes goes nowhere.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', keep, { checkpointEvery: 100 });
      await bus.start();
      for (const n of range(20)) await bus.publish(scene.job(n));
      await bus.publish(scene.job(20, 'exit'));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('kept'), range(21));
      assert.deepEqual(reports.numbers('replayed'), []);
      assertLedger(jobs, { owed: 21, processed: 21 });
    },
    endsTheProcess,
  );
});
