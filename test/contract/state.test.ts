// State that survives its thread: checkpoints, and what is shown again to a successor.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BusOptions, EventBus, SubscribeOptions, Subscription } from 'lanebus';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { C, Signal, Tick } from '../support/handlers/catalog.js';
import type * as state from '../support/handlers/state.js';
import { summaryOf } from '../support/handlers/state.js';
import { SeededRandom } from '../support/random.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';
import { deathsOf, Killer, until } from './kills.js';

const { onEvent, onEventLater, onEventTold, onJobAgain } = handlersOf<typeof state>('state');
const folder = mkdtempSync(join(tmpdir(), 'lanebus-state-'));
const file = join(folder, 'told');

beforeEach(() => {
  writeFileSync(file, '');
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** What the module has told its file, in order. */
function told(): string[] {
  const text = readFileSync(file, 'utf8');
  return text === '' ? [] : text.trim().split('\n');
}

interface Setting {
  readonly bus: EventBus<C>;
  readonly notes: Notes;
  readonly subscription: Subscription;
}

/** A bus with one subscription of ticks, signals and jobs that keeps its state. */
async function start(
  options: SubscribeOptions<C, 'TICK' | 'SIGNAL' | 'JOB'> = {},
  busOptions: BusOptions = {},
  handler = onEvent,
): Promise<Setting> {
  const bus = newBus({ maxCrashes: 1_000, ...busOptions, env: { TOLD: file, ...busOptions.env } });
  const notes = new Notes(bus);
  const subscription = bus.subscribe(['TICK', 'SIGNAL', 'JOB'], handler, {
    name: 'state',
    checkpointEvery: 100,
    ...options,
  });
  await bus.start();
  return { bus, notes, subscription };
}

const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: `S${n % 7}`, price: n / 4 });
const signal = (n: number): Signal => ({ type: 'SIGNAL', n, symbol: `S${n % 7}` });

/** The state at the end, and whether it is that of a module which has seen these events once, in this order. */
async function expectState({ bus, notes }: Setting, events: readonly (Tick | Signal)[]): Promise<void> {
  await bus.drain();
  await bus.publish({ type: 'JOB', n: 1, act: 'report' });
  await bus.drain();
  expect(notes.of('state').at(-1)?.data).toMatchObject(summaryOf(events));
}

describe('a module with snapshot and restore', () => {
  it.each([
    ['ends its process', 'exit once', {}],
    ['hangs', 'hang once', { timeoutMs: 50, graceMs: 10 }],
  ] as const)(
    'has its state back after it %s, with everything that followed the checkpoint',
    async (_, act, busOptions) => {
      const setting = await start({}, busOptions);
      const { bus, subscription } = setting;
      const events = range(1_050).map(tick);
      for (const event of events.slice(0, 930)) await bus.publish(event);
      await bus.publish({ type: 'JOB', n: 0, act });
      for (const event of events.slice(930)) await bus.publish(event);
      await expectState(setting, events);
      expect(deathsOf(bus)).toBe(1);
      expect(subscription.metrics().checkpoints).toMatchObject({ failed: 0, replayed: 30 });
      expectExact(bus.metrics());
    },
  );

  it('starts anew with all there was, if its thread dies before the first checkpoint', async () => {
    const setting = await start();
    const { bus, subscription } = setting;
    const events = range(60).map(tick);
    for (const event of events) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 0, act: 'exit once' });
    await expectState(setting, events);
    expect(told().filter((what) => what !== 'snapshot')).toEqual(['setup', 'setup']);
    expect(subscription.metrics().checkpoints).toMatchObject({ taken: 0, replayed: 60 });
    expectExact(bus.metrics());
  });

  it('takes a checkpoint every so many deliveries, and restores after setup', async () => {
    const setting = await start({ checkpointEvery: 10 });
    const { bus, subscription } = setting;
    const events = range(95).map(tick);
    for (const event of events) await bus.publish(event);
    await bus.drain();
    expect(subscription.metrics().checkpoints).toMatchObject({ taken: 9, failed: 0, replayed: 0 });
    await bus.publish({ type: 'JOB', n: 0, act: 'exit once' });
    await expectState(setting, events);
    expect(subscription.metrics().checkpoints).toMatchObject({ replayed: 5 });
    const hooks = told();
    expect(hooks.slice(hooks.lastIndexOf('setup'))).toEqual([
      'setup',
      'restore',
      ...hooks.slice(hooks.lastIndexOf('restore') + 1),
    ]);
    const { lastBytes, totalMs, maxMs } = subscription.metrics().checkpoints ?? {};
    expect(lastBytes).toBeGreaterThan(100);
    expect(maxMs).toBeGreaterThan(0);
    expect(totalMs).toBeGreaterThanOrEqual(maxMs ?? 0);
  });

  it('is shown again, marked as such, what had ended, and publishes nothing meanwhile', async () => {
    const setting = await start({ checkpointEvery: 50 }, {}, onEventTold);
    const { bus, notes, subscription } = setting;
    const events = range(70).map(tick);
    for (const event of events) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 0, act: 'exit once' });
    await expectState(setting, events);
    expect(notes.of('TICK').map(({ n }) => n)).toEqual(range(70));
    expect(notes.of('muted')).toEqual([]);
    expect(told().filter((what) => what.startsWith('replay'))).toEqual(range(20, 50).map((n) => `replay ${n} 1`));
    expect(subscription.metrics()).toMatchObject({ owed: 72, processed: 72, redelivered: 1, exact: true });
  });

  it('is as if nothing had died after 200 deaths in a row, with an exact ledger', async () => {
    const setting = await start({ checkpointEvery: 64 }, { threads: 1 });
    const { bus, subscription } = setting;
    const killer = new Killer(bus, 1);
    const random = new SeededRandom(2);
    const events: Tick[] = [];
    for (let death = 1; death <= 200; death++) {
      for (let i = 0; i < 97; i++) {
        const event = tick(events.length);
        events.push(event);
        await bus.publish(event);
      }
      // Anywhere: in the replay, among the new ones, at rest.
      const { processed } = subscription.metrics();
      const more = random.below(120);
      await until(() => subscription.metrics().processed >= Math.min(events.length, processed + more), 'progress');
      await killer.kill();
      await until(() => deathsOf(bus) === death, `${death} deaths`);
    }
    await expectState(setting, events);
    expectExact(bus.metrics());
  }, 600_000);

  it.each([
    ['on one thread', { threads: 1 }, onEvent],
    ['on three threads by key', { threads: 3, key: 'symbol' }, onEvent],
    ['with promises', { threads: 1 }, onEventLater],
  ] as const)('is as if nothing had died, %s, wherever the kills came', async (_, options, handler) => {
    const bus = newBus({ threads: options.threads, maxCrashes: 1_000 });
    const notes = new Notes(bus);
    bus.subscribe('TICK', handler, { checkpointEvery: 20, ...options });
    await bus.start();
    const killer = new Killer(bus, 7);
    const events: Tick[] = [];
    for (let death = 1; death <= 15; death++) {
      await killer.allRun();
      for (let i = 0; i < 333; i++) {
        const event = tick(events.length);
        events.push(event);
        await bus.publish(event);
      }
      await killer.kill();
      await until(() => deathsOf(bus) === death, `${death} deaths`);
    }
    await bus.drain();
    const symbols = range(7).map((n) => `S${n}`);
    for (const symbol of symbols) await bus.publish({ type: 'TICK', n: -1, symbol, price: 0 });
    await bus.drain();
    // Each thread's part of the state, told once for each of its symbols.
    const parts = new Map(
      notes.of('part').map(({ data }) => {
        const part = data as { readonly newest: Record<string, number> };
        return [Object.keys(part.newest).join(), part] as const;
      }),
    );
    expect([...parts.keys()].flatMap((keys) => keys.split(',')).sort()).toEqual(symbols);
    for (const part of parts.values()) {
      expect(part).toMatchObject(summaryOf(events.filter(({ symbol }) => symbol in part.newest)));
    }
    expectExact(bus.metrics());
  });
});

describe('what is shown again', () => {
  it('comes in the order in which several lanes were read', async () => {
    const setting = await start({ checkpointEvery: 1_000 }, {}, onEventTold);
    const { bus, notes } = setting;
    const killer = new Killer(bus, 3);
    for (let death = 1; death <= 8; death++) {
      await killer.allRun();
      for (const n of range(400, death * 400)) {
        await bus.publish(tick(n));
        if (n % 3 === 0) await bus.publish(signal(n));
        if (n % 40 === 0) await bus.drain(); // else the signals of all would come first
      }
      await killer.kill();
      await until(() => deathsOf(bus) === death, `${death} deaths`);
    }
    await bus.drain();
    // In the order in which they were delivered; one that was in flight at a kill tells of it twice.
    const order = notes.all
      .filter(({ what }) => what === 'TICK' || what === 'SIGNAL')
      .map(({ what, n }) => (what === 'TICK' ? tick(n) : signal(n)))
      .filter((event, at, all) => at === 0 || event.type !== all[at - 1].type || event.n !== all[at - 1].n);
    const turns = order.filter((event, at) => at > 0 && event.type !== order[at - 1].type);
    expect(turns.length).toBeGreaterThan(10);
    await expectState(setting, order);
    expectExact(bus.metrics());
  });

  it('leaves out a delivery that timed out: it would end the thread again', async () => {
    const setting = await start({ checkpointEvery: 1_000 }, { timeoutMs: 50, graceMs: 10 });
    const { bus, subscription } = setting;
    const events = range(40).map(tick);
    for (const event of events.slice(0, 20)) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 0, act: 'hang' });
    for (const event of events.slice(20)) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 1, act: 'exit once' });
    await expectState(setting, events);
    expect(deathsOf(bus)).toBe(2);
    expect(subscription.metrics()).toMatchObject({ timedOut: 1, failed: 0, exact: true });
    expectExact(bus.metrics());
  });

  it('leaves out a delivery that was poison', async () => {
    const setting = await start({ checkpointEvery: 1_000 }, { maxCrashes: 2 });
    const { bus, subscription } = setting;
    const events = range(40).map(tick);
    for (const event of events.slice(0, 20)) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 0, act: 'exit' });
    for (const event of events.slice(20)) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 1, act: 'exit once' });
    await expectState(setting, events);
    expect(deathsOf(bus)).toBe(3);
    expect(subscription.metrics()).toMatchObject({ failed: 1, timedOut: 0 });
    expectExact(bus.metrics());
  });

  it.each([
    ['ends its thread each time', 'exit replayed', {}, 2],
    ['hangs', 'hang replayed', { timeoutMs: 50, graceMs: 10 }, 1],
  ] as const)(
    'is given up where a delivery %s, and is not counted a second time',
    async (_, act, busOptions, deaths) => {
      const setting = await start({ checkpointEvery: 1_000 }, { maxCrashes: 2, ...busOptions });
      const { bus, subscription } = setting;
      const events = range(40).map(tick);
      for (const event of events.slice(0, 20)) await bus.publish(event);
      await bus.publish({ type: 'JOB', n: 0, act });
      for (const event of events.slice(20)) await bus.publish(event);
      await bus.publish({ type: 'JOB', n: 1, act: 'exit once' });
      await expectState(setting, events);
      expect(deathsOf(bus)).toBe(1 + deaths);
      expect(subscription.metrics()).toMatchObject({ owed: 43, processed: 43, failed: 0, timedOut: 0, exact: true });
    },
  );

  it('counts and tells no failure a second time', async () => {
    const setting = await start({ checkpointEvery: 1_000 });
    const { bus, subscription } = setting;
    await bus.publish({ type: 'JOB', n: 0, act: 'throw' });
    await bus.publish({ type: 'JOB', n: 1, act: 'exit once' });
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ failed: 1, processed: 1, consecutiveFailures: 0, exact: true });
    expect(subscription.metrics().checkpoints).toMatchObject({ replayed: 1 });
  });
});

describe('a lane that a checkpoint holds', () => {
  const tiny = { capacityBytes: 1024, maxRecordBytes: 512 } as const;

  it('never stands still: the smallest lanes, records of half of them, and a handler that publishes where it reads', async () => {
    const bus = newBus({ lanes: { market: tiny }, maxCrashes: 1_000 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJobAgain, { checkpointEvery: 1_000_000 });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 300, act: 'x'.repeat(488) }); // as large as derived ones are with their cause
    expect(await bus.drain({ timeoutMs: 20_000 })).toMatchObject({ drained: true });
    expect(notes.of('state')[0].data).toMatchObject({ count: 301 });
    expect(jobs.metrics()).toMatchObject({ owed: 301, processed: 301, failed: 0, exact: true });
    expect(jobs.metrics().checkpoints?.taken).toBeGreaterThan(100);
  });

  it('gets its room back by a checkpoint before it is full, however far off the next one is', async () => {
    const setting = await start(
      { checkpointEvery: 1_000_000 },
      { lanes: { market: { ...tiny, maxRecordBytes: 128 } } },
    );
    const { bus, subscription } = setting;
    const events = range(2_000).map(tick);
    for (const event of events) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 0, act: 'exit once' });
    await expectState(setting, events);
    const { taken, failed } = subscription.metrics().checkpoints ?? {};
    expect(taken).toBeGreaterThan(100);
    expect(failed).toBe(0);
    expectExact(bus.metrics());
  });

  it('gets its room back from a subscription that is paused', async () => {
    const lanes = { market: { ...tiny, maxRecordBytes: 128 } };
    const { bus, subscription } = await start({ checkpointEvery: 1_000_000 }, { lanes });
    for (const n of range(3)) await bus.publish(tick(n));
    await bus.drain();
    subscription.pause();
    const room = 1024 / 32;
    for (const n of range(room - 3, 3)) expect(bus.tryPublish(tick(n))).toBe('published');
    expect(bus.tryPublish(tick(room))).toBe('full');
    // The publisher waits for what the three took: only a checkpoint gives that back.
    for (const n of range(3, room)) await bus.publish(tick(n));
    expect(bus.tryPublish(tick(room + 3))).toBe('full');
    expect(subscription.metrics().checkpoints?.taken).toBe(1);
  });

  it('of a dead thread is let go of, so that its index does not leak', async () => {
    const bus = newBus({ maxCrashes: 1_000 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJobAgain, { checkpointEvery: 1_000_000 });
    await bus.start();
    const killer = new Killer(bus, 5);
    for (let death = 1; death <= 24; death++) {
      await killer.allRun();
      await bus.publish({ type: 'JOB', n: 2, act: '' });
      await notes.until('state', death);
      await killer.kill();
      await until(() => deathsOf(bus) === death, `${death} deaths`);
    }
    const both = 2 * 4 * 2 ** 20;
    await until(() => bus.metrics().lanes.market.capacityBytes === both, 'lanes of the two threads that live');
    await bus.drain();
    // One that was in flight at a kill may have published its successor before, and publishes it again.
    const { processed } = jobs.metrics();
    expect(processed).toBeGreaterThanOrEqual(72);
    expect(jobs.metrics()).toMatchObject({ failed: 0, exact: true });
    expect(notes.of('state').at(-1)?.data).toMatchObject({ count: processed });
  });
});

describe('a checkpoint that fails', () => {
  it.each(['throws', 'is a promise', 'has a function', 'is large'])(
    'because snapshot %s costs nothing but itself',
    async (why) => {
      const setting = await start({ checkpointEvery: 10, maxCheckpointBytes: 1024 }, { env: { SNAPSHOT: why } });
      const { bus, subscription } = setting;
      const events = range(95).map(tick);
      for (const event of events) await bus.publish(event);
      await bus.publish({ type: 'JOB', n: 0, act: 'exit once' });
      await expectState(setting, events);
      expect(subscription.metrics()).toMatchObject({ failed: 0, exact: true });
      expect(subscription.metrics().checkpoints).toMatchObject({ taken: 0, replayed: 95 });
      expect(subscription.metrics().checkpoints?.failed).toBeGreaterThanOrEqual(9);
    },
  );

  it.each(['exits', 'hangs'])('because snapshot %s is not tried for ever', async (why) => {
    const timing = { timeoutMs: 50, graceMs: 10, maxCrashes: 2 };
    const setting = await start({ checkpointEvery: 10 }, { env: { SNAPSHOT: why }, ...timing });
    const { bus, subscription } = setting;
    const events = range(95).map(tick);
    for (const event of events) await bus.publish(event);
    await expectState(setting, events);
    expect(deathsOf(bus)).toBe(2);
    expect(subscription.metrics()).toMatchObject({ owed: 96, processed: 96, redelivered: 0, exact: true });
    expect(subscription.metrics().checkpoints).toMatchObject({ taken: 0, failed: 2 });
  });

  it('while room runs short gives the state up, not the lane, and a successor is told so', async () => {
    const setting = await start(
      { checkpointEvery: 10 },
      { env: { SNAPSHOT: 'throws' }, lanes: { market: { capacityBytes: 1024, maxRecordBytes: 128 } } },
    );
    const { bus, notes, subscription } = setting;
    for (const n of range(500)) await bus.publish(tick(n));
    await bus.publish({ type: 'JOB', n: 0, act: 'exit once' });
    await bus.publish(tick(500));
    await bus.publish({ type: 'JOB', n: 1, act: 'report' });
    await bus.drain();
    expect(notes.of('state').at(-1)?.data).toMatchObject({ lost: true, count: 1, restored: 0 });
    expect(subscription.metrics()).toMatchObject({ owed: 503, processed: 503, exact: true });
    expect(subscription.metrics().checkpoints).toMatchObject({ taken: 0, replayed: 0 });
  });
});

describe('a subscription with checkpoints', () => {
  it('has them when it is made while the bus runs', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    await bus.start();
    const subscription = bus.subscribe(['TICK', 'SIGNAL', 'JOB'], onEvent, { checkpointEvery: 10 });
    await subscription.ready;
    const events = range(35).map(tick);
    for (const event of events) await bus.publish(event);
    await bus.publish({ type: 'JOB', n: 0, act: 'exit once' });
    await expectState({ bus, notes, subscription }, events);
    expect(subscription.metrics().checkpoints).toMatchObject({ taken: 3, replayed: 5 });
  });

  it('can be paused, and shows nothing again before it is resumed', async () => {
    const setting = await start({ checkpointEvery: 1_000 }, {}, onEventTold);
    const { bus, subscription } = setting;
    const events = range(30).map(tick);
    for (const event of events) await bus.publish(event);
    await bus.drain();
    const killer = new Killer(bus, 1);
    subscription.pause();
    await killer.kill();
    await until(() => deathsOf(bus) === 1, 'a death');
    await killer.allRun();
    await bus.publish(tick(30));
    expect(told().filter((what) => what.startsWith('replay'))).toEqual([]);
    subscription.resume();
    await expectState(setting, [...events, tick(30)]);
    expect(told().filter((what) => what.startsWith('replay'))).toHaveLength(30);
  });

  it('can be ended while it is shown again what it had, with an exact ledger', async () => {
    const { bus, subscription } = await start({ checkpointEvery: 1_000 });
    for (const n of range(30)) await bus.publish(tick(n));
    await bus.drain();
    const killer = new Killer(bus, 1);
    subscription.pause();
    await killer.kill();
    await until(() => deathsOf(bus) === 1, 'a death');
    await killer.allRun();
    for (const n of range(5)) await bus.publish(tick(30 + n));
    subscription.unsubscribe();
    await subscription.ended;
    expect(subscription.metrics()).toMatchObject({ owed: 35, processed: 30, discarded: 5, exact: true });
    expect(await bus.stop()).toMatchObject({ drained: true });
  });

  it('needs a module that exports snapshot and restore', async () => {
    const bus = newBus();
    const { quiet } = handlersOf<{ quiet: () => void }>('record');
    bus.subscribe('TICK', quiet, { checkpointEvery: 10 });
    await expect(bus.start()).rejects.toMatchObject({
      code: 'ERR_LANEBUS_EXPORT_NOT_FOUND',
      message: expect.stringContaining('export "snapshot" does not exist (checkpointEvery needs it)') as string,
    });
  });

  it('has its module to itself', () => {
    const bus = newBus();
    bus.subscribe('TICK', onEvent, { checkpointEvery: 10, name: 'first' });
    expect(() => bus.subscribe('TICK', onEventLater, { checkpointEvery: 10 })).toThrow(
      /state\.js has checkpoints of subscription "first" already/,
    );
    bus.subscribe('SIGNAL', onEvent);
  });
});
