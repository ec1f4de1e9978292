import assert from 'node:assert/strict';
import type { FailureRecord } from '../../../main/index.js';
import { section } from '../case.js';
import { assertLedger, range, Reports } from '../scene.js';
import { endsTheProcess } from './capabilities.js';

interface Told {
  readonly at: number;
  readonly attempt: number;
}

const attemptsOf = (reports: Reports, n: number): number[] =>
  reports
    .of('begun')
    .filter((report) => report.n === n)
    .map(({ data }) => (data as Told).attempt);

export const failures = section('8. Failures', ({ both, once, needs }) => {
  both(
    'With `retry` a delivery that fails is tried again, up to `attempts` tries in all, which `context.attempt` numbers.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 3, backoffMs: 1 } });
      await bus.start();
      for (const [n, act] of ['ok', 'throw,ok', 'throw,throw,ok', 'throw'].entries())
        await bus.publish(scene.job(n, act));
      await scene.settle(bus);
      assert.deepEqual(
        range(4).map((n) => attemptsOf(reports, n)),
        [[1], [1, 2], [1, 2, 3], [1, 2, 3]],
      );
      assertLedger(jobs, { owed: 4, processed: 3, failed: 1, retries: 5 });
    },
  );

  both('Without `retry` a delivery is tried once.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const jobs = bus.subscribe('JOB', scene.on.perform);
    await bus.start();
    await bus.publish(scene.job(1, 'throw,ok'));
    await scene.settle(bus);
    assert.deepEqual(attemptsOf(reports, 1), [1]);
    assertLedger(jobs, { failed: 1, retries: 0 });
  });

  both('The wait after the k-th failure is `backoffMs` × `factor`^(k−1), at most `maxBackoffMs`.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const retry = { attempts: 4, backoffMs: 10, factor: 3, maxBackoffMs: 40 };
    bus.subscribe('JOB', scene.on.perform, { retry });
    await bus.start();
    await bus.publish(scene.job(1, 'throw'));
    await scene.settle(bus);
    const at = reports.data<Told>('begun').map((told) => told.at);
    assert.equal(at.length, 4);
    for (const [k, waitMs] of [10, 30, 40].entries()) {
      assert.ok(at[k + 1] - at[k] >= waitMs - 1, `after failure ${k + 1}: ${at[k + 1] - at[k]} ms, expected ${waitMs}`);
    }
  });

  both(
    'The wait after the k-th failure is `backoffMs` × `factor`^(k−1), at most `maxBackoffMs`.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const longer = 2 * scene.patienceMs;
      // Would last longer than it is waited for, if the wait grew after the first failure already.
      const growing = { attempts: 3, backoffMs: longer / 10_000, factor: 100, maxBackoffMs: longer };
      bus.subscribe('JOB', scene.on.perform, { retry: growing });
      bus.subscribe('JOB', scene.on.performToo, { retry: { attempts: 2, backoffMs: longer, maxBackoffMs: 1 } });
      await bus.start();
      await bus.publish(scene.job(1, 'throw'));
      await scene.settle(bus);
      assert.equal(reports.of('begun').length, 3 + 2);
    },
    'and not longer',
  );

  both('A delivery that has timed out is not tried again.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const options = { timeoutMs: 30, graceMs: 0, retry: { attempts: 3, backoffMs: 1 } };
    const jobs = bus.subscribe('JOB', scene.on.perform, options);
    await bus.start();
    await bus.publish(scene.job(1, 'never'));
    await scene.settle(bus);
    assert.deepEqual(attemptsOf(reports, 1), [1]);
    assertLedger(jobs, { owed: 1, timedOut: 1, retries: 0 });
  });

  both('A retry goes to the subscription that has failed only.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 3, backoffMs: 1 } });
    const others = bus.subscribe('JOB', scene.on.record, { retry: { attempts: 3, backoffMs: 1 } });
    await bus.start();
    await bus.publish(scene.job(1, 'throw'));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('begun'), [1, 1, 1]);
    assert.deepEqual(reports.numbers('seen'), [1]);
    assertLedger(others, { owed: 1, processed: 1, retries: 0 });
  });

  both('A delivery that waits for its next try holds nothing else up: later events pass it.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 2, backoffMs: scene.heldMs / 4 } });
    await bus.start();
    for (const [n, act] of ['throw,ok', 'ok', 'ok'].entries()) await bus.publish(scene.job(n, act));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('done'), [1, 2, 0]);
  });

  both(
    'With `keepOrder` the later events of its key wait behind it, in order, and other keys go on.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 2, backoffMs: scene.heldMs / 4, keepOrder: true } });
      await bus.start();
      await bus.publish(scene.job(0, 'throw,ok', 'A'));
      await bus.publish(scene.job(1, 'ok', 'A'));
      await bus.publish(scene.job(2, 'ok', 'A'));
      await bus.publish(scene.job(3, 'ok', 'B'));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('done'), [3, 0, 1, 2]);
    },
  );

  for (const act of ['final', 'marked']) {
    both(
      'A `NonRetryableError`, or whatever has `retryable: false`, is not tried again.',
      async (scene) => {
        const bus = scene.bus();
        const reports = new Reports(scene, bus);
        const jobs = bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 5, backoffMs: 1 } });
        await bus.start();
        await bus.publish(scene.job(1, act));
        await scene.settle(bus);
        assert.deepEqual(attemptsOf(reports, 1), [1]);
        assertLedger(jobs, { failed: 1, retries: 0 });
      },
      act === 'final' ? 'NonRetryableError' : 'retryable: false',
    );
  }

  both("`retryIf(error, attempts)`, on the bus's own thread, decides whether there is another try.", async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const asked: [FailureRecord, number][] = [];
    const retryIf = (error: FailureRecord, attempts: number): boolean => {
      asked.push([error, attempts]);
      return error.code !== 'E_CODED';
    };
    bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 5, backoffMs: 1, retryIf } });
    await bus.start();
    await bus.publish(scene.job(1, 'throw,throw,coded'));
    await scene.settle(bus);
    assert.deepEqual(attemptsOf(reports, 1), [1, 2, 3]);
    assert.deepEqual(
      asked.map(([{ name, code, message }, attempts]) => [name, code, message, attempts]),
      [
        ['TypeError', undefined, 'job 1 fails', 1],
        ['TypeError', undefined, 'job 1 fails', 2],
        ['Error', 'E_CODED', 'job 1 has a code', 3],
      ],
    );
  });

  both(
    'At most `maxPending` deliveries are between two tries; one more is a dead letter at once, with the reason `retryOverflow`.',
    async (scene) => {
      const bus = scene.bus();
      const retry = { attempts: 2, backoffMs: scene.heldMs / 4, maxPending: 2 };
      const jobs = bus.subscribe('JOB', scene.on.perform, { retry });
      await bus.start();
      for (const n of range(4)) await bus.publish(scene.job(n, 'throw,ok'));
      await scene.settle(bus);
      assert.deepEqual(
        bus.deadLetters.list().map(({ reason, attempts }) => [reason, attempts]),
        [
          ['retryOverflow', 1],
          ['retryOverflow', 1],
        ],
      );
      assertLedger(jobs, { processed: 2, failed: 2, retries: 2 });
    },
  );

  both(
    '`maxFailures` failures in a row end the subscription, with the notice `subscriptionDisabled`; what is left is discarded.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform, { maxFailures: 3, name: 'fails' });
      const others = bus.subscribe('JOB', scene.on.record);
      const told: unknown[] = [];
      bus.on('subscriptionDisabled', (notice) => told.push(notice));
      await bus.start();
      jobs.pause();
      for (const n of range(10)) await bus.publish(scene.job(n, 'throw'));
      jobs.resume();
      await jobs.ended;
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('begun'), [0, 1, 2]);
      assertLedger(jobs, { owed: 10, failed: 3, discarded: 7, state: 'ended' });
      assertLedger(others, { owed: 10, processed: 10 });
      assert.deepEqual(told, [{ subscription: { id: jobs.id, name: 'fails' }, failures: 3 }]);
    },
  );

  both('A success sets the count of failures to zero.', async (scene) => {
    const bus = scene.bus();
    const jobs = bus.subscribe('JOB', scene.on.perform, { maxFailures: 3 });
    await bus.start();
    for (const n of range(12)) await bus.publish(scene.job(n, n % 3 === 2 ? 'ok' : 'throw'));
    await scene.settle(bus);
    assertLedger(jobs, { failed: 8, processed: 4, consecutiveFailures: 0, state: 'active' });
    await bus.publish(scene.job(12, 'throw'));
    await scene.settle(bus);
    assertLedger(jobs, { consecutiveFailures: 1, circuit: 'closed' });
  });

  both(
    "With `onMaxFailures: 'pause'` so many failures open its circuit: nothing is delivered until, after `coolDownMs`, one delivery is let through; if it is processed, the subscription goes on.",
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform, { maxFailures: 2, onMaxFailures: 'pause', coolDownMs: 100 });
      const told: string[] = [];
      bus.on('circuitOpened', ({ failures, coolDownMs }) => told.push(`opened ${failures} ${coolDownMs}`));
      bus.on('circuitClosed', () => told.push('closed'));
      await bus.start();
      for (const n of range(8)) await bus.publish(scene.job(n, n < 2 ? 'throw' : 'ok'));
      await scene.until(() => jobs.metrics().failed === 2, 'two failures');
      assertLedger(jobs, { processed: 0, pending: 6 });
      await scene.settle(bus);
      const at = reports.data<Told>('begun').map((one) => one.at);
      assert.ok(at[2] - at[1] >= 99, `the probe came after ${at[2] - at[1]} ms`);
      assert.deepEqual(reports.numbers('done'), range(6, 2));
      assertLedger(jobs, { failed: 2, processed: 6, circuit: 'closed' });
      await scene.until(() => told.length === 2, 'two notices');
      assert.deepEqual(told, ['opened 2 100', 'closed']);
    },
  );

  both(
    'If the delivery that is let through fails, the next cool-down is twice as long, up to `maxCoolDownMs`.',
    async (scene) => {
      const bus = scene.bus();
      const options = { maxFailures: 1, onMaxFailures: 'pause', coolDownMs: 10, maxCoolDownMs: 25 } as const;
      bus.subscribe('JOB', scene.on.perform, options);
      const told: number[] = [];
      bus.on('circuitOpened', ({ coolDownMs }) => told.push(coolDownMs));
      await bus.start();
      for (const n of range(4)) await bus.publish(scene.job(n, n < 3 ? 'throw' : 'ok'));
      await scene.settle(bus);
      await scene.until(() => told.length === 3, 'three notices');
      assert.deepEqual(told, [10, 20, 25]);
    },
  );

  both('`bus.resume(subscription)` closes a circuit by hand.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const options = { maxFailures: 1, onMaxFailures: 'pause', coolDownMs: 1_000_000 } as const;
    const jobs = bus.subscribe('JOB', scene.on.perform, options);
    await bus.start();
    for (const n of range(4)) await bus.publish(scene.job(n, n === 0 ? 'throw' : 'ok'));
    await scene.until(() => jobs.metrics().circuit === 'open', 'an open circuit');
    bus.resume(jobs);
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('done'), range(3, 1));
    assertLedger(jobs, { circuit: 'closed', processed: 3, failed: 1 });
  });

  needs(
    'survivesCrashes',
    'A delivery that waits for its next try is not lost with its thread.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const jobs = bus.subscribe('JOB', scene.on.perform, { retry: { attempts: 2, backoffMs: 50 } });
      await bus.start();
      await bus.publish(scene.job(1, 'throw,ok'));
      await bus.publish(scene.job(2, 'exit,ok'));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('done').sort(), [1, 2]);
      assertLedger(jobs, { owed: 2, processed: 2, retries: 1, redelivered: 1 });
    },
    endsTheProcess,
  );

  once('The policy of the bus holds for each subscription that has none of its own.', async (scene) => {
    const bus = scene.bus({ retry: { attempts: 2, backoffMs: 1 }, maxFailures: 100 });
    let [inherited, own] = [0, 0];
    bus.subscribe('TICK', () => {
      inherited++;
      throw new Error('no');
    });
    bus.subscribe(
      'TICK',
      () => {
        own++;
        throw new Error('no');
      },
      { retry: { attempts: 4, backoffMs: 1 } },
    );
    await bus.start();
    await bus.publish(scene.tick(1));
    await scene.settle(bus);
    assert.deepEqual([inherited, own], [2, 4]);
  });
});
