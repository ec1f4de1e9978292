import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openStream, resolveStreamOptions } from '../../src/main/event-stream.js';
import type { EventStream, EventStreamOptions } from '../../src/shared/api.js';
import { ErrorCode, LanebusError } from '../../src/shared/errors.js';
import { SeededRandom } from '../support/random.js';
import { type CATALOG, ManualSubscription, type Tick, tick } from '../support/subscriptions.js';

type Options = EventStreamOptions<typeof CATALOG, 'TICK'>;

const LAGS = ['block', 'dropOldest', 'dropNewest', 'conflate'] as const;
const DONE = { done: true, value: undefined };

function open(options: Options = {}) {
  const subscription = new ManualSubscription();
  return { subscription, stream: openStream(subscription.subscribe, resolveStreamOptions(options)) };
}

const taken = (n: number): unknown => ({ done: false, value: tick(n) });

/** Delivers events one after another, each as soon as the one before has ended. */
async function deliverAll(subscription: ManualSubscription, numbers: readonly number[]): Promise<void> {
  for (const n of numbers) {
    subscription.deliver(tick(n));
    await subscription.idle();
  }
}

async function rest(stream: EventStream<Tick>): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { n } of stream) numbers.push(n);
  return numbers;
}

describe('a stream', () => {
  it('gives events in the order of delivery, those that came before the loop included, and ends with its subscription', async () => {
    const { subscription, stream } = open();
    await deliverAll(subscription, [1, 2, 3]);
    subscription.end();
    expect(await rest(stream)).toEqual([1, 2, 3]);
    expect(subscription).toMatchObject({ processed: 3, unsubscribed: 0 });
    expect(stream).toMatchObject({ dropped: 0, subscription });
    expect(await stream.next()).toEqual(DONE);
  });

  it('serves several calls of next in the order in which they were made', async () => {
    const { subscription, stream } = open();
    const calls = [stream.next(), stream.next(), stream.next()];
    await deliverAll(subscription, [1, 2]);
    expect(await Promise.all(calls.slice(0, 2))).toEqual([taken(1), taken(2)]);
    subscription.end();
    expect(await calls[2]).toEqual(DONE);
  });

  it('has no time-out, and hands its other options to the subscription', () => {
    const filter = { symbol: 'ESH4' };
    const { signal } = new AbortController();
    expect(open({ name: 'ticks', filter, signal, key: 'symbol' }).subscription.options).toEqual({
      name: 'ticks',
      filter,
      key: 'symbol',
      timeoutMs: 0,
    });
    expect(open({ lag: 'conflate', maxKeys: 5 }).subscription.options).toEqual({
      name: 'events',
      lag: 'conflate',
      maxKeys: 5,
      timeoutMs: 0,
    });
  });
});

describe("lag 'block'", () => {
  it('accepts `capacity` events ahead of the loop, and keeps the next delivery in flight until one is taken', async () => {
    const { subscription, stream } = open({ capacity: 2 });
    await deliverAll(subscription, [1, 2]);
    subscription.deliver(tick(3));
    await turn();
    expect(subscription).toMatchObject({ processed: 2, busy: true });
    expect(await stream.next()).toEqual(taken(1));
    await subscription.idle();
    expect(subscription.processed).toBe(3);
    subscription.end();
    expect(await rest(stream)).toEqual([2, 3]);
    expect(stream.dropped).toBe(0);
  });

  it('leaves out the event that was in flight when the subscription ended: the bus has counted it discarded', async () => {
    const { subscription, stream } = open({ capacity: 1 });
    await deliverAll(subscription, [1]);
    subscription.deliver(tick(2));
    subscription.end();
    // No later: a loop that goes on when `stop` has resolved must not get it.
    await subscription.ended;
    expect(await rest(stream)).toEqual([1]);
    expect(stream.dropped).toBe(0);
  });
});

describe("lag 'conflate'", () => {
  it('keeps every delivery in flight until the loop has taken it: what is not can still be replaced', async () => {
    const { subscription, stream } = open({ lag: 'conflate' });
    const waiting = stream.next();
    subscription.deliver(tick(1));
    expect(subscription.processed).toBe(1);
    subscription.deliver(tick(2));
    await turn();
    expect(subscription).toMatchObject({ processed: 1, busy: true });
    expect([await waiting, await stream.next()]).toEqual([taken(1), taken(2)]);
    await subscription.idle();
    expect(subscription.processed).toBe(2);
  });
});

describe.each(['dropOldest', 'dropNewest'] as const)("lag '%s'", (lag) => {
  it('keeps `capacity` events, counts the others, and keeps no delivery waiting', () => {
    const { subscription, stream } = open({ lag, capacity: 3 });
    for (let n = 1; n <= 10; n++) subscription.deliver(tick(n));
    expect(subscription.processed).toBe(10);
    expect(stream.dropped).toBe(7);
  });

  it(`gives the ${lag === 'dropOldest' ? 'newest' : 'oldest'} ones`, async () => {
    const { subscription, stream } = open({ lag, capacity: 3 });
    await deliverAll(subscription, [1, 2, 3, 4, 5]);
    subscription.end();
    expect(await rest(stream)).toEqual(lag === 'dropOldest' ? [3, 4, 5] : [1, 2, 3]);
  });

  it.each([0, 5])('drops nothing of a loop that keeps up, with %i awaits of its own, in a burst', async (awaits) => {
    const { subscription, stream } = open({ lag, capacity: 4 });
    const numbers = Array.from({ length: 1000 }, (_, n) => n);
    const given: number[] = [];
    const loop = (async () => {
      for await (const { n } of stream) {
        for (let i = 0; i < awaits; i++) await Promise.resolve();
        given.push(n);
      }
    })();
    for (const n of numbers) {
      subscription.deliver(tick(n));
      if (subscription.busy) await subscription.idle();
    }
    subscription.end();
    await loop;
    expect(given).toEqual(numbers);
    expect(stream.dropped).toBe(0);
  });

  it('waits once for a loop that is away, and not again until it is back', async () => {
    const { subscription, stream } = open({ lag, capacity: 2 });
    await Promise.all([stream.next(), deliverAll(subscription, [0])]);
    let waits = 0;
    for (let n = 1; n <= 100; n++) {
      subscription.deliver(tick(n));
      if (subscription.busy) waits++;
      await subscription.idle();
    }
    expect(waits).toBe(1);
    expect(stream.dropped).toBe(98);
  });
});

describe('leaving the loop', () => {
  it('ends the subscription, and counts what waited as dropped', async () => {
    const { subscription, stream } = open({ capacity: 2 });
    await deliverAll(subscription, [1, 2]);
    subscription.deliver(tick(3));
    for await (const { n } of stream) {
      await subscription.idle();
      subscription.deliver(tick(4));
      expect(n).toBe(1);
      break;
    }
    expect(subscription.unsubscribed).toBe(1);
    await subscription.idle();
    expect(subscription.processed).toBe(4);
    expect(stream.dropped).toBe(3);
    expect(await stream.next()).toEqual(DONE);
  });

  it('ends the calls of next that wait, and drops what is still delivered', async () => {
    const { subscription, stream } = open();
    const waiting = [stream.next(), stream.next()];
    expect(await stream.return()).toEqual(DONE);
    expect(await Promise.all(waiting)).toEqual([DONE, DONE]);
    subscription.deliver(tick(1));
    expect(stream.dropped).toBe(1);
    expect(await stream.next()).toEqual(DONE);
  });

  it('after the end of the subscription gives up what waits', async () => {
    const { subscription, stream } = open();
    await deliverAll(subscription, [1, 2]);
    subscription.end();
    await turn();
    await stream.return();
    expect(await stream.next()).toEqual(DONE);
    expect(stream.dropped).toBe(2);
  });

  it('is what its asyncDispose does', async () => {
    const { subscription, stream } = open();
    await stream[Symbol.asyncDispose]();
    expect(subscription.unsubscribed).toBe(1);
    expect(await stream.next()).toEqual(DONE);
  });
});

describe('an abort', () => {
  const reason = new Error('enough');

  it("ends the subscription; every call of next that waits or follows rejects with the signal's reason", async () => {
    const controller = new AbortController();
    const { subscription, stream } = open({ signal: controller.signal });
    const waiting = [stream.next(), stream.next()];
    controller.abort(reason);
    expect(subscription.unsubscribed).toBe(1);
    for (const call of [...waiting, stream.next(), stream.next()]) await expect(call).rejects.toBe(reason);
    expect(await stream.return()).toEqual(DONE);
  });

  it('drops and counts what waits, but not what a call of next was given before it', async () => {
    const controller = new AbortController();
    const { subscription, stream } = open({ signal: controller.signal, capacity: 2 });
    const first = stream.next();
    await deliverAll(subscription, [1, 2, 3]);
    subscription.deliver(tick(4));
    const second = stream.next();
    controller.abort(reason);
    expect(await Promise.all([first, second])).toEqual([taken(1), taken(2)]);
    await subscription.idle();
    expect(stream.dropped).toBe(2);
    expect(subscription.processed).toBe(4);
    await expect(rest(stream)).rejects.toBe(reason);
  });

  it('before the stream was made rejects as well', async () => {
    const { subscription, stream } = open({ signal: AbortSignal.abort(reason) });
    expect(subscription.unsubscribed).toBe(1);
    await expect(stream.next()).rejects.toBe(reason);
  });

  it('ends a loop over what an ended subscription has left', async () => {
    const controller = new AbortController();
    const { subscription, stream } = open({ signal: controller.signal });
    await deliverAll(subscription, [1, 2, 3]);
    subscription.end();
    await turn();
    expect(await stream.next()).toEqual(taken(1));
    controller.abort(reason);
    await expect(stream.next()).rejects.toBe(reason);
    expect(stream.dropped).toBe(2);
  });

  it('changes nothing when the loop has had everything', async () => {
    const controller = new AbortController();
    const { subscription, stream } = open({ signal: controller.signal });
    subscription.end();
    expect(await stream.next()).toEqual(DONE);
    controller.abort(reason);
    expect(await stream.next()).toEqual(DONE);
  });

  it.each(['end', 'return', 'failure', 'abort'])('is listened for no longer after the %s', async (how) => {
    const controller = new AbortController();
    const { signal } = controller;
    const { subscription, stream } = open({ signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    await deliverAll(subscription, [1]);
    if (how === 'end') subscription.end();
    else if (how === 'return') await stream.return();
    else if (how === 'failure') subscription.fail(reason);
    else controller.abort(reason);
    await turn();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('a subscription that cannot be made ready', () => {
  it('fails the loop with its error, and nothing else', async () => {
    const error = new Error('no such module');
    const { subscription, stream } = open();
    const waiting = stream.next();
    subscription.fail(error);
    await expect(waiting).rejects.toBe(error);
    await expect(stream.next()).rejects.toBe(error);
    expect(subscription.unsubscribed).toBe(0);
  });

  it('because the bus was stopped before just ends the loop', async () => {
    const { subscription, stream } = open();
    subscription.fail(new LanebusError(ErrorCode.STOPPED, 'stopped'));
    expect(await rest(stream)).toEqual([]);
  });
});

describe.each(LAGS)('200 random histories under %s', (lag) => {
  it('give each event at most once and in order, and lose none without counting it', async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed);
      const controller = new AbortController();
      const capacity = lag === 'conflate' ? 1 : 1 + random.below(4);
      const { subscription, stream } = open({ lag, capacity, signal: controller.signal });
      const given: number[] = [];
      const calls: Promise<void>[] = [];
      const take = async (): Promise<void> => {
        // Rejects after an abort only; a call that was given nothing is what the count below is about.
        const result = await stream.next().catch(() => undefined);
        if (result?.done === false) given.push(result.value.n);
      };
      let delivered = 0;
      for (let step = 0; step < 60; step++) {
        const dice = random.below(10);
        if (dice < 5 && !subscription.busy) subscription.deliver(tick(delivered++));
        else if (dice < 8) calls.push(take());
        else if (dice < 9) await turn();
        else await Promise.resolve();
      }
      const how = random.pick(['end', 'return', 'abort'] as const);
      const cutOff = how === 'end' && subscription.busy ? 1 : 0;
      if (how === 'end') subscription.end();
      else if (how === 'return') await stream.return();
      else controller.abort();
      await turn();
      for (let n = 0; n <= capacity; n++) calls.push(take());
      await Promise.all(calls);
      const where = `seed ${seed}, ${how}`;
      expect(given, where).toEqual([...new Set(given)].sort((a, b) => a - b));
      const lost = delivered - given.length - stream.dropped;
      expect(lost, where).toBeGreaterThanOrEqual(0);
      expect(lost, where).toBeLessThanOrEqual(cutOff);
      if (lag === 'block' && how === 'end')
        expect(given, where).toEqual(Array.from({ length: given.length }, (_, n) => n));
    }
  });
});

describe('the options of a stream', () => {
  const messageOf = (options: unknown): string => {
    try {
      resolveStreamOptions(options as Options);
    } catch (error) {
      expect(error).toMatchObject({ code: ErrorCode.OPTIONS });
      return (error as Error).message;
    }
    return 'accepted';
  };
  const CAPACITY = 'an integer of events from 1 to 1,048,576';

  it.each([
    [null, 'options: got null; expected an object of: name, signal, filter, capacity, lag, key, maxKeys'],
    [{ name: '' }, "name: got ''; expected a text that is not empty"],
    [{ signal: 1 }, 'signal: got 1; expected an AbortSignal'],
    [{ capacity: 0 }, `capacity: got 0; expected ${CAPACITY}`],
    [{ capacity: 1_048_577 }, `capacity: got 1048577; expected ${CAPACITY}`],
    [{ capacity: 1.5 }, `capacity: got 1.5; expected ${CAPACITY}`],
    [
      { capacity: 2, lag: 'conflate' },
      "capacity: got 2; expected 1 with lag 'conflate', which keeps what waits by key",
    ],
    [{ lag: 'drop' }, "lag: got 'drop'; expected 'block' or 'dropOldest' or 'dropNewest' or 'conflate'"],
    [{ timeoutMs: 1 }, 'timeoutMs: got 1; expected a known option, the nearest is "name"'],
  ])('%j are refused', (options, line) => {
    expect(messageOf(options)).toBe(`1 problem in the options of events\n${line}`);
  });

  it('are 1,024 events under block by default, and one event under conflate', () => {
    expect(resolveStreamOptions()).toMatchObject({ capacity: 1024, lag: 'block', signal: undefined });
    expect(resolveStreamOptions({ lag: 'conflate' })).toMatchObject({ capacity: 1, lag: 'conflate' });
    expect(resolveStreamOptions({ lag: 'conflate', capacity: 1 })).toMatchObject({ capacity: 1 });
    expect(resolveStreamOptions({ lag: 'dropNewest' })).toMatchObject({ capacity: 1024, lag: 'dropNewest' });
  });
});
