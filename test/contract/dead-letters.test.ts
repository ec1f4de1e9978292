// What is kept of deliveries that were set aside, where, and how they come back: in memory and in LMDB, by the API and by
// the command line.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type BusOptions, createBus, defineEvents, f64, i32, symbol, text } from 'lanebus';
import type { DeadLetter, DeadLetters, DeadLetterStore, EventBus, Letter, Subscription } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { C, Job } from '../support/handlers/catalog.js';
import type * as retried from '../support/handlers/retried.js';
import { expectExact, handlersOf, moduleUrl, newBus, range } from './buses.js';
import { until } from './kills.js';

const { onJob } = handlersOf<typeof retried>('retried');
const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lanebus-letters-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const STORES = ['memory', 'LMDB'] as const;
type StoreName = (typeof STORES)[number];

function busWith(store: StoreName, options: BusOptions = {}): EventBus<C> {
  const kept = store === 'memory' ? {} : { deadLetterStore: lmdbDeadLetters({ path: join(folder, 'store.x') }) };
  return newBus({ graceMs: 0, timeoutMs: 100, ...kept, ...options });
}

async function publish(bus: EventBus<C>, acts: readonly string[]): Promise<void> {
  for (const [n, act] of acts.entries()) await bus.publish({ type: 'JOB', n, act });
  await bus.drain();
}

const idsOf = (letters: readonly DeadLetter[]): number[] => letters.map(({ id }) => id);

interface Failing {
  readonly bus: EventBus<C>;
  readonly pool: Subscription;
  readonly letters: DeadLetters;
  readonly runs: number[];
  readonly fix: () => void;
}

describe.each(STORES)('dead letters in %s', (store) => {
  /** Two subscriptions; the second one fails or works as it is told. */
  async function failing(): Promise<Failing> {
    const bus = busWith(store);
    const runs: number[] = [];
    let works = false;
    const pool = bus.subscribe('JOB', onJob, { name: 'pool' });
    bus.subscribe(
      ['JOB', 'TICK'],
      (event) => {
        runs.push(event.n);
        if (!works) throw new RangeError(`own ${event.n}`);
      },
      { name: 'own' },
    );
    await bus.start();
    await publish(bus, ['fail', 'hang', 'ok']);
    await bus.publish({ type: 'TICK', n: 9, symbol: 'ESH4', price: 1.5 });
    await bus.drain();
    return { bus, pool, letters: bus.deadLetters, fix: () => (works = true), runs };
  }

  it('are listed by type, subscription, reason, time and page, and are counted', async () => {
    const { letters } = await failing();
    const all = letters.list();
    expect(idsOf(all)).toEqual(range(6, 1));
    expect(letters.count()).toBe(6);
    expect(letters.list({ type: 'TICK' })).toMatchObject([
      { type: 'TICK', key: 'ESH4', event: { type: 'TICK', n: 9, symbol: 'ESH4', price: 1.5 }, lane: 'market' },
    ]);
    expect(letters.count({ subscription: 'own' })).toBe(4);
    expect(letters.list({ subscription: 'pool', reason: 'timedOut' })).toMatchObject([{ event: { n: 1 } }]);
    expect(letters.list({ since: Date.now() + 1_000 })).toEqual([]);
    expect(letters.count({ since: all[0].setAsideAt })).toBe(6);
    const pages = [letters.list({ limit: 4 }), letters.list({ limit: 4, cursor: 4 }), letters.list({ cursor: 6 })];
    expect(pages.map(idsOf)).toEqual([[1, 2, 3, 4], [5, 6], []]);
    expect(letters.get(2)).toEqual(all[1]);
    expect(letters.get(7)).toBeUndefined();
  });

  it('are exported as one JSON object a line', async () => {
    const { letters } = await failing();
    const lines = [...letters.export({ subscription: 'own' })].map((line) => JSON.parse(line) as DeadLetter);
    expect(lines.map(({ event }) => event.n)).toEqual([0, 1, 2, 9]);
    expect(lines[0]).toMatchObject({
      reason: 'failed',
      error: { name: 'RangeError', message: 'own 0' },
      replaying: false,
    });
  });

  it('are replayed to the subscription that has failed; they stay until it has processed them', async () => {
    const { bus, letters, fix, runs } = await failing();
    const own = bus.metrics().subscriptions[1];
    runs.length = 0;
    expect(await letters.replay({ subscription: 'own' })).toEqual({ replayed: 4, refused: [] });
    await bus.drain();
    expect(runs.sort()).toEqual([0, 1, 2, 9]);
    const again = letters.list({ subscription: 'own' });
    expect(again).toMatchObject(
      range(4).map(() => ({ reason: 'failed', replaying: false, history: [{ reason: 'failed', attempts: 1 }] })),
    );
    expect(again[0].history[0].setAsideAt).toBeLessThanOrEqual(again[0].setAsideAt);
    fix();
    expect(await letters.replay(again[3].id)).toEqual({ replayed: 1, refused: [] });
    await bus.drain();
    expect(letters.get(again[3].id)).toBeUndefined();
    expect(bus.metrics().subscriptions[1]).toMatchObject({ owed: own.owed + 5, failed: 8, processed: 1 });
    expect(bus.metrics().subscriptions[0].owed).toBe(3);
    expectExact(bus.metrics());
  });

  it('are replayed once, though they are asked for twice at the same time', async () => {
    const { bus, letters, fix, runs } = await failing();
    fix();
    runs.length = 0;
    const [id] = idsOf(letters.list({ type: 'TICK' }));
    expect(await Promise.all([letters.replay(id), letters.replay(id)])).toEqual([
      { replayed: 1, refused: [] },
      { replayed: 0, refused: [{ id, why: 'it is being replayed already' }] },
    ]);
    await bus.drain();
    expect(runs).toEqual([9]);
    expectExact(bus.metrics());
  });

  it('are replayed to all: published again, and gone', async () => {
    const { bus, letters, fix } = await failing();
    fix();
    const [id] = idsOf(letters.list({ type: 'TICK' }));
    expect(await letters.replay(id, { to: 'all' })).toEqual({ replayed: 1, refused: [] });
    await bus.drain();
    expect(letters.get(id)).toBeUndefined();
    expect(bus.metrics().subscriptions[1]).toMatchObject({ owed: 5, processed: 1 });
    expectExact(bus.metrics());
  });

  it('are replayed at the rate that is asked for', async () => {
    const { bus, letters, fix } = await failing();
    fix();
    const begun = performance.now();
    await letters.replay({ subscription: 'own' }, { rate: 20 });
    expect(performance.now() - begun).toBeGreaterThan(140);
    await bus.drain();
    expect(letters.count({ subscription: 'own' })).toBe(0);
  });

  it('that cannot be replayed say why, and stay', async () => {
    const { pool, letters } = await failing();
    pool.unsubscribe();
    await pool.ended;
    const [id] = idsOf(letters.list({ subscription: 'pool' }));
    expect(await letters.replay(id)).toEqual({
      replayed: 0,
      refused: [{ id, why: 'there is no subscription "pool" now' }],
    });
    expect(letters.get(id)).toMatchObject({ replaying: false });
    expect(await letters.replay(99)).toEqual({
      replayed: 0,
      refused: [{ id: 99, why: 'there is no letter with this id' }],
    });
    await expect(letters.replay('all' as never)).rejects.toThrow(
      "got 'all'; expected a letter's id, or an object of: type, subscription, reason, since",
    );
    expect(() => letters.list({ limit: 0 })).toThrow(
      'limit: got 0; expected an integer of letters from 1 to 1,000,000',
    );
  });

  it('are forgotten on demand: one, some, all', async () => {
    const { letters } = await failing();
    const [{ id }] = letters.list({ subscription: 'pool' });
    expect(await letters.purge(id)).toBe(1);
    expect(await letters.purge(id)).toBe(0);
    expect(await letters.purge({ subscription: 'own' })).toBe(4);
    expect(letters.count()).toBe(1);
    expect(await letters.purge()).toBe(1);
    expect(letters.list()).toEqual([]);
  });

  it('of replays that stop cuts off are where they were', async () => {
    const bus = busWith(store);
    const jobs = bus.subscribe('JOB', onJob, { retry: { attempts: 1 } });
    await bus.start();
    await publish(bus, ['fail', 'fail']);
    jobs.pause();
    await bus.deadLetters.replay({});
    expect(bus.deadLetters.list().map(({ replaying }) => replaying)).toEqual([true, true]);
    expect(await bus.stop({ timeoutMs: 20 })).toMatchObject({ discarded: 2 });
    expect(jobs.metrics()).toMatchObject({ owed: 4, failed: 2, discarded: 2, exact: true });
    const again = busWith(store);
    if (store === 'memory') return;
    await again.start();
    expect(again.deadLetters.list().map(({ id, replaying }) => [id, replaying])).toEqual([
      [1, false],
      [2, false],
    ]);
  });
});

describe('a store that is slower than the failures', () => {
  /** Keeps each batch after a while. */
  class SlowStore implements DeadLetterStore {
    readonly kept = new Map<number, Letter>();
    readonly evicted = 0;
    most = 0;
    readonly #ms: number;

    constructor(ms: number) {
      this.#ms = ms;
    }

    open(): void {
      // It is open.
    }

    close(): Promise<void> {
      return Promise.resolve();
    }

    get size(): number {
      return this.kept.size;
    }

    get nextId(): number {
      return 1;
    }

    get(id: number): Letter | undefined {
      return this.kept.get(id);
    }

    letters(from: number): Iterable<Letter> {
      return [...this.kept.values()].filter(({ id }) => id >= from);
    }

    async put(letters: readonly Letter[]): Promise<void> {
      this.most = Math.max(this.most, letters.length);
      await sleep(this.#ms);
      for (const letter of letters) this.kept.set(letter.id, letter);
    }

    async remove(ids: readonly number[]): Promise<void> {
      await sleep(1);
      for (const id of ids) this.kept.delete(id);
    }
  }

  it('holds the failing subscriptions back, and nothing is lost, doubled or taken for hung', async () => {
    const deadLetterStore = new SlowStore(120);
    const bus = newBus({ threads: 2, deadLetterStore, timeoutMs: 40, graceMs: 0 });
    const pool = bus.subscribe('JOB', onJob, { name: 'pool', threads: 2, order: 'none' });
    const own = bus.subscribe('JOB', () => Promise.reject(new Error('no')), { name: 'own' });
    let told = 0;
    bus.on('deadLetter', () => told++);
    await bus.start();
    const events = 20_000;
    for (const n of range(events)) await bus.publish({ type: 'JOB', n, act: 'fail' });
    await bus.drain();
    for (const subscription of [pool, own]) {
      expect(subscription.metrics()).toMatchObject({ owed: events, failed: events, timedOut: 0, redelivered: 0 });
    }
    expect(deadLetterStore.most).toBeLessThan(10_000);
    const letters = [...deadLetterStore.kept.values()];
    expect(letters).toHaveLength(2 * events);
    for (const name of ['pool', 'own']) {
      const sequences = letters
        .filter(({ subscription }) => subscription.name === name)
        .map(({ sequence }) => sequence);
      expect(new Set(sequences).size).toBe(events);
    }
    await until(() => told === 2 * events, 'all notices');
    expect(bus.metrics().threads.map(({ incarnation }) => incarnation)).toEqual([0, 0, 0]);
    expectExact(bus.metrics());
  }, 60_000);

  it('has every letter that was counted when the bus has stopped', async () => {
    const deadLetterStore = new SlowStore(50);
    const bus = newBus({ deadLetterStore });
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    for (const n of range(3_000)) await bus.publish({ type: 'JOB', n, act: 'fail' });
    await bus.stop({ timeoutMs: 1 });
    const { owed, failed, discarded } = jobs.metrics();
    expect(deadLetterStore.kept.size).toBe(failed);
    expect(failed + discarded).toBe(owed);
    expectExact(bus.metrics());
  });
});

describe('dead letters in LMDB', () => {
  it('outlive the bus, and their numbers are not given twice', async () => {
    const first = busWith('LMDB');
    first.subscribe('JOB', onJob, { name: 'jobs' });
    await first.start();
    await publish(first, ['fail', 'fail', 'exit']);
    const before = first.deadLetters.list();
    expect(before.map(({ reason }) => reason)).toEqual(['failed', 'failed', 'poison']);
    await first.deadLetters.purge(3);
    await first.stop();

    const second = busWith('LMDB');
    second.subscribe('JOB', onJob, { name: 'jobs' });
    await second.start();
    expect(second.deadLetters.list()).toEqual(before.slice(0, 2));
    await publish(second, ['fail']);
    expect(idsOf(second.deadLetters.list())).toEqual([1, 2, 4]);
    expectExact(second.metrics());
  });

  it('of a type that has changed or gone are listed and exported; a replay says why not', async () => {
    const path = join(folder, 'changing');
    const old = defineEvents({
      TICK: { priority: 30, payload: { n: i32(), symbol: symbol() } },
      GONE: { priority: 30, payload: { body: text() } },
      SAME: { priority: 30, payload: { n: i32() } },
    });
    const options = { threads: 1, logger: false } as const;
    const first = createBus(old, { ...options, deadLetterStore: lmdbDeadLetters({ path }) });
    const fails = (): never => {
      throw new Error('no');
    };
    first.subscribe(['TICK', 'GONE', 'SAME'], fails, { name: 'all' });
    await first.start();
    await first.publish({ type: 'TICK', n: 1, symbol: 'A' });
    await first.publish({ type: 'GONE', body: 'b' });
    await first.publish({ type: 'SAME', n: 2 });
    await first.drain();
    await first.stop();

    const changed = defineEvents({
      SAME: { priority: 50, payload: { n: i32() } },
      TICK: { priority: 30, payload: { n: f64(), symbol: symbol() } },
    });
    const second = createBus(changed, { ...options, deadLetterStore: lmdbDeadLetters({ path }) });
    const seen: unknown[] = [];
    second.subscribe(['SAME', 'TICK'], (event) => void seen.push(event), { name: 'all' });
    await second.start();
    expect(second.deadLetters.list().map(({ event }) => event)).toEqual([
      { type: 'TICK', n: 1, symbol: 'A' },
      { type: 'GONE', body: 'b' },
      { type: 'SAME', n: 2 },
    ]);
    expect([...second.deadLetters.export()]).toHaveLength(3);
    expect(await second.deadLetters.replay({})).toEqual({
      replayed: 1,
      refused: [
        { id: 1, why: 'the fields of type "TICK" have changed since' },
        { id: 2, why: 'type "GONE" is not in the catalog any more' },
      ],
    });
    await second.drain();
    expect(seen).toEqual([{ type: 'SAME', n: 2 }]);
    expect(idsOf(second.deadLetters.list())).toEqual([1, 2]);
    await second.stop();
  });

  it('are for their owner only, and for one bus at a time', async () => {
    const bus = busWith('LMDB');
    await bus.start();
    const path = join(folder, 'store.x');
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(join(path, 'data.mdb')).mode & 0o777).toBe(0o600);
    await expect(busWith('LMDB').start()).rejects.toMatchObject({
      code: 'ERR_LANEBUS_DEAD_LETTER_STORE',
      message: `dead letters in ${path}: it is open in this process already; a store serves one bus`,
    });
    const other = spawn(process.execPath, [fileURLToPath(moduleUrl('programs/letters')), path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(other.stdout), 'line')) as [string];
    expect(JSON.parse(line)).toEqual({
      refused: `dead letters in ${path}: process ${process.pid} has it open; a store serves one bus at a time`,
    });
    await once(other, 'exit');
  });

  it('cannot be kept in a folder that is no store', async () => {
    const path = join(folder, 'other');
    mkdirSync(path);
    writeFileSync(join(path, 'data.mdb'), 'not a database, but long enough to look like one '.repeat(200));
    const bus = newBus({ deadLetterStore: lmdbDeadLetters({ path }) });
    await expect(bus.start()).rejects.toThrow(`dead letters in ${path}: it cannot be opened: `);
    expect(() => lmdbDeadLetters({} as never)).toThrow('path: got undefined; expected the path of a folder');
    expect(() => newBus({ deadLetterStore: {} as never })).toThrow('deadLetterStore: got {}; expected a store');
  });

  it('go where there is room when the disk is full: the bus goes on, with one fatal line and a count', async () => {
    const limited = spawn(
      'bash',
      [
        '-c',
        'ulimit -f 256; exec "$0" "$@"',
        process.execPath,
        fileURLToPath(moduleUrl('programs/letters')),
        join(folder, 'small'),
        'flood',
      ],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const lines: string[] = [];
    createInterface(limited.stdout).on('line', (line) => lines.push(line));
    let errors = '';
    limited.stderr.on('data', (data: Buffer) => (errors += data.toString()));
    const [code] = (await once(limited, 'exit')) as [number];
    // LMDB itself says so, too.
    expect({ code, errors: errors.replaceAll(/Write error: File too large position \d+, size \d+/g, '') }).toEqual({
      code: 0,
      errors: '',
    });
    const fatal = lines.filter((line) => line.includes('"level":60'));
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toContain('dead letters cannot be stored: they are kept in memory');
    const report = JSON.parse(lines.at(-1) ?? '') as Record<string, number>;
    expect(report).toMatchObject({ failed: 2_000, pending: 0, exact: true });
    expect(report.degraded).toBeGreaterThan(0);
    expect(report.count + report.evicted).toBe(2_000);
  }, 30_000);
});

describe('lanebus dead-letters', () => {
  const run = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
    new Promise((resolve) => {
      execFile(process.execPath, [CLI, 'dead-letters', ...args], (error, out, err) => {
        resolve({ code: (error?.code as number | undefined) ?? 0, out, err });
      });
    });

  it('lists, shows, replays, purges and exports the letters of a live process', async () => {
    const bus = busWith('LMDB');
    const store = ['--store', join(folder, 'store.x')];
    let works = false;
    const seen: number[] = [];
    bus.subscribe(
      'JOB',
      ({ n, act }: Job) => {
        if (!works || act === 'never') throw new TypeError(`no ${n}`);
        seen.push(n);
      },
      { name: 'own' },
    );
    await bus.start();
    await publish(bus, ['a', 'b', 'never', 'd', 'e']);
    works = true;

    const list = await run('list', ...store, '--limit', '4');
    expect(list).toMatchObject({ code: 0, err: '' });
    expect(list.out).toMatch(/│ id │ set aside .* subscription │ type │ key │ reason │ tries │ error/);
    expect(list.out).toMatch(/│ {2}1 │ \d{4}-\S+Z │ own .* JOB .* failed .* 1 │ TypeError: no 0/);
    expect(list.out).toContain('4 letters of 5; the next ones: --cursor 4');
    const json = await run('list', ...store, '--json', '--subscription', 'own');
    expect(
      json.out
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as DeadLetter).id),
    ).toEqual(range(5, 1));

    const show = await run('show', '3', ...store);
    for (const part of ['reason        failed', '"act": "never"', 'TypeError: no 2', '1 failed, 1 started'])
      expect(show.out).toContain(part);

    expect(await run('replay', '1', '3', ...store)).toEqual({
      code: 0,
      err: '',
      out: 'Replayed 2 letters. One that fails again is kept, with its history.\n',
    });
    await bus.drain();
    expect(seen).toEqual([0]);
    expect((await run('show', '3', ...store)).out).toContain('failed before it was replayed: ');
    expect(idsOf(bus.deadLetters.list())).toEqual([2, 3, 4, 5]);

    expect(
      await run('purge', '--reason', 'failed', '--type', 'JOB', '--since', '2000-01-01T00:00:00Z', ...store),
    ).toEqual({ code: 0, err: '', out: 'Purged 4 letters.\n' });
    expect(bus.deadLetters.count()).toBe(0);
    expect((await run('list', ...store)).out).toBe('No letters.\n');

    await publish(bus, ['never']);
    const file = join(folder, 'letters.ndjson');
    expect((await run('export', ...store, '--output', file)).out).toBe(`Exported 1 letter to ${file}.\n`);
    expect(readFileSync(file, 'utf8')).toBe((await run('export', ...store)).out);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ event: { type: 'JOB', n: 0, act: 'never' } });
    expectExact(bus.metrics());
  }, 30_000);

  it('queues replays for the next process, which carries out each once', async () => {
    const first = busWith('LMDB');
    first.subscribe('JOB', onJob, { name: 'jobs' });
    await first.start();
    await publish(first, ['fail', 'fail', 'fail']);
    await first.stop();
    const store = ['--store', join(folder, 'store.x')];
    expect((await run('replay', '1', '2', ...store)).out).toBe(
      'Queued: 2 letters to the subscription that has failed. No process has the store open; the next bus that opens it replays them.\n',
    );
    await run('replay', '2', ...store);
    const second = busWith('LMDB');
    const seen: number[] = [];
    second.subscribe('JOB', ({ n }) => void seen.push(n), { name: 'jobs' });
    await second.start();
    await expect.poll(() => idsOf(second.deadLetters.list())).toEqual([3]);
    await second.drain();
    expect(seen.sort()).toEqual([0, 1]);
    expectExact(second.metrics());
  }, 20_000);

  it.each([
    [
      ['list', '--store', '/nowhere/at/all'],
      1,
      'lanebus: dead letters in /nowhere/at/all: there is no store; expected a folder that a bus with lmdbDeadLetters({ path }) has used\n',
    ],
    [['list'], 2, "error: required option '--store <dir>' not specified\n"],
    [
      ['show', 'x', '--store', 'S'],
      2,
      "error: command-argument value 'x' is invalid for argument 'id'. Expected an integer from 1.\n",
    ],
    [
      ['show', '7', '--store', 'S'],
      1,
      'lanebus: there is no letter 7; "lanebus dead-letters list" shows those there are\n',
    ],
    [
      ['replay', '1', '7', '--store', 'S'],
      1,
      'lanebus: there is no letter 7; "lanebus dead-letters list" shows those there are\n',
    ],
    [
      ['purge', '--store', 'S'],
      2,
      'lanebus: no letter was given; expected ids, filters such as --type or --reason, or --all\n',
    ],
    [
      ['purge', '1', '--all', '--store', 'S'],
      2,
      'lanebus: letters 1 and a filter were given; expected ids, filters, or --all\n',
    ],
    [
      ['list', '--since', 'then', '--store', 'S'],
      2,
      "error: option '--since <time>' argument 'then' is invalid. Expected an ISO time such as 2026-01-31T09:30:00Z, or ms since the Unix epoch.\n",
    ],
    [
      ['list', '--reason', 'bad', '--store', 'S'],
      2,
      "error: option '--reason <reason>' argument 'bad' is invalid. Allowed choices are failed, timedOut, poison, retryOverflow, undecodable.\n",
    ],
    [['lst', '--store', 'S'], 2, "error: unknown command 'lst'\n(Did you mean list?)\n"],
  ])('%j says in one line what is wrong, and changes nothing', async (args, code, err) => {
    const bus = busWith('LMDB');
    bus.subscribe('JOB', onJob);
    await bus.start();
    await publish(bus, ['fail']);
    const real = args.map((arg) => (arg === 'S' ? join(folder, 'store.x') : arg));
    const ran = await run(...real);
    expect({ ...ran, err: ran.err.replace('(--help tells how it is called)\n', '') }).toEqual({ code, out: '', err });
    expect(idsOf(bus.deadLetters.list())).toEqual([1]);
  });

  it('of a file that is no store says so', async () => {
    mkdirSync(join(folder, 'bad'));
    appendFileSync(join(folder, 'bad', 'data.mdb'), 'x'.repeat(100_000));
    const { code, err } = await run('list', '--store', join(folder, 'bad'));
    expect(code).toBe(1);
    expect(err).toMatch(/^lanebus: dead letters in \S+: it cannot be opened: .+\n$/);
  });
});
