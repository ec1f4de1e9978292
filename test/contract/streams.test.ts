// Events as a sequence to loop over (`bus.events`), and as a promise of the next one (`bus.once`).
import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { type EventBus, type EventStream, workerHandlers } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type { C, Tick } from '../support/handlers/catalog.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, latch, moduleUrl, newBus, PATIENCE_MS, range } from './buses.js';

const tick = (n: number, symbol = 'ESH4'): Tick => ({ type: 'TICK', n, symbol, price: n / 4 });
const ticks = (count: number, from = 0): Tick[] => range(count, from).map((n) => tick(n));
const SMALL = { lanes: { market: { capacityBytes: 1024 } } } as const;
const reason = new Error('enough');

/** The numbers of the next events. */
async function take(stream: EventStream<{ readonly n: number }>, count: number): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < count) {
    const result = await stream.next();
    if (result.done === true) throw new Error(`expected ${count} events; the stream ended after ${numbers.length}`);
    numbers.push(result.value.n);
  }
  return numbers;
}

/** The numbers of all events up to the stream's end. */
async function rest(stream: EventStream<{ readonly n: number }>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { n } of stream) numbers.push(n);
  return numbers;
}

/** Publishes until the lane has no room. @returns How many events it took. */
async function fill(bus: EventBus<C>): Promise<number> {
  let published = 0;
  // The lane counts as full only when it stays so after everybody has read what there was room for.
  for (let refusals = 0; refusals < 20;) {
    if (bus.tryPublish(tick(published)) === 'published') {
      published++;
      refusals = 0;
    } else {
      refusals++;
      await turn();
    }
  }
  return published;
}

describe('bus.events', () => {
  it('made before start misses nothing, keeps the order, and gives what waits after stop', async () => {
    const bus = newBus();
    const stream = bus.events('TICK');
    await bus.start();
    await bus.publishBatch(ticks(1000));
    await bus.drain();
    expectExact(await bus.stop());
    expect(await rest(stream)).toEqual(range(1000));
    expect(stream.subscription).toMatchObject({ name: 'events', types: ['TICK'] });
    expect(stream.subscription.metrics()).toMatchObject({ owed: 1000, processed: 1000, threads: [0] });
  });

  it('made while the bus runs gets everything that is published after its subscription is ready', async () => {
    const bus = newBus();
    await bus.start();
    const stream = bus.events(['TICK', 'SIGNAL'], { name: 'both' });
    await stream.subscription.ready;
    await bus.publish(tick(1));
    expect(await take(stream, 1)).toEqual([1]);
    await bus.publish({ type: 'SIGNAL', n: 2, symbol: 'A' });
    expect(await take(stream, 1)).toEqual([2]);
    await bus.publish({ type: 'ORDER', n: 3, symbol: 'A' });
    await bus.drain();
    await bus.stop();
    expect(await rest(stream)).toEqual([]);
    expect(stream.subscription.name).toBe('both');
  });

  it('gives several streams and a handler the same events', async () => {
    const bus = newBus();
    const streams = [bus.events('TICK'), bus.events('TICK'), bus.events('TICK', { capacity: 1 })];
    const loops = streams.map(rest);
    const seen: number[] = [];
    bus.subscribe('TICK', ({ n }) => void seen.push(n));
    await bus.start();
    await bus.publishBatch(ticks(500));
    await bus.drain();
    expectExact(await bus.stop());
    expect([seen, ...(await Promise.all(loops))]).toEqual(Array(4).fill(range(500)));
  });

  it('lets its loop publish', async () => {
    const bus = newBus();
    const stream = bus.events('TICK');
    const signals = bus.events('SIGNAL');
    const loop = (async () => {
      for await (const { n, symbol } of stream) await bus.publish({ type: 'SIGNAL', n: n * 2, symbol });
    })();
    await bus.start();
    await bus.publishBatch(ticks(100));
    expect(await take(signals, 100)).toEqual(range(100).map((n) => n * 2));
    await bus.stop();
    await loop;
  });

  it('delivers only what passes its filter', async () => {
    const bus = newBus();
    const stream = bus.events('TICK', { filter: { n: { min: 3, max: 5 } } });
    const odd = bus.events('TICK', { filter: ({ n }) => n % 2 === 1 });
    await bus.start();
    await bus.publishBatch(ticks(10));
    await bus.drain();
    expectExact(await bus.stop());
    expect(await rest(stream)).toEqual([3, 4, 5]);
    expect(await rest(odd)).toEqual([1, 3, 5, 7, 9]);
    expect(stream.subscription.metrics()).toMatchObject({ owed: 10, processed: 3, filtered: 7 });
  });

  it('fails its loop with the error of a start that failed, and ends it when the bus is stopped before', async () => {
    const bus = newBus();
    bus.subscribe('TICK', workerHandlers<typeof record>(moduleUrl('missing')).onTick);
    const stream = bus.events('TICK');
    const waiting = stream.next();
    waiting.catch(() => undefined);
    const error: unknown = await bus.start().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_LANEBUS_MODULE_NOT_FOUND' });
    await expect(waiting).rejects.toBe(error);

    const idle = newBus();
    const unstarted = idle.events('TICK');
    await idle.stop();
    expect(await rest(unstarted)).toEqual([]);
  });

  it('throws at once for bad options, an unknown type, and a bus that has been stopped', async () => {
    const bus = newBus();
    expect(() => bus.events('TICK', { capacity: 0 })).toThrow(
      'capacity: got 0; expected an integer of events from 1 to 1,048,576',
    );
    expect(() => bus.events('TOCK' as never)).toThrow(expect.objectContaining({ code: 'ERR_LANEBUS_UNKNOWN_TYPE' }));
    await bus.stop();
    expect(() => bus.events('TICK')).toThrow(expect.objectContaining({ code: 'ERR_LANEBUS_STOPPED' }));
    expect(bus.metrics().subscriptions).toEqual([]);
  });
});

describe("a stream with lag 'block'", () => {
  it('holds the lane when its loop does not come back, and loses nothing when it does', async () => {
    const bus = newBus(SMALL);
    const stream = bus.events('TICK', { capacity: 4 });
    await bus.start();
    const published = await fill(bus);
    const { processed, pending } = stream.subscription.metrics();
    expect({ processed, pending }).toEqual({ processed: 4, pending: published - 4 });
    const waiting = bus.publish(tick(published));
    expect(await take(stream, published + 1)).toEqual(range(published + 1));
    await waiting;
    await bus.drain();
    expectExact(await bus.stop());
    expect(stream.dropped).toBe(0);
  });

  it('has no time-out, however long its loop is away', async () => {
    const bus = newBus({ timeoutMs: 20 });
    const stream = bus.events('TICK', { capacity: 1 });
    const hanging = bus.subscribe('TICK', async () => latch().opened);
    await bus.start();
    await bus.publishBatch(ticks(3));
    // By then the stream's second delivery has been in flight for as long as two of the hanging handler's.
    await expect.poll(() => hanging.metrics().timedOut, { timeout: PATIENCE_MS }).toBeGreaterThanOrEqual(2);
    expect(stream.subscription.metrics()).toMatchObject({ processed: 1, timedOut: 0, failed: 0 });
    expect(await take(stream, 3)).toEqual([0, 1, 2]);
    await bus.drain();
    expectExact(await bus.stop());
    expect(stream.subscription.metrics()).toMatchObject({ processed: 3, timedOut: 0 });
  });

  it('whose loop never comes back lets stop discard what was not handed over', async () => {
    const bus = newBus();
    const stream = bus.events('TICK', { capacity: 2 });
    await bus.start();
    await bus.publishBatch(ticks(5));
    await expect.poll(() => stream.subscription.metrics().processed).toBe(2);
    const report = await bus.stop({ timeoutMs: 1 });
    expect(report).toMatchObject({ drained: false, discarded: 3 });
    expectExact(report);
    expect(await rest(stream)).toEqual([0, 1]);
    expect(stream.dropped).toBe(0);
  });
});

describe.each(['dropOldest', 'dropNewest'] as const)("a stream with lag '%s'", (lag) => {
  it('never holds the lane, and counts what it drops', async () => {
    const bus = newBus(SMALL);
    const stream = bus.events('TICK', { lag, capacity: 10 });
    await bus.start();
    for (const event of ticks(5000)) await bus.publish(event);
    expect(await bus.drain()).toMatchObject({ drained: true });
    expectExact(await bus.stop());
    expect(stream.subscription.metrics()).toMatchObject({ owed: 5000, processed: 5000 });
    expect(stream.dropped).toBe(4990);
    expect(await rest(stream)).toEqual(lag === 'dropOldest' ? range(10, 4990) : range(10));
  });

  it('drops nothing while its loop keeps up, though events come in bursts', async () => {
    const bus = newBus();
    const stream = bus.events('TICK', { lag, capacity: 4 });
    const loop = rest(stream);
    await bus.start();
    for (const round of range(10)) await bus.publishBatch(ticks(1000, round * 1000));
    await bus.drain();
    expectExact(await bus.stop());
    expect(await loop).toEqual(range(10_000));
    expect(stream.dropped).toBe(0);
  });
});

describe("a stream with lag 'conflate'", () => {
  it('gives the newest event of each key to a loop that was away, and never holds the lane', async () => {
    const bus = newBus(SMALL);
    const stream = bus.events('TICK', { lag: 'conflate' });
    const symbols = ['A', 'B', 'C', 'D'];
    await bus.start();
    await bus.publish(tick(0, 'A'));
    expect(await take(stream, 1)).toEqual([0]);
    for (const n of range(4000, 1)) await bus.publish(tick(n, symbols[n % 4]));
    const latest = new Map<string, number>();
    while (latest.size < 4 || [...latest.values()].some((n) => n <= 3996)) {
      const { value } = await stream.next();
      if (value === undefined) throw new Error('the stream ended before the newest event of each key');
      expect(value.n).toBeGreaterThan(latest.get(value.symbol) ?? -1);
      latest.set(value.symbol, value.n);
    }
    await bus.drain();
    expectExact(await bus.stop());
    const { owed, processed, conflated } = stream.subscription.metrics();
    expect(owed).toBe(4001);
    expect(processed + conflated).toBe(owed);
    expect(conflated).toBeGreaterThan(0);
    expect(stream.dropped).toBe(0);
  });
});

describe('leaving the loop', () => {
  it('by break ends the subscription, drops what waits and frees the lane', async () => {
    const bus = newBus(SMALL);
    const stream = bus.events('TICK', { capacity: 4 });
    await bus.start();
    const published = await fill(bus);
    for await (const { n } of stream) if (n === 1) break;
    await stream.subscription.ended;
    const { owed, processed, discarded, exact, state } = stream.subscription.metrics();
    expect({ owed, exact, state }).toEqual({ owed: published, exact: true, state: 'ended' });
    // Two were given to the loop.
    expect(processed).toBe(2 + stream.dropped);
    expect(discarded).toBe(published - processed);
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    expect(bus.tryPublish(tick(1))).toBe('published');
    await bus.drain();
  });

  it('by an error of its body does so too', async () => {
    const bus = newBus();
    const stream = bus.events('TICK');
    await bus.start();
    await bus.publish(tick(1));
    const loop = (async () => {
      for await (const { n } of stream) throw new Error(`tick ${n}`);
    })();
    await expect(loop).rejects.toThrow('tick 1');
    await stream.subscription.ended;
    expectExact(bus.metrics());
  });

  it("by an abort rejects with the signal's reason, ends the subscription and leaves no listener", async () => {
    const bus = newBus();
    const controller = new AbortController();
    const { signal } = controller;
    const stream = bus.events('TICK', { signal });
    const seen: number[] = [];
    const loop = (async () => {
      for await (const { n } of stream) {
        seen.push(n);
        if (n === 2) controller.abort(reason);
      }
    })();
    await bus.start();
    await bus.publishBatch(ticks(100));
    await expect(loop).rejects.toBe(reason);
    await stream.subscription.ended;
    expect(seen).toEqual([0, 1, 2]);
    const { owed, processed, discarded, exact } = stream.subscription.metrics();
    expect({ owed: processed + discarded, exact }).toEqual({ owed, exact: true });
    expect(processed).toBe(3 + stream.dropped);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it('by unsubscribing still gives what was handed over', async () => {
    const bus = newBus();
    const stream = bus.events('TICK');
    await bus.start();
    await bus.publishBatch(ticks(3));
    await bus.drain();
    stream.subscription.unsubscribe();
    await stream.subscription.ended;
    expect(await rest(stream)).toEqual([0, 1, 2]);
  });
});

describe('bus.once', () => {
  it('resolves with the next event, of several types too, and ends its subscription', async () => {
    const bus = newBus();
    const first = bus.once('TICK');
    const any = bus.once(['ORDER', 'TICK'], { name: 'any' });
    await bus.start();
    await bus.publishBatch(ticks(10));
    expect([await first, await any]).toEqual([tick(0), tick(0)]);
    await bus.drain();
    const { subscriptions } = await bus.stop();
    expect(subscriptions.map(({ name }) => name)).toEqual(['once', 'any']);
    for (const subscription of subscriptions) {
      expect(subscription).toMatchObject({ processed: 1, failed: 0, pending: 0, exact: true, state: 'ended' });
    }
  });

  it('waits for an event that passes its filter', async () => {
    const bus = newBus();
    const event = bus.once('TICK', { filter: { n: [7, 8] } });
    await bus.start();
    await bus.publishBatch(ticks(20));
    expect(await event).toEqual(tick(7));
    await bus.drain();
    expectExact(await bus.stop());
  });

  it('rejects with the reason of its signal, without subscribing if that has aborted before', async () => {
    const bus = newBus();
    await expect(bus.once('TICK', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(bus.metrics().subscriptions).toEqual([]);
    const controller = new AbortController();
    const event = bus.once('TICK', { signal: controller.signal });
    event.catch(() => undefined);
    await bus.start();
    controller.abort(reason);
    await expect(event).rejects.toBe(reason);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
    await bus.publish(tick(1));
    await bus.drain();
    expectExact(await bus.stop());
  });

  it('rejects with ERR_LANEBUS_STOPPED when the bus stops first, and when it has stopped', async () => {
    const bus = newBus();
    const event = bus.once('TICK');
    event.catch(() => undefined);
    await bus.start();
    await bus.publish({ type: 'SIGNAL', n: 1, symbol: 'A' });
    await bus.stop();
    await expect(event).rejects.toMatchObject({
      code: 'ERR_LANEBUS_STOPPED',
      message: 'once "TICK": the bus has been stopped before an event came; a stopped bus is not started again',
    });
    await expect(bus.once('TICK')).rejects.toMatchObject({ code: 'ERR_LANEBUS_STOPPED' });
  });

  it('rejects for bad options and unknown types', async () => {
    const bus = newBus();
    await expect(bus.once('TOCK' as never)).rejects.toMatchObject({ code: 'ERR_LANEBUS_UNKNOWN_TYPE' });
    await expect(bus.once('TICK', { name: '' })).rejects.toThrow("name: got ''; expected a text that is not empty");
  });
});
