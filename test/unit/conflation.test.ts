import { describe, expect, it } from 'vitest';
import {
  ConflationBlock,
  ConflationProgress,
  ConflationWord,
  MAX_KEYS,
  ProgressWord,
} from '../../src/shared/conflation-block.js';
import { repairConflation, succeed } from '../../src/shared/conflation-repair.js';
import {
  ConflationReader,
  ConflationWriter,
  pendingKeys,
  settleDelivery,
  settleSkipped,
} from '../../src/shared/conflation.js';
import { KeySlots } from '../../src/shared/conflation-slots.js';
import type { KeyValue } from '../../src/shared/keys.js';
import { ConsumerBlock, LENGTH_SHIFT, LINE_BYTES } from '../../src/shared/layout.js';
import { Memory } from '../../src/shared/memory.js';
import { SeededRandom } from '../support/random.js';

const RECORD_BYTES = 32;
const TYPE = 3;
const KEYS: readonly KeyValue[] = ['a', 'b', 'c', 'd', 'e', 'f'];

/** A publishing thread's lane, its conflation block, and the block's reader. */
class Rig {
  readonly block: ConflationBlock;
  readonly lane = new Memory(new SharedArrayBuffer(64 * RECORD_BYTES));
  writer: ConflationWriter;
  progress: ConflationProgress;
  reader: ConflationReader;
  committed = 0;
  at = 0;

  constructor(keys: number, start = 0) {
    this.block = ConflationBlock.create({ keys, recordBytes: RECORD_BYTES });
    this.progress = ConflationProgress.create(keys);
    this.block.words[ConflationWord.TAIL_INDEX] = start;
    this.progress.words[ProgressWord.HEAD_INDEX] = start;
    this.writer = new ConflationWriter(this.block, keyOf);
    this.reader = new ConflationReader(new ConflationBlock(this.block.source), this.progress);
  }

  get lost(): number {
    return this.block.stats[ConflationWord.LOST_F64];
  }

  /** Writes the next record into the lane: its number, its key, and its number again. @returns Its number. */
  commit(key: KeyValue, bytes = RECORD_BYTES, type = TYPE): number {
    const event = this.committed++;
    this.at = (event % 64) * RECORD_BYTES;
    const { i32 } = this.lane;
    i32.set(
      [((bytes >> 3) << LENGTH_SHIFT) | type, event, event, ~event, KEYS.indexOf(key), 0, 0, event],
      this.at >> 2,
    );
    return event;
  }

  offer(key: KeyValue): boolean {
    this.commit(key);
    return this.writer.offer(key, this.lane, this.at);
  }

  /** `next`, as the key, the number of the event, and how many were skipped. */
  next(): string | undefined {
    if (!this.reader.next()) return undefined;
    const { memory, at, skipped } = this.reader;
    const words = memory.i32.subarray(at >> 2, (at + RECORD_BYTES) >> 2);
    expect([words[1], words[2], words[3]]).toEqual([words[7], words[7], ~words[7]]);
    return `${String(KEYS[words[4]])}${words[7]}+${skipped}`;
  }

  /** Delivers what is pending. */
  drain(): string[] {
    const found: string[] = [];
    for (let next = this.next(); next !== undefined; next = this.next()) {
      found.push(next);
      this.reader.settle();
    }
    return found;
  }

  /** The reader's thread has died; another goes on. */
  succeed(): void {
    this.progress = succeed(this.block, this.progress);
    this.reader = new ConflationReader(this.block, new ConflationProgress(this.progress.source));
  }
}

function keyOf(typeIndex: number, memory: Memory, at: number): KeyValue {
  expect([TYPE, TYPE + 1]).toContain(typeIndex);
  return KEYS[memory.i32[at >> 2]];
}

describe('a conflation block', () => {
  it.each([
    [{ keys: 0, recordBytes: 32 }, 'conflation of 0 keys; accepted: an integer from 1 to 1,048,576'],
    [{ keys: MAX_KEYS + 1, recordBytes: 32 }, 'conflation of 1048577 keys; accepted: an integer from 1 to 1,048,576'],
    [{ keys: 1.5, recordBytes: 32 }, 'conflation of 1.5 keys; accepted: an integer from 1 to 1,048,576'],
    [{ keys: 1, recordBytes: 36 }, 'conflation of records of 36 bytes; accepted: a multiple of 8 from 16 to 8388600'],
    [{ keys: 1, recordBytes: 8 }, 'conflation of records of 8 bytes; accepted: a multiple of 8 from 16 to 8388600'],
    [
      { keys: 1, recordBytes: 2 ** 23 },
      'conflation of records of 8388608 bytes; accepted: a multiple of 8 from 16 to 8388600',
    ],
    [
      { keys: MAX_KEYS, recordBytes: 512 },
      'conflation of 1,048,576 keys with records of 512 bytes takes 1,635,778,560 bytes; accepted: up to 1,073,741,824',
    ],
  ])('refuses %o', (shape, message) => {
    expect(() => ConflationBlock.create(shape)).toThrow(
      expect.objectContaining({ code: 'ERR_LANEBUS_OPTIONS', message }) as Error,
    );
  });

  it('refuses memory that is no such block', () => {
    const foreign = { code: 'ERR_LANEBUS_FOREIGN_BLOCK' };
    const { source } = ConflationBlock.create({ keys: 1, recordBytes: 16 });
    const other = ConsumerBlock.create().source;
    expect(() => new ConflationBlock(other)).toThrow(expect.objectContaining(foreign) as Error);
    expect(() => new ConflationProgress(source)).toThrow(expect.objectContaining(foreign) as Error);
    new Int32Array(source)[3] = 1000;
    expect(() => new ConflationBlock(source)).toThrow(/its header says/);
  });

  it.each([
    [1, 16],
    [2, 64],
    [3, 24],
    [1000, 72],
  ])('has every part in its place, for %i keys and records of %i bytes', (keys, recordBytes) => {
    const block = ConflationBlock.create({ keys, recordBytes });
    const { words, states, queue, memory } = block;
    const parts = [words, states, queue, memory.u8];
    let end = 0;
    for (const { byteOffset, byteLength } of parts) {
      expect(byteOffset).toBeGreaterThanOrEqual(end);
      expect(byteOffset % LINE_BYTES).toBe(0);
      end = byteOffset + byteLength;
    }
    expect(block.source.byteLength).toBe(end);
    expect([states.length, Math.log2(queue.length) % 1]).toEqual([keys, 0]);
    expect(queue.length).toBeGreaterThanOrEqual(keys + 3);
    const buffers = [...Array(keys).keys()].flatMap((slot) => [0, 1, 2].map((buffer) => [slot, buffer] as const));
    buffers.forEach(([slot, buffer], index) => {
      expect(block.recordAt(slot, buffer)).toBe(index * (8 + recordBytes) + 8);
      expect(block.countF64(slot, buffer) * 8).toBe(block.recordAt(slot, buffer) - 8);
    });
    expect(memory.u8.length).toBe(buffers.length * (8 + recordBytes));
    expect(Object.values(ConflationWord).every((index) => index * 4 >= LINE_BYTES || index * 8 >= LINE_BYTES)).toBe(
      true,
    );
  });
});

describe('conflation', () => {
  it('delivers the newest event of each key, in the order in which the keys came, and counts what it passed over', () => {
    const rig = new Rig(4);
    for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) rig.offer(key);
    expect(rig.drain()).toEqual(['a4+2', 'b5+1', 'c3+0']);
    expect(rig.drain()).toEqual([]);
  });

  it('passes over nothing when the reader keeps up', () => {
    const rig = new Rig(2);
    for (const key of ['a', 'a', 'b', 'a']) {
      rig.offer(key);
      expect(rig.drain()).toEqual([`${key}${rig.committed - 1}+0`]);
    }
  });

  it('keeps a record in flight as it is while newer ones come, and delivers the newest of those next', () => {
    const rig = new Rig(1);
    rig.offer('a');
    expect(rig.next()).toBe('a0+0');
    for (let events = 0; events < 5; events++) {
      rig.offer('a');
      expect(rig.next()).toBe('a0+0');
    }
    rig.reader.settle();
    expect(rig.drain()).toEqual(['a5+4']);
  });

  it('has news until the last delivery is settled', () => {
    const rig = new Rig(2);
    const news = (): unknown => [rig.reader.hasNews, pendingKeys(rig.block, rig.progress)];
    expect(news()).toEqual([false, 0]);
    rig.offer('a');
    rig.offer('b');
    rig.offer('a');
    expect(news()).toEqual([true, 2]);
    rig.reader.next();
    expect(news()).toEqual([true, 2]);
    rig.reader.settle();
    rig.reader.next();
    expect(news()).toEqual([true, 1]);
    rig.reader.settle();
    expect(news()).toEqual([false, 0]);
  });

  it('tells keys apart by their values', () => {
    const rig = new Rig(16);
    const reader = new ConflationReader(rig.block, rig.progress);
    const keys: KeyValue[] = [1, '1', 1n, true, 0, -0, NaN, NaN, '', 2n ** 63n, 2 ** 63, 2n ** 63n];
    for (const key of keys) {
      rig.commit('a');
      rig.writer.offer(key, rig.lane, rig.at);
    }
    const skipped: number[] = [];
    while (reader.next()) {
      skipped.push(reader.skipped);
      reader.settle();
    }
    // 0 and -0 are one key, NaN is one, and the bigint came twice.
    expect(skipped).toEqual([0, 0, 0, 0, 1, 1, 0, 1, 0]);
  });

  it('keeps the events of two types apart, though they have the same key', () => {
    const rig = new Rig(3);
    const offer = (key: KeyValue, type: number): void => {
      rig.commit(key, RECORD_BYTES, type);
      rig.writer.offer(key, rig.lane, rig.at);
    };
    for (const type of [TYPE, TYPE + 1, TYPE, TYPE + 1]) offer('a', type);
    expect(rig.drain()).toEqual(['a2+1', 'a3+1']);
    offer('b', TYPE + 1);
    offer('b', TYPE); // takes over the slot of the first
    offer('a', TYPE + 1);
    rig.writer = new ConflationWriter(rig.block, keyOf);
    for (const type of [TYPE, TYPE + 1]) offer('b', type);
    expect([rig.drain(), rig.lost]).toEqual([['b8+1', 'b7+1', 'a6+0'], 0]);
  });

  it('counts beyond 2^32, and past positions that wrap', () => {
    for (const start of [2 ** 31 - 3, -3]) {
      const rig = new Rig(2, start);
      for (const key of ['a', 'b']) rig.offer(key);
      expect(rig.drain()).toEqual(['a0+0', 'b1+0']);
      // As many more events as come in an hour.
      rig.offer('a');
      const { f64 } = rig.block.memory;
      const newest = [0, 1, 2].map((buffer) => rig.block.countF64(0, buffer)).filter((index) => f64[index] === 2);
      expect(newest).toHaveLength(1);
      f64[newest[0]] += 2 ** 33;
      rig.writer = new ConflationWriter(rig.block, keyOf);
      for (let round = 0; round < 4; round++) {
        for (const key of ['a', 'b']) rig.offer(key);
        const event = rig.committed - 2;
        expect(rig.drain()).toEqual([`a${event}+${round === 0 ? 2 ** 33 + 1 : 0}`, `b${event + 1}+0`]);
      }
    }
  });

  it('refuses a record that is larger than its buffers, and keeps what it has', () => {
    const rig = new Rig(1);
    rig.offer('a');
    rig.commit('a', RECORD_BYTES + 8);
    expect(() => rig.writer.offer('a', rig.lane, rig.at)).toThrow(
      expect.objectContaining({
        code: 'ERR_LANEBUS_RECORD_TOO_LARGE',
        message: 'record of 40 bytes exceeds the conflation limit of 32 bytes',
      }) as Error,
    );
    expect(rig.drain()).toEqual(['a0+0']);
  });
});

describe('a key for which there is no slot left', () => {
  it('takes over the slot that was delivered and not used for longest', () => {
    const rig = new Rig(3);
    for (const key of ['a', 'b', 'c']) rig.offer(key);
    expect(rig.drain()).toHaveLength(3);
    rig.offer('a'); // b is the oldest now
    expect(rig.offer('d')).toBe(true);
    for (const key of ['a', 'c', 'd']) rig.offer(key);
    expect(rig.drain()).toEqual(['a5+1', 'd7+1', 'c6+0']);
    expect(rig.offer('b')).toBe(true);
    expect([rig.drain(), rig.lost]).toEqual([['b8+0'], 0]);
  });

  it('is lost and counted while every slot has an undelivered event', () => {
    const rig = new Rig(2);
    for (const key of ['a', 'b']) rig.offer(key);
    expect([rig.offer('c'), rig.offer('d'), rig.offer('a'), rig.lost]).toEqual([false, false, true, 2]);
    expect(rig.next()).toBe('a4+1');
    // The first slot is taken, though not settled: that is enough.
    expect([rig.offer('c'), rig.offer('d'), rig.lost]).toEqual([true, false, 3]);
    rig.reader.settle();
    expect(rig.drain()).toEqual(['b1+0', 'c5+0']);
  });

  it('does not count what its slot had delivered, or has in flight, as passed over', () => {
    const rig = new Rig(1);
    for (let events = 0; events < 3; events++) rig.offer('a');
    expect(rig.next()).toBe('a2+2');
    for (let events = 0; events < 2; events++) expect(rig.offer('b')).toBe(true);
    expect([rig.offer('a'), rig.next()]).toEqual([false, 'a2+2']);
    rig.reader.settle();
    expect(rig.drain()).toEqual(['b4+1']);
    rig.offer('a');
    expect(rig.drain()).toEqual(['a6+0']);
  });
});

describe('the slots of the keys', () => {
  it('belong to their last key only', () => {
    const rig = new Rig(1);
    for (const key of ['a', 'b']) {
      rig.offer(key);
      rig.drain();
    }
    expect([rig.offer('c'), rig.offer('b'), rig.offer('a'), rig.lost]).toEqual([true, false, false, 2]);
    expect(rig.drain()).toEqual(['c2+0']);
  });

  it('belong to the last type only that had them', () => {
    const rig = new Rig(1);
    const offer = (key: KeyValue, type: number): boolean => {
      rig.commit(key, RECORD_BYTES, type);
      return rig.writer.offer(key, rig.lane, rig.at);
    };
    for (const type of [TYPE, TYPE + 1]) {
      expect([offer('a', type), rig.drain()]).toEqual([true, [`a${type - TYPE}+0`]]);
    }
    expect([offer('b', TYPE), offer('a', TYPE + 1), offer('a', TYPE), rig.drain()]).toEqual([
      true,
      false,
      false,
      ['b2+0'],
    ]);
  });

  it('are known in the order in which they were queued', () => {
    const random = new SeededRandom(1);
    const slots = new KeySlots(7);
    const order: number[] = [];
    for (let slot = 0; slot < 7; slot++) {
      expect([slots.full, slots.add(1, slot)]).toEqual([false, slot]);
      slots.queued(slot);
      order.push(slot);
    }
    expect(slots.full).toBe(true);
    for (let step = 0; step < 500; step++) {
      const slot = random.below(7);
      slots.queued(slot);
      order.push(...order.splice(order.indexOf(slot), 1));
      expect(slots.oldest).toBe(order[0]);
    }
  });
});

describe('the successor of a reader', () => {
  it('delivers what was in flight first, then the newest', () => {
    const rig = new Rig(2);
    for (const key of ['a', 'a', 'b']) rig.offer(key);
    expect(rig.next()).toBe('a1+1');
    for (const key of ['a', 'a']) rig.offer(key);
    rig.succeed();
    expect(rig.drain()).toEqual(['a1+1', 'b2+0', 'a4+1']);
  });

  it('goes on behind a delivery whose outcome was decided, however often that is completed', () => {
    const rig = new Rig(2);
    for (const key of ['a', 'a', 'b']) rig.offer(key);
    expect(rig.next()).toBe('a1+1');
    const { position } = rig.reader;
    rig.offer('a');
    for (let times = 0; times < 2; times++) settleSkipped(rig.block, rig.progress, position);
    expect(rig.next()).toBe('a1+0');
    for (let times = 0; times < 2; times++) settleDelivery(rig.block, rig.progress, position);
    rig.succeed();
    expect(rig.drain()).toEqual(['b2+0', 'a3+0']);
  });

  it('goes past an entry that was settled and is still in the queue', () => {
    const rig = new Rig(2);
    for (const key of ['a', 'b']) rig.offer(key);
    const { words } = rig.progress;
    rig.next();
    rig.reader.settle();
    words[ProgressWord.HEAD_INDEX] -= 1; // as if it had died before HEAD
    rig.succeed();
    expect(rig.drain()).toEqual(['b1+0']);
  });

  it('is not disturbed by its predecessor', () => {
    const rig = new Rig(2);
    for (const key of ['a', 'b']) rig.offer(key);
    expect(rig.next()).toBe('a0+0');
    const { reader } = rig;
    rig.succeed();
    reader.settle();
    expect([reader.hasNews, reader.next()]).toEqual([true, false]);
    expect(rig.drain()).toEqual(['a0+0', 'b1+0']);
  });

  it('still knows how many events were passed over, when they are accounted for', () => {
    const rig = new Rig(2, -1);
    for (const key of ['a', 'a', 'a', 'b', 'b']) rig.offer(key);
    const told = (): unknown => [rig.next(), rig.reader.passedOver];
    expect(told()).toEqual(['a2+2', 2]);
    rig.reader.settleSkipped();
    expect([rig.reader.skipped, rig.reader.passedOver]).toEqual([0, 2]);
    for (let times = 0; times < 2; times++) {
      rig.succeed();
      expect(told()).toEqual(['a2+0', 2]);
      rig.reader.settleSkipped();
    }
    rig.reader.settle();
    expect(told()).toEqual(['b4+1', 1]);
    rig.reader.settle();
    rig.offer('a');
    expect(told()).toEqual(['a5+0', 0]);
  });
});

describe('the repair of a dead producer', () => {
  it('offers the last record if that had not begun, to the slot of its key', () => {
    const rig = new Rig(3);
    for (const key of ['a', 'b', 'a']) rig.offer(key);
    rig.commit('b');
    for (let times = 0; times < 2; times++) {
      repairConflation(rig.block, keyOf, { memory: rig.lane, at: rig.at });
    }
    expect(rig.drain()).toEqual(['a2+1', 'b3+1']);
  });

  it('offers nothing twice, and nothing that was not for this block', () => {
    const rig = new Rig(3);
    repairConflation(rig.block, keyOf, undefined);
    rig.offer('a');
    repairConflation(rig.block, keyOf, { memory: rig.lane, at: rig.at });
    repairConflation(rig.block, keyOf, undefined);
    expect(rig.drain()).toEqual(['a0+0']);
  });

  it('knows a first record with sequence 0 from none', () => {
    const rig = new Rig(1);
    rig.commit('a');
    repairConflation(rig.block, keyOf, { memory: rig.lane, at: rig.at });
    expect(rig.drain()).toEqual(['a0+0']);
  });

  it('lets a successor of the producer go on with its keys, and with the oldest of them', () => {
    for (const start of [0, -4]) {
      const rig = new Rig(3, start);
      for (const key of ['c', 'b', 'a']) rig.offer(key);
      expect(rig.drain()).toHaveLength(3);
      for (const key of ['a', 'c']) rig.offer(key);
      rig.writer = new ConflationWriter(new ConflationBlock(rig.block.source), keyOf);
      expect([rig.offer('c'), rig.offer('d'), rig.offer('e')]).toEqual([true, true, false]);
      expect(rig.drain()).toEqual(['a3+0', 'c5+1', 'd6+0']);
      rig.offer('a');
      expect(rig.drain()).toEqual(['a8+0']);
    }
  });
});

describe('conflation, at random', () => {
  it.each(Array.from({ length: 12 }, (_, seed) => seed))('accounts for every event (seed %i)', (seed) => {
    const random = new SeededRandom(seed);
    const slots = 1 + random.below(4);
    const rig = new Rig(slots, random.pick([0, 2 ** 31 - 20, -20]));
    const keys = KEYS.slice(0, slots + random.below(3));
    /** By key: the last event that was not lost, and the last one delivered. */
    const kept = new Map<string, number>();
    const seen = new Map<string, number>();
    let accounted = 0;
    let inFlight: string | undefined;
    let longest = 0;

    const start = (): boolean => {
      const found = rig.next();
      if (found === undefined) return false;
      if (inFlight !== undefined) expect(found).toBe(inFlight);
      const [, key, event] = /^(\w)(\d+)\+/.exec(found) ?? [];
      if (inFlight === undefined) expect(Number(event)).toBeGreaterThan(seen.get(key) ?? -1);
      seen.set(key, Number(event));
      inFlight = found;
      return true;
    };
    const end = (): void => {
      accounted += 1 + rig.reader.skipped;
      rig.reader.settle();
      inFlight = undefined;
    };
    const noteOffer = (key: KeyValue, isKept: boolean): void => {
      if (isKept) kept.set(String(key), rig.committed - 1);
    };

    for (let step = 0; step < 1_000; step++) {
      const key = random.pick(keys);
      switch (random.below(10)) {
        case 0:
        case 1:
        case 2:
        case 3:
          noteOffer(key, rig.offer(key));
          break;
        case 4: {
          // The producer dies between its commit and the offer; another one goes on.
          const lost = rig.lost;
          rig.commit(key);
          repairConflation(rig.block, keyOf, { memory: rig.lane, at: rig.at });
          rig.writer = new ConflationWriter(rig.block, keyOf);
          noteOffer(key, rig.lost === lost);
          break;
        }
        case 5:
          rig.succeed();
          break;
        case 6:
        case 7:
          start();
          break;
        default:
          if (start()) end();
      }
      longest = Math.max(longest, pendingKeys(rig.block, rig.progress));
    }
    while (start()) end();

    expect(accounted + rig.lost).toBe(rig.committed);
    expect(seen).toEqual(kept);
    expect(longest).toBeLessThanOrEqual(slots + 1);
    expect(accounted).toBeGreaterThan(250);
  });
});
