// Handlers that take too long, and what that means for the others.
import { setImmediate as turn } from 'node:timers/promises';
import type { EventBus, SubscriptionMetrics } from 'lanebus';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { beforeEach, describe, expect, it } from 'vitest';
import { type C, epochNow, type Tick } from '../support/handlers/catalog.js';
import type * as hang from '../support/handlers/hang.js';
import { busy } from '../support/handlers/hang.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, latch, newBus, Notes, range } from './buses.js';

const { keep, quiet, quietToo } = handlersOf<typeof record>('record');
const { onJob, onJobToo, onJobSync, onJobSyncToo, loopOnTick } = handlersOf<typeof hang>('hang');
const tick = (n: number, symbol = 'ESH4'): Tick => ({ type: 'TICK', n, symbol, price: n / 4 });

/** The contract: timeoutMs + graceMs + this. */
const SLACK_MS = 100;
/** How late this thread's own timers were during the test: that much the machine took, not the watchdog. */
const lag = monitorEventLoopDelay({ resolution: 5 });
lag.enable();
beforeEach(() => {
  lag.reset();
});

function slackMs(): number {
  return SLACK_MS + (lag.max > 0 ? lag.max / 1e6 : 0);
}

/** Resolves with the time at which a thread has been replaced `restarts` times. */
async function whenReplaced(bus: EventBus<C>, thread: number, restarts: number): Promise<number> {
  for (;;) {
    if (bus.metrics().threads[thread].incarnation >= restarts) return epochNow();
    await turn();
  }
}

describe('a handler in an infinite loop', () => {
  it('is stopped within timeoutMs + graceMs + 100 ms, the ledger is exact, all others end complete', async () => {
    const timeoutMs = 100;
    const graceMs = 50;
    const hangs = 5;
    const count = 30_000;
    const bus = newBus({ threads: 2, timeoutMs, graceMs });
    const notes = new Notes(bus);
    const looping = bus.subscribe('TICK', loopOnTick, { name: 'looping' });
    const asyncHere = { active: 0, done: 0 };
    const others = [
      bus.subscribe('TICK', quiet, { name: 'sync, another thread' }),
      bus.subscribe('TICK', quietToo, { name: 'sync, same thread' }),
      bus.subscribe('TICK', keep, { name: 'stateful, another thread' }),
      bus.subscribe('TICK', () => undefined, { name: 'sync, main' }),
      bus.subscribe('TICK', async () => {
        asyncHere.active++;
        await turn();
        asyncHere.done++;
      }),
    ];
    expect(looping.metrics().threads[0]).toBe(others[1].metrics().threads[0]);
    expect(looping.metrics().threads[0]).not.toBe(others[0].metrics().threads[0]);
    await bus.start();
    await expect.poll(() => bus.metrics().spares).toBe(1); // a thread that starts takes one of two cores

    const stoppedAfter: number[] = [];
    let published = 0;
    const flood = async (): Promise<void> => {
      for (const upTo = published + count / (hangs + 1); published < upTo; published++) {
        await bus.publish(tick(published));
        if (published % 500 === 0) await turn();
      }
    };
    for (const round of range(hangs, 1)) {
      await flood();
      await bus.publish(tick(published++, 'LOOP'));
      const [begun] = (await notes.until('begun', round)).slice(-1);
      const gone = await whenReplaced(bus, looping.metrics().threads[0], round);
      stoppedAfter.push(gone - begun.at);
    }
    await flood();
    await bus.drain();

    const figures = stoppedAfter.map((ms) => ms.toFixed(0)).join(', ');
    process.stdout.write(
      `infinite loop, limit ${timeoutMs + graceMs} ms: stopped ${figures} ms after the handler's start\n`,
    );
    stoppedAfter.sort((a, b) => a - b);
    expect(stoppedAfter[0]).toBeGreaterThanOrEqual(timeoutMs + graceMs);
    // A single one may be later when the machine has other work.
    expect(stoppedAfter[hangs >> 1]).toBeLessThanOrEqual(timeoutMs + graceMs + slackMs());
    expectExact(bus.metrics());
    expect(looping.metrics()).toMatchObject({
      owed: published,
      processed: published - hangs,
      timedOut: hangs,
      failed: 0,
    });
    for (const other of others) expect(other.metrics()).toMatchObject({ owed: published, processed: published });
    expect(asyncHere).toEqual({ active: published, done: published });
    expect(bus.metrics().threads[looping.metrics().threads[0]].restarts).toEqual({ timeout: hangs, crash: 0 });
    expect(bus.metrics().threads[others[0].metrics().threads[0]].restarts).toEqual({ timeout: 0, crash: 0 });
    await bus.publish(tick(-1));
    expect((await notes.until('kept'))[0].data).toEqual([[0, published - 1]]);
  });

  it('in a regular expression is stopped the same way', async () => {
    const bus = newBus({ timeoutMs: 100, graceMs: 0 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'regex' });
    await bus.publish({ type: 'JOB', n: 2, act: '' });
    const [begun] = await notes.until('begun');
    const gone = await whenReplaced(bus, 1, 1);
    expect(gone - begun.at).toBeLessThanOrEqual(100 + slackMs());
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ owed: 2, processed: 1, timedOut: 1, redelivered: 0 });
    expectExact(bus.metrics());
  });

  it('gets the events behind it delivered in order by the successor', async () => {
    const bus = newBus({ timeoutMs: 50, graceMs: 0 });
    const notes = new Notes(bus);
    bus.subscribe('JOB', onJobSync);
    await bus.start();
    for (const n of range(20)) await bus.publish({ type: 'JOB', n, act: n === 5 || n === 12 ? 'loop' : '' });
    await bus.drain();
    expect(notes.of('begun').map(({ n }) => n)).toEqual(range(20));
    expect(notes.of('done').map(({ n }) => n)).toEqual(range(20).filter((n) => n !== 5 && n !== 12));
    expectExact(bus.metrics());
  });
});

describe('an async handler past its deadline', () => {
  it('sees its signal abort, and keeps its thread if it ends within the grace', async () => {
    const bus = newBus({ timeoutMs: 60, graceMs: 5_000 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'heed' });
    const [aborted] = await notes.until('aborted');
    const [begun] = notes.of('begun');
    expect(aborted.data).toBe('TimeoutError');
    expect(aborted.at - begun.at).toBeGreaterThanOrEqual(59);
    expect(aborted.at - begun.at).toBeLessThanOrEqual(60 + slackMs());
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ owed: 1, processed: 1, failed: 0, timedOut: 0, redelivered: 0 });
    expect(bus.metrics().threads[1]).toMatchObject({ incarnation: 0, restarts: { timeout: 0, crash: 0 } });
  });

  it('fails if it rejects because its signal aborted', async () => {
    const bus = newBus({ timeoutMs: 40, graceMs: 5_000 });
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'respect' });
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ owed: 1, failed: 1, timedOut: 0, exact: true });
    expect(bus.metrics().threads[1].incarnation).toBe(0);
  });

  it('that never settles loses its thread, and the innocent on it are redelivered with attempt 2', async () => {
    const bus = newBus({ graceMs: 30 });
    const notes = new Notes(bus);
    const stuck = bus.subscribe('JOB', onJob, { timeoutMs: 60, name: 'stuck' });
    const innocent = bus.subscribe('JOB', onJobToo, { timeoutMs: 0, name: 'innocent' });
    await bus.start();
    // The one is past its deadline long before the other, which has none, has slept enough.
    await bus.publish({ type: 'JOB', n: 400, act: 'sleep' });
    await bus.drain();
    expect(stuck.metrics()).toMatchObject({ owed: 1, processed: 0, timedOut: 1, redelivered: 0 });
    expect(innocent.metrics()).toMatchObject({ owed: 1, processed: 1, timedOut: 0, redelivered: 1 });
    expect(notes.of('done').map(({ data }) => data)).toEqual([2]);
    expectExact(bus.metrics());
  });

  it('on the bus’s own thread is given up as timedOut, and what it comes to later counts no more', async () => {
    const bus = newBus({ timeoutMs: 40, graceMs: 20 });
    const finish = latch();
    const signals: AbortSignal[] = [];
    const seen: number[] = [];
    const subscription = bus.subscribe('TICK', async ({ n }, context) => {
      seen.push(n);
      signals.push(context.signal);
      if (n === 0) await finish.opened;
    });
    await bus.start();
    for (const n of range(3)) await bus.publish(tick(n));
    await bus.drain();
    expect(seen).toEqual([0, 1, 2]);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false, false]);
    expect(subscription.metrics()).toMatchObject({ owed: 3, processed: 2, timedOut: 1, exact: true });
    finish.open();
    await turn();
    expect(subscription.metrics()).toMatchObject({ owed: 3, processed: 2, timedOut: 1, exact: true });
  });

  it('is left alone when its timeoutMs is 0', async () => {
    const bus = newBus({ timeoutMs: 30, graceMs: 0 });
    const finish = latch();
    const unlimited = bus.subscribe('TICK', () => finish.opened, { timeoutMs: 0 });
    const limited = bus.subscribe('TICK', () => finish.opened);
    await bus.start();
    await bus.publish(tick(1));
    await expect.poll(() => limited.metrics().timedOut).toBe(1);
    expect(unlimited.metrics()).toMatchObject({ processed: 0, timedOut: 0, pending: 1 });
    finish.open();
    await bus.drain();
    expect(unlimited.metrics()).toMatchObject({ processed: 1, timedOut: 0 });
  });
});

describe('who is blamed', () => {
  function expectNoOneTimedOut(bus: EventBus<C>, subscriptions: readonly SubscriptionMetrics[]): void {
    for (const { name, timedOut, redelivered, owed, processed } of subscriptions) {
      expect({ name, timedOut, redelivered, processed }).toEqual({
        name,
        timedOut: 0,
        redelivered: 0,
        processed: owed,
      });
    }
    expect(bus.metrics().threads[1].restarts).toEqual({ timeout: 0, crash: 0 });
  }

  it('is not the async handler that waits while a slow, legal one holds the thread', async () => {
    const bus = newBus({ graceMs: 0 });
    const notes = new Notes(bus);
    const quick = bus.subscribe('JOB', onJob, { timeoutMs: 150, name: 'quick' });
    const slow = bus.subscribe('TICK', handlersOf<typeof hang>('hang').busyOnTick, { timeoutMs: 10_000, name: 'slow' });
    await bus.start();
    for (const round of range(3, 1)) {
      await bus.publish({ type: 'JOB', n: 60, act: 'sleep' });
      await notes.until('begun', round);
      await bus.publish(tick(400));
      await bus.drain();
    }
    expectNoOneTimedOut(bus, [quick.metrics(), slow.metrics()]);
  });

  it('is nobody when the bus’s own thread was too busy to look', async () => {
    const bus = newBus({ graceMs: 0 });
    const notes = new Notes(bus);
    const quick = bus.subscribe('JOB', onJob, { timeoutMs: 250, name: 'quick' });
    const slow = bus.subscribe('TICK', handlersOf<typeof hang>('hang').busyOnTick, { timeoutMs: 10_000, name: 'slow' });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 100, act: 'sleep' });
    const [begun] = await notes.until('begun');
    // Until the watchdog has surely seen it.
    while (epochNow() - begun.at < 50) await turn();
    await bus.publish(tick(700));
    busy(400);
    await bus.drain();
    expectNoOneTimedOut(bus, [quick.metrics(), slow.metrics()]);
  });

  it('is each of two sync handlers that hang, one after the other', async () => {
    const bus = newBus({ timeoutMs: 60, graceMs: 0 });
    const first = bus.subscribe('JOB', onJobSync);
    const second = bus.subscribe('JOB', onJobSyncToo);
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'loop' });
    await bus.publish({ type: 'JOB', n: 2, act: '' });
    await bus.drain();
    expect(first.metrics()).toMatchObject({ owed: 2, processed: 1, timedOut: 1 });
    expect(second.metrics()).toMatchObject({ owed: 2, processed: 1, timedOut: 1 });
    expectExact(bus.metrics());
  });

  it('is the async handler that loops after an await', async () => {
    const bus = newBus({ graceMs: 20 });
    const looping = bus.subscribe('JOB', onJob, { timeoutMs: 80, name: 'looping' });
    const waiting = bus.subscribe('TICK', handlersOf<typeof hang>('hang').sleepOnTick, { timeoutMs: 5_000 });
    await bus.start();
    await bus.publish(tick(300));
    await bus.publish({ type: 'JOB', n: 1, act: 'loop later' });
    await bus.drain();
    expect(looping.metrics()).toMatchObject({ owed: 1, timedOut: 1 });
    expect(waiting.metrics()).toMatchObject({ owed: 1, processed: 1, timedOut: 0, redelivered: 1 });
    expectExact(bus.metrics());
  });
});

describe('a limit of its own', () => {
  it('can be given to each subscription', async () => {
    const bus = newBus({ timeoutMs: 10_000, graceMs: 10_000 });
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', onJobSync, { timeoutMs: 50, graceMs: 0 });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1, act: 'loop' });
    const [begun] = await notes.until('begun');
    expect((await whenReplaced(bus, 1, 1)) - begun.at).toBeLessThanOrEqual(50 + slackMs());
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ timedOut: 1, exact: true });
  });
});
