// Handler modules that cannot be used: each has its own one-line error, at start and while the bus runs.
import { workerHandlers, type WorkerHandler } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type * as hang from '../support/handlers/hang.js';
import type * as hooks from '../support/handlers/hooks.js';
import type * as record from '../support/handlers/record.js';
import { handlersOf, moduleUrl, newBus, Notes } from './buses.js';
import { until } from './kills.js';

type Handlers = typeof record;
const { quiet } = handlersOf<Handlers>('record');
const { busyOnTick } = handlersOf<typeof hang>('hang');
const broken = (name: string): WorkerHandler<Handlers['onTick']> => handlersOf<Handlers>(`broken/${name}`).onTick;
const exported = (name: string): WorkerHandler<Handlers['onTick']> =>
  (handlersOf<Handlers>('record') as unknown as Record<string, WorkerHandler<Handlers['onTick']>>)[name];

const CASES: readonly [what: string, handler: WorkerHandler<Handlers['onTick']>, code: string, message: RegExp][] = [
  [
    'a missing module',
    broken('nowhere'),
    'MODULE_NOT_FOUND',
    /^handler module file:.*\/broken\/nowhere\.js does not exist$/,
  ],
  [
    'a module that imports a missing one',
    broken('imports-missing'),
    'MODULE_FAILED',
    /^handler module file:.*\/imports-missing\.js failed on import: .*not-there\.js/,
  ],
  [
    'a module that imports a package that is not installed',
    broken('imports-missing-package'),
    'MODULE_FAILED',
    /^handler module file:.*\/imports-missing-package\.js failed on import: .*'not-installed'/,
  ],
  [
    'a module that requires a missing one',
    broken('requires-missing'),
    'MODULE_FAILED',
    /^handler module file:.*\/requires-missing\.js failed on import: .*not-there\.cjs/,
  ],
  [
    'a module that throws on import',
    broken('throws'),
    'MODULE_FAILED',
    /^handler module file:.*\/throws\.js failed on import: TypeError: no configuration: file missing$/,
  ],
  [
    'a missing export',
    exported('onTock'),
    'EXPORT_NOT_FOUND',
    /^handler module file:.*\/record\.js: export "onTock" does not exist; exported functions: .*onTick/,
  ],
  [
    'an export that is no function',
    exported('notAFunction'),
    'EXPORT_NOT_FOUND',
    /^handler module file:.*\/record\.js: export "notAFunction" is a number, not a function; exported functions: .*onTick/,
  ],
];

describe('start', () => {
  it.each(CASES)('rejects for %s with one line, and everything is closed', async (_, handler, code, message) => {
    const bus = newBus({ threads: 2 });
    const well = bus.subscribe('TICK', quiet);
    const bad = bus.subscribe('TICK', handler);
    const refused = { code: `ERR_LANEBUS_${code}`, message: expect.stringMatching(message) as string };
    const error: unknown = await bus.start().catch((caught: unknown) => caught);
    expect(error).toMatchObject(refused);
    expect((error as Error).message).not.toContain('\n');
    for (const { ready, ended } of [well, bad]) {
      await expect(ready).rejects.toMatchObject(refused);
      await ended;
    }
    expect(bus.metrics().state).toBe('stopped');
    expect(bus.metrics().threads.every(({ state }) => state === 'stopped')).toBe(true);
    await expect(bus.publish({ type: 'TICK', n: 1, symbol: 'A', price: 1 })).rejects.toMatchObject({
      code: 'ERR_LANEBUS_STOPPED',
    });
    await expect(bus.start()).rejects.toMatchObject({ code: 'ERR_LANEBUS_STOPPED' });
    expect(await bus.stop()).toMatchObject({ discarded: 0 });
  });

  it('rejects for a module that ends its thread on import', async () => {
    const bus = newBus();
    bus.subscribe('TICK', broken('exits'));
    const error: unknown = await bus.start().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'ERR_LANEBUS_THREAD_LOST' });
    expect((error as Error).message).not.toContain('\n');
  });

  it.each(['never-imported', 'loops'])(
    'rejects after startTimeoutMs when an import does not end: %s',
    async (name) => {
      const bus = newBus({ startTimeoutMs: 500 });
      bus.subscribe('TICK', broken(name));
      const error: unknown = await bus.start().catch((caught: unknown) => caught);
      expect(error).toMatchObject({
        code: 'ERR_LANEBUS_THREAD_LOST',
        message: expect.stringContaining('500 ms') as string,
      });
      expect(bus.metrics().state).toBe('stopped');
    },
    10_000,
  );
});

describe('subscribe on a running bus', () => {
  it.each(CASES)('rejects `ready` for %s and leaves the bus as it was', async (_, handler, code, message) => {
    const bus = newBus();
    const well = bus.subscribe('TICK', quiet);
    await bus.start();
    const bad = bus.subscribe('TICK', handler);
    await expect(bad.ready).rejects.toMatchObject({
      code: `ERR_LANEBUS_${code}`,
      message: expect.stringMatching(message) as string,
    });
    await bad.ended;
    await bus.publish({ type: 'TICK', n: 1, symbol: 'A', price: 1 });
    expect(await bus.drain()).toMatchObject({ drained: true });
    expect(well.metrics()).toMatchObject({ owed: 1, processed: 1 });
    expect(bad.metrics()).toMatchObject({ state: 'ended', processed: 0, pending: 0, exact: true });
  });
});

describe('a module that does not come back', () => {
  it.each([
    ['on import', {}, broken('loops')],
    ['from setup()', { SETUP: 'loop' }, handlersOf<typeof hooks>('hooks').onJob],
  ])('%s, subscribed on a running bus, costs its thread; whatever else ran there goes on', async (_, env, handler) => {
    const bus = newBus({ startTimeoutMs: 500, graceMs: 0, env });
    const well = bus.subscribe('TICK', quiet);
    await bus.start();
    const bad = bus.subscribe('JOB', handler as typeof quiet);
    for (const n of [1, 2, 3]) await bus.publish({ type: 'TICK', n, symbol: 'A', price: 1 });
    await expect(bad.ready).rejects.toMatchObject({
      code: 'ERR_LANEBUS_THREAD_LOST',
      message: expect.stringContaining('did not come back from its module') as string,
    });
    await bad.ended;
    await bus.publish({ type: 'TICK', n: 4, symbol: 'A', price: 1 });
    expect(await bus.drain()).toMatchObject({ drained: true });
    expect(well.metrics()).toMatchObject({ owed: 4, processed: 4, exact: true });
    expect(bad.metrics()).toMatchObject({ state: 'ended', processed: 0, pending: 0, exact: true });
    await until(() => bus.metrics().threads[1].state === 'running', 'its successor runs');
    expect(bus.metrics().threads[1].incarnation).toBe(1);
  });

  it('from teardown(), costs its thread too: its subscription ends all the same', async () => {
    const bus = newBus({ graceMs: 50, env: { TEARDOWN: 'loop' } });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', handlersOf<typeof hooks>('hooks').onJob);
    const well = bus.subscribe('TICK', quiet);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: '' });
    await notes.until('ready');
    await bus.drain();
    jobs.unsubscribe();
    for (const n of [1, 2, 3]) await bus.publish({ type: 'TICK', n, symbol: 'A', price: 1 });
    await jobs.ended;
    expect(await bus.drain()).toMatchObject({ drained: true });
    expect(jobs.metrics()).toMatchObject({ state: 'ended', owed: 1, processed: 1, pending: 0, exact: true });
    expect(well.metrics()).toMatchObject({ owed: 3, processed: 3, exact: true });
    expect(bus.metrics().threads[1]).toMatchObject({ incarnation: 1, restarts: { timeout: 1, crash: 0 } });
  });

  it('is told from a handler that takes long: that is waited for', async () => {
    const bus = newBus({ startTimeoutMs: 500, graceMs: 0, timeoutMs: 0 });
    const busy = bus.subscribe('TICK', busyOnTick);
    await bus.start();
    await bus.publish({ type: 'TICK', n: 2_000, symbol: 'A', price: 1 });
    await until(() => bus.metrics().threads[1].busyShare > 0, 'it is busy');
    const later = bus.subscribe('TICK', quiet);
    await later.ready;
    await bus.drain();
    expect(busy.metrics()).toMatchObject({ processed: 1, redelivered: 0 });
    expect(bus.metrics().threads[1].incarnation).toBe(0);
  });
});

describe('workerHandlers', () => {
  it('refuses what is no URL', () => {
    expect(() => workerHandlers('./book.js')).toThrow(
      'handler module "./book.js": expected a URL, such as new URL(\'./book.js\', import.meta.url)',
    );
  });

  it('takes a URL as text', () => {
    expect(workerHandlers<Handlers>(moduleUrl('record').href).quiet).toEqual(quiet);
  });
});
