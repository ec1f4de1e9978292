// Every way in which a pool thread may end, or may have to be parted from. Whichever it is: what was in flight is suspect,
// the innocent is delivered again, the rest goes on, and the ledger adds up.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setEnvironmentData, type Worker } from 'node:worker_threads';
import type { BusOptions, EventBus } from 'lanebus';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type * as broken from '../support/handlers/broken/fails-on-spare.js';
import type { C, Tick } from '../support/handlers/catalog.js';
import type * as crash from '../support/handlers/crash.js';
import type * as derive from '../support/handlers/derive.js';
import type * as record from '../support/handlers/record.js';
import type * as share from '../support/handlers/share.js';
import { SeededRandom } from '../support/random.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';
import { deathsOf, Killer, until } from './kills.js';

const { onJob, sleepOnJob } = handlersOf<typeof crash>('crash');
const { burst, deriveAndWait } = handlersOf<typeof derive>('derive');
const { quiet } = handlersOf<typeof record>('record');
const { tell } = handlersOf<typeof share>('share');
const { onTick: onTickButNotOnSpare } = handlersOf<typeof broken>('broken/fails-on-spare');
const tick = (n: number, symbol = 'ESH4'): Tick => ({ type: 'TICK', n, symbol, price: n / 4 });
const POISONED = 2;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lanebus-ways-to-die-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const started: Worker[] = [];
const onWorker = (worker: Worker): void => void started.push(worker);
beforeEach(() => {
  started.length = 0;
  process.on('worker', onWorker);
});
afterEach(() => {
  process.off('worker', onWorker);
});

/** Resolves when the pool thread sleeps: with no spinning, its share of the time is falling from then on. */
async function isParked(bus: EventBus<C>): Promise<void> {
  const busyShare = (): number => bus.metrics().threads[1].busyShare;
  let before = busyShare();
  await until(() => {
    const share = busyShare();
    const falls = share < before;
    before = share;
    return falls;
  }, 'the thread sleeps');
}

/** Delivers a guilty JOB between two good ones, beside a subscription on the same thread that is in flight meanwhile. */
async function commit(way: string, options: BusOptions): Promise<{ bus: EventBus<C>; notes: Notes }> {
  const bus = newBus({ timeoutMs: 0, maxCrashes: POISONED, ...options });
  const notes = new Notes(bus);
  const innocent = bus.subscribe('JOB', sleepOnJob, { name: 'innocent', timeoutMs: 0 }); // the first to start
  const jobs = bus.subscribe('JOB', onJob, { name: 'guilty', timeoutMs: options.timeoutMs ?? 0 });
  await bus.start();
  await bus.publish({ type: 'JOB', n: 1, act: '' });
  await bus.drain();
  await bus.publish({ type: 'JOB', n: 200, act: way });
  await bus.publish({ type: 'JOB', n: 3, act: '' });
  expect(await bus.drain({ timeoutMs: 20_000 })).toMatchObject({ drained: true });

  expect(notes.of('done').map(({ n, data }) => [n, data])).toEqual([
    [1, 1],
    [3, 1],
  ]);
  expect(jobs.metrics()).toMatchObject({ owed: 3, processed: 2 });
  expect(innocent.metrics()).toMatchObject({ owed: 3, processed: 3 });
  const attempts = Object.fromEntries(notes.of('slept').map(({ n, data }) => [n, data as number]));
  expect(attempts[1]).toBe(1);
  expect(attempts[200]).toBeGreaterThan(1);
  expectExact(bus.metrics());
  return { bus, notes };
}

describe('a delivery that does not come to its end in time is timed out, and the thread replaced, by', () => {
  it.each([
    ['while (true) {}', 'loop'],
    ['a handler that never settles', 'never'],
    ['a catastrophic regular expression', 'regex'],
    ['Atomics.wait forever', 'wait'],
  ])('%s', async (_, way) => {
    const { bus, notes } = await commit(way, { timeoutMs: 150, graceMs: 0 });
    expect(notes.of('begun').map(({ n, data }) => [n, data])).toEqual([
      [1, 1],
      [200, 1],
      [3, 1],
    ]);
    expect(bus.metrics().threads[1].restarts).toEqual({ timeout: 1, crash: 0 });
    expect(bus.deadLetters.list()).toMatchObject([
      { reason: 'timedOut', event: { type: 'JOB', n: 200, act: way }, attempts: 1, crashes: 0 },
    ]);
  });

  it('a native call that cannot be interrupted: the subscription goes on elsewhere before it returns', async () => {
    const { bus } = await commit('native', { timeoutMs: 150, graceMs: 0, exitWaitMs: 20 });
    // The very thread that was killed is still in there.
    const running = new Set(bus.metrics().threads.map(({ threadId }) => threadId));
    const lingering = started[0];
    expect(lingering.threadId).toBeGreaterThan(0);
    expect(running).not.toContain(lingering.threadId);
    expect(bus.metrics().threads[1].restarts).toEqual({ timeout: 1, crash: 0 });
    const before = bus.metrics().subscriptions;
    await until(() => lingering.threadId < 0, 'it has come back and has exited');
    expect(bus.metrics().subscriptions.map(({ owed, processed }) => ({ owed, processed }))).toEqual(
      before.map(({ owed, processed }) => ({ owed, processed })),
    );
    expectExact(bus.metrics());
  }, 30_000);
});

describe('a delivery whose thread dies maxCrashes times over it is poison, by', () => {
  it.each([
    ['out of memory under resourceLimits', 'memory'],
    ['process.exit()', 'exit'],
    ['an uncaught exception in a timer', 'timer'],
    ['an unhandled rejection', 'rejection'],
    ['a stack overflow where nobody catches', 'stack-later'],
  ])('%s', async (_, way) => {
    const limits = { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 };
    const { bus } = await commit(way, way === 'memory' ? { resourceLimits: limits } : {});
    expect(bus.metrics().threads[1].restarts.timeout).toBe(0);
    expect(bus.metrics().threads[1].restarts.crash).toBeGreaterThanOrEqual(POISONED);
    expect(bus.deadLetters.list()).toMatchObject([
      {
        reason: 'poison',
        event: { type: 'JOB', n: 200, act: way },
        subscription: { name: 'guilty' },
        crashes: POISONED,
      },
    ]);
  });

  it('but not by a stack overflow in the handler itself: that is an error like any other, and no thread dies', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    for (const [n, act] of ['', 'stack', ''].entries()) await bus.publish({ type: 'JOB', n, act });
    await bus.drain();
    expect(notes.of('done').map(({ n }) => n)).toEqual([0, 2]);
    expect(jobs.metrics()).toMatchObject({ owed: 3, processed: 2, failed: 1, redelivered: 0, exact: true });
    expect(deathsOf(bus)).toBe(0);
  });
});

describe('a module that throws on the spare’s import', () => {
  it('costs a bounded number of threads, one fatal line, and no delivery; a later success starts anew', async () => {
    const imports = new Int32Array(new SharedArrayBuffer(8));
    imports[1] = 1; // the thread that runs it, and no other
    setEnvironmentData('imports', imports.buffer);
    try {
      const destination = join(folder, 'bus.log');
      const fatalLines = (): string[] => readFileSync(destination, 'utf8').split('\n').filter(Boolean);
      const bus = newBus({ logger: { level: 'fatal', destination } });
      const ticks = bus.subscribe('TICK', onTickButNotOnSpare);
      await bus.start();
      const ATTEMPTS = 6;
      await until(() => Atomics.load(imports, 0) === 1 + ATTEMPTS, 'six attempts');
      for (const n of range(10)) await bus.publish(tick(n));
      await bus.drain();
      await until(() => fatalLines().length === 1, 'a fatal line');
      expect(fatalLines()[0]).toContain('no spare thread can be kept');
      expect(Atomics.load(imports, 0)).toBe(1 + ATTEMPTS); // it has given up
      expect(bus.metrics().spares).toBe(0);
      // From now on it can be imported: the take-over starts a thread of its own, and then spares are kept again.
      imports[1] = 1_000;
      await new Killer(bus, 1).kill();
      await until(() => deathsOf(bus) === 1, 'a death');
      await bus.publish(tick(10));
      await bus.drain();
      await until(() => bus.metrics().spares === 1, 'a spare');
      expect(ticks.metrics()).toMatchObject({ owed: 11, processed: 11, exact: true });
      expect(fatalLines()).toHaveLength(1);
    } finally {
      setEnvironmentData('imports', undefined);
    }
  });
});

describe('a thread that is killed', () => {
  it('while parked: nothing was in flight, nothing is delivered again', async () => {
    const bus = newBus({ spinMicros: 0 });
    const ticks = bus.subscribe('TICK', quiet);
    await bus.start();
    const killer = new Killer(bus, 1);
    for (const round of range(5)) {
      await bus.publish(tick(round));
      await bus.drain();
      await isParked(bus);
      await killer.kill();
      await until(() => deathsOf(bus) === round + 1, 'a death');
    }
    await bus.publish(tick(5));
    await bus.drain();
    expect(ticks.metrics()).toMatchObject({ owed: 6, processed: 6, redelivered: 0, exact: true });
  });

  it('during start: start tries again, and nobody notices', async () => {
    for (const delayMs of [0, 5, 20, 40, 60, 80, 100, 120]) {
      const bus = newBus({ threads: 2 });
      const ticks = bus.subscribe('TICK', quiet, { threads: 2 });
      started.length = 0;
      const starting = bus.start();
      await until(() => started.length > 0, 'a thread');
      if (delayMs > 0) await sleep(delayMs);
      void started[0].terminate();
      await starting;
      for (const n of range(20)) await bus.publish(tick(n, `S${n}`));
      expect(await bus.drain({ timeoutMs: 20_000 }), `${delayMs} ms`).toMatchObject({ drained: true });
      expect(ticks.metrics(), `${delayMs} ms`).toMatchObject({ owed: 20, processed: 20, exact: true });
      await bus.stop();
    }
  }, 60_000);

  it('during subscribe: the subscription is ready, and is owed what is published from then on', async () => {
    const bus = newBus();
    await bus.start();
    const killer = new Killer(bus, 2);
    for (const round of range(12)) {
      await killer.allRun();
      const ticks = bus.subscribe('TICK', quiet);
      if (round % 4 > 0) await sleep(round % 4);
      await killer.kill();
      await ticks.ready;
      for (const n of range(10)) await bus.publish(tick(n));
      expect(await bus.drain({ timeoutMs: 20_000 })).toMatchObject({ drained: true });
      expect(ticks.metrics()).toMatchObject({ owed: 10, processed: 10, exact: true });
      ticks.unsubscribe();
    }
    await until(() => bus.metrics().subscriptions.every(({ state }) => state === 'ended'), 'all have ended');
    expect(deathsOf(bus)).toBe(12);
    expectExact(bus.metrics());
  }, 60_000);

  it('during a lane-full wait: what it had published is delivered, and its delivery publishes again', async () => {
    const bus = newBus({ lanes: { signal: { capacityBytes: 1024, whenFull: 'block' } }, timeoutMs: 0 });
    const notes = new Notes(bus);
    const signals = bus.subscribe('SIGNAL', tell, { name: 'signals' });
    const deriving = bus.subscribe('TICK', deriveAndWait, { concurrency: 64 });
    await bus.start();
    const killer = new Killer(bus, 3);
    signals.pause();
    const count = 60;
    for (const n of range(count)) await bus.publish(tick(n));
    // The ring holds fewer than that: the others wait for room, in flight.
    await until(() => bus.metrics().lanes.signal.waiting > 0, 'handlers wait for room');
    const { processed } = deriving.metrics();
    expect(processed).toBeLessThan(count);
    await killer.kill();
    await until(() => deathsOf(bus) === 1, 'a death');
    signals.resume();
    expect(await bus.drain({ timeoutMs: 20_000 })).toMatchObject({ drained: true });
    expect(deriving.metrics()).toMatchObject({ owed: count, processed: count, failed: 0 });
    expect(deriving.metrics().redelivered).toBeGreaterThan(0);
    const seen = new Set(notes.of('seen').map(({ n }) => n));
    expect(seen).toEqual(new Set(range(count)));
    expectExact(bus.metrics());
  });

  it('during claim and commit of its own lane: whole events only, in their order, and all that were committed', async () => {
    const bus = newBus({ threads: 1, timeoutMs: 0, maxCrashes: 1_000 });
    const signals: number[] = [];
    const publishers = new Map<number, number>();
    bus.subscribe('SIGNAL', ({ n, symbol }, { sequence, attempt }) => {
      expect(symbol).toBe('BURST');
      expect(attempt).toBe(1);
      signals.push(n);
      publishers.set(sequence, (publishers.get(sequence) ?? 0) + 1);
    });
    const bursts = bus.subscribe('JOB', burst, { order: 'none' });
    await bus.start();
    const killer = new Killer(bus, 4);
    const random = new SeededRandom(4);
    const length = 3_000;
    const rounds = 15;
    for (const round of range(rounds)) {
      await killer.allRun();
      const before = signals.length;
      await bus.publish({ type: 'JOB', n: length, act: 'BURST' });
      await until(() => signals.length > before, 'it publishes');
      if (random.below(2) === 0) await new Promise((resolve) => setImmediate(resolve));
      await killer.kill();
      await until(() => deathsOf(bus) > round, 'a death');
      expect(await bus.drain({ timeoutMs: 20_000 })).toMatchObject({ drained: true });
    }
    expect(bursts.metrics()).toMatchObject({ owed: rounds, processed: rounds, failed: 0, exact: true });
    expectExact(bus.metrics());
    // Each attempt publishes 0, 1, 2, …: it may end at any number, and the last attempt of each round is whole.
    let whole = 0;
    for (const [i, n] of signals.entries()) {
      if (n === 0) continue;
      expect(signals[i - 1]).toBe(n - 1);
      if (n === length - 1) whole++;
    }
    expect(whole).toBe(rounds);
  }, 60_000);
});
