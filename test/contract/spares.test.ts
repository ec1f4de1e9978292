// The warm spare: a take-over that waits for no thread, and what becomes of the spare itself.
import type { Worker } from 'node:worker_threads';
import type { EventBus } from 'lanebus';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { C, Tick } from '../support/handlers/catalog.js';
import type * as crash from '../support/handlers/crash.js';
import type * as hang from '../support/handlers/hang.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';
import { until } from './kills.js';

const { quiet } = handlersOf<typeof record>('record');
const { onJob } = handlersOf<typeof crash>('crash');
const { loopOnTick } = handlersOf<typeof hang>('hang');
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: 1 });

const started: Worker[] = [];
const onWorker = (worker: Worker): void => void started.push(worker);
beforeAll(() => {
  process.on('worker', onWorker);
});
afterAll(() => {
  process.off('worker', onWorker);
});
beforeEach(() => {
  started.length = 0;
});

/** The thread that waits, as nobody runs on it. */
function spareOf(bus: EventBus<C>): Worker {
  const running = new Set(bus.metrics().threads.map(({ threadId }) => threadId));
  const spare = started.find(({ threadId }) => threadId > 0 && !running.has(threadId));
  if (spare === undefined) throw new Error('there is no spare');
  return spare;
}

async function kill(worker: Worker): Promise<void> {
  await worker.terminate();
}

function runningOn(bus: EventBus<C>, thread: number): Worker {
  const { threadId } = bus.metrics().threads[thread];
  const worker = started.find((one) => one.threadId === threadId);
  if (worker === undefined) throw new Error(`nothing runs on thread ${thread}`);
  return worker;
}

const spareIsReady = (bus: EventBus<C>, count = 1): Promise<void> =>
  until(() => bus.metrics().spares === count, `${count} spares`);

describe('a spare', () => {
  it('takes over, and another one is warmed in its place', async () => {
    const bus = newBus();
    const ticks = bus.subscribe('TICK', quiet);
    await bus.start();
    await spareIsReady(bus);
    const spare = spareOf(bus);
    for (const round of range(3)) {
      for (const n of range(100)) await bus.publish(tick(n));
      await kill(runningOn(bus, 1));
      if (round === 0) {
        await until(() => bus.metrics().threads[1].incarnation === 1, 'a death');
        await until(() => bus.metrics().threads[1].state === 'running', 'a successor');
        expect(bus.metrics().threads[1].threadId).toBe(spare.threadId);
      }
      await spareIsReady(bus);
    }
    await bus.drain();
    expect(ticks.metrics()).toMatchObject({ owed: 300, processed: 300, exact: true });
  });

  it('is as many as the option says; 0 is none, and a take-over starts a thread', async () => {
    const many = newBus({ spares: 3 });
    many.subscribe('TICK', quiet);
    await many.start();
    await spareIsReady(many, 3);
    await many.stop();
    started.length = 0;

    const none = newBus({ spares: 0 });
    const ticks = none.subscribe('TICK', quiet);
    await none.start();
    expect(started).toHaveLength(1);
    await kill(runningOn(none, 1));
    await until(() => none.metrics().threads[1].state === 'running', 'a successor');
    await none.publish(tick(1));
    await none.drain();
    expect(none.metrics().spares).toBe(0);
    expect(started).toHaveLength(2);
    expect(ticks.metrics()).toMatchObject({ processed: 1, exact: true });
  });

  it('that is killed itself is replaced, and nothing else notices', async () => {
    const bus = newBus();
    const ticks = bus.subscribe('TICK', quiet);
    await bus.start();
    for (const death of range(3)) {
      await spareIsReady(bus);
      await kill(spareOf(bus));
      await bus.publish(tick(death));
      await until(() => bus.metrics().spares === 0, 'no spare');
    }
    await spareIsReady(bus);
    await bus.drain();
    expect(ticks.metrics()).toMatchObject({ owed: 3, processed: 3, redelivered: 0, exact: true });
    expect(bus.metrics().threads[1]).toMatchObject({ incarnation: 0, restarts: { crash: 0, timeout: 0 } });
  });

  it('is not needed twice at once: two kills in a row, of two threads and of one and its successor', async () => {
    const bus = newBus({ threads: 2 });
    const ticks = bus.subscribe('TICK', quiet, { threads: 2 });
    await bus.start();
    await spareIsReady(bus);
    await Promise.all([kill(runningOn(bus, 1)), kill(runningOn(bus, 2))]);
    for (const n of range(50)) await bus.publish(tick(n));
    await bus.drain();
    await until(() => bus.metrics().threads[1].threadId !== undefined, 'a successor');
    await kill(runningOn(bus, 1));
    await until(() => bus.metrics().threads[1].threadId !== undefined, 'another successor');
    await kill(runningOn(bus, 1));
    for (const n of range(50)) await bus.publish(tick(n));
    await bus.drain();
    expect(ticks.metrics()).toMatchObject({ owed: 100, processed: 100, exact: true });
    await spareIsReady(bus);
  });

  it('has what was subscribed while it waited', async () => {
    const bus = newBus();
    await bus.start();
    await spareIsReady(bus);
    const ticks = bus.subscribe('TICK', quiet);
    await ticks.ready;
    await kill(runningOn(bus, 1));
    await bus.publish(tick(1));
    await bus.drain();
    expect(ticks.metrics()).toMatchObject({ owed: 1, processed: 1 });
  });

  it('is gone after stop, warm or being warmed', async () => {
    for (const wait of [true, false]) {
      const bus = newBus({ spares: 2 });
      bus.subscribe('TICK', quiet);
      await bus.start();
      if (wait) await spareIsReady(bus, 2);
      await bus.stop();
      await until(() => started.every(({ threadId }) => threadId < 0), 'no thread left');
    }
  });
});

describe('a dead letter', () => {
  it('keeps the whole poison event, and tells who died on it how often', async () => {
    const bus = newBus({ maxCrashes: 2 });
    const jobs = bus.subscribe('JOB', onJob, { name: 'jobs' });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: '' });
    await bus.publish({ type: 'JOB', n: 2, act: 'exit' });
    await bus.drain();
    const letters = bus.deadLetters.list();
    expect(letters).toMatchObject([
      {
        id: 1,
        reason: 'poison',
        event: { type: 'JOB', n: 2, act: 'exit' },
        subscription: { id: jobs.id, name: 'jobs' },
        lane: 'market',
        publisher: 0,
        sequence: 1,
        attempts: 2,
        crashes: 2,
      },
    ]);
    expect(letters[0].publishedAt).toBeLessThanOrEqual(letters[0].setAsideAt);
    expect(bus.deadLetters.count()).toBe(1);
    expect(await bus.deadLetters.purge()).toBe(1);
    expect(bus.deadLetters.list()).toEqual([]);
    expectExact(bus.metrics());
  });

  it('keeps one that timed out, also where events are conflated', async () => {
    const bus = newBus({ timeoutMs: 50, graceMs: 0 });
    const notes = new Notes(bus);
    bus.subscribe('TICK', loopOnTick, { lag: 'conflate' });
    await bus.start();
    await bus.publish({ type: 'TICK', n: 7, symbol: 'LOOP', price: 1.5 });
    await notes.until('begun');
    await bus.drain();
    expect(bus.deadLetters.list()).toMatchObject([
      { reason: 'timedOut', event: { type: 'TICK', n: 7, symbol: 'LOOP', price: 1.5 }, attempts: 1, crashes: 0 },
    ]);
  });

  it('makes room for newer ones, and counts those that went', async () => {
    const bus = newBus({ maxCrashes: 1, maxDeadLetters: 2 });
    bus.subscribe('JOB', onJob);
    await bus.start();
    for (const n of range(4)) await bus.publish({ type: 'JOB', n, act: 'exit' });
    await bus.drain();
    expect(bus.deadLetters.list().map(({ id, event }) => [id, event.n])).toEqual([
      [3, 2],
      [4, 3],
    ]);
    expect(bus.deadLetters.evicted).toBe(2);
  });
});
