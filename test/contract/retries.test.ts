// Deliveries that fail are tried again, as their subscription's policy says; then they are dead letters.
import { setImmediate as turn } from 'node:timers/promises';
import { NonRetryableError } from 'lanebus';
import type { DeadLetter, EventBus, RetryOptions } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type { C, Note } from '../support/handlers/catalog.js';
import type * as retried from '../support/handlers/retried.js';
import { SeededRandom } from '../support/random.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';

const { onJob, onJobToo, onTick, onWide } = handlersOf<typeof retried>('retried');

interface Told {
  readonly attempt: number;
  readonly sequence: number;
  readonly publisher: number;
  readonly lane: string;
  readonly thread: number;
  readonly publishedAt: number;
}

const triesOf = (notes: Notes, n: number): Note[] => notes.of('try').filter((note) => note.n === n);
const attemptsOf = (notes: Notes, n: number): number[] => triesOf(notes, n).map(({ data }) => (data as Told).attempt);

async function run(
  acts: readonly string[],
  retry: RetryOptions,
  options: Parameters<typeof newBus>[0] = {},
  subscribe: object = {},
): Promise<{ bus: EventBus<C>; notes: Notes; letters: DeadLetter[] }> {
  const bus = newBus({ threads: 2, timeoutMs: 300, graceMs: 0, ...options });
  const notes = new Notes(bus);
  bus.subscribe('JOB', onJob, { name: 'jobs', retry, ...subscribe });
  await bus.start();
  for (const [n, act] of acts.entries()) await bus.publish({ type: 'JOB', n, act });
  await bus.drain();
  return { bus, notes, letters: bus.deadLetters.list() };
}

describe('a delivery that fails', () => {
  it('is tried again, until it works or the tries are used up; only then is it a dead letter', async () => {
    const { bus, notes, letters } = await run(['fail,ok', 'fail', 'ok', 'reject,reject,ok'], {
      attempts: 3,
      backoffMs: 5,
    });
    expect([0, 1, 2, 3].map((n) => attemptsOf(notes, n))).toEqual([[1, 2], [1, 2, 3], [1], [1, 2, 3]]);
    expect(letters).toMatchObject([
      {
        id: 1,
        reason: 'failed',
        type: 'JOB',
        event: { type: 'JOB', n: 1, act: 'fail' },
        attempts: 3,
        started: 3,
        crashes: 0,
        error: { name: 'TypeError', message: 'job 1 fails' },
        thread: 1,
        replaying: false,
        history: [],
      },
    ]);
    expect(letters[0].error?.stack).toContain('retried');
    expect(letters[0].firstFailedAt).toBeLessThan(letters[0].lastFailedAt);
    const [, jobs] = bus.metrics().subscriptions;
    expect(jobs).toMatchObject({ owed: 4, processed: 3, failed: 1, retries: 5, retrying: 0, redelivered: 0 });
    expectExact(bus.metrics());
  });

  it('is told on each try where its event comes from, as on the first', async () => {
    const { notes } = await run(['ok', 'fail,fail,ok'], { attempts: 3, backoffMs: 1 });
    const told = triesOf(notes, 1).map(({ data }) => data as Told);
    expect(told.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    for (const one of told) expect(one).toEqual({ ...told[0], attempt: one.attempt });
    expect(told[0]).toMatchObject({ sequence: 1, publisher: 0, lane: 'market' });
  });

  it('is not tried again when its error says so, or retryIf does; the failures are told with their codes', async () => {
    const asked: unknown[] = [];
    const { notes, letters } = await run(['final', 'marked', 'coded', 'fail,ok'], {
      attempts: 5,
      backoffMs: 1,
      retryIf: (error, attempts) => {
        asked.push([error.name, error.code, attempts]);
        return error.code !== 'E_CODED';
      },
    });
    expect([0, 1, 2, 3].map((n) => attemptsOf(notes, n).length)).toEqual([1, 1, 1, 2]);
    expect(asked).toEqual([
      ['Error', 'E_CODED', 1],
      ['TypeError', undefined, 1],
    ]);
    expect(letters.map(({ reason, error }) => [reason, error?.name, error?.code])).toEqual([
      ['failed', 'NonRetryableError', undefined],
      ['failed', 'Error', undefined],
      ['failed', 'Error', 'E_CODED'],
    ]);
    expect(new NonRetryableError('x')).toMatchObject({ retryable: false, name: 'NonRetryableError', message: 'x' });
  });

  it('is not tried again when retryIf throws', async () => {
    const { letters } = await run(['fail,ok'], {
      retryIf: () => {
        throw new Error('a bad test');
      },
    });
    expect(letters).toMatchObject([{ reason: 'failed', attempts: 1 }]);
  });

  it('with something that cannot be read fails like any other, and so do its tries', async () => {
    const { bus, letters } = await run(['hostile', 'ok'], { attempts: 2, backoffMs: 1 });
    expect(letters).toMatchObject([
      { reason: 'failed', attempts: 2, error: { message: expect.any(String) as string } },
    ]);
    expect(bus.metrics().threads.map(({ incarnation }) => incarnation)).toEqual([0, 0, 0]);
    expectExact(bus.metrics());
  });

  it('holds nothing else up: what follows is delivered before the next try', async () => {
    const { notes } = await run(['fail,ok', 'ok', 'ok'], { attempts: 2, backoffMs: 50 });
    expect(notes.of('try').map(({ n, data }) => [n, (data as Told).attempt])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
      [0, 2],
    ]);
  });

  it('goes to the subscription that has failed only', async () => {
    const bus = newBus();
    let [fails, works] = [0, 0];
    bus.subscribe(
      'TICK',
      () => {
        fails++;
        throw new Error('no');
      },
      { retry: { attempts: 4, backoffMs: 1 } },
    );
    bus.subscribe('TICK', () => {
      works++;
    });
    await bus.start();
    await bus.publish({ type: 'TICK', n: 1, symbol: 'A', price: 1 });
    await bus.drain();
    expect([fails, works]).toEqual([4, 1]);
    expectExact(bus.metrics());
  });

  it('keeps its event byte for byte, whatever kinds of fields that has', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    bus.subscribe('WIDE', onWide, { retry: { attempts: 3, backoffMs: 1 } });
    const event = {
      type: 'WIDE' as const,
      ...{ f64: 0.1, i32: -(2 ** 31), u32: 2 ** 32 - 1, u8: 255, bool: true, i64: -5n, u64: 2n ** 64n - 1n },
      side: 'SELL' as const,
      ...{ symbol: 'é€', text: 'naïve 😀', bytes: new Uint8Array([0, 255]) },
      ...{ any: { deep: [new Map([[1, new Set([2n])]])] }, maybeSymbol: 'second', maybeText: '' },
    };
    await bus.start();
    await bus.publish({ ...event, symbol: 'first in the table' });
    await bus.publish(event);
    await bus.drain();
    const seen = notes.of('wide').filter(({ data }) => (data as { symbol: string }).symbol === 'é€');
    expect(seen.map(({ n }) => n)).toEqual([1, 2, 3]);
    for (const { data } of seen) expect(data).toMatchObject(event);
    expectExact(bus.metrics());
  });

  it('is a dead letter at once when maxPending are between two tries already', async () => {
    const { bus, letters } = await run(['fail', 'fail', 'fail', 'fail'], {
      attempts: 2,
      backoffMs: 100,
      maxPending: 2,
    });
    expect(letters.map(({ reason, attempts }) => [reason, attempts])).toEqual([
      ['retryOverflow', 1],
      ['retryOverflow', 1],
      ['failed', 2],
      ['failed', 2],
    ]);
    expectExact(bus.metrics());
  });

  it.each([
    ['exits', 'fail,exit,ok', [1, 2, 3], []],
    ['is ended at its deadline', 'fail,hang', [1, 2], ['timedOut']],
    ['exits each time', 'fail,exit', [1, 2, 3], ['poison']],
  ])('survives its thread, which %s', async (_, act, attempts, reasons) => {
    const { bus, notes, letters } = await run([act, 'ok'], { attempts: 3, backoffMs: 1 });
    expect(attemptsOf(notes, 0)).toEqual(attempts);
    expect(letters.map(({ reason, started }) => [reason, started])).toEqual(
      reasons.map((reason) => [reason, attempts.length]),
    );
    expectExact(bus.metrics());
  });

  it('waits for its next try while others cost the thread, and is tried by the successor', async () => {
    const { bus, notes } = await run(['fail,fail,ok', 'exit', 'hang', 'ok'], { attempts: 3, backoffMs: 60 });
    expect(attemptsOf(notes, 0)).toEqual([1, 2, 3]);
    expect(bus.metrics().subscriptions[1]).toMatchObject({ owed: 4, processed: 2, failed: 1, timedOut: 1 });
    expectExact(bus.metrics());
  });

  it('that waits when the bus is stopped ends discarded', async () => {
    const bus = newBus();
    const jobs = bus.subscribe('JOB', onJob, { retry: { attempts: 5, backoffMs: 60_000 } });
    await bus.start();
    for (const n of range(3)) await bus.publish({ type: 'JOB', n, act: n === 2 ? 'final' : 'fail' });
    await expect.poll(() => jobs.metrics().retrying).toBe(2);
    expect(jobs.metrics()).toMatchObject({ pending: 2, exact: true });
    expect(await bus.stop({ timeoutMs: 20 })).toMatchObject({ drained: false, discarded: 2 });
    expect(jobs.metrics()).toMatchObject({ owed: 3, failed: 1, discarded: 2, pending: 0, exact: true });
  });

  it('that waits when its subscription ends is discarded, and the bus goes on', async () => {
    const bus = newBus();
    const jobs = bus.subscribe('JOB', onJob, { retry: { attempts: 5, backoffMs: 60_000 } });
    await bus.start();
    for (const n of range(3)) await bus.publish({ type: 'JOB', n, act: 'fail' });
    await expect.poll(() => jobs.metrics().retrying).toBe(3);
    jobs.unsubscribe();
    await jobs.ended;
    expect(jobs.metrics()).toMatchObject({ owed: 3, discarded: 3, pending: 0, exact: true });
    await bus.drain();
    expectExact(bus.metrics());
  });

  it.each([
    ['two threads', { threads: 2, order: 'none' }],
    ['several deliveries in flight', { concurrency: 4, order: 'none' }],
    ['checkpoints', { checkpointEvery: 5 }],
  ])('is tried again with %s', async (_, subscribe) => {
    const acts = range(40).map((n) => (n % 3 === 0 ? 'fail,reject,ok' : n % 3 === 1 ? 'sleep' : 'reject,fail,fail'));
    const { bus, notes, letters } = await run(acts, { attempts: 3, backoffMs: 2 }, {}, subscribe);
    expect(acts.map((_act, n) => attemptsOf(notes, n).length)).toEqual(acts.map((_act, n) => (n % 3 === 1 ? 1 : 3)));
    expect(letters.map(({ event }) => event.n).sort((a, b) => Number(a) - Number(b))).toEqual(
      range(40).filter((n) => n % 3 === 2),
    );
    expectExact(bus.metrics());
  });
});

describe('a policy of the bus', () => {
  it('holds for subscriptions that say nothing, as far as it goes with what they are', async () => {
    const bus = newBus({ retry: { attempts: 2, backoffMs: 1, keepOrder: true } });
    const runs: string[] = [];
    const failing =
      (name: string) =>
      (_: unknown, { attempt }: { attempt: number }): void => {
        runs.push(`${name} ${attempt}`);
        throw new Error('no');
      };
    bus.subscribe('TICK', failing('tick'));
    bus.subscribe('TICK', failing('newest'), { lag: 'conflate' });
    bus.subscribe('JOB', failing('unkeyed'));
    bus.subscribe('JOB', failing('own'), { retry: { attempts: 1 } });
    await bus.start();
    const first = bus.once('TICK');
    await bus.publish({ type: 'TICK', n: 1, symbol: 'A', price: 1 });
    await bus.publish({ type: 'JOB', n: 1, act: '' });
    expect(await first).toMatchObject({ n: 1 });
    await bus.drain();
    expect(runs.sort()).toEqual(['newest 1', 'own 1', 'tick 1', 'tick 2', 'unkeyed 1', 'unkeyed 2']);
    expectExact(bus.metrics());
  });
});

describe('a delivery that was given up', () => {
  it('comes to nothing when it settles late, also for the one that has its place by then', async () => {
    const bus = newBus({ timeoutMs: 40, graceMs: 0, lanes: { log: { capacityBytes: 1024 } } });
    let settleLate: () => void = () => undefined;
    const told = bus.subscribe('NOTE', () => undefined, { timeoutMs: 0 });
    const jobs = bus.subscribe('JOB', ({ n }, context) => {
      if (n === 1) return new Promise((resolve) => (settleLate = resolve));
      for (const note of range(40)) void context.publish({ type: 'NOTE', what: 'full', n: note, at: 0 });
      return undefined;
    });
    await bus.start();
    told.pause();
    await bus.publish({ type: 'JOB', n: 1, act: '' });
    await expect.poll(() => jobs.metrics().timedOut, { interval: 5 }).toBe(1);
    await bus.publish({ type: 'JOB', n: 2, act: '' });
    await expect.poll(() => bus.metrics().lanes.log.waiting, { interval: 1 }).toBeGreaterThan(0);
    settleLate();
    // Whatever it brings about is done in the same turn of the event loop.
    for (let turns = 0; turns < 3; turns++) await turn();
    expect(jobs.metrics()).toMatchObject({ processed: 0, timedOut: 1 });
    told.resume();
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ processed: 1, timedOut: 1, failed: 0 });
    expect(told.metrics()).toMatchObject({ owed: 40, processed: 40 });
    expectExact(bus.metrics());
  });
});

describe('with keepOrder', () => {
  it.each([
    ['one thread', {}],
    ['two threads', { threads: 2 }],
    ['several deliveries in flight', { concurrency: 3 }],
  ])("a key's later events wait for the one that is tried again, and others do not, with %s", async (_, subscribe) => {
    const bus = newBus({ threads: 2 });
    const notes = new Notes(bus);
    const retry = { attempts: 3, backoffMs: 20, keepOrder: true };
    const ticks = bus.subscribe('TICK', onTick, { retry, ...subscribe });
    await bus.start();
    const random = new SeededRandom(7);
    // How often each fails: 3 is for ever.
    const events = range(60).map((n) => ({ n, symbol: `S${n % 4}`, price: n % 4 === 3 ? 0 : random.below(4) }));
    for (const event of events) await bus.publish({ type: 'TICK', ...event });
    await bus.drain();
    const seen = notes.of('tick').map(({ n, data }) => ({ n, ...(data as { symbol: string; at: number }) }));
    for (const symbol of ['S0', 'S1', 'S2', 'S3']) {
      const expected = events
        .filter((event) => event.symbol === symbol)
        .flatMap(({ n, price }) => range(Math.min(3, price + 1)).map(() => n));
      expect(seen.filter((one) => one.symbol === symbol).map(({ n }) => n)).toEqual(expected);
    }
    const lastOf = (symbol: string): number =>
      Math.max(...seen.filter((one) => one.symbol === symbol).map(({ at }) => at));
    expect(lastOf('S3')).toBeLessThan(lastOf('S0'));
    expect(ticks.metrics()).toMatchObject({ owed: 60, failed: events.filter(({ price }) => price === 3).length });
    expectExact(bus.metrics());
  });

  it('it is still so after the thread has died', async () => {
    const bus = newBus({ threads: 1, graceMs: 0, timeoutMs: 100 });
    const notes = new Notes(bus);
    const ticks = bus.subscribe('TICK', onTick, { retry: { attempts: 2, backoffMs: 150, keepOrder: true } });
    bus.subscribe('JOB', onJob);
    await bus.start();
    for (const n of range(4)) await bus.publish({ type: 'TICK', n, symbol: 'A', price: n === 0 ? 1 : 0 });
    await notes.until('tick', 1);
    await bus.publish({ type: 'JOB', n: 1, act: 'hang' });
    for (const n of range(3, 4)) await bus.publish({ type: 'TICK', n, symbol: 'A', price: 0 });
    await bus.drain();
    expect(bus.metrics().threads[1].incarnation).toBe(1);
    expect(notes.of('tick').map(({ n }) => n)).toEqual([0, 0, 1, 2, 3, 4, 5, 6]);
    expect(ticks.metrics()).toMatchObject({ owed: 7, processed: 7 });
    expectExact(bus.metrics());
  });

  it('no more than maxPending wait: the rest are dead letters', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const retry = { attempts: 2, backoffMs: 100, keepOrder: true, maxPending: 3 };
    bus.subscribe('TICK', onTick, { retry });
    await bus.start();
    for (const n of range(6)) await bus.publish({ type: 'TICK', n, symbol: 'A', price: n === 0 ? 1 : 0 });
    await bus.drain();
    await bus.publish({ type: 'TICK', n: 6, symbol: 'A', price: 0 });
    await bus.drain();
    expect(notes.of('tick').map(({ n }) => n)).toEqual([0, 0, 1, 2, 6]);
    expect(bus.deadLetters.list().map(({ event, reason, started }) => [event.n, reason, started])).toEqual([
      [3, 'retryOverflow', 0],
      [4, 'retryOverflow', 0],
      [5, 'retryOverflow', 0],
    ]);
    expectExact(bus.metrics());
  });
});

describe('the retry law', () => {
  /** The wait after each failure, shortest and longest. */
  function schedule({ attempts = 3, backoffMs = 100, factor = 2, maxBackoffMs = 30_000, jitter = 0 }: RetryOptions) {
    return range(attempts - 1).map((k) => {
      const whole = Math.min(maxBackoffMs, backoffMs * factor ** k);
      return { least: whole * (1 - jitter), most: whole };
    });
  }

  const random = new SeededRandom(2026);
  const policies = range(100).map((): RetryOptions => ({
    attempts: 1 + random.below(5),
    backoffMs: 1 + random.below(120),
    factor: 1 + random.next() * 2,
    maxBackoffMs: 40 + random.below(400),
    jitter: random.next() < 0.5 ? 0 : random.next(),
  }));
  /** Ten of them at a time: each has a subscription on the bus's own thread. */
  const batches = range(10).map((batch) => policies.slice(batch * 10, batch * 10 + 10));

  /** How late plain timers of this thread are by the same measure: what the machine does to every schedule. */
  function machineLateness(): { end(): number[] } {
    const late: number[] = [];
    const waitMs = 20;
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const at = performance.now();
      timer = setTimeout(() => {
        late.push(performance.now() - at - (waitMs * 1.05 + 5));
        arm();
      }, waitMs);
    };
    arm();
    return {
      end() {
        clearTimeout(timer);
        return late;
      },
    };
  }

  it('holds for 100 random policies: so many tries, at these times', async () => {
    const beyond: number[] = [];
    const control = machineLateness();
    for (const batch of batches) {
      const bus = newBus();
      const made = batch.map((retry, index) => {
        const tries: { n: number; at: number; attempt: number }[] = [];
        const handler = (event: { n: number }, { attempt }: { attempt: number }): void => {
          tries.push({ n: event.n, at: performance.now(), attempt });
          if (attempt <= event.n) throw new Error('no');
        };
        return { retry, tries, subscription: bus.subscribe('JOB', handler, { name: `policy ${index}`, retry }) };
      });
      await bus.start();
      // Once to warm up: code that runs for the first time takes milliseconds.
      await bus.publish({ type: 'JOB', n: 1, act: '' });
      await bus.drain();
      for (const { tries } of made) tries.length = 0;
      for (const n of range(6)) await bus.publish({ type: 'JOB', n, act: '' });
      await bus.drain();
      for (const { retry, tries, subscription } of made) {
        const { attempts = 3 } = retry;
        const waits = schedule(retry);
        for (const n of range(6)) {
          const mine = tries.filter((one) => one.n === n);
          expect(mine.map(({ attempt }) => attempt)).toEqual(range(Math.min(attempts, n + 1), 1));
          for (const [k, { at }] of mine.slice(1).entries()) {
            const wait = at - mine[k].at;
            expect(wait).toBeGreaterThanOrEqual(waits[k].least * 0.95 - 5);
            beyond.push(wait - (waits[k].most * 1.05 + 5));
          }
        }
        expect(subscription.metrics().failed).toBe([1, ...range(6)].filter((n) => n >= attempts).length);
      }
      expectExact(bus.metrics());
      await bus.stop();
    }
    beyond.sort((a, b) => a - b);
    const share = (late: readonly number[]): number => late.filter((ms) => ms <= 0).length / late.length;
    const [within, withinByTimer] = [share(beyond), share(control.end())];
    const percent = (part: number): string => `${(part * 100).toFixed(1)}%`;
    process.stdout.write(
      `retry law: ${beyond.length} waits, ${percent(within)} within 5% + 5 ms (of plain timers ${percent(withinByTimer)}), ` +
        `worst ${beyond[beyond.length - 1].toFixed(1)} ms beyond\n`,
    );
    // On an idle machine it is 98% and more; where plain timers are late, this is so, too: a try is late by its own timer, or by the one before.
    expect(within).toBeGreaterThan(0.95 - 2 * (1 - withinByTimer));
  }, 60_000);

  it('holds for them while deliveries cost their threads: so many tries, and each delivery one end', async () => {
    const acts = ['fail', 'fail,exit,fail', 'exit,fail', 'ok', 'fail,ok', 'reject', 'fail,fail,exit,ok', 'hang'];
    for (const batch of batches) {
      const bus = newBus({ threads: 2, graceMs: 0, timeoutMs: 1_000 });
      const notes = new Notes(bus);
      const [first, second] = [onJob, onJobToo].map((handler, index) =>
        bus.subscribe('JOB', handler, { name: `pool ${index}`, retry: batch[index] }),
      );
      await bus.start();
      for (const [n, act] of acts.entries()) await bus.publish({ type: 'JOB', n, act });
      await bus.drain();
      for (const [index, subscription] of [first, second].entries()) {
        const { attempts = 3 } = batch[index];
        const { processed, failed, timedOut } = subscription.metrics();
        expect(processed + failed + timedOut).toBe(acts.length);
        const letters = bus.deadLetters.list({ subscription: `pool ${index}` });
        expect(letters.length).toBe(failed + timedOut);
        expect(new Set(letters.map(({ event }) => event.n)).size).toBe(letters.length);
        for (const { reason, attempts: failures, crashes } of letters) {
          if (reason === 'failed') expect(failures - crashes).toBe(attempts);
        }
        for (const n of [0, 5]) {
          // What only fails is tried as often as the policy says; more only where another's death cut a try off.
          const letter = letters.find(({ event }) => event.n === n);
          expect(letter).toMatchObject({ reason: 'failed', attempts, crashes: 0 });
          expect(letter?.started).toBeGreaterThanOrEqual(attempts);
        }
      }
      const tries = notes.of('try').length;
      const started = bus.deadLetters.list().reduce((sum, letter) => sum + letter.started, 0);
      expect(tries).toBeGreaterThanOrEqual(started);
      expectExact(bus.metrics());
      await bus.stop();
    }
  }, 120_000);
});
