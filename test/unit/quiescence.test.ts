import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { LaneWord } from '../../src/shared/layout.js';
import { isQuiet } from '../../src/main/quiescence.js';
import type { Producer, SubscriptionRecord } from '../../src/main/record.js';
import { lanesWith, producerOf, TestEngine } from '../support/engine.js';
import { Market } from '../support/market.js';

const isMarketQuiet = ({ test, record }: Market): boolean => isQuiet([test.producer], [record]);

describe('a bus is quiet', () => {
  it('when nothing was published, and when there is nobody to deliver to', async () => {
    const test = new TestEngine();
    expect(isQuiet([], [])).toBe(true);
    expect(isQuiet([test.producer], [])).toBe(true);
    await test.publish('TICK', 1);
    expect(isQuiet([test.producer], [])).toBe(true);
    expect(isQuiet([test.producer], [test.register(['NOTE'])])).toBe(true);
  });

  it('when every reader has come to the end of its lanes, and not before', async () => {
    const market = new Market('block');
    expect(isMarketQuiet(market)).toBe(true);
    await market.publish(1);
    await market.publish(2);
    expect(isMarketQuiet(market)).toBe(false);
    market.read(1);
    expect(isMarketQuiet(market)).toBe(false);
    market.read(1);
    expect(isMarketQuiet(market)).toBe(true);
  });

  it('whatever subscriptions that have ended have left', async () => {
    const market = new Market('block');
    await market.publish(1);
    market.record.state = 'ended';
    expect(isMarketQuiet(market)).toBe(true);
  });

  it('not while a delivery is in flight, even if its handler only waits', async () => {
    const test = new TestEngine();
    let finish: (() => void) | undefined;
    const record = test.subscribe('TICK', () => new Promise<void>((resolve) => (finish = resolve)));
    await test.publish('TICK', 1);
    test.start();
    while (finish === undefined) await turn();
    expect(isQuiet([test.producer], [record])).toBe(false);
    finish();
    while (!record.drained) await turn();
    expect(isQuiet([test.producer], [record])).toBe(true);
    await test.stop();
  });

  it('not while a publisher waits for room, even if all that is in the lane has been read', async () => {
    const market = new Market('block');
    await market.fill();
    const waiting = market.publish(5);
    market.read(Infinity, false);
    expect(market.record.drained).toBe(true);
    expect(isMarketQuiet(market)).toBe(false);
    market.test.engine.openGates([market.test.gateOf(market.member)], false);
    await waiting;
    expect(isMarketQuiet(market)).toBe(false);
    market.read();
    expect(isMarketQuiet(market)).toBe(true);
  });

  it('not while an overflow holds events', async () => {
    const market = new Market('spill');
    await market.fill();
    await market.publish(5);
    market.read(Infinity, false);
    expect(isMarketQuiet(market)).toBe(false);
  });

  it('not while one of several producers or subscriptions is behind', async () => {
    const lanes = lanesWith();
    const test = new TestEngine({ lanes, producers: 2 });
    const other = producerOf(lanes, 1, 1);
    const record = test.register(['TICK']);
    record.readFromStart(other);
    expect(isQuiet([test.producer, other], [record])).toBe(true);
    Atomics.store(other.block.control[1], LaneWord.CURSOR_INDEX, 64);
    expect(isQuiet([test.producer, other], [record])).toBe(false);
    const second = test.register(['TICK']);
    const [member] = record.members;
    member.block.seed(member.address(other, 1), 64, 1);
    expect(isQuiet([test.producer, other], [record, second])).toBe(true);
    await test.publish('TICK', 1);
    expect(isQuiet([test.producer, other], [second])).toBe(false);
  });
});

describe('a handler that publishes while somebody looks', () => {
  /** Something that happens when the look has come to this record, which has nothing pending itself. */
  const between = (act: () => void): SubscriptionRecord =>
    ({
      ended: false,
      get drained() {
        act();
        return true;
      },
    }) as unknown as SubscriptionRecord;

  it('is not missed, though every reader stood at an end when it was looked at', () => {
    // The look sees A at the end of its lane. Then B's last delivery publishes for A and ends, and B stands at its end.
    const market = new Market('block');
    const { test, record } = market;
    const b = between(() => void market.publish(1));
    expect(isQuiet([test.producer], [record, b])).toBe(false);
    expect(isQuiet([test.producer], [record])).toBe(false);
    market.read();
    expect(isQuiet([test.producer], [record])).toBe(true);
  });

  it('is not missed when what it publishes waits for room', async () => {
    const market = new Market('block');
    await market.fill();
    let waiting: Promise<void> | undefined;
    const b = between(() => {
      waiting ??= market.publish(5);
    });
    market.read(Infinity, false);
    expect(isQuiet([market.test.producer], [market.record, b])).toBe(false);
    market.test.engine.openGates([market.test.gateOf(market.member)], false);
    await waiting;
  });

  it('is not missed when what it publishes is visible a moment before it is queued for a reader that conflates', () => {
    const { test } = new Market('block');
    const looks = [true, false];
    const conflating = { ended: false, drained: true };
    Object.defineProperty(conflating, 'drained', { get: () => looks.shift() ?? true });
    expect(isQuiet([test.producer], [conflating as unknown as SubscriptionRecord])).toBe(false);
    expect(looks).toEqual([]);
  });

  it('is not missed when it is a new thread that publishes', () => {
    const lanes = lanesWith();
    const test = new TestEngine({ lanes, producers: 2 });
    const record = test.register(['TICK']);
    const producers: Producer[] = [test.producer];
    const b = between(() => producers.push(producerOf(lanes, 1, 1)));
    expect(isQuiet(producers, [record, b])).toBe(false);
  });
});
