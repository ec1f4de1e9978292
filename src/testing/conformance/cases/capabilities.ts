/** What happens, and must happen, where a backend lacks a capability: the counter-cases of whatever needs it. */
import assert from 'node:assert/strict';
import type { Counter } from '../case.js';
import { assertLedger, Reports } from '../scene.js';

/** Time of a handler that holds its thread, and its limit, which is far shorter. */
const HELD_MS = 60;
const LIMIT_MS = 10;

interface Times {
  readonly at: number;
  readonly thread: number;
}

/** Without `parallelHandlers`. */
export const onOneThread: Counter = {
  sentence: "Without `parallelHandlers`, worker handlers run on the bus's own thread, one after the other.",
  act: async (scene) => {
    const bus = scene.bus({ threads: 2 });
    const reports = new Reports(scene, bus);
    bus.subscribe('JOB', scene.on.perform);
    bus.subscribe('JOB', scene.on.performToo);
    await bus.start();
    await bus.publish(scene.job(1, `busy ${HELD_MS}`));
    await scene.settle(bus);
    const begun = reports.data<Times>('begun');
    const done = reports.data<Times>('done');
    assert.deepEqual(
      begun.map(({ thread }) => thread),
      [0, 0],
    );
    assert.ok(begun[1].at >= begun[0].at + HELD_MS, 'the second handler began while the first was running');
    assert.equal(done.length, 2);
  },
};

/** Without `endsHungHandlers`. */
export const heldUntilItReturns: Counter = {
  sentence:
    'Without `endsHungHandlers`, a handler that does not give its thread back is not ended: it holds the thread until it returns, its delivery ends as the handler does, and the bus then tells `handlerOverran`.',
  act: async (scene) => {
    const bus = scene.bus();
    const jobs = bus.subscribe('JOB', scene.on.perform, { name: scene.name('held'), timeoutMs: LIMIT_MS, graceMs: 0 });
    const told: string[] = [];
    bus.on('handlerOverran', ({ subscription, durationMs }) => {
      assert.ok(durationMs >= HELD_MS - 1, `overran by ${durationMs} ms`);
      told.push(subscription.name);
    });
    await bus.start();
    await bus.publish(scene.job(1, `busy ${HELD_MS}`));
    await bus.publish(scene.job(2));
    await scene.settle(bus);
    assertLedger(jobs, { owed: 2, processed: 2, timedOut: 0, redelivered: 0 });
    assert.deepEqual(told, [scene.name('held')]);
    for (const { restarts } of bus.metrics().threads) assert.deepEqual(restarts, { timeout: 0, crash: 0 });
  },
};

/** Without `survivesCrashes`. */
export const endsTheProcess: Counter = {
  sentence: 'Without `survivesCrashes`, a handler that ends its thread ends the process of the bus.',
  act: async (scene) => {
    const bus = scene.bus();
    bus.subscribe('JOB', scene.on.perform);
    await bus.start();
    await withoutExit(async () => {
      await bus.publish(scene.job(1, 'exit 7'));
      await scene.settle(bus);
    });
    const [letter] = bus.deadLetters.list();
    assert.match(letter.error?.message ?? '', /^process\.exit\(7\) of this process$/);
  },
};

const exit = process.exit.bind(process);
let watching = 0;

/** While it lasts, `process.exit` throws instead, so that whoever calls it in this process fails, and is seen. */
async function withoutExit(act: () => Promise<void>): Promise<void> {
  watching++;
  process.exit = (code) => {
    throw new Error(`process.exit(${code}) of this process`);
  };
  try {
    await act();
  } finally {
    if (--watching === 0) process.exit = exit;
  }
}
