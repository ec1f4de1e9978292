// The inline backend: the same bus without a pool. That it keeps the contract is conformance.test.ts; this is what is its own.
import { type Backend, backends, createBus, ErrorCode, type EventBus } from 'lanebus';
import { describe, expect, it } from 'vitest';
import { catalog } from '../support/handlers/catalog.js';
import type * as acts from '../support/handlers/acts.js';
import type * as late from '../support/handlers/late.js';
import { handlersOf, moduleUrl, newBus, Notes } from './buses.js';

const { onJob } = handlersOf<typeof acts>('acts');
const slow = handlersOf<typeof late>('late');
const inline = { backend: 'inline' } as const;

/** A module as this thread has it: the very instance that the inline backend runs. */
async function here<M = typeof acts>(name = 'acts'): Promise<M> {
  return (await import(moduleUrl(name).href)) as M;
}

describe('worker handlers with the inline backend', () => {
  it('run on the thread that owns the bus, whatever threads are asked for, and their module lives there', async () => {
    const bus = newBus({ ...inline, threads: 4, spares: 2 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob, { threads: 4, order: 'none' });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'tell' });
    await bus.drain();
    expect(notes.of('tell')[0].data).toEqual({ thread: 0, lives: 1 });
    expect(jobs.metrics().threads).toEqual([0]);
    const { threads, spares } = bus.metrics();
    expect(threads.map(({ thread }) => thread)).toEqual([0]);
    expect(spares).toBe(0);
    await bus.stop();
    expect((await here()).livesHere()).toBe(0);
  });

  it('are set up and torn down with a subscription that comes and goes while the bus runs', async () => {
    const bus = newBus(inline);
    const notes = new Notes(bus);
    await bus.start();
    const jobs = bus.subscribe('JOB', onJob);
    await jobs.ready;
    await bus.publish({ type: 'JOB', n: 1, act: 'tell' });
    await notes.until('tell');
    expect((await here()).livesHere()).toBe(1);
    jobs.unsubscribe();
    await jobs.ended;
    expect((await here()).livesHere()).toBe(0);
  });

  it.each([
    ['a module that is not there', moduleUrl('nowhere'), ErrorCode.MODULE_NOT_FOUND],
    ['an export that is not there', moduleUrl('hooks'), ErrorCode.EXPORT_NOT_FOUND],
  ])('fail the start with %s', async (_, url, code) => {
    const bus = newBus(inline);
    const jobs = bus.subscribe('JOB', { ...onJob, module: url.href, exportName: 'onNothing' });
    const ready = expect(jobs.ready).rejects.toMatchObject({ code });
    await expect(bus.start()).rejects.toMatchObject({ code });
    await ready;
  });

  it('have their state kept as elsewhere', async () => {
    const bus = newBus(inline);
    const jobs = bus.subscribe('JOB', onJob, { checkpointEvery: 2 });
    await bus.start();
    for (let n = 1; n <= 4; n++) await bus.publish({ type: 'JOB', n, act: 'tell' });
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ processed: 4, checkpoints: { taken: 2, failed: 0 } });
  });
});

describe('a module that does not come back in time, with the inline backend', () => {
  it('runs nothing when it comes back later, and is torn down', async () => {
    const { told, SETUP_MS } = await here<typeof late>('late');
    told.length = 0;
    const bus = newBus({ ...inline, startTimeoutMs: SETUP_MS / 10, graceMs: 1 });
    const ticks = bus.subscribe('JOB', () => undefined);
    await bus.start();
    const jobs = bus.subscribe('JOB', slow.onJob);
    await expect(jobs.ready).rejects.toMatchObject({ code: ErrorCode.SETUP_FAILED });
    for (let n = 0; n < 100; n++) await bus.publish({ type: 'JOB', n, act: '' });
    await expect.poll(() => told).toEqual(['begins', 'set up']);
    await bus.drain();
    expect(ticks.metrics()).toMatchObject({ processed: 100, exact: true });
    expect(jobs.metrics()).toMatchObject({ owed: 0, processed: 0, exact: true });
  });

  it('is given up with the start, or by a stop: nobody is left set up', async () => {
    const { told } = await here<typeof late>('late');
    told.length = 0;
    const bus = newBus({ ...inline, graceMs: 0 });
    const jobs = bus.subscribe('JOB', slow.onJob);
    jobs.ready.catch(() => undefined);
    const started = expect(bus.start()).rejects.toMatchObject({ code: ErrorCode.STOPPED });
    await expect.poll(() => told).toEqual(['begins']);
    await bus.stop();
    await started;
    await expect.poll(() => told).toEqual(['begins', 'set up', 'tears down']);
  });

  it('keeps neither its subscription nor the bus from ending, whatever grace it has', async () => {
    const bus = newBus({ ...inline, graceMs: 0 });
    const [one, other] = [bus.subscribe('JOB', slow.onJob), bus.subscribe('HALT', slow.onJob as never)];
    await bus.start();
    one.unsubscribe();
    await one.ended;
    await bus.stop();
    await other.ended;
    expect(bus.metrics().state).toBe('stopped');
  });
});

describe('time with the inline backend', () => {
  it('ends a delivery that waits for a promise too long, while others go on', async () => {
    const bus = newBus({ ...inline, timeoutMs: 30, graceMs: 10 });
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'wait for ever' });
    await bus.publish({ type: 'JOB', n: 2, act: 'tell' });
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ timedOut: 1, processed: 1, exact: true });
    expect(bus.deadLetters.list()).toMatchObject([{ reason: 'timedOut', event: { n: 1 } }]);
  });

  it.each(['inline', 'parallel'] as const)('tells of a handler that held the calling thread (%s)', async (backend) => {
    const bus = newBus({ backend, timeoutMs: 50 });
    const told = new Promise((resolve) => bus.on('handlerOverran', resolve));
    const hold = ({ n }: { n: number }): void => {
      const end = performance.now() + n;
      while (performance.now() < end);
    };
    const jobs = bus.subscribe('JOB', backend === 'inline' ? onJob : hold, { name: 'holding' });
    await bus.start();
    for (let n = 0; n < 100; n++) await bus.publish({ type: 'JOB', n: 0, act: 'hold' });
    await bus.publish({ type: 'JOB', n: 120, act: 'hold' });
    const notice = (await told) as { durationMs: number };
    expect(notice).toMatchObject({ subscription: { id: jobs.id, name: 'holding' }, timeoutMs: 50 });
    expect(notice.durationMs).toBeGreaterThanOrEqual(119);
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ processed: 101, timedOut: 0, exact: true });
  });
});

describe('the backend of createBus', () => {
  it('may be one of your own, which gets the other options', () => {
    const seen: unknown[] = [];
    const backend: Backend = {
      name: 'mine',
      capabilities: { ...backends.inline.capabilities },
      createBus(given, options) {
        seen.push(given, options);
        return backends.inline.createBus(given, options);
      },
    };
    const bus: EventBus<typeof catalog> = createBus(catalog, { backend, threads: 3, logger: false });
    expect(bus.metrics().state).toBe('created');
    expect(seen).toEqual([catalog, { threads: 3, logger: false }]);
  });

  it('is refused, with all other problems, when it is none', () => {
    expect(() => createBus(catalog, { backend: 'serial' as never, threads: 0 })).toThrow(
      "2 problems in the options of createBus\nbackend: got 'serial'; expected 'parallel', 'inline', or an object with createBus(catalog, options)\nthreads: got 0; expected an integer of threads from 1 to 1,024",
    );
  });

  it('says what it cannot do', () => {
    expect(backends.parallel.capabilities).toEqual({
      parallelHandlers: true,
      endsHungHandlers: true,
      survivesCrashes: true,
    });
    expect(Object.values(backends.inline.capabilities)).toEqual([false, false, false]);
  });
});
