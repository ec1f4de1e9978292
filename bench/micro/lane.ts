/** A lane without codec and handlers: claim and commit, and the reader's walk from record to record. */
import { deepStrictEqual } from 'node:assert/strict';
import type { Publisher } from '../../src/shared/lane.js';
import {
  ConsumerBlock,
  HEADER_BYTES,
  Lane,
  LaneView,
  LaneWord,
  ProducerBlock,
  PublishClock,
  SubscriptionBlock,
} from './internals.js';
import type { Micro, MicroSpec } from './micro.js';

const TYPE = 1;
const TICK_BYTES = 64;
const EVENTS = 1024;
/** Between two moves of the readers' positions: what a ring of a megabyte does less often, and one of 64 KiB more often. */
const READ_EVERY = 256;
/** More stamps than any measurement takes: the clock is not read. */
const NEVER = 2 ** 30;

interface Shape {
  readonly capacityBytes?: number;
  readonly gates?: number;
  readonly urgent?: boolean;
  /** Whose death leaves the process alive: a pool thread's. */
  readonly mortal?: boolean;
  /** Whether commits are put off, see Lane.commit. */
  readonly bursting?: boolean;
  /** The clock that the lane has in a bus: read for every 32nd event. */
  readonly readsClock?: boolean;
}

function openLane({ capacityBytes = 1 << 18, gates = 1, urgent = false, mortal = false, ...shape }: Shape) {
  const { bursting = false, readsClock = false } = shape;
  const block = ProducerBlock.create({ capacities: [capacityBytes], types: 1, symbols: 1, nameBytes: 8 });
  const clock = new PublishClock();
  const publisher: Publisher = { clock, mortal, origin: undefined };
  const lane = new Lane(block, 0, { name: 'market', maxRecordBytes: capacityBytes, urgent }, publisher);
  const readers = Array.from({ length: gates }, () => SubscriptionBlock.create({ lanes: 1, addresses: 1, flights: 1 }));
  lane.setGates(
    readers.map((reader, id) => ({
      id,
      name: `reader ${id}`,
      types: [TYPE],
      words: reader.words,
      index: reader.gatingIndex(0),
      consumer: ConsumerBlock.create().words,
      conflator: undefined,
    })),
  );
  const resetClock = (): void => {
    if (readsClock) return;
    clock.left = NEVER;
    clock.bursting = bursting;
  };
  resetClock();
  return {
    lane,
    view: new LaneView(block, 0),
    resetClock,
    /** All readers have read what is visible. */
    catchUp: (): void => {
      const { cursor } = lane;
      for (const reader of readers) Atomics.store(reader.words, reader.gatingIndex(0), cursor);
    },
  };
}
type OpenLane = ReturnType<typeof openLane>;

/** What `publish` writes, as the reader finds it: numbers of events, in order. */
function checkRecords({ lane, view, catchUp }: OpenLane, publish: () => void, expected: readonly number[]): void {
  lane.flush();
  catchUp();
  const from = lane.cursor;
  const before = lane.stats[LaneWord.RECORDS_F64];
  publish();
  const seen: number[] = [];
  view.walk(from, view.end(), (_, position) => {
    const word = view.offset(position) >> 2;
    seen.push(view.memory.i32[word + (HEADER_BYTES >> 2)]);
    if (view.memory.i32[word + 1] !== ((before + seen.length - 1) | 0))
      throw new Error('a sequence is not the next one');
  });
  deepStrictEqual(seen, expected);
  catchUp();
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n);

/** One record after the other, with a word of payload. */
function makeCommit(shape: Shape, sizes: readonly number[] = [TICK_BYTES], readEvery = READ_EVERY): Micro {
  const open = openLane(shape);
  const { lane, catchUp, resetClock } = open;
  const { i32 } = lane.memory;
  const publish = (n: number): void => {
    const at = lane.claim(sizes[n % sizes.length], TYPE);
    if (at < 0) throw new Error(`record ${n} finds the lane full`);
    i32[at >> 2] = n;
    lane.commit(TYPE);
  };
  return {
    operations: EVENTS,
    run() {
      const before = lane.stats[LaneWord.RECORDS_F64];
      resetClock();
      for (let n = 0; n < EVENTS; n++) {
        publish(n);
        if ((n & (readEvery - 1)) === readEvery - 1) catchUp();
      }
      lane.flush();
      return lane.stats[LaneWord.RECORDS_F64] - before;
    },
    check() {
      resetClock();
      const count = Math.min(readEvery, READ_EVERY);
      for (let turn = 0; turn < 64; turn++) {
        checkRecords(
          open,
          () => {
            for (let n = 0; n < count; n++) publish(n);
            lane.flush();
          },
          numbers(count),
        );
      }
    },
  };
}

function makeBatch(size: number): Micro {
  const open = openLane({});
  const { lane, catchUp, resetClock } = open;
  const { i32 } = lane.memory;
  const types = new Array<number>(size).fill(TYPE);
  const publish = (): void => {
    for (let n = 0; n < size; n++) {
      const at = lane.claim(TICK_BYTES, TYPE);
      if (at < 0) throw new Error(`record ${n} finds the lane full`);
      i32[at >> 2] = n;
    }
    lane.commitAll(types);
  };
  return {
    operations: EVENTS,
    run() {
      const before = lane.stats[LaneWord.RECORDS_F64];
      resetClock();
      for (let done = 0; done < EVENTS; done += size) {
        publish();
        catchUp();
      }
      return lane.stats[LaneWord.RECORDS_F64] - before;
    },
    check() {
      resetClock();
      checkRecords(open, publish, numbers(size));
    },
  };
}

/** What a publisher is told that has found no room, and finds none again. */
function makeFull(): Micro {
  const { lane } = openLane({ capacityBytes: 1024 });
  for (let at = 0; at >= 0;) {
    at = lane.claim(TICK_BYTES, TYPE);
    if (at >= 0) lane.commit(TYPE);
  }
  const run = (): number => {
    let refused = 0;
    for (let n = 0; n < EVENTS; n++) if (lane.claim(TICK_BYTES, TYPE) < 0) refused++;
    return refused;
  };
  return {
    operations: EVENTS,
    run,
    check() {
      if (run() !== EVENTS) throw new Error('a full lane has taken a record');
    },
  };
}

/** A reader's way over records that are not for it. */
function makeWalk(): Micro {
  const { lane, view } = openLane({ gates: 0 });
  for (let n = 0; n < EVENTS; n++) {
    lane.memory.i32[lane.claim(TICK_BYTES, TYPE) >> 2] = n;
    lane.commit(TYPE);
  }
  lane.flush();
  const run = (): number => {
    const { memory } = view;
    const end = view.end();
    let sum = 0;
    for (let position = 0; position !== end; position = view.next(position)) {
      sum += memory.i32[(view.offset(position) + HEADER_BYTES) >> 2];
    }
    return sum;
  };
  return {
    operations: EVENTS,
    run,
    check() {
      if (run() !== (EVENTS * (EVENTS - 1)) / 2) throw new Error('a record was not read, or twice');
    },
  };
}

export const lane: readonly MicroSpec[] = [
  { name: 'lane: claim and commit, each visible at once', make: () => makeCommit({}) },
  { name: 'lane: claim and commit, in groups of a burst', make: () => makeCommit({ bursting: true }) },
  { name: 'lane: claim and commit, with the clock', make: () => makeCommit({ readsClock: true }) },
  { name: 'lane: claim and commit, of a pool thread', make: () => makeCommit({ mortal: true }) },
  { name: 'lane: claim and commit, urgent', make: () => makeCommit({ urgent: true }) },
  { name: 'lane: claim and commit, 4 readers', make: () => makeCommit({ gates: 4 }) },
  {
    // Some eight records a lap, and padding at its end.
    name: 'lane: claim and commit, wrapping',
    make: () => makeCommit({ capacityBytes: 1024 }, [64, 8, 120, 200, 32], 1),
  },
  { name: 'lane: claim and commit, 256 at once', make: () => makeBatch(256) },
  { name: 'lane: claim, full', make: makeFull },
  { name: 'lane: from record to record', make: makeWalk },
];
