// Handlers that take their thread with them.
import { describe, expect, it } from 'vitest';
import type * as crash from '../support/handlers/crash.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';

const { onJob, onJobSync, sleepOnJob } = handlersOf<typeof crash>('crash');
const { quiet } = handlersOf<typeof record>('record');

describe('a handler that ends its thread', () => {
  it.each(['exit', 'timer', 'rejection', 'memory'])(
    'by %s is tried again maxCrashes times in all, then its delivery has failed and the next ones go on',
    async (way) => {
      const bus = newBus({
        maxCrashes: 2,
        resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 },
      });
      const notes = new Notes(bus);
      const jobs = bus.subscribe('JOB', onJob);
      await bus.start();
      await bus.publish({ type: 'JOB', n: 1, act: '' });
      await bus.publish({ type: 'JOB', n: 2, act: way });
      await bus.publish({ type: 'JOB', n: 3, act: '' });
      expect(await bus.drain()).toMatchObject({ drained: true });
      expect(notes.of('begun').map(({ n, data }) => [n, data])).toEqual([
        [1, 1],
        [2, 1],
        [2, 2],
        [3, 1],
      ]);
      expect(jobs.metrics()).toMatchObject({ owed: 3, processed: 2, failed: 1, timedOut: 0 });
      await expect.poll(() => bus.metrics().threads[1].state).toBe('running');
      expect(bus.metrics().threads[1]).toMatchObject({
        incarnation: 2,
        restarts: { timeout: 0, crash: 2 },
      });
      expectExact(bus.metrics());
    },
  );

  it('and succeeds the second time is processed, with attempt 2', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'exit once' });
    await bus.drain();
    expect(notes.of('done').map(({ data }) => data)).toEqual([2]);
    expect(jobs.metrics()).toMatchObject({ owed: 1, processed: 1, failed: 0, redelivered: 1, exact: true });
  });

  it('at once, on every event, ends each of them failed', async () => {
    const bus = newBus({ maxCrashes: 1 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJobSync);
    await bus.start();
    for (const n of range(8)) await bus.publish({ type: 'JOB', n, act: 'exit' });
    await bus.publish({ type: 'JOB', n: 8, act: '' });
    expect(await bus.drain({ timeoutMs: 20_000 })).toMatchObject({ drained: true });
    expect(notes.of('begun').map(({ n }) => n)).toEqual(range(9));
    expect(jobs.metrics()).toMatchObject({ owed: 9, processed: 1, failed: 8, exact: true });
    expect(bus.metrics().threads[1].restarts).toEqual({ timeout: 0, crash: 8 });
  });

  it('leaves subscriptions on other threads untouched', async () => {
    const bus = newBus({ threads: 2, maxCrashes: 1 });
    bus.subscribe('JOB', onJobSync);
    const other = bus.subscribe('TICK', quiet);
    await bus.start();
    for (const n of range(3)) {
      await bus.publish({ type: 'JOB', n, act: 'exit' });
      for (const tick of range(1000)) await bus.publish({ type: 'TICK', n: tick, symbol: 'A', price: 1 });
    }
    await bus.drain();
    expect(other.metrics()).toMatchObject({ owed: 3000, processed: 3000, redelivered: 0 });
    expect(bus.metrics().threads[other.metrics().threads[0]].restarts).toEqual({ timeout: 0, crash: 0 });
    expectExact(bus.metrics());
  });

  it('makes every delivery in flight on it a suspect: the innocent one is redelivered and ends processed', async () => {
    const bus = newBus({ maxCrashes: 3 });
    const notes = new Notes(bus);
    const crashing = bus.subscribe('JOB', onJob);
    const sleeping = bus.subscribe('JOB', sleepOnJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 50, act: 'timer once' });
    await bus.drain();
    expect(crashing.metrics()).toMatchObject({ processed: 1, redelivered: 1, exact: true });
    expect(sleeping.metrics()).toMatchObject({ processed: 1, redelivered: 1, exact: true });
    expect(notes.of('slept').map(({ data }) => data)).toEqual([2]);
  });
});
