import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PublishClock } from '../../src/shared/clock.js';
import { type LaneView, type Remains, repair } from '../../src/shared/lane.js';
import { LaneWord, PADDING_TYPE, ProducerBlock } from '../../src/shared/layout.js';
import { type Actor, explore, type Scenario } from '../support/interleavings.js';
import { laneOf } from '../support/lanes.js';
import { MortalThread, namesOf, watchAtomics } from '../support/mortal.js';

/**
 * The stores of `Lane.commit` by which the counts of a dead producer can be repaired, and its last record found, in its
 * order. T1 must stay above T2, T2 above T3, T3 above T4 and T5; for readers (publication.test.ts) also T4 above T5.
 */
const COMMIT = [
  'REDO_TYPE', // T1 no redo record while it is being written
  'REDO_COUNT', // T2 what `repair` needs
  'REDO_RECORDS',
  'REDO_START',
  'REDO_END',
  'REDO_TYPE', // T3 from here on `repair` decides by CURSOR
  'PUBLISHED', // T4
  'RECORDS',
  'CURSOR', // T5
] as const;
const IN_ORDER = [0, 1, 2, 3, 4, 5, 6, 7, 8];

/** Types of the events that are committed one after the other; both types have counts already, and not the same. */
const TYPES = [1, 2, 1, 2, 2];
const BEFORE = [0, 3, 9, 0];
const RECORDS_BEFORE = 2 ** 32 - 2;
/** Five records of 24 bytes fill the ring up to its end, and positions wrap with the last. */
const START = 2 ** 31 - 120;
const PAYLOAD_BYTES = 8;
const SHAPE = { capacity: 128, types: 2, position: START, sequence: RECORDS_BEFORE };

/** What the block says must be what a walk over its visible records finds. */
function expectAgreement(block: ProducerBlock, view: LaneView): void {
  const found = [...BEFORE];
  let records = RECORDS_BEFORE;
  view.walk(START, view.end(), (typeIndex) => {
    found[typeIndex]++;
    records++;
  });
  const counted = [...block.published];
  const recorded = block.stats[0][LaneWord.RECORDS_F64];
  if (counted.join() !== found.join()) throw new Error(`published ${counted.join()}, in the lane ${found.join()}`);
  if (recorded !== records) throw new Error(`${recorded} records counted, ${records} in the lane`);
}

/** The producer's last record, where it may not have been conflated yet: always when it died right after its commit. */
function expectLast({ last: [found] }: Remains, view: LaneView, justCommitted: boolean): void {
  if (found === undefined) {
    if (justCommitted) throw new Error('the record that was committed last is not found');
    return;
  }
  let last: number | undefined;
  view.walk(START, view.end(), (_, position) => {
    last = view.offset(position);
  });
  if (found.at !== last) throw new Error(`a record at ${found.at} is found, the last one lies at ${last}`);
}

/** One store after the other, on the words that the real commit has. */
function* commit(
  block: ProducerBlock,
  view: LaneView,
  type: number,
  order: readonly number[],
  note: (store: string) => void,
): Actor {
  const [control] = block.control;
  const [stats] = block.stats;
  const { published } = block;
  const count = published[type];
  const records = stats[LaneWord.RECORDS_F64];
  const start = view.offset(view.end());
  const end = view.next(view.end());
  const stores = [
    () => (control[LaneWord.REDO_TYPE_INDEX] = PADDING_TYPE),
    () => (stats[LaneWord.REDO_COUNT_F64] = count),
    () => (stats[LaneWord.REDO_RECORDS_F64] = records),
    () => (control[LaneWord.REDO_START_INDEX] = start),
    () => (control[LaneWord.REDO_END_INDEX] = end),
    () => (control[LaneWord.REDO_TYPE_INDEX] = type),
    () => (published[type] = count + 1),
    () => (stats[LaneWord.RECORDS_F64] = records + 1),
    () => Atomics.store(control, LaneWord.CURSOR_INDEX, end),
  ];
  for (const step of order) {
    yield COMMIT[step];
    stores[step]();
    note(COMMIT[step]);
  }
}

function committing(order: readonly number[]): () => Scenario {
  return () => {
    const { block, lane, view } = laneOf(SHAPE);
    block.published.set(BEFORE);
    let made = '';
    return {
      actors: {
        *producer() {
          for (const type of TYPES) {
            yield 'claim';
            lane.claim(PAYLOAD_BYTES, type);
            yield* commit(block, view, type, order, (store) => (made = store));
          }
        },
      },
      mortal: 'producer',
      *heir() {
        yield 'repair';
        expectLast(repair(block), view, made === 'CURSOR');
      },
      check: () => {
        expectAgreement(block, view);
      },
    };
  };
}

const swapped = (a: number, b: number): number[] => IN_ORDER.map((step) => (step === a ? b : step === b ? a : step));

describe('the redo record of a commit', () => {
  it('lets the counts agree with CURSOR wherever the producer died', () => {
    expect(explore(committing(IN_ORDER))).toEqual({
      schedules: TYPES.length * (1 + COMMIT.length) + 1,
      violation: undefined,
    });
  });

  it.each([
    ['T1 and T2 (count)', 0, 1],
    ['T1 and T2 (end)', 0, 4],
    ['T2 (count) and T3', 1, 5],
    ['T2 (records) and T3', 2, 5],
    ['T2 (end) and T3', 4, 5],
    ['T3 and T4 (published)', 5, 6],
    ['T3 and T4 (records)', 5, 7],
    ['T3 and T5', 5, 8],
  ])('does not when %s are swapped', (_, a, b) => {
    expect(explore(committing(swapped(a, b))).violation).toMatch(/producer: dies before/);
  });

  it.each([
    ['T1 and T2 (start)', swapped(0, 3)],
    ['T2 (start) and T5', [0, 1, 2, 4, 5, 6, 7, 8, 3]],
  ])('does not tell which record was the last when %s are swapped', (_, order) => {
    expect(explore(committing(order)).violation).toMatch(/^a record at \d+ is found, the last one lies at/);
  });

  it('does not need the order of T4 and T5', () => {
    expect(explore(committing([0, 1, 2, 3, 4, 5, 8, 7, 6])).violation).toBeUndefined();
  });
});

describe('Lane.commit', () => {
  let stopWatching: () => void;
  beforeEach(() => {
    stopWatching = watchAtomics();
  });
  afterEach(() => {
    stopWatching();
  });

  /** The real commits of a thread that lives to make so many stores, and what it leaves. */
  function commitAll(mortal: boolean, life?: number) {
    const thread = new MortalThread(life);
    const seenByThread = (block: ProducerBlock): ProducerBlock => {
      const seen = Object.create(ProducerBlock.prototype) as ProducerBlock;
      return Object.assign(seen, block, {
        control: block.control.map((words) => thread.watch(words, namesOf(LaneWord, '_INDEX'))),
        stats: block.stats.map((words) => thread.watch(words, namesOf(LaneWord, '_F64'))),
        published: thread.watch(block.published, () => 'PUBLISHED'),
      });
    };
    const publisher = { clock: new PublishClock(), mortal, origin: undefined };
    const { block, lane, view } = laneOf({ ...SHAPE, publisher }, seenByThread);
    block.published.set(BEFORE);
    for (const type of TYPES) {
      lane.claim(PAYLOAD_BYTES, type);
      lane.commit(type);
    }
    return { thread, block, view };
  }

  it('makes its stores in the order of the model', () => {
    const { thread, block, view } = commitAll(true);
    expect(thread.stores).toEqual(TYPES.flatMap(() => COMMIT));
    expectAgreement(block, view);
  });

  it('leaves counts that can be repaired whichever store the producer died before', () => {
    let deaths = 0;
    for (; ; deaths++) {
      const { thread, block, view } = commitAll(true, deaths);
      if (!thread.dead) break;
      for (let time = 0; time < 2; time++) {
        expectLast(repair(block), view, thread.stores.at(-1) === 'CURSOR');
        expectAgreement(block, view);
      }
    }
    expect(deaths).toBe(TYPES.length * COMMIT.length);
  });

  it('counts before it makes visible, and writes no redo record, where the process dies with the thread', () => {
    expect(commitAll(false).thread.stores).toEqual(TYPES.flatMap(() => ['PUBLISHED', 'RECORDS', 'CURSOR']));
  });
});
