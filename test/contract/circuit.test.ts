// A subscription that keeps failing: its circuit opens, probes, closes; or the subscription ends.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BusNotices, EventBus, SubscribeOptions } from 'lanebus';
import { describe, expect, it } from 'vitest';
import { type C, epochNow, type Job } from '../support/handlers/catalog.js';
import type * as retried from '../support/handlers/retried.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';

const { onJob } = handlersOf<typeof retried>('retried');

interface Watched {
  readonly opened: BusNotices['circuitOpened'][];
  readonly closed: BusNotices['circuitClosed'][];
  readonly disabled: BusNotices['subscriptionDisabled'][];
}

function watch(bus: EventBus<C>): Watched {
  const watched: Watched = { opened: [], closed: [], disabled: [] };
  bus.on('circuitOpened', (notice) => watched.opened.push(notice));
  bus.on('circuitClosed', (notice) => watched.closed.push(notice));
  bus.on('subscriptionDisabled', (notice) => watched.disabled.push(notice));
  return watched;
}

async function publish(bus: EventBus<C>, acts: readonly string[], from = 0): Promise<void> {
  for (const [n, act] of acts.entries()) await bus.publish({ type: 'JOB', n: n + from, act });
}

const fails = (count: number): string[] => range(count).map(() => 'fail');

describe('with onMaxFailures: pause', () => {
  it('a circuit opens after exactly maxFailures, and nothing is delivered until the probe', async () => {
    const bus = newBus({ graceMs: 0 });
    const { opened, closed } = watch(bus);
    let at = 0;
    bus.on('circuitOpened', () => (at = epochNow()));
    const notes = new Notes(bus);
    const coolDownMs = 300;
    const jobs = bus.subscribe('JOB', onJob, { maxFailures: 3, onMaxFailures: 'pause', coolDownMs });
    await bus.start();
    await publish(bus, ['fail', 'fail', 'ok', ...fails(3), 'ok', 'ok']);
    await expect.poll(() => opened.length).toBe(1);
    const subscription = { id: jobs.id, name: jobs.name };
    expect(opened).toEqual([{ subscription, failures: 3, coolDownMs }]);
    expect(jobs.metrics()).toMatchObject({ circuit: 'open', state: 'active', consecutiveFailures: 3 });
    expect(jobs.metrics()).toMatchObject({ owed: 8, processed: 1, failed: 5, pending: 2 });
    const probe = (await notes.until('try', 7))[6];
    expect(probe.at - at).toBeGreaterThan(coolDownMs - 5);
    expect(probe.at - at).toBeLessThan(coolDownMs + 100);
    await bus.drain();
    await expect.poll(() => closed).toEqual([{ subscription }]);
    expect(notes.of('try').map(({ n }) => n)).toEqual(range(8));
    expect(jobs.metrics()).toMatchObject({ circuit: 'closed', consecutiveFailures: 0, processed: 3, failed: 5 });
    expectExact(bus.metrics());
  });

  it('a probe that fails opens it again, each time for longer, up to maxCoolDownMs; one delivery is let through each time', async () => {
    const bus = newBus({ graceMs: 0 });
    const { opened, closed } = watch(bus);
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob, {
      ...{ maxFailures: 2, onMaxFailures: 'pause', coolDownMs: 20, maxCoolDownMs: 100 },
    });
    await bus.start();
    await publish(bus, [...fails(6), 'ok']);
    await bus.drain();
    await expect.poll(() => closed.length).toBe(1);
    expect(opened.map(({ failures, coolDownMs }) => [failures, coolDownMs])).toEqual([
      [2, 20],
      [3, 40],
      [4, 80],
      [5, 100],
      [6, 100],
    ]);
    expect(notes.of('try').map(({ n }) => n)).toEqual(range(7));
    expect(jobs.metrics()).toMatchObject({ owed: 7, processed: 1, failed: 6, circuit: 'closed' });
    // It starts from the beginning once it has been closed.
    await publish(bus, fails(2), 7);
    await expect.poll(() => opened.length).toBe(6);
    expect(opened[5]).toMatchObject({ failures: 2, coolDownMs: 20 });
    bus.resume(jobs);
    await bus.drain();
    expectExact(bus.metrics());
  });

  it.each<[string, SubscribeOptions<C, 'JOB'>]>([
    ['one thread', {}],
    ['two threads', { threads: 2, order: 'none' }],
    ['several deliveries in flight', { concurrency: 4, order: 'none' }],
    ['a filter', { filter: { n: { min: 0 } } }],
  ])('one delivery probes, whoever shares the subscription, with %s', async (_, options) => {
    const bus = newBus({ threads: 2, graceMs: 0 });
    const { opened } = watch(bus);
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob, {
      ...{ maxFailures: 1, onMaxFailures: 'pause', coolDownMs: 40, maxCoolDownMs: 40 },
      ...options,
    });
    await bus.start();
    await publish(bus, fails(9));
    await expect.poll(() => opened.length, { timeout: 3_000 }).toBeGreaterThan(1);
    await publish(bus, fails(20), 9);
    // Each opening but the first is a probe that has failed: there are as many tries in between.
    const between: [number, number][] = [];
    bus.on('circuitOpened', () => between.push([opened.length, notes.of('try').length]));
    await expect.poll(() => between.length, { timeout: 3_000 }).toBeGreaterThanOrEqual(5);
    const [first, last] = [between[0], between[4]];
    // The note of a try may come after the notice that its failure has brought about.
    expect(Math.abs(last[1] - first[1] - (last[0] - first[0]))).toBeLessThanOrEqual(1);
    jobs.unsubscribe();
    await jobs.ended;
    expectExact(bus.metrics());
  });

  it('it is opened by deliveries that cost their threads too, and a prober that dies leaves no hole', async () => {
    const bus = newBus({ graceMs: 0, timeoutMs: 100, maxCrashes: 2 });
    const { opened, closed } = watch(bus);
    const jobs = bus.subscribe('JOB', onJob, {
      ...{ maxFailures: 2, onMaxFailures: 'pause', coolDownMs: 30, maxCoolDownMs: 30 },
    });
    await bus.start();
    // Failures: the first two. Probes: one that hangs, one that dies once and then works.
    await publish(bus, ['fail', 'hang', 'hang', 'exit,ok', 'ok']);
    await bus.drain();
    await expect.poll(() => closed.length).toBe(1);
    expect(opened.map(({ failures }) => failures)).toEqual([2, 3]);
    expect(jobs.metrics()).toMatchObject({ owed: 5, processed: 2, failed: 1, timedOut: 2, circuit: 'closed' });
    expectExact(bus.metrics());
  });

  it('its retries wait as well, and count', async () => {
    const bus = newBus({ graceMs: 0 });
    const { opened } = watch(bus);
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob, {
      retry: { attempts: 5, backoffMs: 1 },
      ...{ maxFailures: 2, onMaxFailures: 'pause', coolDownMs: 60, maxCoolDownMs: 60 },
    });
    await bus.start();
    await publish(bus, ['fail,fail,fail,ok']);
    await bus.drain();
    expect(opened.map(({ failures }) => failures)).toEqual([2, 3]);
    const [, second, third, fourth] = notes.of('try').map(({ at }) => at);
    expect(third - second).toBeGreaterThan(50);
    expect(fourth - third).toBeGreaterThan(50);
    expect(jobs.metrics()).toMatchObject({ owed: 1, processed: 1, failed: 0 });
    expectExact(bus.metrics());
  });

  it('bus.resume closes it by hand, and nothing else does', async () => {
    const bus = newBus();
    const { opened, closed } = watch(bus);
    const jobs = bus.subscribe('JOB', onJob, { maxFailures: 1, onMaxFailures: 'pause', coolDownMs: 60_000 });
    await bus.start();
    await publish(bus, ['fail', 'ok', 'ok']);
    await expect.poll(() => opened.length).toBe(1);
    expect((await bus.drain({ timeoutMs: 50 })).drained).toBe(false);
    bus.resume(jobs);
    await bus.drain();
    await expect.poll(() => closed.length).toBe(1);
    expect(jobs.metrics()).toMatchObject({ processed: 2, failed: 1, circuit: 'closed' });
    expect(() => {
      bus.resume({ id: 1 } as never);
    }).toThrow('resume: got a object; expected a subscription of this bus that has not ended');
    expectExact(bus.metrics());
  });

  it('it works for function handlers, and for one on the bus’s own thread that never settles', async () => {
    const bus = newBus({ timeoutMs: 40, graceMs: 0 });
    const { opened } = watch(bus);
    const seen: number[] = [];
    const handler = ({ n, act }: Job): void | Promise<void> => {
      seen.push(n);
      if (act === 'fail') throw new Error('no');
      return act === 'never' ? new Promise(() => undefined) : undefined;
    };
    const jobs = bus.subscribe('JOB', handler, { maxFailures: 2, onMaxFailures: 'pause', coolDownMs: 20 });
    await bus.start();
    await publish(bus, ['never', 'fail', 'ok']);
    await bus.drain();
    expect(opened).toMatchObject([{ failures: 2 }]);
    expect(bus.deadLetters.list().map(({ reason, event, thread }) => [reason, event.n, thread])).toEqual([
      ['timedOut', 0, 0],
      ['failed', 1, 0],
    ]);
    expect(jobs.metrics()).toMatchObject({ processed: 1, failed: 1, timedOut: 1 });
    expectExact(bus.metrics());
  });
});

describe('with onMaxFailures: unsubscribe', () => {
  it('the subscription ends, once, with a fatal line and a notice; what is left is discarded, and the others go on', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lanebus-circuit-'));
    try {
      const destination = join(folder, 'bus.log');
      const bus = newBus({ maxFailures: 3, logger: { level: 'fatal', destination } });
      const { opened, disabled } = watch(bus);
      const notes = new Notes(bus);
      let others = 0;
      bus.subscribe(
        'JOB',
        () => {
          others++;
        },
        { name: 'others' },
      );
      const jobs = bus.subscribe('JOB', onJob, { name: 'jobs' });
      await bus.start();
      await publish(bus, ['ok', ...fails(10)]);
      await jobs.ended;
      await bus.drain();
      expect(disabled).toEqual([{ subscription: { id: jobs.id, name: 'jobs' }, failures: 3 }]);
      expect(opened).toEqual([]);
      expect(notes.of('try').map(({ n }) => n)).toEqual([0, 1, 2, 3]);
      expect(jobs.metrics()).toMatchObject({ owed: 11, processed: 1, failed: 3, discarded: 7, state: 'ended' });
      expect(others).toBe(11);
      expectExact(bus.metrics());
      await bus.stop();
      const lines = readFileSync(destination, 'utf8').trim().split('\n');
      expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
        { level: 60, subscription: 'jobs', failures: 3, msg: expect.stringContaining('maxFailures') as string },
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('it ends though its threads are killed meanwhile', async () => {
    const bus = newBus({ threads: 2, maxFailures: 4, graceMs: 0, timeoutMs: 80, maxCrashes: 1 });
    const { disabled } = watch(bus);
    const jobs = bus.subscribe('JOB', onJob, { threads: 2, order: 'none' });
    await bus.start();
    await publish(bus, ['hang', 'exit', 'fail', 'hang', ...fails(10)]);
    await jobs.ended;
    await bus.drain();
    expect(disabled).toHaveLength(1);
    const { owed, failed, timedOut, discarded } = jobs.metrics();
    expect(owed).toBe(14);
    expect(failed + timedOut).toBeGreaterThanOrEqual(4);
    expect(failed + timedOut + discarded).toBe(14);
    expectExact(bus.metrics());
  });
});
