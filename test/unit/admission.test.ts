import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { realNow, setTimeSource } from '../../src/shared/clock.js';
import { ErrorCode, LanebusError } from '../../src/shared/errors.js';
import { LaneWord } from '../../src/shared/layout.js';
import { AWAKE, PARKED } from '../../src/shared/parking.js';
import { bodyFor } from '../support/engine.js';
import { CAPACITY, Market, MARKET, QUARTER } from '../support/market.js';

const SMALL = bodyFor(64);
const HALF = bodyFor(CAPACITY / 2);
const stopped = new LanebusError(ErrorCode.STOPPED, 'publish: the bus has been stopped');

/** Notes the order in which promises settle. */
function noteSettling(order: string[], name: string, promise: Promise<void>): Promise<void> {
  return promise.then(
    () => void order.push(name),
    (error: unknown) => void order.push(`${name}: ${(error as LanebusError).code}`),
  );
}

/** Waits until the publishing thread sleeps for room. */
async function parked(market: Market): Promise<void> {
  const [control] = [market.test.producer.block.control[MARKET]];
  while (Atomics.load(control, LaneWord.ROOM_INDEX) !== PARKED) await turn();
}

describe("a full lane under 'block'", () => {
  it('lets publishers wait, and admits them in the order in which they came, as room comes', async () => {
    const market = new Market('block');
    await market.fill();
    const order: string[] = [];
    const waiting = [5, 6, 7].map((n) => noteSettling(order, `${n}`, market.publish(n)));
    expect(market.stat('WAITING_F64')).toBe(3);
    await parked(market);
    expect(order).toEqual([]);
    expect(market.read(1)).toEqual([1]);
    await waiting[0];
    expect(order).toEqual(['5']);
    expect(market.stat('WAITING_F64')).toBe(2);
    expect(market.read()).toEqual([2, 3, 4, 5]);
    await Promise.all(waiting);
    expect(order).toEqual(['5', '6', '7']);
    expect(market.read()).toEqual([6, 7]);
    expect(market.stat('WAITING_F64')).toBe(0);
  });

  it('lets nobody overtake who would fit where the first that waits does not', async () => {
    const market = new Market('block');
    await market.fill();
    const order: string[] = [];
    const big = noteSettling(order, 'big', market.publish(5, HALF));
    const small = noteSettling(order, 'small', market.publish(6, SMALL));
    await parked(market);
    market.read(1);
    await parked(market);
    expect(order).toEqual([]);
    expect(market.outbox.tryPublish({ type: 'TICK', n: 7 })).toBe('full');
    market.read(1);
    await big;
    await parked(market);
    market.read(1);
    await small;
    expect(order).toEqual(['big', 'small']);
    expect(market.read()).toEqual([4, 5, 6]);
  });

  it('publishes an event as it was when it was offered', async () => {
    const market = new Market('block');
    await market.fill();
    const event = { type: 'TICK', n: 5, body: QUARTER };
    const admitted = market.outbox.publish(event);
    event.n = -5;
    market.read();
    await admitted;
    expect(market.read()).toEqual([5]);
  });

  it('refuses a bad event at once, whether or not there is room', async () => {
    const market = new Market('block');
    await market.fill();
    await expect(market.outbox.publish({ type: 'TICK', n: 'five' })).rejects.toMatchObject({
      code: 'ERR_LANEBUS_INVALID_EVENT',
    });
    await expect(market.publish(5, new Uint8Array(CAPACITY))).rejects.toMatchObject({
      code: 'ERR_LANEBUS_RECORD_TOO_LARGE',
    });
    expect(market.stat('WAITING_F64')).toBe(0);
    expect(market.stat('REJECTED_F64')).toBe(2);
  });

  it('counts the time for which somebody waited', async () => {
    const market = new Market('block');
    await market.fill();
    const admitted = market.publish(5);
    await parked(market);
    expect(market.stat('BLOCKED_SINCE_F64')).toBeGreaterThan(0);
    const end = performance.now() + 3;
    while (performance.now() < end);
    market.read();
    await admitted;
    await turn();
    expect(market.stat('BLOCKED_SINCE_F64')).toBe(0);
    expect(market.stat('BLOCKED_MS_F64')).toBeGreaterThanOrEqual(3);
  });

  it('releases all who wait with the error when publishing ends', async () => {
    const market = new Market('block');
    await market.fill();
    const order: string[] = [];
    const waiting = [5, 6].map((n) => noteSettling(order, `${n}`, market.publish(n)));
    await parked(market);
    expect(market.outbox.close(stopped)).toBe(2);
    await Promise.all(waiting);
    expect(order).toEqual(['5: ERR_LANEBUS_STOPPED', '6: ERR_LANEBUS_STOPPED']);
    expect(market.stat('REJECTED_F64')).toBe(2);
    expect(market.stat('WAITING_F64')).toBe(0);
    expect(market.read()).toEqual([1, 2, 3, 4]);
    await expect(market.publish(8)).rejects.toBe(stopped);
    expect(market.outbox.tryPublish({ type: 'TICK', n: 8 })).toBe('closed');
    await expect(market.outbox.publishBatch([{ type: 'TICK', n: 8 }])).rejects.toBe(stopped);
  });

  it('goes on when the reader that held it has gone', async () => {
    const market = new Market('block');
    await market.fill();
    const admitted = market.publish(5);
    await parked(market);
    market.outbox.closeGates([market.member.id]);
    await admitted;
  });

  it('goes on when the reader that held it is replaced, though the old one was killed before it rang', async () => {
    const market = new Market('block');
    await market.fill();
    const admitted = market.publish(5);
    await parked(market);
    expect(market.read(Infinity, false)).toEqual([1, 2, 3, 4]);
    market.test.engine.openGates([market.test.gateOf(market.member)], false);
    await admitted;
  });

  it('goes on when the reader that held it is replaced, though the old one was killed while it rang', async () => {
    const market = new Market('block');
    await market.fill();
    const admitted = market.publish(5);
    await parked(market);
    market.read(Infinity, false);
    Atomics.store(market.test.producer.block.control[MARKET], LaneWord.ROOM_INDEX, AWAKE);
    market.test.engine.openGates([market.test.gateOf(market.member)], false);
    await admitted;
  });
});

describe("a full lane under 'block' with a timeout", () => {
  it('refuses those whose time is up with an error that says who holds it, and no one else', async () => {
    const market = new Market('block', { timeoutMs: 30 });
    await market.fill();
    const began = performance.now();
    const order: string[] = [];
    const first = market.publish(5);
    const second = noteSettling(order, 'second', market.publish(6));
    await expect(first).rejects.toMatchObject({
      code: 'ERR_LANEBUS_LANE_FULL',
      message:
        'lane "market" is full (1,024 bytes) and stayed so for 30 ms; it waits for subscription "subscription 1"',
    });
    expect(performance.now() - began).toBeGreaterThanOrEqual(29);
    await second;
    expect(order).toEqual(['second: ERR_LANEBUS_LANE_FULL']);
    expect(market.stat('REJECTED_F64')).toBe(2);
    expect(market.read()).toEqual([1, 2, 3, 4]);
  });

  it('counts nobody as blocked when all have been refused', async () => {
    const market = new Market('block', { timeoutMs: 5 });
    await market.fill();
    await expect(market.publish(5)).rejects.toThrow('stayed so for 5 ms');
    await turn();
    await turn();
    expect(market.stat('WAITING_F64')).toBe(0);
    expect(market.stat('BLOCKED_SINCE_F64')).toBe(0);
    expect(market.stat('BLOCKED_MS_F64')).toBeGreaterThanOrEqual(4);
  });

  it('admits who comes after a refusal, and in order', async () => {
    const market = new Market('block', { timeoutMs: 5 });
    await market.fill();
    await expect(market.publish(5)).rejects.toThrow('stayed so for 5 ms');
    market.read(2);
    await market.publish(6);
    await market.publish(7);
    const waiting = market.publish(8);
    market.read(1);
    await waiting;
    expect(market.read()).toEqual([4, 6, 7, 8]);
  });

  it('leaves no timer behind when room has come in time', async () => {
    const market = new Market('block', { timeoutMs: 100_000 });
    await market.fill();
    const timers = new Set<object>();
    setTimeSource({
      now: realNow,
      setTimer() {
        const timer = { cancel: () => void timers.delete(timer) };
        timers.add(timer);
        return timer;
      },
    });
    try {
      const admitted = market.publish(5);
      expect(timers.size).toBe(1);
      market.read();
      await admitted;
      expect(timers.size).toBe(0);
    } finally {
      setTimeSource(undefined);
    }
  });
});

describe("a full lane under 'reject'", () => {
  it('refuses at once, with an error that says who holds it, and counts it', async () => {
    const market = new Market('reject');
    await market.fill();
    await expect(market.publish(5)).rejects.toMatchObject({
      code: 'ERR_LANEBUS_LANE_FULL',
      message: 'lane "market" is full (1,024 bytes); it waits for subscription "subscription 1"',
    });
    expect(market.outbox.tryPublish({ type: 'TICK', n: 6, body: QUARTER })).toBe('full');
    expect(market.stat('REJECTED_F64')).toBe(2);
    market.read(1);
    await market.publish(7);
    expect(market.read()).toEqual([2, 3, 4, 7]);
  });
});

describe("a full lane under 'dropNewest'", () => {
  it('takes and drops, and counts it', async () => {
    const market = new Market('dropNewest');
    await market.fill();
    await market.publish(5);
    expect(market.outbox.tryPublish({ type: 'TICK', n: 6, body: QUARTER })).toBe('dropped');
    expect(market.stat('DROPPED_F64')).toBe(2);
    market.read(2);
    expect(market.outbox.tryPublish({ type: 'TICK', n: 7, body: QUARTER })).toBe('published');
    expect(market.read()).toEqual([3, 4, 7]);
    expect(market.test.producer.block.published[2]).toBe(5);
  });

  it('tells of what it has dropped before the next event, and again only of what it has dropped since', async () => {
    const market = new Market('dropNewest');
    await market.fill();
    await market.publish(5);
    await market.test.publish('BAR', 6, QUARTER);
    market.read(2);
    expect(market.missed).toBe(0);
    await market.publish(7);
    expect(market.read(2)).toEqual([3, 4]);
    expect(market.missed).toBe(0);
    expect(market.read(1)).toEqual([7]);
    expect(market.missed).toBe(2);
    for (let n = 8; market.stat('DROPPED_F64') < 3; n++) await market.publish(n);
    market.read();
    await market.publish(99);
    expect(market.read()).toEqual([99]);
    expect(market.missed).toBe(3);
  });

  it('tells of what it has dropped as soon as there is room, though nothing more is published', async () => {
    const market = new Market('dropNewest');
    await market.fill();
    await market.publish(5);
    expect(market.read()).toEqual([1, 2, 3, 4]);
    while (market.missed === 0) {
      await turn();
      expect(market.read()).toEqual([]);
    }
    expect(market.missed).toBe(1);
    expect(market.stat('DROPPED_F64')).toBe(1);
  });

  it('refuses a bad event all the same', async () => {
    const market = new Market('dropNewest');
    await market.fill();
    const bad = { type: 'TICK', n: 1, body: new Uint8Array(CAPACITY) };
    await expect(market.outbox.publish(bad)).rejects.toMatchObject({ code: 'ERR_LANEBUS_RECORD_TOO_LARGE' });
    expect(market.stat('REJECTED_F64')).toBe(1);
    expect(market.stat('DROPPED_F64')).toBe(0);
  });
});

describe("a full lane under 'spill'", () => {
  it('takes everything and delivers it in order, with nobody waiting', async () => {
    const market = new Market('spill');
    const numbers = Array.from({ length: 500 }, (_, i) => i + 1);
    for (const n of numbers) {
      if (n % 2 === 0) expect(market.outbox.tryPublish({ type: 'TICK', n, body: QUARTER })).toBe('published');
      else await market.publish(n, n % 3 === 0 ? HALF : QUARTER);
    }
    expect(market.stat('SPILLED_F64')).toBeGreaterThan(490);
    expect(market.stat('WAITING_F64')).toBe(0);
    const read: number[] = [];
    while (read.length < numbers.length) {
      read.push(...market.read());
      await turn();
    }
    expect(read).toEqual(numbers);
    expect(market.stat('SPILLED_F64')).toBe(0);
    expect(market.stat('BLOCKED_MS_F64')).toBe(0);
    await market.publish(501);
    expect(market.read()).toEqual([501]);
  });

  it('warns when the overflow passes its high watermark, once until it has fallen to half of that', async () => {
    const market = new Market('spill', { spillWatermarkBytes: 1_000 });
    const warnings = (): unknown[] => market.test.lines.map(({ text }) => text);
    await market.fill();
    const payload = CAPACITY / 4 - 16;
    for (let n = 5; n <= 8; n++) await market.publish(n);
    expect(warnings()).toEqual([]);
    await market.publish(9);
    await market.publish(10);
    expect(market.test.lines).toEqual([
      {
        level: 'warn',
        fields: { lane: 'market', spilledBytes: 5 * payload, spilledEvents: 5 },
        text: 'overflow of lane "market" has passed its high watermark of 1000 bytes',
      },
    ]);
    while (market.stat('SPILLED_F64') > 0) {
      market.read();
      await turn();
    }
    for (let n = 11; n <= 30; n++) await market.publish(n);
    expect(warnings()).toHaveLength(2);
  });

  it('gives up what it still holds only when told to, and says what that was', async () => {
    const market = new Market('spill');
    await market.fill();
    await market.publish(5);
    await market.test.publish('BAR', 6, QUARTER);
    expect(market.outbox.close(stopped)).toBe(0);
    expect(market.stat('SPILLED_F64')).toBe(2);
    expect(market.outbox.abandon()).toEqual([[], [2, 3], []]);
    expect(market.stat('SPILLED_F64')).toBe(0);
    expect([...market.test.producer.block.published]).toEqual([0, 0, 5, 1, 0, 0]);
    expect(market.read()).toEqual([1, 2, 3, 4]);
  });
});

describe('an event that finds room', () => {
  it.each(['block', 'reject', 'dropNewest', 'spill'] as const)('goes in at once under %s', async (whenFull) => {
    const market = new Market(whenFull);
    await market.fill();
    expect(market.read()).toEqual([1, 2, 3, 4]);
    expect(market.outbox.tryPublish({ type: 'TICK', n: 5 })).toBe('published');
    expect(market.read()).toEqual([5]);
    for (const word of ['REJECTED_F64', 'DROPPED_F64', 'WAITING_F64', 'SPILLED_F64'] as const) {
      expect(market.stat(word)).toBe(0);
    }
  });
});
