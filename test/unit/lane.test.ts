import { describe, expect, it } from 'vitest';
import { now, PublishClock } from '../../src/shared/clock.js';
import { causeOf, Lane, type LaneView, type Publisher, recordBytes, repair } from '../../src/shared/lane.js';
import {
  CAUSE_BYTES,
  ConsumerWord,
  HEADER_BYTES,
  LaneWord,
  LENGTH_SHIFT,
  PADDING_TYPE,
  ProducerBlock,
  TYPE_MASK,
} from '../../src/shared/layout.js';
import { AWAKE, PARKED } from '../../src/shared/parking.js';
import { distance } from '../../src/shared/sequence.js';
import { burstingClock, Gatekeeper, laneOf } from '../support/lanes.js';
import { SeededRandom } from '../support/random.js';

const TICK = 1;
const BAR = 2;

/** Claims and commits one record. @returns Whether there was room. */
function publish(lane: Lane, payloadBytes = 8, type = TICK): boolean {
  const at = lane.claim(payloadBytes, type);
  if (at < 0) return false;
  lane.commit(type);
  return true;
}

function recordsIn(view: LaneView, from: number): { type: number; position: number; sequence: number }[] {
  const found: { type: number; position: number; sequence: number }[] = [];
  view.walk(from, view.end(), (type, position) => {
    found.push({ type, position, sequence: view.memory.i32[(view.offset(position) >> 2) + 1] });
  });
  return found;
}

describe('a million records of random size', () => {
  const RECORDS = 1_000_000;
  /** Payloads are slices of these bytes, so that any record's content follows from its number. */
  const pool = Buffer.allocUnsafe(1 << 16);
  const random = new SeededRandom(11);
  for (let i = 0; i < pool.length; i++) pool[i] = random.below(256);
  const from = (record: number): number => Math.imul(record, 0x9e3779b1) >>> 17;
  const lengthOf = (record: number, max: number): number => (Math.imul(record, 0x85ebca6b) >>> 8) % (max + 1);

  const starts = [
    ['just below 2^31', 2 ** 31 - 4_096, 2 ** 31 - 1_000],
    ['just below 2^32', 2 ** 32 - 4_096, 2 ** 32 - 1_000],
  ] as const;

  it.each([64, 128, 1024].flatMap((capacity) => starts.map((start) => [capacity, ...start] as const)))(
    'pass a ring of %i bytes unchanged, with positions and sequences that start %s',
    (capacity, _, position, sequence) => {
      const { block, lane, view } = laneOf({ capacity, position, sequence });
      const maxPayload = lane.maxRecordBytes - HEADER_BYTES;
      const readers = [1, 2, 3].map((id) => new TestReader(lane, view, id, sequence));
      lane.setGates(readers.map(({ keeper }) => keeper.gate));

      let published = 0;
      let refused = 0;
      while (published < RECORDS) {
        const length = lengthOf(published, maxPayload);
        const at = lane.claim(length, TICK);
        if (at < 0) {
          refused++;
          // The first always catches up, the second takes one record a turn, the third comes by now and then.
          readers[0].read(Infinity);
          readers[1].read(1);
          if (refused % 5 === 0 || !readers[1].hasNews) readers[2].read(Infinity);
          continue;
        }
        pool.copy(lane.memory.u8, at, from(published), from(published) + length);
        lane.commit(TICK);
        published++;
      }
      for (const reader of readers) reader.read(Infinity);

      expect(readers.map(({ records }) => records)).toEqual([RECORDS, RECORDS, RECORDS]);
      expect(readers.map(({ wrong }) => wrong)).toEqual([0, 0, 0]);
      expect(block.published[TICK]).toBe(RECORDS);
      expect(block.stats[0][LaneWord.RECORDS_F64]).toBe(sequence + RECORDS);
      expect(block.stats[0][LaneWord.WATERMARK_F64]).toBeLessThanOrEqual(capacity);
      expect(refused).toBeGreaterThan(RECORDS / 50);
      if (capacity === 1024) expect(readers[0].padding).toBeGreaterThan(0);
    },
  );

  /** Reads in order and compares every byte. */
  class TestReader {
    readonly keeper: Gatekeeper;
    records = 0;
    wrong = 0;
    padding = 0;
    readonly #lane: LaneView;
    readonly #maxPayload: number;
    #position: number;
    #sequence: number;

    constructor(lane: Lane, view: LaneView, id: number, sequence: number) {
      this.keeper = new Gatekeeper(lane, id);
      this.#lane = view;
      this.#maxPayload = lane.maxRecordBytes - HEADER_BYTES;
      this.#position = lane.cursor;
      this.#sequence = sequence | 0;
    }

    get hasNews(): boolean {
      return this.#lane.end() !== this.#position;
    }

    read(limit: number): void {
      const { i32, buffer } = this.#lane.memory;
      const end = this.#lane.end();
      for (let count = 0; count < limit && this.#position !== end;) {
        const at = this.#lane.offset(this.#position);
        const header = i32[at >> 2];
        this.#position = (this.#position + recordBytes(header)) | 0;
        if ((header & TYPE_MASK) === PADDING_TYPE) {
          this.padding++;
          continue;
        }
        const start = from(this.records);
        const length = lengthOf(this.records, this.#maxPayload);
        const payload = at + HEADER_BYTES;
        if (
          (header & TYPE_MASK) !== TICK ||
          recordBytes(header) !== ((length + HEADER_BYTES + 7) & -8) ||
          i32[(at >> 2) + 1] !== this.#sequence ||
          buffer.compare(pool, start, start + length, payload, payload + length) !== 0
        ) {
          this.wrong++;
        }
        this.#sequence = (this.#sequence + 1) | 0;
        this.records++;
        count++;
      }
      this.keeper.moveTo(this.#position);
    }
  }
});

describe('room', () => {
  it('is refused as the value -1 when the slowest reader is one lap behind, and not before', () => {
    const { lane, view } = laneOf({ capacity: 128 });
    const [fast, slow] = [new Gatekeeper(lane, 1), new Gatekeeper(lane, 2)];
    lane.setGates([fast.gate, slow.gate]);
    for (let record = 0; record < 4; record++) expect(publish(lane, 16)).toBe(true);
    expect(lane.claim(16, TICK)).toBe(-1);
    fast.moveTo(view.end());
    expect(lane.claim(16, TICK)).toBe(-1);
    slow.moveTo(view.next(slow.position));
    expect(publish(lane, 16)).toBe(true);
    expect(lane.claim(16, TICK)).toBe(-1);
  });

  it('that is refused costs nothing: no sequence, no byte of the ring', () => {
    const { block, lane, view } = laneOf({ capacity: 64 });
    const keeper = new Gatekeeper(lane);
    lane.setGates([keeper.gate]);
    while (publish(lane, 16));
    const before = Buffer.from(block.rings[0].u8);
    for (let i = 0; i < 10; i++) expect(lane.claim(16, TICK)).toBe(-1);
    expect(Buffer.from(block.rings[0].u8).equals(before)).toBe(true);
    keeper.moveTo(view.end());
    expect(publish(lane, 16)).toBe(true);
    expect(recordsIn(view, keeper.position).map(({ sequence }) => sequence)).toEqual([2]);
  });

  it('is not refused for as long as nobody reads', () => {
    const { lane } = laneOf({ capacity: 64 });
    for (let record = 0; record < 100; record++) expect(publish(lane, 16)).toBe(true);
  });

  it('is not refused for a burst that nobody reads', () => {
    const { lane } = laneOf({ capacity: 64, publisher: { clock: burstingClock(), mortal: false, origin: undefined } });
    for (let record = 0; record < 100; record++) expect(publish(lane, 16)).toBe(true);
  });

  it('of a whole ring is there for a record of half its size, wherever the ring stands', () => {
    for (let position = 0; position < 128; position += 8) {
      const { lane, view } = laneOf({ capacity: 128, position });
      lane.setGates([new Gatekeeper(lane).gate]);
      expect(publish(lane, 64 - HEADER_BYTES)).toBe(true);
      const [record] = recordsIn(view, position);
      expect(view.offset(record.position) + 64).toBeLessThanOrEqual(128);
    }
  });

  it('is looked for again only when the last look is used up, and a watermark remembers the deepest', () => {
    const { block, lane, view } = laneOf({ capacity: 128 });
    const keeper = new Gatekeeper(lane);
    lane.setGates([keeper.gate]);
    for (let record = 0; record < 4; record++) publish(lane, 16);
    expect(block.stats[0][LaneWord.WATERMARK_F64]).toBe(0);
    keeper.moveTo(view.next(0));
    publish(lane, 16);
    expect(block.stats[0][LaneWord.WATERMARK_F64]).toBe(96);
    expect(lane.claim(16, TICK)).toBe(-1);
    expect(block.stats[0][LaneWord.WATERMARK_F64]).toBe(128);
  });

  it('is held by readers across the wrap of positions', () => {
    for (const position of [2 ** 31 - 64, 2 ** 32 - 64]) {
      const { lane, view } = laneOf({ capacity: 128, position });
      const keeper = new Gatekeeper(lane);
      lane.setGates([keeper.gate]);
      for (let record = 0; record < 4; record++) expect(publish(lane, 16)).toBe(true);
      expect(distance(lane.cursor, position | 0)).toBe(128);
      expect(lane.claim(16, TICK)).toBe(-1);
      keeper.moveTo(view.end());
      expect(publish(lane, 16)).toBe(true);
    }
  });
});

describe('readers', () => {
  it('that are replaced hold the lane from their own place', () => {
    const { lane, view } = laneOf({ capacity: 128 });
    const old = new Gatekeeper(lane, 1);
    lane.setGates([old.gate]);
    for (let record = 0; record < 4; record++) publish(lane, 16);
    const successor = new Gatekeeper(lane, 1);
    successor.moveTo(view.next(0));
    lane.setGates([successor.gate]);
    expect(publish(lane, 16)).toBe(true);
    expect(lane.claim(16, TICK)).toBe(-1);
    expect(lane.gates).toEqual([successor.gate]);
  });

  it('that come later hold the lane from where it stands', () => {
    const { lane } = laneOf({ capacity: 128 });
    for (let record = 0; record < 7; record++) publish(lane, 16);
    lane.setGates([new Gatekeeper(lane).gate]);
    for (let record = 0; record < 4; record++) expect(publish(lane, 16)).toBe(true);
    expect(lane.claim(16, TICK)).toBe(-1);
  });

  it('that go let the lane go on', () => {
    const { lane } = laneOf({ capacity: 128 });
    const [stays, goes] = [new Gatekeeper(lane, 1), new Gatekeeper(lane, 2)];
    lane.setGates([stays.gate, goes.gate]);
    for (let record = 0; record < 4; record++) publish(lane, 16);
    stays.moveTo(lane.cursor);
    expect(lane.claim(16, TICK)).toBe(-1);
    lane.setGates([stays.gate]);
    expect(publish(lane, 16)).toBe(true);
  });

  it('are woken for the types that they want only, and all of them when the lane is full', () => {
    const { lane } = laneOf({ capacity: 128, types: 2 });
    const [ticks, bars] = [new Gatekeeper(lane, 1, [TICK]), new Gatekeeper(lane, 2, [BAR])];
    lane.setGates([ticks.gate, bars.gate]);
    const doorbells = (): number[] => [ticks, bars].map(({ consumer }) => consumer[ConsumerWord.DOORBELL_INDEX]);
    const park = (): void => {
      for (const { consumer } of [ticks, bars]) consumer[ConsumerWord.DOORBELL_INDEX] = PARKED;
    };
    park();
    publish(lane, 16, TICK);
    expect(doorbells()).toEqual([AWAKE, PARKED]);
    park();
    publish(lane, 16, BAR);
    expect(doorbells()).toEqual([PARKED, AWAKE]);
    park();
    lane.claim(16, TICK);
    lane.claim(16, TICK);
    lane.commitAll([TICK, TICK]);
    expect(doorbells()).toEqual([AWAKE, PARKED]);
    park();
    expect(lane.claim(16, TICK)).toBe(-1);
    expect(doorbells()).toEqual([AWAKE, AWAKE]);
  });

  it.each([true, false])('have their bell bumped by an urgent lane only (urgent: %s)', (urgent) => {
    const { lane } = laneOf({ capacity: 128, urgent });
    const keeper = new Gatekeeper(lane);
    lane.setGates([keeper.gate]);
    publish(lane);
    lane.claim(8, TICK);
    lane.commitAll([TICK]);
    expect(keeper.consumer[ConsumerWord.BELL_INDEX]).toBe(urgent ? 2 : 0);
  });

  it('on one thread share its doorbell, which is rung once', () => {
    const { lane } = laneOf({ capacity: 128, urgent: true });
    const first = new Gatekeeper(lane, 1);
    const second = new Gatekeeper(lane, 2);
    lane.setGates([first.gate, { ...second.gate, consumer: first.consumer }]);
    publish(lane);
    expect(first.consumer[ConsumerWord.BELL_INDEX]).toBe(1);
  });
});

describe('a record', () => {
  it('larger than the limit is refused with both sizes named, and nothing is claimed', () => {
    const { lane, view } = laneOf({ capacity: 131_072, maxRecordBytes: 65_536 });
    expect(() => lane.claim(70_000, TICK)).toThrow(
      expect.objectContaining({
        code: 'ERR_LANEBUS_RECORD_TOO_LARGE',
        message: 'record of 70,016 bytes exceeds lane "market" limit of 65,536 bytes',
      }),
    );
    expect(() => {
      lane.checkSize(70_000);
    }).toThrow('record of 70,016 bytes exceeds lane "market" limit of 65,536 bytes');
    expect(publish(lane)).toBe(true);
    expect(recordsIn(view, 0)).toEqual([{ type: TICK, position: 0, sequence: 0 }]);
  });

  it.each([
    [1024, 1024, 512],
    [1024, 100, 96],
    [64, 64, 32],
    [2 ** 25, 2 ** 25, 2 ** 23 - 8],
  ])('in a ring of %i bytes with a limit of %i has at most %i', (capacity, maxRecordBytes, limit) => {
    const { lane } = laneOf({ capacity, maxRecordBytes });
    expect(lane.maxRecordBytes).toBe(limit);
    expect(publish(lane, limit - HEADER_BYTES)).toBe(true);
    expect(() => lane.claim(limit - HEADER_BYTES + 1, TICK)).toThrow('exceeds lane "market" limit');
  });

  it('of the largest size keeps its length in the header', () => {
    const { lane, view } = laneOf({ capacity: 2 ** 25, types: TYPE_MASK - 1 });
    publish(lane, lane.maxRecordBytes - HEADER_BYTES, TYPE_MASK - 1);
    expect(view.next(0)).toBe(lane.maxRecordBytes);
    expect(view.memory.i32[0] & TYPE_MASK).toBe(TYPE_MASK - 1);
    expect(LENGTH_SHIFT).toBe(12);
  });

  it('of the largest size, of the last type and derived from another event keeps all that in the header', () => {
    const publisher: Publisher = { clock: new PublishClock(), mortal: true, origin: undefined };
    const { lane, view } = laneOf({ capacity: 2 ** 25, types: TYPE_MASK - 1, publisher });
    publisher.origin = { publisher: 1023, rank: 24, sequence: 2 ** 40 };
    expect(() => lane.claim(lane.maxRecordBytes - HEADER_BYTES, TICK)).toThrow('record of 8,388,616 bytes exceeds');
    publish(lane, lane.maxRecordBytes - HEADER_BYTES - CAUSE_BYTES, TYPE_MASK - 1);
    expect(view.next(0)).toBe(lane.maxRecordBytes);
    expect(view.memory.i32[0] & TYPE_MASK).toBe(TYPE_MASK - 1);
    expect(causeOf(view.memory, 0)).toEqual({ publisher: 1023, rank: 24, sequence: 2 ** 40 });
    publisher.origin = undefined;
    publish(lane);
    expect(causeOf(view.memory, lane.maxRecordBytes)).toBeUndefined();
  });

  it('has the time of its publishing, which is not in the future', () => {
    const { lane } = laneOf({
      capacity: 128,
      publisher: { clock: new PublishClock(), mortal: true, origin: undefined },
    });
    const before = now();
    publish(lane);
    const [, published] = lane.memory.f64;
    expect(published).toBeGreaterThanOrEqual(before);
    expect(published).toBeLessThanOrEqual(now());
  });
});

describe('a batch', () => {
  it('becomes visible as a whole, behind what was there', () => {
    const { block, lane, view } = laneOf({ capacity: 1024, types: 2 });
    publish(lane);
    const types = [TICK, BAR, BAR, TICK];
    for (const type of types) {
      expect(lane.claim(8, type)).toBeGreaterThan(0);
      expect(recordsIn(view, 0)).toHaveLength(1);
    }
    lane.commitAll(types);
    expect(recordsIn(view, 0).map(({ type }) => type)).toEqual([TICK, ...types]);
    expect(recordsIn(view, 0).map(({ sequence }) => sequence)).toEqual([0, 1, 2, 3, 4]);
    expect([...block.published]).toEqual([0, 3, 2, 0]);
    expect(block.stats[0][LaneWord.RECORDS_F64]).toBe(5);
  });

  it('of no records changes nothing', () => {
    const { block, lane } = laneOf({ capacity: 64 });
    lane.commitAll([]);
    expect(lane.cursor).toBe(0);
    expect(block.stats[0][LaneWord.RECORDS_F64]).toBe(0);
  });

  it('that is rolled back leaves no trace, padding and sequences included', () => {
    const { block, lane, view } = laneOf({ capacity: 128, position: 2 ** 31 - 48, sequence: 2 ** 31 - 2 });
    lane.setGates([new Gatekeeper(lane).gate]);
    publish(lane, 8);
    expect(lane.claim(16, TICK)).toBeGreaterThan(0);
    expect(lane.claim(16, TICK)).toBeGreaterThan(0);
    expect(lane.claim(16, TICK)).toBe(-1);
    lane.rollback();
    expect(recordsIn(view, 2 ** 31 - 48)).toHaveLength(1);
    expect(publish(lane, 8)).toBe(true);
    expect(recordsIn(view, 2 ** 31 - 48).map(({ sequence }) => sequence)).toEqual([2 ** 31 - 2, 2 ** 31 - 1]);
    expect(block.published[TICK]).toBe(2);
  });

  it('may not be mixed with the commit of a single record: all that was claimed is given up', () => {
    const { lane, view } = laneOf({ capacity: 1024 });
    const nested = expect.objectContaining({
      code: 'ERR_LANEBUS_INVALID_EVENT',
      message: expect.stringContaining('lane "market": an event of a batch published another one') as unknown,
    }) as unknown;
    lane.claim(8, TICK);
    lane.claim(8, TICK);
    expect(() => {
      lane.commit(TICK);
    }).toThrow(nested);
    lane.claim(8, TICK);
    expect(() => {
      lane.commitAll([TICK, TICK]);
    }).toThrow(nested);
    expect(recordsIn(view, 0)).toEqual([]);
    expect(publish(lane)).toBe(true);
    expect(recordsIn(view, 0).map(({ sequence }) => sequence)).toEqual([0]);
  });
});

describe('a lane', () => {
  it('goes on where its block stands', () => {
    const { block, lane, view } = laneOf({ capacity: 256, position: 64, sequence: 7 });
    publish(lane, 8);
    const config = { name: 'market', maxRecordBytes: 128, urgent: false };
    const publisher = { clock: new PublishClock(), mortal: true, origin: undefined };
    const again = new Lane(new ProducerBlock(block.source), 0, config, publisher);
    publish(again, 8);
    expect(recordsIn(view, 64)).toEqual([
      { type: TICK, position: 64, sequence: 7 },
      { type: TICK, position: 88, sequence: 8 },
    ]);
  });

  it('counts what was admitted and will never be sent as published, and as no record', () => {
    const { block, lane } = laneOf({ capacity: 64, types: 2 });
    lane.countUnsent([TICK, BAR, BAR]);
    expect([...block.published]).toEqual([0, 1, 2, 0]);
    expect(block.stats[0][LaneWord.RECORDS_F64]).toBe(0);
  });
});

describe('repair', () => {
  it('counts what the dead thread held in its own memory as dropped, and lets nobody wait', () => {
    const { block, lane } = laneOf({ capacity: 64 });
    publish(lane);
    const [stats] = block.stats;
    stats[LaneWord.SPILLED_F64] = 5;
    stats[LaneWord.DROPPED_F64] = 2;
    stats[LaneWord.WAITING_F64] = 1;
    stats[LaneWord.BLOCKED_SINCE_F64] = 123;
    expect(repair(block).lost).toBe(5);
    expect(stats[LaneWord.DROPPED_F64]).toBe(7);
    expect([LaneWord.SPILLED_F64, LaneWord.WAITING_F64, LaneWord.BLOCKED_SINCE_F64].map((word) => stats[word])).toEqual(
      [0, 0, 0],
    );
    expect(repair(block).lost).toBe(0);
    expect(stats[LaneWord.DROPPED_F64]).toBe(7);
  });

  it('changes nothing of a block that was never used', () => {
    const { block } = laneOf({ capacity: 64 });
    repair(block);
    expect(block.published[TICK]).toBe(0);
    expect(block.stats[0][LaneWord.RECORDS_F64]).toBe(0);
  });
});
