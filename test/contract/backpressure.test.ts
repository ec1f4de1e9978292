// What a publisher meets at a full lane, by the lane's policy. The lane holds a kibibyte: some thirty ticks.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventBus, LaneOptions, Subscription } from 'lanebus';
import { afterEach, describe, expect, it } from 'vitest';
import type { C, Tick } from '../support/handlers/catalog.js';
import type * as record from '../support/handlers/record.js';
import { expectExact, handlersOf, newBus, range } from './buses.js';

const { quiet } = handlersOf<typeof record>('record');
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

interface Full {
  readonly bus: EventBus<C>;
  /** Numbers that the function handler has taken. */
  readonly taken: number[];
  /** Ticks in the lane, which are numbered from 0. */
  readonly inLane: number;
  pause(): void;
  resume(): void;
}

/** A bus whose market lane is full: neither a function handler nor a pool thread takes anything until `resume`. */
async function fullLane(options: LaneOptions, busOptions: object = {}): Promise<Full> {
  const bus = newBus({ lanes: { market: { ...options, capacityBytes: 1024 } }, ...busOptions });
  const taken: number[] = [];
  const subscriptions: Subscription[] = [
    bus.subscribe('TICK', ({ n }) => void taken.push(n)),
    bus.subscribe('TICK', quiet),
  ];
  await bus.start();
  const pause = (): void => {
    for (const subscription of subscriptions) subscription.pause();
  };
  pause();
  const room = bus.metrics().lanes.market.capacityBytes / 2;
  let inLane = 0;
  // A lane of 1 KiB has two rings: this thread's and the pool thread's.
  while (bus.metrics().lanes.market.depthBytes + 32 <= room) expect(bus.tryPublish(tick(inLane++))).toBe('published');
  return {
    bus,
    taken,
    inLane,
    pause,
    resume: () => {
      for (const subscription of subscriptions) subscription.resume();
    },
  };
}

/** Both subscriptions have taken exactly these, and the books are exact. */
async function expectTaken({ bus, taken }: Full, numbers: readonly number[]): Promise<void> {
  expect(await bus.drain()).toMatchObject({ drained: true, pending: 0 });
  expect(taken).toEqual(numbers);
  const { lanes, subscriptions } = bus.metrics();
  expect(lanes.market).toMatchObject({ published: numbers.length, depthEvents: 0, waiting: 0, spilled: 0 });
  for (const subscription of subscriptions) {
    expect(subscription).toMatchObject({ owed: numbers.length, processed: numbers.length });
  }
  expectExact(bus.metrics());
}

describe('block', () => {
  it('admits waiting publishers in the order in which they came', async () => {
    const full = await fullLane({ whenFull: 'block' });
    const { bus, inLane } = full;
    const admitted: number[] = [];
    const waiting = range(100, inLane).map((n) => bus.publish(tick(n)).then(() => admitted.push(n)));
    expect(bus.metrics().lanes.market).toMatchObject({ published: inLane, waiting: 100 });
    expect(admitted).toEqual([]);
    full.resume();
    await Promise.all(waiting);
    expect(admitted).toEqual(range(100, inLane));
    await expectTaken(full, range(inLane + 100));
    expect(bus.metrics().lanes.market.blockedMs).toBeGreaterThan(0);
  });

  it('lets nobody overtake those who wait, when there is room again', async () => {
    const full = await fullLane({ whenFull: 'block' });
    const { bus, inLane } = full;
    let next = inLane;
    const waiting = range(50).map(() => bus.publish(tick(next++)));
    full.resume();
    for (let turns = 0; turns < 50; turns++) {
      waiting.push(bus.publish(tick(next++)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(waiting);
    await expectTaken(full, range(next));
  });

  it('keeps a batch together among other publishers, and resolves with its last event', async () => {
    const full = await fullLane({ whenFull: 'block' });
    const { bus, inLane } = full;
    const batch = bus.publishBatch(range(60, inLane).map(tick));
    const single = bus.publish(tick(inLane + 60));
    full.resume();
    await Promise.all([batch, single]);
    await expectTaken(full, range(inLane + 61));
  });

  it('refuses a batch with one bad event as a whole, even while the lane is full', async () => {
    const full = await fullLane({ whenFull: 'block' });
    const { bus, inLane } = full;
    const bad = { ...tick(1002), price: '1' } as unknown as Tick;
    await expect(bus.publishBatch([tick(1000), tick(1001), bad])).rejects.toMatchObject({
      code: 'ERR_LANEBUS_INVALID_EVENT',
    });
    expect(bus.metrics().lanes.market).toMatchObject({ published: inLane, rejected: 3, waiting: 0 });
    full.resume();
    await bus.publish(tick(inLane));
    await expectTaken(full, range(inLane + 1));
  });

  it('with timeoutMs loses no event of a batch that fits in part: published and rejected are what was offered', async () => {
    const full = await fullLane({ whenFull: 'block', timeoutMs: 40 });
    const { bus, inLane } = full;
    full.resume();
    await bus.drain();
    full.pause();
    await expect(bus.publishBatch(range(100, inLane).map(tick))).rejects.toMatchObject({
      code: 'ERR_LANEBUS_LANE_FULL',
    });
    const { published, rejected, waiting } = bus.metrics().lanes.market;
    expect({ offered: published + rejected, waiting }).toEqual({ offered: inLane + 100, waiting: 0 });
    full.resume();
    await expectTaken(full, range(published));
  });

  it('publishes what the event was when it was offered, whatever its owner does to it later', async () => {
    const full = await fullLane({ whenFull: 'block' });
    const { bus, inLane } = full;
    const event = tick(inLane);
    const waiting = bus.publish(event);
    event.n = -5;
    full.resume();
    await waiting;
    await expectTaken(full, range(inLane + 1));
  });

  it('with timeoutMs refuses with LANE_FULL after that time, and later publishes go through', async () => {
    // Long enough that later publishes, which wait for room too, are not refused when the machine is busy.
    const full = await fullLane({ whenFull: 'block', timeoutMs: 500 });
    const { bus, inLane } = full;
    const begun = performance.now();
    const refused = await Promise.allSettled(range(3).map((n) => bus.publish(tick(1000 + n))));
    expect(performance.now() - begun).toBeGreaterThanOrEqual(499);
    for (const { reason } of refused as PromiseRejectedResult[]) {
      expect(reason).toMatchObject({
        code: 'ERR_LANEBUS_LANE_FULL',
        message: expect.stringMatching(
          /^lane "market" is full \(1,024 bytes\) and stayed so for 500 ms; it waits for subscription "/,
        ) as string,
      });
    }
    expect(bus.metrics().lanes.market).toMatchObject({ published: inLane, rejected: 3, waiting: 0 });
    full.resume();
    for (const n of range(200, inLane)) await bus.publish(tick(n));
    await expectTaken(full, range(inLane + 200));
    expect(bus.metrics().lanes.market.rejected).toBe(3);
  });

  it('with timeoutMs takes no harm from a wait that ends in time', async () => {
    const full = await fullLane({ whenFull: 'block', timeoutMs: 5_000 });
    const { bus, inLane } = full;
    const waiting = range(100, inLane).map((n) => bus.publish(tick(n)));
    full.resume();
    await Promise.all(waiting);
    await expectTaken(full, range(inLane + 100));
    expect(bus.metrics().lanes.market.rejected).toBe(0);
  });
});

describe('reject', () => {
  it('refuses with LANE_FULL at once, names who holds the lane back, and publishes again when there is room', async () => {
    const full = await fullLane({ whenFull: 'reject' });
    const { bus, inLane } = full;
    for (const n of range(5)) {
      await expect(bus.publish(tick(1000 + n))).rejects.toMatchObject({
        code: 'ERR_LANEBUS_LANE_FULL',
        message: expect.stringMatching(/^lane "market" is full \(1,024 bytes\); it waits for subscription "/) as string,
      });
    }
    expect(bus.metrics().lanes.market).toMatchObject({ published: inLane, rejected: 5, dropped: 0, waiting: 0 });
    full.resume();
    await bus.drain();
    await bus.publish(tick(inLane));
    await expectTaken(full, range(inLane + 1));
  });

  it('refuses a whole batch when it does not fit as a whole', async () => {
    const full = await fullLane({ whenFull: 'reject' });
    const { bus, inLane } = full;
    full.resume();
    await bus.drain();
    await expect(bus.publishBatch(range(100, inLane).map(tick))).rejects.toMatchObject({
      code: 'ERR_LANEBUS_LANE_FULL',
      message: expect.stringContaining("none of the batch's 100 events was published") as string,
    });
    expect(bus.metrics().lanes.market).toMatchObject({ published: inLane, rejected: 100 });
    await bus.publishBatch(range(10, inLane).map(tick));
    await expectTaken(full, range(inLane + 10));
  });
});

describe('dropNewest', () => {
  it('drops what finds no room: published and dropped are what was offered, delivered is what was published', async () => {
    const full = await fullLane({ whenFull: 'dropNewest' });
    const { bus, inLane } = full;
    const OFFERED = 20_000;
    for (const n of range(100)) await bus.publish(tick(1_000_000 + n));
    expect(bus.metrics().lanes.market).toMatchObject({ published: inLane, dropped: 100 });
    full.resume();
    for (let n = inLane; n < OFFERED; n++) {
      await bus.publish(tick(n));
      if (n % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await bus.publishBatch(range(100, OFFERED).map(tick));
    await bus.drain();
    const { published, dropped, rejected } = bus.metrics().lanes.market;
    expect(published + dropped).toBe(OFFERED + 200);
    expect(rejected).toBe(0);
    expect(published).toBeGreaterThan(inLane);
    expect(full.taken).toHaveLength(published);
    expect(full.taken.slice(0, inLane)).toEqual(range(inLane));
    expect(full.taken.every((n, index) => index === 0 || n > full.taken[index - 1])).toBe(true);
    await expectTaken(full, full.taken);
  });
});

describe('spill', () => {
  it('takes everything and keeps the order, with an exact ledger after drain', async () => {
    const full = await fullLane({ whenFull: 'spill' });
    const { bus, inLane } = full;
    for (const n of range(5_000, inLane)) await bus.publish(tick(n));
    const { published, spilled, waiting } = bus.metrics().lanes.market;
    expect({ published, spilled, waiting }).toEqual({ published: inLane + 5_000, spilled: 5_000, waiting: 0 });
    expect(await bus.drain({ timeoutMs: 5 })).toMatchObject({ drained: false });
    full.resume();
    for (let n = inLane + 5_000; n < inLane + 6_000; n++) {
      await bus.publish(tick(n));
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await bus.publishBatch(range(500, inLane + 6_000).map(tick));
    await expectTaken(full, range(inLane + 6_500));
    expect(bus.metrics().lanes.market).toMatchObject({ dropped: 0, rejected: 0 });
  });

  it('warns once when the overflow passes its high watermark', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lanebus-'));
    folders.push(folder);
    const destination = join(folder, 'bus.log');
    const full = await fullLane({ whenFull: 'spill', spillWatermarkBytes: 4096 }, { logger: { destination } });
    const warnings = (): unknown[] =>
      readFileSync(destination, 'utf8')
        .split('\n')
        .filter((line) => line.includes('high watermark'))
        .map((line) => JSON.parse(line) as unknown);
    for (const n of range(100, full.inLane)) await full.bus.publish(tick(n));
    expect(warnings()).toEqual([]);
    for (const n of range(900, full.inLane + 100)) await full.bus.publish(tick(n));
    expect(warnings()).toMatchObject([
      { level: 40, lane: 'market', msg: 'overflow of lane "market" has passed its high watermark of 4096 bytes' },
    ]);
    full.resume();
    await expectTaken(full, range(full.inLane + 1000));
  });
});

describe('tryPublish', () => {
  it.each([
    ['block', 'full', { published: 0, rejected: 1, dropped: 0 }],
    ['reject', 'full', { published: 0, rejected: 1, dropped: 0 }],
    ['dropNewest', 'dropped', { published: 0, rejected: 0, dropped: 1 }],
    ['spill', 'published', { published: 1, rejected: 0, dropped: 0 }],
  ] as const)("never waits: a full lane with '%s' gives '%s'", async (whenFull, outcome, counted) => {
    const full = await fullLane({ whenFull });
    const { bus, inLane } = full;
    expect(bus.tryPublish(tick(inLane))).toBe(outcome);
    const { rejected, dropped } = bus.metrics().lanes.market;
    expect(bus.metrics().lanes.market.published).toBe(inLane + counted.published);
    expect({ rejected, dropped }).toEqual({ rejected: counted.rejected, dropped: counted.dropped });
    full.resume();
    await bus.drain();
    const next = inLane + counted.published;
    expect(bus.tryPublish(tick(next))).toBe('published');
    await expectTaken(full, range(next + 1));
    await bus.stop();
    expect(bus.tryPublish(tick(0))).toBe('closed');
    expect(bus.metrics().lanes.market.published).toBe(next + 1);
  });

  it('throws for a bad event, whatever the room', async () => {
    const { bus, inLane } = await fullLane({ whenFull: 'block' });
    expect(() => bus.tryPublish({ ...tick(1), price: '1' } as never)).toThrow(
      expect.objectContaining({ code: 'ERR_LANEBUS_INVALID_EVENT' }),
    );
    expect(bus.metrics().lanes.market).toMatchObject({ published: inLane, rejected: 1 });
  });

  it('does not overtake publishers that wait, even with an event that would fit', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024, maxRecordBytes: 512 } } });
    const taken: string[] = [];
    const subscription = bus.subscribe(['TICK', 'JOB'], ({ type, n }) => void taken.push(`${type} ${n}`));
    await bus.start();
    subscription.pause();
    const large = (n: number) => ({ type: 'JOB', n, act: 'x'.repeat(400) }) as const;
    for (const n of range(2)) expect(bus.tryPublish(large(n))).toBe('published');
    // Room for a tick, not for the third of these.
    const waiting = [bus.publish(large(2))];
    expect(bus.tryPublish(tick(3))).toBe('full');
    waiting.push(bus.publish(tick(4)), bus.publishBatch([tick(5), large(6)]));
    expect(bus.metrics().lanes.market).toMatchObject({ published: 2, rejected: 1, waiting: 3 });
    subscription.resume();
    await Promise.all(waiting);
    await bus.drain();
    expect(taken).toEqual(['JOB 0', 'JOB 1', 'JOB 2', 'TICK 4', 'TICK 5', 'JOB 6']);
    expectExact(bus.metrics());
  });
});
