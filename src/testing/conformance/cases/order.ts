import assert from 'node:assert/strict';
import { section } from '../case.js';
import type { Seen } from '../handlers.js';
import { assertLedger, range, Reports, type Scene } from '../scene.js';
import { onOneThread } from './capabilities.js';

/** Deliveries in flight at most, from the reports of `perform`. */
function mostInFlight(reports: Reports): number {
  let [now, most] = [0, 0];
  for (const { what } of reports.all) {
    if (what === 'begun') most = Math.max(most, ++now);
    if (what === 'done') now--;
  }
  return most;
}

/** The types that were seen, with how many of each there were in a row. */
function runs(reports: Reports): [type: string, length: number][] {
  const found: [string, number][] = [];
  for (const { type } of reports.data<Seen>('seen')) {
    const last = found.at(-1);
    if (last?.[0] === type) last[1]++;
    else found.push([type, 1]);
  }
  return found;
}

async function priorities(scene: Scene, starvation: false | { events: number }): Promise<Reports> {
  const bus = scene.bus({ starvation });
  const reports = new Reports(scene, bus);
  const all = bus.subscribe(['TICK', 'HALT', 'ORDER', 'SIGNAL', 'LOG'], scene.on.note);
  await bus.start();
  all.pause();
  for (const type of ['LOG', 'TICK', 'SIGNAL', 'ORDER', 'HALT'] as const) {
    scene.fill(
      bus,
      range(40).map((n) => (type === 'TICK' ? scene.tick(n) : scene.event(type, n))),
    );
  }
  all.resume();
  await scene.settle(bus);
  return reports;
}

export const order = section('4. Order and priority', ({ both, once, needs }) => {
  both(
    'Within a lane, the events of one publishing thread reach a subscription in the order in which they were published, whichever way.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe(['TICK', 'JOB'], scene.on.record);
      await bus.start();
      for (let n = 0; n < 200; n += 10) {
        await bus.publish(scene.tick(n));
        await bus.publishBatch(range(5, n + 1).map((m) => scene.tick(m)));
        scene.fill(bus, [scene.job(n + 6), scene.tick(n + 7)]);
        void bus.publish(scene.job(n + 8));
        await bus.publish(scene.tick(n + 9));
      }
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('seen'), range(200));
    },
  );

  both('Unless it asks for more, a subscription has one delivery at a time.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('JOB', scene.on.perform);
    await bus.start();
    for (const n of range(8)) await bus.publish(scene.job(n, 'sleep 1'));
    await scene.settle(bus);
    assert.equal(mostInFlight(reports), 1);
    assert.deepEqual(reports.numbers('done'), range(8));
  });

  both(
    'With `concurrency: n` a subscription has up to n deliveries in flight on a thread, and never more.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('GATE', scene.on.openGate);
      const jobs = bus.subscribe('JOB', scene.on.perform, { concurrency: 3, order: 'none' });
      await bus.start();
      for (const n of range(9)) await bus.publish(scene.job(n, 'gate 1'));
      await reports.until('begun', 3);
      assertLedger(jobs, { processed: 0, pending: 9 });
      await bus.publish(scene.event('GATE', 1));
      await scene.settle(bus);
      assert.equal(mostInFlight(reports), 3);
      assert.equal(reports.of('done').length, 9);
    },
  );

  both(
    'With a key the events of one key are delivered one after the other, in order, and others overtake them.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('GATE', scene.on.openGate);
      bus.subscribe('JOB', scene.on.perform, { concurrency: 4 });
      await bus.start();
      await bus.publish(scene.job(0, 'gate 1', 'A'));
      await bus.publish(scene.job(1, 'ok', 'A'));
      await bus.publish(scene.job(2, 'ok', 'A'));
      await bus.publish(scene.job(3, 'ok', 'B'));
      await bus.publish(scene.job(4, 'ok', 'B'));
      await reports.until('done', 2);
      assert.deepEqual(reports.numbers('done'), [3, 4]);
      assert.ok(!reports.numbers('begun').includes(1), 'the key has two deliveries in flight');
      await bus.publish(scene.event('GATE', 1));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('done'), [3, 4, 0, 1, 2]);
    },
  );

  both("With `order: 'none'` whatever is free takes the next event.", async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('GATE', scene.on.openGate);
    bus.subscribe('JOB', scene.on.perform, { concurrency: 2, order: 'none' });
    await bus.start();
    await bus.publish(scene.job(0, 'gate 1'));
    for (const n of range(10, 1)) await bus.publish(scene.job(n));
    await reports.until('done', 10);
    assert.deepEqual(reports.numbers('done'), range(10, 1));
    await bus.publish(scene.event('GATE', 1));
    await scene.settle(bus);
  });

  needs(
    'parallelHandlers',
    'With `threads: n` and a key, each key has one thread, and its order.',
    async (scene) => {
      const bus = scene.bus({ threads: 2 });
      const reports = new Reports(scene, bus);
      const ticks = bus.subscribe('TICK', scene.on.record, { threads: 2 });
      await bus.start();
      for (const n of range(200)) await bus.publish(scene.tick(n, `S${n % 10}`));
      await scene.settle(bus);
      const threads = new Map<number, Set<number>>();
      const numbers = new Map<number, number[]>();
      for (const { n, data } of reports.of('seen')) {
        threads.set(n % 10, (threads.get(n % 10) ?? new Set()).add((data as Seen).thread));
        numbers.set(n % 10, [...(numbers.get(n % 10) ?? []), n]);
      }
      assert.deepEqual(
        [...threads.values()].map(({ size }) => size),
        range(10).map(() => 1),
      );
      assert.equal(new Set([...threads.values()].flatMap((set) => [...set])).size, 2, 'threads that have keys');
      for (const [key, seen] of numbers)
        assert.deepEqual(
          seen,
          range(20).map((at) => at * 10 + key),
        );
      assertLedger(ticks, { owed: 200, processed: 200 });
    },
    onOneThread,
  );

  needs(
    'parallelHandlers',
    "With `threads: n` and `order: 'none'`, a thread that is held up holds up no other.",
    async (scene) => {
      const bus = scene.bus({ threads: 2 });
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.perform, { threads: 2, order: 'none' });
      await bus.start();
      await bus.publish(scene.job(0, `busy ${scene.heldMs}`));
      await reports.until('begun');
      for (const n of range(20, 1)) await bus.publish(scene.job(n));
      await scene.settle(bus);
      assert.deepEqual(reports.numbers('done'), [...range(20, 1), 0]);
      assert.equal(new Set(reports.data<{ thread: number }>('begun').map(({ thread }) => thread)).size, 2);
    },
    onOneThread,
  );

  both(
    'Across lanes the more urgent one goes first, at every event boundary: the next event that runs is of the most urgent lane that has any.',
    async (scene) => {
      const bus = scene.bus({ lanes: { market: { capacityBytes: 2 ** 22 } } });
      const reports = new Reports(scene, bus);
      const all = bus.subscribe(['TICK', 'HALT'], scene.on.record);
      await bus.start();
      all.pause();
      scene.fill(
        bus,
        range(1_000).map((n) => scene.tick(n)),
      );
      await bus.publish(scene.event('HALT', 1));
      all.resume();
      await scene.settle(bus);
      assert.deepEqual(runs(reports), [
        ['HALT', 1],
        ['TICK', 1_000],
      ]);
    },
    'a HALT overtakes what waits',
  );

  for (const [type, urgent] of [
    ['TICK', 'HALT'],
    ['LOG', 'TICK'],
  ] as const) {
    both(
      'Across lanes the more urgent one goes first, at every event boundary: the next event that runs is of the most urgent lane that has any.',
      async (scene) => {
        const bus = scene.bus();
        const reports = new Reports(scene, bus);
        const burst = bus.subscribe(type, scene.on.urgentAtTen);
        bus.subscribe(urgent, scene.on.note);
        await bus.start();
        burst.pause();
        scene.fill(
          bus,
          range(50).map((n) => (type === 'TICK' ? scene.tick(n) : scene.event(type, n))),
        );
        burst.resume();
        await scene.settle(bus);
        assert.deepEqual(
          runs(reports),
          range(5).flatMap(() => [
            [type, 10],
            [urgent, 1],
          ]),
        );
      },
      `in the middle of a burst of ${type}`,
    );
  }

  both('Priority is strict: while a more urgent lane has events, a less urgent one has no turn.', async (scene) => {
    const reports = await priorities(scene, false);
    assert.deepEqual(
      runs(reports),
      ['HALT', 'ORDER', 'SIGNAL', 'TICK', 'LOG'].map((type) => [type, 40]),
    );
  });

  both(
    'With a `starvation` bound, a lane that waits has a turn after so many events of more urgent ones.',
    async (scene) => {
      const reports = await priorities(scene, { events: 10 });
      const found = runs(reports);
      const ofHalts = found.filter(([type]) => type === 'HALT');
      assert.ok(ofHalts.length >= 4, 'nothing has had a turn');
      for (const [, length] of ofHalts) assert.ok(length <= 10, `${length} in a row`);
      for (const type of ['HALT', 'ORDER', 'SIGNAL', 'TICK', 'LOG']) {
        assert.deepEqual(
          reports
            .of('seen')
            .filter(({ data }) => (data as Seen).type === type)
            .map(({ n }) => n),
          range(40),
        );
      }
    },
  );

  both(
    'The priority of a type decides its lane: control below 10, execution from 10, signal from 20, market from 30, log from 90.',
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe(['TICK', 'HALT', 'GATE', 'ORDER', 'SIGNAL', 'LOG'], scene.on.record);
      await bus.start();
      await bus.publish(scene.tick(1));
      for (const type of ['HALT', 'GATE', 'ORDER', 'SIGNAL', 'LOG'] as const) await bus.publish(scene.event(type, 1));
      await scene.settle(bus);
      const lanes = Object.fromEntries(reports.data<Seen>('seen').map(({ type, lane }) => [type, lane]));
      assert.deepEqual(lanes, {
        HALT: 'control',
        GATE: 'control',
        ORDER: 'execution',
        SIGNAL: 'signal',
        TICK: 'market',
        LOG: 'log',
      });
    },
  );

  once('Lanes, their bounds and their capacities are configurable.', async (scene) => {
    const lanes = { control: false, execution: false, fast: { maxPriority: 10, capacityBytes: 2048 } } as const;
    const bus = scene.bus({ lanes });
    const found: string[] = [];
    bus.subscribe(['HALT', 'ORDER', 'SIGNAL'], (_, { lane }) => void found.push(lane));
    await bus.start();
    for (const type of ['HALT', 'ORDER', 'SIGNAL'] as const) await bus.publish(scene.event(type, 1));
    await scene.settle(bus);
    assert.deepEqual(found.sort(), ['fast', 'fast', 'signal']);
    assert.deepEqual(Object.keys(bus.metrics().lanes), ['fast', 'signal', 'market', 'log']);
    assert.equal(bus.metrics().lanes.fast.capacityBytes % 2048, 0);
  });
});
