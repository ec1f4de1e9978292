import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Ticketed, WhenFull } from '../../src/shared/admission.js';
import { CAUSE_BYTES } from '../../src/shared/layout.js';
import { ADMITTED } from '../../src/shared/outbox.js';
import { Publishes } from '../../src/shared/publishes.js';
import type { SubscriptionMetrics } from '../../src/shared/api.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import { bodyFor, type TestHandler } from '../support/engine.js';
import { CAPACITY, Market } from '../support/market.js';

/** A derived event whose record takes a quarter of the lane. */
const full = { type: 'TICK', n: 9, body: bodyFor(CAPACITY / 4 - CAUSE_BYTES) } as const;

/** The first event of the control lane, being handled. */
const delivery: Ticketed = { publisher: 0, rank: 0, sequence: 0, awaitRoom: () => undefined };

/** A handler of one HALT, on a thread whose market lane is full. */
async function handling(
  whenFull: WhenFull,
  handler: TestHandler,
): Promise<{ market: Market; halt: SubscriptionRecord }> {
  const market = new Market(whenFull, {}, 1);
  await market.fill();
  const halt = market.test.subscribe('HALT', handler);
  await market.test.publish('HALT', 1);
  market.test.start();
  return { market, halt };
}

/** The ledger when the delivery of the HALT has ended. */
async function ended({ market, halt }: { market: Market; halt: SubscriptionRecord }): Promise<SubscriptionMetrics> {
  while (!halt.drained) await turn();
  await market.test.stop();
  return halt.metrics();
}

describe('what a delivery publishes', () => {
  it('with room costs it nothing: the same promise as always, and nothing to wait for', () => {
    const market = new Market('block');
    const publishes = new Publishes(market.outbox, delivery);
    expect(publishes.publish({ type: 'TICK', n: 1 })).toBe(ADMITTED);
    expect(publishes.pending).toBe(false);
  });

  it('is admitted, and nothing to wait for, when it is only told to let the event loop turn', async () => {
    const market = new Market('block', { capacityBytes: 1 << 16 });
    const publishes = new Publishes(market.outbox, delivery);
    const publish = (): Promise<unknown> => publishes.publish({ type: 'TICK', n: 1 });
    await turn();
    void publish();
    const end = performance.now() + 15;
    while (performance.now() < end);
    let published = publish();
    for (let n = 0; n < 64 && published === ADMITTED; n++) published = publish();
    expect(published).not.toBe(ADMITTED);
    expect(publishes.pending).toBe(false);
    await published;
  });

  it.each([
    ['returns', (): undefined => undefined],
    ['is async', async () => Promise.resolve()],
  ])('is admitted before the delivery ends, though the handler %s without waiting', async (_, end) => {
    const { market, halt } = await handling('block', (_event, context) => {
      void context.publish(full);
      void context.publish({ ...full, n: 10 });
      return end();
    });
    for (let i = 0; i < 5; i++) await turn();
    expect(halt.metrics()).toMatchObject({ processed: 0, pending: 1 });
    expect(market.read(1)).toEqual([1]);
    for (let i = 0; i < 5; i++) await turn();
    expect(halt.metrics()).toMatchObject({ processed: 0, pending: 1 });
    expect(market.read()).toEqual([2, 3, 4, 9]);
    expect(await ended({ market, halt })).toMatchObject({ processed: 1, failed: 0, exact: true });
    expect(market.read()).toEqual([10]);
  });

  it('is admitted before a delivery ends whose handler throws, and the delivery fails', async () => {
    const { market, halt } = await handling('block', (_event, context) => {
      void context.publish(full);
      throw new Error('after publishing');
    });
    for (let i = 0; i < 5; i++) await turn();
    expect(halt.metrics()).toMatchObject({ failed: 0, pending: 1 });
    market.read();
    expect(await ended({ market, halt })).toMatchObject({ processed: 0, failed: 1, exact: true });
    expect(market.read()).toEqual([9]);
    expect(market.test.lines).toMatchObject([
      { text: 'handler failed', fields: { err: { message: 'after publishing' } } },
    ]);
  });

  it('and was refused fails the delivery when the handler has not looked at it', async () => {
    const made = await handling('reject', (_event, context) => {
      void context.publish(full);
    });
    expect(await ended(made)).toMatchObject({ processed: 0, failed: 1, exact: true });
    expect(made.market.test.lines).toMatchObject([{ fields: { err: { code: 'ERR_LANEBUS_LANE_FULL' } } }]);
  });

  it('and was refused as a bad event fails the delivery too', async () => {
    const made = await handling('block', (_event, context) => {
      void context.publish({ type: 'TICK', n: 0.5 });
    });
    expect(await ended(made)).toMatchObject({ processed: 0, failed: 1, exact: true });
    expect(made.market.test.lines).toMatchObject([{ fields: { err: { code: 'ERR_LANEBUS_INVALID_EVENT' } } }]);
  });

  it.each<[string, TestHandler]>([
    [
      'awaits and catches',
      async (_event, context) => {
        await context.publish(full).catch(() => undefined);
      },
    ],
    [
      'catches without waiting',
      (_event, context) => {
        context.publish(full).catch(() => undefined);
      },
    ],
    [
      'tries',
      async (_event, context) => {
        try {
          await context.publish(full);
        } catch {
          return;
        }
      },
    ],
    [
      'collects',
      async (_event, context) => {
        await Promise.allSettled([context.publish(full), context.publish(full)]);
      },
    ],
    [
      'looks later',
      async (_event, context) => {
        const published = context.publish(full);
        await turn();
        await published.catch(() => undefined);
      },
    ],
  ])("and was refused is the handler's own affair when it %s", async (_, handler) => {
    expect(await ended(await handling('reject', handler))).toMatchObject({ processed: 1, failed: 0, exact: true });
  });

  it('and was refused fails the delivery when the handler awaits it and does not catch', async () => {
    const made = await handling('reject', async (_event, context) => {
      await context.publish(full);
    });
    expect(await ended(made)).toMatchObject({ processed: 0, failed: 1, exact: true });
  });

  it('fails the delivery by its first refusal only once, with others admitted', async () => {
    const made = await handling('reject', (_event, context) => {
      void context.publish(full);
      void context.publish({ type: 'NOTE', n: 1 });
      void context.publish(full);
    });
    expect(await ended(made)).toMatchObject({ processed: 0, failed: 1, exact: true });
    expect(made.market.test.lines).toHaveLength(1);
    expect(made.market.test.producer.block.published[4]).toBe(1);
  });

  it('does not hold a delivery that was given up, and does not fail the next one', async () => {
    const { market, halt } = await handling('block', ({ n }, context) => {
      if (n !== 1) return undefined;
      void context.publish(full);
      return new Promise(() => undefined);
    });
    for (let i = 0; i < 3; i++) await turn();
    market.test.engine.giveUp(halt.members[0].id, 0);
    await market.test.publish('HALT', 2);
    expect(await ended({ market, halt })).toMatchObject({ timedOut: 1, processed: 1, failed: 0, exact: true });
    const read: number[] = [];
    while (!read.includes(9)) {
      read.push(...market.read());
      await turn();
    }
    expect(read).toEqual([1, 2, 3, 4, 9]);
  });

  it('waits until all is admitted even while more is published', async () => {
    const { market, halt } = await handling('block', async (_event, context) => {
      const first = context.publish(full);
      void first.then(() => context.publish({ ...full, n: 10 }));
      await Promise.resolve();
    });
    const read: number[] = [];
    while (!halt.drained) {
      read.push(...market.read(1));
      await turn();
    }
    expect([...read, ...market.read()]).toEqual([1, 2, 3, 4, 9, 10]);
    expect(await ended({ market, halt })).toMatchObject({ processed: 1, exact: true });
  });
});
