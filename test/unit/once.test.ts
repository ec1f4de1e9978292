import { getEventListeners } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { once } from '../../src/main/once.js';
import { ErrorCode, LanebusError } from '../../src/shared/errors.js';
import { ManualSubscription, tick } from '../support/subscriptions.js';

const reason = new Error('enough');

describe('once', () => {
  it('resolves with the first event, of a subscription for one', async () => {
    const subscription = new ManualSubscription();
    const event = once(subscription.subscribe, { filter: { n: 1 } });
    subscription.deliver(tick(1));
    subscription.end();
    expect(await event).toEqual(tick(1));
    expect(subscription.options).toEqual({ name: 'once', once: true, filter: { n: 1 } });
    expect(subscription).toMatchObject({ processed: 1, unsubscribed: 0 });
  });

  it("rejects with the signal's reason and ends the subscription when it aborts", async () => {
    const controller = new AbortController();
    const subscription = new ManualSubscription();
    const event = once(subscription.subscribe, { signal: controller.signal, name: 'first' });
    expect(subscription.options).toEqual({ name: 'first', once: true });
    controller.abort(reason);
    await expect(event).rejects.toBe(reason);
    expect(subscription.unsubscribed).toBe(1);
  });

  it('does not subscribe when the signal has aborted before', async () => {
    const subscription = new ManualSubscription();
    await expect(once(subscription.subscribe, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(subscription.options).toBeUndefined();
  });

  it('with an event and an abort in one turn goes by what came first', async () => {
    const eventFirst = new AbortController();
    const first = new ManualSubscription();
    const event = once(first.subscribe, { signal: eventFirst.signal });
    first.deliver(tick(1));
    eventFirst.abort(reason);
    expect(await event).toEqual(tick(1));

    const abortFirst = new AbortController();
    const second = new ManualSubscription();
    const aborted = once(second.subscribe, { signal: abortFirst.signal });
    abortFirst.abort(reason);
    second.deliver(tick(2));
    await expect(aborted).rejects.toBe(reason);
    // Nobody has had the event, so it must not look processed.
    expect(second).toMatchObject({ processed: 0, failed: 1 });
  });

  it('rejects with ERR_LANEBUS_STOPPED when the subscription ends without an event', async () => {
    const ended = new ManualSubscription();
    const event = once(ended.subscribe);
    ended.end();
    const message = 'once "TICK": the bus has been stopped before an event came; a stopped bus is not started again';
    await expect(event).rejects.toMatchObject({ code: ErrorCode.STOPPED, message });

    const stopped = new ManualSubscription();
    const neverReady = once(stopped.subscribe);
    stopped.fail(new LanebusError(ErrorCode.STOPPED, 'subscribe: the bus has been stopped'));
    await expect(neverReady).rejects.toMatchObject({ code: ErrorCode.STOPPED, message });
  });

  it('rejects with the error of a subscription that cannot be made ready', async () => {
    const subscription = new ManualSubscription();
    const event = once(subscription.subscribe);
    subscription.fail(reason);
    await expect(event).rejects.toBe(reason);
  });

  it('rejects with what subscribe throws', async () => {
    const refused = once(() => {
      throw reason;
    });
    await expect(refused).rejects.toBe(reason);
  });

  it.each(['event', 'abort', 'end', 'failure'])('listens for an abort no longer after the %s', async (how) => {
    const controller = new AbortController();
    const { signal } = controller;
    const subscription = new ManualSubscription();
    const event = once(subscription.subscribe, { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    if (how === 'event') subscription.deliver(tick(1));
    else if (how === 'abort') controller.abort(reason);
    else if (how === 'end') subscription.end();
    else subscription.fail(reason);
    await Promise.allSettled([event]);
    await turn();
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });

  it.each([
    [{ once: true }, 'once: got true; expected a known option, the nearest is "name"'],
    [{ signal: {} }, 'signal: got {}; expected an AbortSignal'],
    [{ name: 3 }, 'name: got 3; expected a text that is not empty'],
  ])('refuses the options %j', async (options, line) => {
    const subscription = new ManualSubscription();
    await expect(once(subscription.subscribe, options as never)).rejects.toMatchObject({
      code: ErrorCode.OPTIONS,
      message: `1 problem in the options of once\n${line}`,
    });
    expect(subscription.options).toBeUndefined();
  });
});
