// The more urgent lane goes first, at every event boundary of the thread that runs the handlers.
import type { EventBus } from 'lanebus';
import { describe, expect, it } from 'vitest';
import { type C, epochNow, type Tick } from '../support/handlers/catalog.js';
import * as order from '../support/handlers/order.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';

const WAITING = 100_000;
const ROOMY = { lanes: { market: { capacityBytes: 2 ** 24 } } };

/** On the bus's own thread the handlers are the module's functions, in the pool they are references to them. */
const ON = { 'the main thread': order, 'a pool thread': handlersOf<typeof order>('order') };
const THREADS = ['the main thread', 'a pool thread'] as const;
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });

/** Publishes without a turn of the event loop, so that nothing is taken meanwhile on the bus's own thread. */
function fill(bus: EventBus<C>, count: number): void {
  expect(range(count).filter((n) => bus.tryPublish(tick(n)) !== 'published')).toEqual([]);
}

async function orderOf(notes: Notes, count = 1): Promise<order.Run[]> {
  return (await notes.until('order', count))[count - 1].data as order.Run[];
}

describe.each(THREADS)('HALT on %s', (thread) => {
  const { haltAtTen, keepHalt, keepOrder } = ON[thread];

  it(`is the next event that runs with ${WAITING.toLocaleString('en-US')} market events waiting`, async () => {
    const bus = newBus(ROOMY);
    const notes = new Notes(bus);
    const all = bus.subscribe(['TICK', 'HALT', 'JOB'], keepOrder);
    await bus.start();
    all.pause();
    fill(bus, WAITING);
    await bus.publish({ type: 'HALT', n: 7, reason: 'breach' });
    await bus.publish({ type: 'JOB', n: 0, act: 'report' });
    expect(all.metrics()).toMatchObject({ processed: 0, pending: WAITING + 2 });
    all.resume();
    expect(await orderOf(notes)).toEqual([
      { type: 'HALT', first: 7, last: 7 },
      { type: 'TICK', first: 0, last: WAITING - 1 },
    ]);
    await bus.drain();
    expectExact(bus.metrics());
  });

  it('goes first in a subscription of its own as well', async () => {
    const bus = newBus(ROOMY);
    const notes = new Notes(bus);
    const ticks = bus.subscribe(['TICK', 'JOB'], keepOrder);
    const halts = bus.subscribe('HALT', keepHalt);
    await bus.start();
    expect(ticks.metrics().threads[0]).toBe(halts.metrics().threads[0]);
    ticks.pause();
    halts.pause();
    fill(bus, WAITING);
    for (const n of range(3)) await bus.publish({ type: 'HALT', n, reason: 'breach' });
    await bus.publish({ type: 'JOB', n: 0, act: 'report' });
    halts.resume();
    ticks.resume();
    expect(await orderOf(notes)).toEqual([
      { type: 'HALT', first: 0, last: 2 },
      { type: 'TICK', first: 0, last: WAITING - 1 },
    ]);
  });

  it.each([true, false])(
    'published by a market handler in the middle of a burst runs before the next market event (ringing: %s)',
    async (urgent) => {
      const bus = newBus({ lanes: { ...ROOMY.lanes, control: { urgent } } });
      const notes = new Notes(bus);
      const ticks = bus.subscribe('TICK', haltAtTen);
      bus.subscribe(['HALT', 'JOB'], keepOrder);
      await bus.start();
      ticks.pause();
      fill(bus, 1000);
      ticks.resume();
      await bus.drain();
      await bus.publish({ type: 'JOB', n: 0, act: 'report' });
      const expected: order.Run[] = [{ type: 'TICK', first: 0, last: 9 }];
      for (const n of range(10)) {
        expected.push({ type: 'HALT', first: n * 100 + 9, last: n * 100 + 9 });
        expected.push({ type: 'TICK', first: n * 100 + 10, last: Math.min(n * 100 + 109, 999) });
      }
      expect(await orderOf(notes)).toEqual(expected);
      await bus.drain();
      expectExact(bus.metrics());
    },
  );

  it.each([true, false])(
    'goes before every other lane, and each lane before the less urgent ones (ringing: %s)',
    async (urgent) => {
      const lanes = ['control', 'execution', 'signal', 'market', 'log'].map((name) => [name, { urgent }] as const);
      const bus = newBus({ lanes: Object.fromEntries(lanes) });
      const notes = new Notes(bus);
      const all = bus.subscribe(['HALT', 'ORDER', 'SIGNAL', 'TICK', 'NOTE'], keepOrder);
      await bus.start();
      all.pause();
      for (const n of range(300)) await bus.publish({ type: 'NOTE', what: 'filler', n, at: 0 });
      for (const n of range(300)) await bus.publish(tick(n));
      for (const n of range(300)) await bus.publish({ type: 'SIGNAL', n, symbol: 'ESH4' });
      for (const n of range(300)) await bus.publish({ type: 'ORDER', n, symbol: 'ESH4' });
      for (const n of range(300)) await bus.publish({ type: 'HALT', n, reason: 'breach' });
      await bus.publish({ type: 'NOTE', what: 'report', n: 0, at: 0 });
      all.resume();
      expect(await orderOf(notes)).toEqual(
        ['HALT', 'ORDER', 'SIGNAL', 'TICK', 'NOTE'].map((type) => ({ type, first: 0, last: 299 })),
      );
    },
  );

  it('leaves a waiting lane its turn when a starvation bound is set', async () => {
    const bus = newBus({ starvation: { events: 50 } });
    const notes = new Notes(bus);
    const all = bus.subscribe(['TICK', 'HALT', 'JOB'], keepOrder);
    await bus.start();
    all.pause();
    fill(bus, 500);
    for (const n of range(500)) await bus.publish({ type: 'HALT', n, reason: 'breach' });
    await bus.publish({ type: 'JOB', n: 0, act: 'report' });
    all.resume();
    const runs = await orderOf(notes);
    const halts = runs.filter(({ type }) => type === 'HALT');
    expect(Math.max(...halts.map(({ first, last }) => last - first + 1))).toBeLessThanOrEqual(50);
    expect(halts.length).toBeGreaterThanOrEqual(10);
    expect(halts.at(-1)?.last).toBe(499);
    const ticks = runs.filter(({ type }) => type === 'TICK');
    expect(ticks.map(({ first }) => first)).toEqual([0, ...ticks.slice(0, -1).map(({ last }) => last + 1)]);
    expect(ticks.at(-1)?.last).toBe(499);
  });
});

describe('HALT from the main thread', () => {
  it('while a pool thread is busy with market events starts after the one that runs, at the latest', async () => {
    const bus = newBus(ROOMY);
    const notes = new Notes(bus);
    const all = bus.subscribe(['TICK', 'HALT'], ON['a pool thread'].slowUntilHalt);
    await bus.start();
    fill(bus, WAITING);
    await expect.poll(() => all.metrics().processed, { interval: 1 }).toBeGreaterThan(100);
    await bus.publish({ type: 'HALT', n: 0, reason: 'breach' });
    const publishedAt = epochNow();
    expect(all.metrics().pending).toBeGreaterThan(WAITING / 2);
    const [{ data, at }] = await notes.until('halted');
    // One tick was running when HALT was published; it may have just begun by the thread's own reading of the clock.
    expect((data as number[]).filter((begunAt) => begunAt > publishedAt).length).toBeLessThanOrEqual(1);
    expect(at - publishedAt).toBeLessThan(100);
    await bus.drain();
    expectExact(bus.metrics());
  });
});
