// Subscriptions that come, go, pause and resume while a publisher runs at full speed.
import { setImmediate as turn } from 'node:timers/promises';
import { type EventBus, type Subscription, workerHandlers } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type { C, Tick } from '../support/handlers/catalog.js';
import { extend } from '../support/handlers/record.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, latch, moduleUrl, newBus, Notes, range } from './buses.js';

const handlers = handlersOf<typeof record>('record');
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });

/** Publishes ticks, numbered from 0, until it is stopped. Lets the event loop turn now and then, as a feed does. */
class Publisher {
  published = 0;
  readonly #bus: EventBus<C>;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(bus: EventBus<C>) {
    this.#bus = bus;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (let i = 0; i < 100; i++) await this.#bus.publish(tick(this.published++));
      await turn();
    }
  }
}

/** What a worker's `keep` has seen. */
async function seenBy(notes: Notes, bus: EventBus<C>): Promise<record.Runs> {
  await bus.publish(tick(-1));
  const [kept] = await notes.until('kept');
  return kept.data as record.Runs;
}

describe('a subscription made while the bus runs', () => {
  it.each(['function', 'worker'] as const)(
    'is owed every event published after `ready`, in order: %s handler',
    async (kind) => {
      const bus = newBus({ threads: 2 });
      const notes = new Notes(bus);
      await bus.start();
      const publisher = new Publisher(bus);
      await turn();
      const seen: record.Runs = [];
      const subscription =
        kind === 'worker'
          ? bus.subscribe('TICK', handlers.keep)
          : bus.subscribe('TICK', ({ n }) => {
              extend(seen, n);
            });
      await subscription.ready;
      const atReady = publisher.published;
      await turn();
      await publisher.stop();
      await bus.drain();
      const [[first, last], ...gaps] = kind === 'worker' ? await seenBy(notes, bus) : seen;
      expect(gaps).toEqual([]);
      expect(first).toBeLessThanOrEqual(atReady);
      expect(last).toBe(publisher.published - 1);
      await bus.drain();
      expectExact(bus.metrics());
      expect(subscription.metrics().owed).toBe(last - first + 1 + (kind === 'worker' ? 1 : 0));
    },
  );

  it.each(
    (['parallel', 'inline'] as const).flatMap((backend) =>
      (['function', 'worker'] as const).flatMap((kind) =>
        (['starts', 'runs'] as const).map((when) => ({ backend, kind, when })),
      ),
    ),
  )(
    'is owed all that this thread publishes from the return of `subscribe`, and `drain` waits for it: $backend, $kind handler, while the bus $when',
    async ({ backend, kind, when }) => {
      const bus = newBus({ backend });
      const started = bus.start();
      if (when === 'runs') await started;
      const seen: number[] = [];
      const subscription =
        kind === 'worker' ? bus.subscribe('TICK', handlers.keep) : bus.subscribe('TICK', ({ n }) => void seen.push(n));
      await started;
      for (const n of range(3)) expect(bus.tryPublish(tick(n))).toBe('published');
      expect(await bus.drain()).toMatchObject({ drained: true });
      expect(subscription.metrics()).toMatchObject({ owed: 3, processed: 3, exact: true });
      if (kind === 'function') expect(seen).toEqual(range(3));
    },
  );

  it('rejects `ready` and owes nothing when its module does not exist', async () => {
    const bus = newBus();
    await bus.start();
    const subscription = bus.subscribe('TICK', workerHandlers<typeof record>(moduleUrl('missing')).onTick);
    await expect(subscription.ready).rejects.toMatchObject({
      code: 'ERR_LANEBUS_MODULE_NOT_FOUND',
      message: expect.stringMatching(/^handler module file:.*missing\.js does not exist$/) as string,
    });
    await subscription.ended;
    for (const n of range(10)) await bus.publish(tick(n));
    expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
    expect(subscription.metrics()).toMatchObject({ state: 'ended', pending: 0, exact: true });
    expect(subscription.unsubscribe()).toBe(false);
    expectExact(await bus.stop());
  });

  it('may be made again after its module was missing', async () => {
    const bus = newBus();
    await bus.start();
    const missing = workerHandlers<typeof record>(moduleUrl('missing')).onTick;
    await expect(bus.subscribe('TICK', missing).ready).rejects.toThrow();
    await expect(bus.subscribe('TICK', missing).ready).rejects.toMatchObject({ code: 'ERR_LANEBUS_MODULE_NOT_FOUND' });
  });

  it('becomes ready when it is made while the bus starts', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const started = bus.start();
    const subscription = bus.subscribe('TICK', handlers.onTick);
    await started;
    await subscription.ready;
    await bus.publish(tick(1));
    expect(await notes.until('tick')).toHaveLength(1);
  });
});

describe('unsubscribe', () => {
  it.each(['function', 'worker'] as const)(
    'while events flow ends each delivery processed or discarded, exactly: %s handler',
    async (kind) => {
      const bus = newBus({ threads: 2 });
      const notes = new Notes(bus);
      const other = bus.subscribe('TICK', handlers.keep);
      const mine: record.Runs = [];
      const subscription =
        kind === 'worker'
          ? bus.subscribe('TICK', handlers.keepToo)
          : bus.subscribe('TICK', ({ n }) => {
              extend(mine, n);
            });
      await bus.start();
      const publisher = new Publisher(bus);
      while (publisher.published < 2_000) await turn();
      expect(subscription.unsubscribe()).toBe(true);
      expect(subscription.unsubscribe()).toBe(false);
      await subscription.ended;
      const final = subscription.metrics();
      expect(final).toMatchObject({ state: 'ended', pending: 0, exact: true });
      expect(final.owed).toBe(final.processed + final.discarded);
      while (publisher.published < 4_000) await turn();
      await publisher.stop();
      await bus.drain();
      expect(subscription.metrics()).toEqual(final);
      if (kind === 'function') expect(mine).toEqual([[0, final.processed - 1]]);
      expect(await seenBy(notes, bus)).toEqual([[0, publisher.published - 1]]);
      await bus.drain();
      expectExact(bus.metrics());
      expect(other.metrics().processed).toBe(publisher.published + 1);
    },
  );

  it('before start means that nothing is owed', async () => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', handlers.onTick);
    expect(subscription.unsubscribe()).toBe(true);
    await subscription.ended;
    await bus.start();
    await bus.publish(tick(1));
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ state: 'ended', owed: 0, exact: true });
  });

  it.each(['function', 'worker'] as const)(
    'while the bus starts ends the subscription: nothing is delivered to it later (%s handler)',
    async (kind) => {
      const bus = newBus();
      const notes = new Notes(bus);
      let calls = 0;
      const subscription =
        kind === 'worker'
          ? bus.subscribe('TICK', handlers.onTick)
          : bus.subscribe('TICK', () => {
              calls++;
            });
      const started = bus.start();
      expect(subscription.unsubscribe()).toBe(true);
      await started;
      await subscription.ended;
      for (const n of range(10)) await bus.publish(tick(n));
      await bus.drain();
      expect(calls + notes.of('tick').length).toBe(0);
      expect(subscription.metrics()).toMatchObject({ state: 'ended', owed: 0, exact: true });
      expectExact(await bus.stop());
    },
  );

  it('by type and handler finds function and worker handlers, once', async () => {
    const bus = newBus();
    const onTick = (): void => undefined;
    bus.subscribe('TICK', onTick);
    bus.subscribe('TICK', handlers.onTick);
    await bus.start();
    expect(bus.unsubscribe('SIGNAL', onTick as never)).toBe(false);
    expect(bus.unsubscribe('TICK', onTick)).toBe(true);
    expect(bus.unsubscribe('TICK', onTick)).toBe(false);
    // Another reference to the same export is the same handler.
    expect(bus.unsubscribe('TICK', handlersOf<typeof record>('record').onTick)).toBe(true);
    expect(bus.unsubscribe('TICK', handlers.onTick)).toBe(false);
  });

  it('frees the handler for a new subscription to the type', async () => {
    const bus = newBus();
    const seen: number[] = [];
    const onTick = ({ n }: Tick): void => void seen.push(n);
    const first = bus.subscribe('TICK', onTick);
    await bus.start();
    await bus.publish(tick(1));
    await bus.drain();
    first.unsubscribe();
    const second = bus.subscribe('TICK', onTick);
    await second.ready;
    await bus.publish(tick(2));
    await bus.drain();
    expect(seen).toEqual([1, 2]);
    expectExact(bus.metrics());
  });

  it('waits in `ended` for the delivery in flight, which ends processed', async () => {
    const bus = newBus();
    const finish = latch();
    const begun = latch();
    const subscription = bus.subscribe('TICK', async () => {
      begun.open();
      await finish.opened;
    });
    await bus.start();
    for (const n of range(3)) await bus.publish(tick(n));
    await begun.opened;
    subscription.unsubscribe();
    let ended = false;
    void subscription.ended.then(() => (ended = true));
    await turn();
    expect(ended).toBe(false);
    expect(subscription.metrics().state).toBe('ending');
    finish.open();
    await subscription.ended;
    expect(subscription.metrics()).toMatchObject({ owed: 3, processed: 1, discarded: 2, pending: 0, exact: true });
  });

  it('gives the room that the subscription held back to the lane', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024 } } });
    const stuck = bus.subscribe('TICK', () => undefined);
    await bus.start();
    stuck.pause();
    let published = 0;
    while (bus.tryPublish(tick(published)) === 'published') published++;
    const waiting = bus.publish(tick(published));
    stuck.unsubscribe();
    await waiting;
    await stuck.ended;
    expect(stuck.metrics()).toMatchObject({ processed: 0, exact: true });
    expect(stuck.metrics().discarded).toBeGreaterThanOrEqual(published);
    await bus.drain();
    expectExact(bus.metrics());
  });
});

describe('an AbortSignal', () => {
  it('ends the subscription when it aborts', async () => {
    const bus = newBus();
    const controller = new AbortController();
    const subscription = bus.subscribe('TICK', handlers.quiet, { signal: controller.signal });
    await bus.start();
    await bus.publish(tick(1));
    await bus.drain();
    controller.abort();
    await subscription.ended;
    await bus.publish(tick(2));
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ state: 'ended', owed: 1, processed: 1, exact: true });
  });

  it('that has aborted before ends it at once', async () => {
    const bus = newBus();
    await bus.start();
    const subscription = bus.subscribe('TICK', handlers.quiet, { signal: AbortSignal.abort() });
    await subscription.ended;
    await bus.publish(tick(1));
    await bus.drain();
    expect(subscription.metrics()).toMatchObject({ state: 'ended', processed: 0, pending: 0, exact: true });
  });
});

describe('pause and resume', () => {
  it.each(['function', 'worker'] as const)(
    'while events flow lose nothing and keep the order: %s handler',
    async (kind) => {
      const bus = newBus({ threads: 2 });
      const notes = new Notes(bus);
      const mine: record.Runs = [];
      const subscription: Subscription =
        kind === 'worker'
          ? bus.subscribe('TICK', handlers.keep)
          : bus.subscribe('TICK', ({ n }) => {
              extend(mine, n);
            });
      await bus.start();
      const publisher = new Publisher(bus);
      for (const round of range(20)) {
        while (publisher.published < (round + 1) * 500) await turn();
        subscription.pause();
        expect(subscription.metrics().state).toBe('paused');
        await turn();
        subscription.resume();
        expect(subscription.metrics().state).toBe('active');
      }
      await publisher.stop();
      await bus.drain();
      expect(kind === 'worker' ? await seenBy(notes, bus) : mine).toEqual([[0, publisher.published - 1]]);
      await bus.drain();
      expectExact(bus.metrics());
    },
  );

  it.each(['function', 'worker'] as const)('before start: events wait until resume (%s handler)', async (kind) => {
    const bus = newBus();
    const notes = new Notes(bus);
    const mine: record.Runs = [];
    const subscription =
      kind === 'worker'
        ? bus.subscribe('TICK', handlers.keep)
        : bus.subscribe('TICK', ({ n }) => {
            extend(mine, n);
          });
    const control = bus.subscribe('TICK', handlers.quiet);
    subscription.pause();
    await bus.start();
    expect(subscription.metrics().state).toBe('paused');
    for (const n of range(5)) await bus.publish(tick(n));
    await expect.poll(() => control.metrics().processed).toBe(5);
    expect(subscription.metrics()).toMatchObject({ owed: 5, processed: 0, pending: 5, exact: true });
    expect(await bus.drain({ timeoutMs: 30 })).toMatchObject({ drained: false, pending: 5 });
    subscription.resume();
    expect(subscription.metrics().state).toBe('active');
    await bus.drain();
    expect(kind === 'worker' ? await seenBy(notes, bus) : mine).toEqual([[0, 4]]);
  });

  it.each(['function', 'worker'] as const)(
    'have no effect on a subscription that is ending (%s handler)',
    async (kind) => {
      const bus = newBus();
      const subscription = bus.subscribe('TICK', kind === 'worker' ? handlers.quiet : () => undefined);
      await bus.start();
      subscription.pause();
      for (const n of range(1000)) await bus.publish(tick(n));
      subscription.unsubscribe();
      subscription.resume();
      await subscription.ended;
      expect(subscription.metrics()).toMatchObject({ state: 'ended', owed: 1000, processed: 0, discarded: 1000 });
      expectExact(bus.metrics());
    },
  );
});

describe('one handler', () => {
  it('takes several types of several lanes with one subscription', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const subscription = bus.subscribe(['TICK', 'SIGNAL', 'HALT'], handlers.onAny, { name: 'all three' });
    expect(subscription).toMatchObject({ name: 'all three', types: ['TICK', 'SIGNAL', 'HALT'] });
    await bus.start();
    await bus.publish(tick(1));
    await bus.publish({ type: 'SIGNAL', n: 2, symbol: 'A' });
    await bus.publish({ type: 'ORDER', n: 3, symbol: 'A' });
    await bus.publish({ type: 'HALT', n: 4, reason: 'x' });
    await bus.drain();
    expect(new Set(notes.all.map(({ what, n }) => `${what} ${n}`))).toEqual(new Set(['TICK 1', 'SIGNAL 2', 'HALT 4']));
    expect(subscription.metrics()).toMatchObject({ owed: 3, processed: 3, exact: true });
    expect(Object.keys(subscription.metrics().lanes).sort()).toEqual(['control', 'market', 'signal']);
    expectExact(bus.metrics());
  });

  it('may have a subscription for each of two types', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const ticks = bus.subscribe('TICK', handlers.onAny);
    const signals = bus.subscribe('SIGNAL', handlers.onAny);
    await bus.start();
    await bus.publish(tick(1));
    await bus.publish({ type: 'SIGNAL', n: 2, symbol: 'A' });
    await notes.until('TICK');
    await notes.until('SIGNAL');
    await bus.drain();
    expect(ticks.metrics()).toMatchObject({ owed: 1, processed: 1 });
    expect(signals.metrics()).toMatchObject({ owed: 1, processed: 1 });
    expect(bus.unsubscribe('TICK', handlers.onAny)).toBe(true);
    await ticks.ended;
    await bus.publish({ type: 'SIGNAL', n: 3, symbol: 'A' });
    expect(await notes.until('SIGNAL', 2)).toHaveLength(2);
  });

  it('is named after its module and export, or its function', () => {
    const bus = newBus();
    function namedFunction(): void {
      // nothing
    }
    expect(bus.subscribe('TICK', handlers.quiet).name).toBe('record.js#quiet');
    expect(bus.subscribe('TICK', namedFunction).name).toBe('namedFunction');
  });
});
