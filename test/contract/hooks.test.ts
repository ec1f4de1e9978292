// setup and teardown of handler modules.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BusOptions, EventBus } from 'lanebus';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { C } from '../support/handlers/catalog.js';
import type * as hooks from '../support/handlers/hooks.js';
import { expectExact, handlersOf, newBus, Notes } from './buses.js';

const { onJob } = handlersOf<typeof hooks>('hooks');
const folder = mkdtempSync(join(tmpdir(), 'lanebus-hooks-'));
const file = join(folder, 'told');

beforeEach(() => {
  writeFileSync(file, '');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What hooks have told, in order. */
function told(what: string): unknown[] {
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  const all = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as [what: string, value: unknown]);
  return all.flatMap((one) => (one[0] === what ? [one[1]] : []));
}

function busWith(env: Record<string, string> = {}, options: BusOptions = {}): EventBus<C> {
  return newBus({ env: { TOLD: file, ...env }, ...options });
}

describe('setup of a handler module', () => {
  it('is awaited before the first delivery, and told of its subscription', async () => {
    const bus = busWith();
    const notes = new Notes(bus);
    const { id } = bus.subscribe('JOB', onJob, { name: 'jobs' });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: '' });
    await bus.drain();
    expect(notes.all.map(({ what }) => what)).toEqual(['ready']);
    const subscription = { id, name: 'jobs', types: ['JOB'] };
    expect(told('setup')).toEqual([{ incarnation: 0, stateLost: false, subscription, thread: 1 }]);
  });

  it('is awaited before a subscription made while the bus runs is ready', async () => {
    const bus = busWith();
    const notes = new Notes(bus);
    await bus.start();
    const jobs = bus.subscribe('JOB', onJob);
    const published = bus.publish({ type: 'JOB', n: 1, act: '' });
    await jobs.ready;
    expect(told('setup')).toHaveLength(1);
    await published;
    await bus.publish({ type: 'JOB', n: 2, act: '' });
    await bus.drain();
    expect(notes.of('not ready')).toEqual([]);
    expect(notes.of('ready').at(-1)).toMatchObject({ n: 2 });
  });

  it('is called on each thread of the subscription', async () => {
    const bus = busWith({}, { threads: 2 });
    bus.subscribe('JOB', onJob, { threads: 2, order: 'none' });
    await bus.start();
    expect(new Set(told('setup').map((info) => (info as { thread: number }).thread))).toEqual(new Set([1, 2]));
  });

  it.each([
    ['crash', 'exit'],
    ['timeout', 'hang'],
  ])(
    'tells a successor how often the subscription was taken over, and that the last life ended by a %s',
    async (reason, act) => {
      const bus = busWith({}, { timeoutMs: 50, graceMs: 20 });
      const notes = new Notes(bus);
      bus.subscribe('JOB', onJob);
      await bus.start();
      for (const n of [1, 2]) await bus.publish({ type: 'JOB', n, act });
      await bus.publish({ type: 'JOB', n: 3, act: '' });
      await bus.drain();
      expect(told('setup')).toMatchObject([
        { incarnation: 0 },
        { incarnation: 1, lastEnd: reason },
        { incarnation: 2, lastEnd: reason },
      ]);
      expect(notes.of('not ready')).toEqual([]);
      expectExact(bus.metrics());
    },
  );

  it('that throws fails the start, with an error that names module and subscription', async () => {
    const bus = busWith({ SETUP: 'fail' });
    bus.subscribe('JOB', onJob, { name: 'jobs' });
    await expect(bus.start()).rejects.toMatchObject({
      code: 'ERR_LANEBUS_SETUP_FAILED',
      message: expect.stringMatching(
        /^handler module file:.*hooks\.js: setup\(\) for subscription "jobs" failed: RangeError: no$/,
      ) as string,
    });
    expect(bus.metrics().state).toBe('stopped');
  });

  it('that throws fails the subscription, when the bus runs already, and leaves others alone', async () => {
    const bus = busWith({ SETUP: 'fail' });
    await bus.start();
    const jobs = bus.subscribe('JOB', onJob);
    await expect(jobs.ready).rejects.toMatchObject({ code: 'ERR_LANEBUS_SETUP_FAILED' });
    await bus.publish({ type: 'JOB', n: 1, act: '' });
    expect(await bus.drain()).toMatchObject({ drained: true });
    expect(bus.metrics().threads[1].state).toBe('running');
  });

  it('that does not end in time fails the start', async () => {
    const bus = busWith({ SETUP: 'hang' }, { startTimeoutMs: 2_000 });
    bus.subscribe('JOB', onJob);
    await expect(bus.start()).rejects.toMatchObject({ message: expect.stringMatching(/startTimeoutMs/) as string });
  });

  it('that does not end in time fails the subscription, when the bus runs already', async () => {
    const bus = busWith({ SETUP: 'hang' }, { startTimeoutMs: 2_000 });
    await bus.start();
    await expect(bus.subscribe('JOB', onJob).ready).rejects.toMatchObject({
      code: 'ERR_LANEBUS_SETUP_FAILED',
      message: expect.stringMatching(/has not ended within startTimeoutMs \(2000 ms\)$/) as string,
    });
  });

  it('that fails on a successor makes a start that failed: it is tried again', async () => {
    const bus = busWith({ SETUP: 'fail later' });
    bus.subscribe('JOB', onJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'exit' });
    await expect.poll(() => told('setup').length, { timeout: 10_000 }).toBeGreaterThanOrEqual(3);
    expect(bus.metrics().threads[1].state).toBe('starting');
  });

  it('that is no function fails the start', async () => {
    const bus = newBus();
    bus.subscribe('JOB', handlersOf<{ onJob: () => void }>('broken/setup-number').onJob);
    await expect(bus.start()).rejects.toMatchObject({
      code: 'ERR_LANEBUS_EXPORT_NOT_FOUND',
      message: expect.stringContaining('export "setup" is a number, not a function') as string,
    });
  });
});

describe('teardown of a handler module', () => {
  it('is awaited before an unsubscribed subscription has ended', async () => {
    const bus = busWith();
    const jobs = bus.subscribe('JOB', onJob, { name: 'jobs' });
    await bus.start();
    jobs.unsubscribe();
    await jobs.ended;
    expect(told('teardown')).toEqual(['jobs']);
    await bus.stop();
    expect(told('teardown')).toEqual(['jobs']);
  });

  it('is awaited by stop', async () => {
    const bus = busWith();
    bus.subscribe('JOB', onJob, { name: 'jobs' });
    await bus.start();
    await bus.stop();
    expect(told('teardown')).toEqual(['jobs']);
  });

  it('is not called where a thread is killed, but is for its successor', async () => {
    const bus = busWith();
    bus.subscribe('JOB', onJob, { name: 'jobs' });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'exit' });
    await bus.drain();
    expect(told('teardown')).toEqual([]);
    await bus.stop();
    expect(told('teardown')).toEqual(['jobs']);
  });

  it('that throws breaks neither unsubscribe nor stop', async () => {
    const bus = busWith({ TEARDOWN: 'fail' });
    const jobs = bus.subscribe('JOB', onJob, { name: 'jobs' });
    const later = bus.subscribe('TICK', handlersOf<{ quiet: () => void }>('record').quiet);
    await bus.start();
    jobs.unsubscribe();
    await jobs.ended;
    expect(later.metrics().state).toBe('active');
    expect(await bus.stop()).toMatchObject({ drained: true });
  });

  it('that does not end keeps neither unsubscribe nor stop for longer than graceMs', async () => {
    const bus = busWith({ TEARDOWN: 'hang' });
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    jobs.unsubscribe();
    await jobs.ended;
    const again = bus.subscribe('JOB', onJob);
    await again.ready;
    expect(await bus.stop()).toMatchObject({ drained: true });
    expect(told('teardown')).toEqual([]);
  });
});
