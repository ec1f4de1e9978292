/** Which events are whose: what is asked of a record before it is decoded, or as soon as it is committed. */
import { deepStrictEqual } from 'node:assert/strict';
import { f64, i32, symbol, text, u64 } from 'lanebus';
import type { Payload } from '../../src/shared/catalog.js';
import type { Memory } from '../../src/shared/memory.js';
import { makeTick, type Tick } from '../ticks.js';
import { codecOf, payloadOfTick } from './codec.js';
import {
  Claims,
  ClaimBlock,
  compileDecoder,
  compileFilter,
  compileKeyHash,
  ConflationBlock,
  ConflationProgress,
  ConflationReader,
  filterProblems,
  HEADER_BYTES,
  KeyConflator,
  normaliseFilter,
  ownerOf,
} from './internals.js';
import type { Micro, MicroSpec } from './micro.js';
import { ALONE, openRig, SYMBOLS } from './rig.js';

const RECORDS = 64;
const ROUNDS = 16;
const THREADS = 4;
const tickOf = (n: number): Tick => makeTick(n, SYMBOLS);

/** `ask` of every record, as what it answers adds up. */
function sumOver(places: readonly number[], ask: (memory: Memory, at: number) => number, memory: Memory): number {
  let sum = 0;
  for (let round = 0; round < ROUNDS; round++) for (const at of places) sum = (sum + ask(memory, at)) | 0;
  return sum;
}

function makeHash(field: Payload[string], valueOf: (n: number) => unknown): Micro {
  const { type, room, encode, given, symbols } = codecOf({
    payload: { before: i32(), key: field },
    event: (n) => ({ type: 'TICK', before: n, key: valueOf(n) }),
  });
  const places = given.map((event) => encode(event));
  const hash = compileKeyHash(type, 'key', symbols);
  return {
    operations: RECORDS * ROUNDS,
    run: () => sumOver(places, hash, room.memory),
    check() {
      const hashes = new Map<unknown, Set<number>>();
      places.forEach((at, n) => {
        const found = hashes.get(valueOf(n)) ?? new Set();
        hashes.set(valueOf(n), found.add(hash(room.memory, at)));
      });
      deepStrictEqual(new Set([...hashes.values()].map(({ size }) => size)), new Set([1]));
      const owners = new Set([...hashes.values()].flatMap((found) => [...found].map((one) => ownerOf(one, THREADS))));
      deepStrictEqual(owners.size, THREADS);
    },
  };
}

function makeFilter(filter: object, passes: (tick: Tick) => boolean): Micro {
  const { type, room, encode, given, symbols } = codecOf({ payload: payloadOfTick(), event: tickOf });
  const places = given.map((event) => encode(event));
  deepStrictEqual(filterProblems(filter, [type]), []);
  const test = compileFilter(type, normaliseFilter(filter), symbols);
  return {
    operations: RECORDS * ROUNDS,
    run: () => sumOver(places, (memory, at) => (test(memory, at) ? 1 : 0), room.memory),
    check() {
      deepStrictEqual(
        places.map((at) => test(room.memory, at)),
        given.map((event) => passes(event as Tick)),
      );
    },
  };
}

/** @param reads Whether each event is taken before the next one of its key comes, or only the last of all. */
function makeConflation(reads: boolean): Micro {
  const { outbox, lane, types, symbols } = openRig();
  const places = Array.from({ length: RECORDS }, (_, n) => {
    const at = lane.cursor;
    outbox.tryPublish(tickOf(n));
    outbox.flush();
    return at;
  });
  const [type] = types;
  const decode = compileDecoder(type, symbols);
  const block = ConflationBlock.create({ keys: SYMBOLS.length, recordBytes: places[1] - places[0] });
  const conflator = new KeyConflator(
    block,
    types,
    { ...ALONE, mode: 'conflated', keys: { [type.index]: 'symbol' } },
    symbols,
  );
  const reader = new ConflationReader(block, ConflationProgress.create(SYMBOLS.length));
  const takeAll = (visit?: (skipped: number) => void): number => {
    let taken = 0;
    for (; reader.next(); taken++) {
      const { skipped } = reader;
      if (skipped > 0) reader.settleSkipped();
      visit?.(skipped);
      reader.settle();
    }
    return taken;
  };
  const offer = (n: number): void => {
    conflator.offer(type.index, lane.memory, places[n]);
  };
  const lap = SYMBOLS.length;
  return {
    operations: RECORDS * ROUNDS,
    run() {
      let taken = 0;
      for (let round = 0; round < ROUNDS; round++) {
        for (let from = 0; from < RECORDS; from += lap) {
          for (let n = from; n < from + lap; n++) offer(n);
          if (reads) taken += takeAll();
        }
      }
      return taken;
    },
    check() {
      takeAll();
      for (let n = 0; n < RECORDS; n++) offer(n);
      const seen: object[] = [];
      const skips = new Set<number>();
      takeAll((skipped) => {
        seen.push(decode(reader.memory, reader.at + HEADER_BYTES));
        skips.add(skipped);
      });
      deepStrictEqual(
        seen,
        SYMBOLS.map((_, key) => tickOf(RECORDS - lap + key)),
      );
      deepStrictEqual(skips, new Set([RECORDS / lap - 1]));
    },
  };
}

/** A record of a subscription that several threads share: taken, and done. */
function makeClaims(): Micro {
  const block = ClaimBlock.create(1024);
  const claims = new Claims(block, 1);
  const other = new Claims(block, 2);
  let next = 0;
  const run = (): number => {
    let done = 0;
    for (let n = 0; n < RECORDS * ROUNDS; n++) {
      if (claims.take(next) && claims.done(next)) done++;
      next = (next + 1) | 0;
    }
    return done;
  };
  return {
    operations: RECORDS * ROUNDS,
    run,
    check() {
      deepStrictEqual(run(), RECORDS * ROUNDS);
      deepStrictEqual(
        [claims.take(next), other.take(next), claims.done(next), claims.done(next)],
        [true, false, true, false],
      );
      next++;
    },
  };
}

const manyNumbers = Array.from({ length: 48 }, (_, n) => n * 2);

export const selection: readonly MicroSpec[] = [
  { name: 'key: hash of a symbol', make: () => makeHash(symbol(), (n) => SYMBOLS[n % 16]) },
  { name: 'key: hash of an integer', make: () => makeHash(i32(), (n) => n % 32) },
  { name: 'key: hash of a number with a fraction', make: () => makeHash(f64(), (n) => (n % 32) + 0.5) },
  { name: 'key: hash of a bigint', make: () => makeHash(u64(), (n) => BigInt(n % 32)) },
  {
    name: 'key: hash of a text of 12',
    make: () => makeHash(text(), (n) => `order ${String(n % 32).padStart(6, '0')}`),
  },
  {
    name: 'filter: a range',
    make: () => makeFilter({ price: { min: 4803, max: 4809 } }, ({ price }) => price >= 4803 && price <= 4809),
  },
  {
    name: 'filter: 3 symbols',
    make: () => makeFilter({ symbol: ['ES1', 'ES5', 'ES9'] }, (tick) => ['ES1', 'ES5', 'ES9'].includes(tick.symbol)),
  },
  {
    name: 'filter: 48 numbers',
    make: () => makeFilter({ sequence: manyNumbers }, ({ sequence }) => manyNumbers.includes(sequence)),
  },
  {
    name: 'filter: 4 conditions',
    make: () =>
      makeFilter(
        { symbol: [...SYMBOLS], size: { min: 1 }, price: { min: 4800 }, bidSize: 10 },
        ({ size, price, bidSize }) => size >= 1 && price >= 4800 && bidSize === 10,
      ),
  },
  { name: 'conflation: an event offered, 16 keys, none read', make: () => makeConflation(false) },
  { name: 'conflation: an event offered and read, 16 keys', make: () => makeConflation(true) },
  { name: 'claims: a record taken and done', make: makeClaims },
];
