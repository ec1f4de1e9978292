import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ErrorCode, LanebusError } from '../../src/shared/errors.js';
import { LaneWord } from '../../src/shared/layout.js';
import { ADMITTED, laneOf } from '../../src/shared/outbox.js';
import { bodyFor, CATALOG, lanesWith, TestEngine } from '../support/engine.js';
import { CAPACITY, Market, QUARTER } from '../support/market.js';

const tick = (n: number): object => ({ type: 'TICK', n, body: QUARTER });
const small = (n: number): object => ({ type: 'TICK', n });
const HALF = bodyFor(CAPACITY / 2);
/** By type index; those of gap notices are left out. */
const countsOf = (market: Market): number[] => [...market.test.producer.block.published].slice(0, -1);

describe('laneOf', () => {
  it.each([
    [-5, 0],
    [0, 0],
    [9, 0],
    [10, 1],
    [89, 1],
    [90, 2],
    [1_000_000, 2],
  ])('puts priority %i on the lane of rank %i', (priority, rank) => {
    expect(laneOf(lanesWith(), priority)).toBe(rank);
  });
});

describe('publishing an event', () => {
  it('that finds room costs no promise: it is always the same one', () => {
    const market = new Market('block');
    expect(market.outbox.publish(small(1))).toBe(ADMITTED);
    expect(market.outbox.publishBatch([small(2), small(3)])).toBe(ADMITTED);
    expect(market.outbox.publishBatch([])).toBe(ADMITTED);
  });

  it('puts each type on its lane', async () => {
    const test = new TestEngine();
    for (const { name } of CATALOG.types) await test.publish(name as 'HALT', 1);
    const records = test.producer.block.stats.map((stats) => stats[LaneWord.RECORDS_F64]);
    expect(records).toEqual([1, 2, 1]);
    expect([...test.producer.block.published]).toEqual([0, 1, 1, 1, 1, 0]);
  });

  it.each([undefined, null, 'TICK', 7, true])('that is %j is refused', async (event) => {
    const market = new Market('block');
    const refusal = { code: 'ERR_LANEBUS_INVALID_EVENT', message: expect.stringContaining('event is ') as unknown };
    await expect(market.outbox.publish(event)).rejects.toMatchObject(refusal);
    expect(() => market.outbox.tryPublish(event)).toThrow(expect.objectContaining(refusal));
    await expect(market.outbox.publishBatch([small(1), event])).rejects.toMatchObject(refusal);
    expect(market.read()).toEqual([]);
  });

  it('of an unknown type is refused with the nearest known name', async () => {
    const market = new Market('block');
    await expect(market.outbox.publish({ type: 'TIKC', n: 1 })).rejects.toMatchObject({
      code: 'ERR_LANEBUS_UNKNOWN_TYPE',
      message: expect.stringContaining('TICK') as unknown,
    });
    expect(() => market.outbox.tryPublish({ type: undefined })).toThrow(
      expect.objectContaining({ code: 'ERR_LANEBUS_UNKNOWN_TYPE' }),
    );
  });

  it('rejects the promise, and does not throw, when reading the event throws', async () => {
    const market = new Market('block');
    const hostile = {
      get type(): string {
        throw new Error('keep out');
      },
    };
    await expect(market.outbox.publish(hostile)).rejects.toThrow('keep out');
    await expect(market.outbox.publishBatch([small(1), hostile])).rejects.toThrow('keep out');
    expect(() => market.outbox.tryPublish(hostile)).toThrow('keep out');
    expect(market.read()).toEqual([]);
  });

  it('is refused by the error of a closed outbox until that is opened', async () => {
    const market = new Market('block');
    await market.outbox.publish(small(1));
    const error = new LanebusError(ErrorCode.NOT_STARTED, 'publish: the bus has not started');
    market.outbox.refuse(error);
    await expect(market.outbox.publish(small(2))).rejects.toBe(error);
    await expect(market.outbox.publishBatch([small(2)])).rejects.toBe(error);
    expect(() => market.outbox.tryPublish(small(2))).toThrow(error);
    market.outbox.open();
    await market.outbox.publish(small(3));
    expect(market.read()).toEqual([1, 3]);
  });

  it('in one whose getter publishes comes behind that one', async () => {
    const market = new Market('block');
    await market.outbox.publish({
      type: 'TICK',
      get n() {
        void market.outbox.publish(small(1));
        return 2;
      },
    });
    expect(market.read()).toEqual([1, 2]);
    expect(countsOf(market)[2]).toBe(2);
  });
});

describe('a batch', () => {
  it('becomes visible at once, lane by lane', async () => {
    const market = new Market('block');
    const end = market.outbox.lanes.map(({ cursor }) => cursor);
    const seen: number[][] = [];
    await market.outbox.publishBatch([
      small(1),
      { type: 'HALT', n: 2 },
      {
        type: 'TICK',
        get n() {
          seen.push(market.outbox.lanes.map(({ cursor }) => cursor));
          return 3;
        },
      },
    ]);
    expect(seen).toEqual([end]);
    expect(market.read()).toEqual([1, 3]);
    expect(countsOf(market)).toEqual([0, 1, 2, 0, 0]);
  });

  it.each(['block', 'reject', 'dropNewest', 'spill'] as const)(
    "with a bad event publishes nothing and counts all as rejected under '%s'",
    async (whenFull) => {
      const market = new Market(whenFull);
      const batch = [small(1), { type: 'HALT', n: 2 }, { type: 'TICK', n: 0.5 }, small(3)];
      await expect(market.outbox.publishBatch(batch)).rejects.toMatchObject({ code: 'ERR_LANEBUS_INVALID_EVENT' });
      expect(market.read()).toEqual([]);
      expect(countsOf(market)).toEqual([0, 0, 0, 0, 0]);
      expect(market.stat('REJECTED_F64')).toBe(3);
      expect(market.test.producer.block.stats[0][LaneWord.REJECTED_F64]).toBe(1);
      await market.outbox.publishBatch([small(4), small(5)]);
      expect(market.read()).toEqual([4, 5]);
    },
  );

  it("that does not fit is refused as a whole under 'reject'", async () => {
    const market = new Market('reject');
    await market.fill();
    market.read(2);
    await expect(market.outbox.publishBatch([{ type: 'HALT', n: 0 }, tick(5), tick(6), tick(7)])).rejects.toMatchObject(
      {
        code: 'ERR_LANEBUS_LANE_FULL',
        message:
          'lane "market" is full (1,024 bytes): none of the batch\'s 4 events was published; it waits for subscription "subscription 1"',
      },
    );
    expect(countsOf(market)).toEqual([0, 0, 4, 0, 0]);
    expect(market.stat('REJECTED_F64')).toBe(3);
    await market.outbox.publishBatch([tick(8), tick(9)]);
    expect(market.read()).toEqual([3, 4, 8, 9]);
  });

  it("that does not fit has its last events dropped under 'dropNewest'", async () => {
    const market = new Market('dropNewest');
    await market.fill();
    market.read(2);
    await market.outbox.publishBatch([tick(5), tick(6), tick(7), tick(8)]);
    expect(market.read()).toEqual([3, 4, 5, 6]);
    expect(market.stat('DROPPED_F64')).toBe(2);
  });

  it("that does not fit waits for room, in order and ahead of later ones, under 'block'", async () => {
    const market = new Market('block');
    const batch = Array.from({ length: 11 }, (_, i) => tick(i + 1));
    let admitted = false;
    const waiting = market.outbox.publishBatch(batch).then(() => (admitted = true));
    expect(market.stat('WAITING_F64')).toBe(1);
    const later = market.publish(12);
    expect(market.stat('WAITING_F64')).toBe(2);
    const read: number[] = [];
    while (read.length < 11) {
      if (read.length < 7) expect(admitted).toBe(false);
      read.push(...market.read(1));
      await turn();
    }
    await Promise.all([waiting, later]);
    expect([...read, ...market.read()]).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
  });

  it("does not let its small events overtake a large one that waits, under 'block'", async () => {
    const market = new Market('block');
    await market.fill();
    market.read(1);
    const waiting = market.outbox.publishBatch([{ type: 'TICK', n: 5, body: HALF }, small(6)]);
    market.read();
    await waiting;
    expect(market.read()).toEqual([5, 6]);
  });

  it("that does not fit waits on all its lanes under 'block'", async () => {
    const test = new TestEngine({
      lanes: lanesWith({
        control: { capacityBytes: 128, maxRecordBytes: 64 },
        market: { capacityBytes: 128, maxRecordBytes: 64 },
      }),
    });
    const record = test.subscribe(['HALT', 'TICK'], () => undefined);
    const batch = Array.from({ length: 40 }, (_, n) => n).flatMap((n) => [
      { type: 'HALT', n },
      { type: 'TICK', n },
    ]);
    const waiting = test.engine.outbox.publishBatch(batch);
    test.start();
    await waiting;
    await test.drained();
    expect(record.metrics()).toMatchObject({ owed: 80, processed: 80, exact: true });
    await test.stop();
  });

  it("keeps its order in the overflow under 'spill'", async () => {
    const market = new Market('spill');
    const numbers = Array.from({ length: 50 }, (_, i) => i + 1);
    await market.outbox.publishBatch(numbers.map(tick));
    const read: number[] = [];
    while (read.length < numbers.length) {
      read.push(...market.read());
      await turn();
    }
    expect(read).toEqual(numbers);
  });

  it('larger than the ring is refused under reject even if nobody reads', async () => {
    const market = new Market('reject');
    market.outbox.closeGates([market.record.id]);
    await expect(market.outbox.publishBatch([1, 2, 3, 4, 5].map(tick))).rejects.toThrow(
      `lane "market" is full (${CAPACITY.toLocaleString('en-US')} bytes): none of the batch's 5 events was published`,
    );
    expect(countsOf(market)[2]).toBe(0);
  });
});

describe('a batch with an event that publishes while it is read', () => {
  const nested = {
    code: 'ERR_LANEBUS_INVALID_EVENT',
    message: expect.stringContaining('published another one') as unknown,
  };

  /** The second of three events runs this when it is read. */
  function batchWith(act: () => unknown): object[] {
    return [
      small(1),
      {
        type: 'TICK',
        get n() {
          act();
          return 2;
        },
      },
      small(3),
    ];
  }

  it.each([
    ['publish', (market: Market) => market.outbox.publish(small(-1))],
    ['publishBatch', (market: Market) => market.outbox.publishBatch([small(-1), small(-2)])],
    ['a publish that is refused', (market: Market) => market.outbox.publishBatch([small(-1), { type: 'NO' }])],
  ])('is refused as a whole, and so is what the event published by %s', async (_, act) => {
    const market = new Market('block');
    const inner: Promise<unknown>[] = [];
    const batch = batchWith(() => inner.push(Promise.resolve(act(market)).catch((error: unknown) => error)));
    await expect(market.outbox.publishBatch(batch)).rejects.toMatchObject(nested);
    expect(await Promise.all(inner)).toEqual([expect.any(LanebusError)]);
    expect(market.read()).toEqual([]);
    expect(countsOf(market)).toEqual([0, 0, 0, 0, 0]);
    await market.outbox.publishBatch([small(4), small(5)]);
    expect(market.read()).toEqual([4, 5]);
  });

  it('is refused on all its lanes', async () => {
    const market = new Market('block');
    const batch = [
      { type: 'HALT', n: 0 },
      ...batchWith(() => void market.outbox.publish(small(-1)).catch(() => undefined)),
    ];
    await expect(market.outbox.publishBatch(batch)).rejects.toMatchObject(nested);
    expect(countsOf(market)).toEqual([0, 0, 0, 0, 0]);
    expect(market.outbox.lanes.map(({ cursor }) => cursor)).toEqual([0, 0, 0]);
  });

  it('fails with what the event throws when it does not catch its own refusal', async () => {
    const market = new Market('block');
    const batch = batchWith(() => market.outbox.tryPublish(small(-1)));
    await expect(market.outbox.publishBatch(batch)).rejects.toMatchObject(nested);
    expect(market.read()).toEqual([]);
  });

  it('lets what the event published wait its turn when room has come meanwhile', async () => {
    const market = new Market('block');
    await market.fill();
    market.read(2);
    let reads = 0;
    const inner = {
      type: 'TICK',
      body: QUARTER,
      get n() {
        // Read for the lane, which is full, and then to be held.
        if (++reads === 2) market.read(2);
        return 7;
      },
    };
    let admitted: Promise<void> | undefined;
    const batch = [
      tick(5),
      tick(6),
      {
        type: 'HALT',
        get n() {
          admitted = market.outbox.publish(inner);
          return 0;
        },
      },
    ];
    await market.outbox.publishBatch(batch);
    await admitted;
    expect(reads).toBe(2);
    expect(market.read()).toEqual([5, 6, 7]);
  });

  it('is not disturbed by one that publishes on another lane', async () => {
    const market = new Market('block');
    await market.outbox.publishBatch(batchWith(() => void market.outbox.publish({ type: 'HALT', n: 0 })));
    expect(market.read()).toEqual([1, 2, 3]);
    expect(countsOf(market)).toEqual([0, 1, 3, 0, 0]);
  });

  it('is not disturbed by one that publishes before anything of the batch was claimed', async () => {
    const market = new Market('block');
    const [, first, last] = batchWith(() => void market.outbox.publish(small(-1)));
    await market.outbox.publishBatch([first, last]);
    expect(market.read()).toEqual([-1, 2, 3]);
  });
});

describe('gates', () => {
  it('replace the reader with the same id on the lanes that carry its types, and leave the others', () => {
    const test = new TestEngine();
    const [ticks, notes] = [test.register(['TICK']), test.register(['NOTE', 'TICK'])].map(
      ({ members: [member] }) => member,
    );
    const idsOf = (): number[][] => test.engine.outbox.lanes.map(({ gates }) => gates.map(({ id }) => id));
    expect(idsOf()).toEqual([[], [ticks.id, notes.id], [notes.id]]);
    test.engine.openGates([test.gateOf(ticks)], false);
    expect(idsOf()).toEqual([[], [notes.id, ticks.id], [notes.id]]);
    test.engine.closeGates([notes.id]);
    expect(idsOf()).toEqual([[], [ticks.id], []]);
  });

  it('that are seeded start where the lane stands, and say what was published until then', async () => {
    const test = new TestEngine();
    const [member] = test.register(['TICK']).members;
    const { block } = member;
    test.engine.closeGates([member.id]);
    await test.publish('TICK', 1);
    await test.publish('HALT', 2);
    const snapshot = test.engine.openGates([test.gateOf(member)], true);
    expect(snapshot).toEqual({
      cursors: test.engine.outbox.lanes.map(({ cursor }) => cursor),
      published: [0, 1, 1, 0, 0, 0],
    });
    const address = member.address(test.producer, 1);
    expect(block.words[block.gatingIndex(address)]).toBe(snapshot.cursors[1]);
    expect(block.words[block.settledIndex(address)]).toBe(snapshot.cursors[1]);
    expect(block.words[block.gatingIndex(address) + 1]).toBe(1);
  });

  it('see what was put off: a snapshot and a new reader stand behind the last event', () => {
    const test = new TestEngine();
    const [member] = test.register(['TICK']).members;
    for (let n = 0; n < 40; n++) void test.publish('TICK', n);
    const snapshot = test.engine.snapshot();
    expect(snapshot.published[2]).toBe(40);
    for (let n = 0; n < 3; n++) void test.publish('TICK', n);
    expect(test.engine.openGates([test.gateOf(member)], true).published[2]).toBe(43);
  });
});
