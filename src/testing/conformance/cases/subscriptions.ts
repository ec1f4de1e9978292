import assert from 'node:assert/strict';
import { ErrorCode, workerHandlers } from '../../../main/index.js';
import { section } from '../case.js';
import type { Seen } from '../handlers.js';
import { assertLedger, CLOCK_MS, fateOf, range, refusal, Reports } from '../scene.js';
import { busy, epochNow } from '../tell.js';
import { onOneThread } from './capabilities.js';

export const subscriptions = section('2. Handlers and subscriptions', ({ both, once, needs, worker }) => {
  once("A plain function runs on the bus's own thread.", async (scene) => {
    const bus = scene.bus();
    const threads: number[] = [];
    let ran = false;
    bus.subscribe('TICK', (_, { thread }) => {
      ran = true;
      threads.push(thread);
    });
    await bus.start();
    await bus.publish(scene.tick(1));
    await scene.settle(bus);
    assert.ok(ran);
    assert.deepEqual(threads, [0]);
  });

  needs(
    'parallelHandlers',
    "A worker handler runs apart from the bus's own thread, also while that is busy.",
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform);
      await bus.start();
      await bus.publish(scene.job(1));
      await scene.settle(bus);
      const end = epochNow() + scene.heldMs;
      await bus.publish(scene.job(2));
      bus.metrics(); // what a burst has put off is published
      busy(scene.heldMs);
      await scene.settle(bus);
      const [, { thread, at }] = reports.data<{ thread: number; at: number }>('begun');
      assert.ok(thread > 0);
      assert.ok(at < end, 'the handler has waited for the thread of the bus');
    },
    onOneThread,
  );

  needs(
    'parallelHandlers',
    'Worker handlers of different subscriptions run at the same time, as far as there are threads.',
    async (scene) => {
      const bus = scene.bus({ threads: 2 });
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform);
      bus.subscribe('JOB', scene.on.performToo);
      await bus.start();
      await bus.publish(scene.job(1, `busy ${scene.heldMs}`));
      await scene.settle(bus);
      const begun = reports.data<{ thread: number; at: number }>('begun');
      const done = reports.data<{ at: number }>('done');
      assert.equal(new Set(begun.map(({ thread }) => thread)).size, 2);
      assert.ok(
        Math.max(...begun.map(({ at }) => at)) < Math.min(...done.map(({ at }) => at)),
        'one handler began when the other had ended',
      );
    },
    onOneThread,
  );

  both('`subscribe` takes one type or several, of one lane or several, for one subscription.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const several = bus.subscribe(['TICK', 'ORDER', 'LOG'], scene.on.record);
    assert.deepEqual(several.types, ['TICK', 'ORDER', 'LOG']);
    await bus.start();
    await bus.publish(scene.tick(1));
    await bus.publish(scene.event('ORDER', 2));
    await bus.publish(scene.event('LOG', 3));
    await bus.publish(scene.event('HALT', 4));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen').sort(), [1, 2, 3]);
    assertLedger(several, { owed: 3, processed: 3 });
  });

  both('A handler has one subscription to a type; a second one is refused.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('TICK', scene.on.record);
    await refusal(() => bus.subscribe(['ORDER', 'TICK'], scene.on.record), ErrorCode.DUPLICATE_HANDLER);
    bus.subscribe('ORDER', scene.on.record);
    await bus.start();
    await refusal(() => bus.subscribe('TICK', scene.on.record), ErrorCode.DUPLICATE_HANDLER);
    await bus.publish(scene.tick(1));
    await bus.publish(scene.event('ORDER', 2));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen').sort(), [1, 2]);
  });

  once('What is no handler is refused.', async (scene) => {
    const bus = scene.bus();
    for (const none of [undefined, null, 'record', {}]) {
      await refusal(() => bus.subscribe('TICK', none as never), ErrorCode.OPTIONS);
    }
    await refusal(() => workerHandlers('not a URL'), ErrorCode.OPTIONS);
  });

  both(
    'A subscription is called by its `name`; without one, after its module and export, or its function.',
    (scene) => {
      const bus = scene.bus();
      assert.equal(bus.subscribe('TICK', scene.on.record, { name: 'ticks' }).name, 'ticks');
      assert.match(bus.subscribe('TICK', scene.on.recordToo).name, /^(handlers\.js#)?recordToo$/);
      assert.deepEqual(
        bus.metrics().subscriptions.map(({ name }) => name.replace('handlers.js#', '')),
        ['ticks', 'recordToo'],
      );
    },
  );

  both(
    '`unsubscribe(type, handler)` ends the subscription of the handler to the type, and says whether there was one.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record);
      await bus.start();
      assert.equal(bus.unsubscribe('ORDER', scene.on.record), false);
      assert.equal(bus.unsubscribe('TICK', scene.on.recordToo), false);
      assert.equal(bus.unsubscribe('TICK', scene.on.record), true);
      assert.equal(bus.unsubscribe('TICK', scene.on.record), false);
      await ticks.ended;
      await bus.publish(scene.tick(1));
      await scene.settle(bus);
      assert.deepEqual(reports.all, []);
    },
  );

  both('The `signal` that a subscription was given ends it when it aborts, or at once if it has.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const abort = new AbortController();
    const ended = bus.subscribe('TICK', scene.on.record, { signal: abort.signal });
    await bus.start();
    await bus.publish(scene.tick(1));
    await scene.drain(bus);
    abort.abort();
    await ended.ended;
    await bus.subscribe('TICK', scene.on.recordToo, { signal: AbortSignal.abort() }).ended;
    await bus.publish(scene.tick(2));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen'), [1]);
    assert.deepEqual(reports.numbers('seenToo'), []);
  });

  both('`context.sequence` is the number of the event in its lane, from 0, ever increasing.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe(['TICK', 'ORDER'], scene.on.record);
    await bus.start();
    for (const n of range(5)) {
      await bus.publish(scene.tick(n));
      await bus.publish(scene.event('ORDER', n));
    }
    await scene.settle(bus);
    const seen = reports.data<Seen>('seen');
    for (const type of ['TICK', 'ORDER']) {
      assert.deepEqual(
        seen.filter((one) => one.type === type).map(({ sequence }) => sequence),
        range(5),
      );
    }
  });

  both(
    '`context.publisher` is 0 for what the bus publishes, `context.attempt` is 1 on the first try, and `context.signal` has not aborted then.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('TICK', scene.on.record);
      await bus.start();
      await bus.publish(scene.tick(1));
      await scene.settle(bus);
      const [{ publisher, attempt, aborted, replay, skipped, missed }] = reports.data<Seen>('seen');
      assert.deepEqual(
        { publisher, attempt, aborted, replay, skipped, missed },
        { publisher: 0, attempt: 1, aborted: false, replay: false, skipped: 0, missed: 0 },
      );
    },
  );

  both(
    '`context.publishedAt` is when the event was published, in milliseconds since the Unix epoch.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record);
      await bus.start();
      ticks.pause();
      const before = Date.now();
      await bus.publish(scene.tick(1));
      const after = Date.now();
      await bus.drain({ timeoutMs: 3 * CLOCK_MS });
      ticks.resume();
      await scene.settle(bus);
      const [{ publishedAt }] = reports.data<Seen>('seen');
      const isNear = publishedAt >= before - CLOCK_MS && publishedAt <= after + CLOCK_MS;
      assert.ok(isNear, `expected ${before} to ${after}, got ${publishedAt}`);
    },
  );

  both(
    '`context.cause` is the lane, publisher and sequence of the event whose handler has published this one; `bus.publish` gives none.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform);
      bus.subscribe('TICK', scene.on.record);
      await bus.start();
      for (const n of range(3)) await bus.publish(scene.job(n, 'tick'));
      await bus.publish(scene.tick(99));
      await scene.settle(bus);
      const causes = new Map(reports.of('seen').map(({ n, data }) => [n, (data as Seen).cause]));
      assert.deepEqual(
        range(3).map((n) => causes.get(n)),
        range(3).map((sequence) => ({ lane: 'market', publisher: 0, sequence })),
      );
      assert.equal(causes.get(99) ?? undefined, undefined);
    },
  );

  both('`once: true` delivers one event that passes the filter; then the subscription has ended.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const first = bus.subscribe('TICK', scene.on.record, { once: true, filter: { n: { min: 3 } } });
    await bus.start();
    for (const n of range(10)) await bus.publish(scene.tick(n));
    await first.ended;
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen'), [3]);
    assertLedger(first, { state: 'ended', processed: 1 });
  });

  once('`bus.once` resolves with the next event, and ends its subscription.', async (scene) => {
    const bus = scene.bus();
    await bus.start();
    const next = bus.once('TICK', { filter: { symbol: 'B' }, name: 'next' });
    await scene.until(() => bus.metrics().subscriptions.some(({ state }) => state === 'active'), 'the subscription');
    await bus.publish(scene.tick(1, 'A'));
    await bus.publish(scene.tick(2, 'B'));
    await bus.publish(scene.tick(3, 'B'));
    assert.deepEqual(await next, scene.tick(2, 'B'));
    await scene.until(() => bus.metrics().subscriptions.every(({ state }) => state === 'ended'), 'its end');
  });

  once(
    '`bus.once` rejects with the reason of its signal, and with `ERR_LANEBUS_STOPPED` when the bus stops first.',
    async (scene) => {
      const bus = scene.bus();
      await bus.start();
      const abort = new AbortController();
      const aborted = bus.once('TICK', { signal: abort.signal });
      const reason = new Error('not any more');
      abort.abort(reason);
      await assert.rejects(aborted, reason);
      const left = fateOf(bus.once('TICK'));
      await bus.stop();
      assert.equal(await left, ErrorCode.STOPPED);
    },
  );

  once('`bus.events` gives a loop the events in order; leaving the loop ends its subscription.', async (scene) => {
    const bus = scene.bus();
    const ticks = bus.events('TICK', { filter: { symbol: 'A' } });
    await bus.start();
    for (const n of range(20)) await bus.publish(scene.tick(n, n % 2 === 0 ? 'A' : 'B'));
    const seen: number[] = [];
    for await (const { n } of ticks) {
      seen.push(n);
      if (n === 10) break;
    }
    assert.deepEqual(seen, [0, 2, 4, 6, 8, 10]);
    await ticks.subscription.ended;
    await scene.settle(bus);
  });

  for (const lag of ['dropOldest', 'dropNewest'] as const) {
    once(
      "A loop that is away loses nothing with `lag: 'block'`; with `'dropOldest'` and `'dropNewest'` it counts in `dropped` what it loses.",
      async (scene) => {
        const bus = scene.bus();
        const blocking = bus.events('TICK', { capacity: 4, name: 'blocking' });
        const dropping = bus.events('TICK', { capacity: 4, lag, name: 'dropping' });
        await bus.start();
        for (const n of range(10)) await bus.publish(scene.tick(n));
        await scene.until(() => dropping.dropped === 6, '6 dropped events');
        const seen = async (stream: typeof blocking, count: number): Promise<number[]> => {
          const numbers: number[] = [];
          for await (const { n } of stream) if (numbers.push(n) === count) break;
          return numbers;
        };
        assert.deepEqual(await seen(blocking, 10), range(10));
        assert.deepEqual(await seen(dropping, 4), lag === 'dropOldest' ? range(4, 6) : range(4));
        await scene.settle(bus);
      },
      lag,
    );
  }

  both(
    'A paused subscription is delivered nothing, and its events wait; `resume` delivers them in order.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record);
      const others = bus.subscribe('TICK', scene.on.recordToo);
      await bus.start();
      ticks.pause();
      for (const n of range(30)) await bus.publish(scene.tick(n));
      await scene.until(() => others.metrics().processed === 30, 'the deliveries of the other subscription');
      assertLedger(ticks, { state: 'paused', owed: 30, processed: 0, pending: 30 });
      ticks.resume();
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), range(30));
    },
  );

  both('A subscription may be paused before `start`: it misses nothing.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const ticks = bus.subscribe('TICK', scene.on.record);
    ticks.pause();
    await bus.start();
    for (const n of range(10)) await bus.publish(scene.tick(n));
    assert.equal((await bus.drain({ timeoutMs: 10 })).drained, false);
    assertLedger(ticks, { processed: 0, pending: 10 });
    ticks.resume();
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen'), range(10));
  });

  worker(
    'A worker handler is delivered to wherever it was subscribed: before `start` or while the bus runs.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('TICK', scene.on.record);
      await bus.start();
      await bus.subscribe('TICK', scene.on.recordToo).ready;
      await bus.publish(scene.tick(1));
      await scene.settle(bus);
      assert.deepEqual([reports.numbers('seen'), reports.numbers('seenToo')], [[1], [1]]);
    },
  );
});
