import { describe, expect, it } from 'vitest';
import { PublishClock } from '../../src/shared/clock.js';
import { type Lane, type LaneView, recordBytes } from '../../src/shared/lane.js';
import { PADDING_TYPE, type ProducerBlock, TYPE_MASK } from '../../src/shared/layout.js';
import { type Actor, explore, type Scenario } from '../support/interleavings.js';
import { burstingClock, Gatekeeper, laneOf } from '../support/lanes.js';

const CAPACITY = 64;
const TYPE = 1;
const RECORDS = 3;
const PAYLOAD_BYTES = 8;
const RECORD_BYTES = 24;
/**
 * The ring has room for two records and the padding between them: record 0 lies at byte 24, then comes padding up to the
 * end, record 1 at byte 0, across the wrap of positions at 2^31, and record 2 where record 0 was.
 */
const START = 2 ** 31 - 40;

const CALM = new PublishClock();
const BURSTING = burstingClock();

/** Which of the two rules of lane.ts has its two lines swapped. */
type Swap = 'none' | 'P1 and P2' | 'C2 and C3' | 'P0 and P1' | 'count and cursor';

/** What both words of a record's payload hold, so that a torn one is seen. */
const mark = (record: number): number => 0x0101_0101 * (record + 1);

/** One producer and one reader: all the records, each word of them a step. */
function publication(swap: Swap, grouped = false): () => Scenario {
  return () => {
    const { block, lane, view } = freshLane(grouped);
    const keeper = new Gatekeeper(lane);
    lane.setGates([keeper.gate]);
    return {
      actors: {
        producer: () => publish(block, lane, [keeper], { swap, grouped }),
        reader: () => read(block, view, keeper, swap, RECORDS),
      },
      check: (waiting) => {
        noneWaits(waiting);
        // Three records and the padding: a lap and a half.
        if (keeper.position !== ((START + 88) | 0)) throw new Error(`the reader has come to ${keeper.position}`);
      },
    };
  };
}

/** The ring is full already: the producer needs the room of record 0, which two readers are at. */
function sharedReuse(swap: Swap): () => Scenario {
  return () => {
    const { block, lane, view } = freshLane();
    const keepers = [new Gatekeeper(lane, 1), new Gatekeeper(lane, 2)];
    lane.setGates(keepers.map(({ gate }) => gate));
    for (let record = 0; record < RECORDS - 1; record++) {
      const at = lane.claim(PAYLOAD_BYTES, TYPE) >> 2;
      lane.memory.i32.fill(mark(record), at, at + 2);
      lane.commit(TYPE);
    }
    return {
      actors: {
        producer: () => publish(block, lane, keepers, { first: RECORDS - 1 }),
        steady: () => read(block, view, keepers[0], 'none', 1),
        hasty: () => read(block, view, keepers[1], swap, 1),
      },
      check: noneWaits,
    };
  };
}

function freshLane(grouped = false): ReturnType<typeof laneOf> {
  const publisher = { clock: grouped ? BURSTING : CALM, mortal: !grouped, origin: undefined };
  const made = laneOf({ capacity: CAPACITY, position: START, sequence: -1, publisher });
  made.block.rings[0].u8.fill(0xee);
  return made;
}

function noneWaits(waiting: readonly string[]): void {
  if (waiting.length > 0) throw new Error(`${waiting.join(', ')} waits for ever`);
}

function* publish(
  block: ProducerBlock,
  lane: Lane,
  readers: readonly Gatekeeper[],
  { swap = 'none', grouped = false, first = 0 }: { swap?: Swap; grouped?: boolean; first?: number },
): Actor {
  const { i32 } = lane.memory;
  for (let record = first; record < RECORDS; record++) {
    if (swap === 'P0 and P1') {
      yield 'P1 write the payload';
      i32.fill(mark(record), nextPayload(lane) >> 2, (nextPayload(lane) + PAYLOAD_BYTES) >> 2);
    }
    let at = -1;
    yield 'P0 claim';
    while ((at = lane.claim(PAYLOAD_BYTES, TYPE)) < 0) {
      const seen = readers.map(({ position }) => position);
      yield { step: 'P0 claim again', when: () => readers.some(({ position }, i) => position !== seen[i]) };
    }
    if (swap === 'P1 and P2') {
      yield 'P2 commit';
      lane.commit(TYPE);
    }
    if (swap !== 'P0 and P1') {
      yield 'P1 write the first word';
      i32[at >> 2] = mark(record);
      yield 'P1 write the second word';
      i32[(at >> 2) + 1] = mark(record);
    }
    if (swap === 'P1 and P2') continue;
    yield 'P2 commit';
    if (swap === 'count and cursor') {
      const { published } = block;
      const counted = published[TYPE];
      lane.commit(TYPE);
      published[TYPE] = counted;
      yield 'count';
      published[TYPE] = counted + 1;
    } else {
      lane.commit(TYPE);
    }
    if (grouped && record > 0) {
      yield 'P2 end the run';
      lane.flush();
    }
  }
}

/** Byte offset of the payload that the next record will have. */
function nextPayload(lane: Lane): number {
  const at = lane.cursor & (CAPACITY - 1);
  return (at + RECORD_BYTES > CAPACITY ? 0 : at) + 16;
}

function* read(block: ProducerBlock, view: LaneView, keeper: Gatekeeper, swap: Swap, records: number): Actor {
  const { i32 } = view.memory;
  let { position } = keeper;
  for (let record = 0; record < records;) {
    const from = position;
    yield { step: 'C1 load CURSOR', when: () => view.end() !== from };
    const end = view.end();
    while (position !== end && record < records) {
      yield 'C2 read the header';
      const at = view.offset(position);
      const header = i32[at >> 2];
      const next = (position + recordBytes(header)) | 0;
      if ((header & TYPE_MASK) !== PADDING_TYPE) {
        if (swap === 'C2 and C3') {
          yield 'C3 store GATING';
          keeper.moveTo(next);
        }
        yield 'C2 read the first word';
        const first = i32[(at >> 2) + 4];
        yield 'C2 read the second word';
        const second = i32[(at >> 2) + 5];
        const sequence = i32[(at >> 2) + 1];
        expectRecord(record, { header, first, second, sequence });
        if (block.published[TYPE] <= record) throw new Error(`record ${record} is read and not yet counted`);
        record++;
        if (swap !== 'C2 and C3') {
          yield 'C3 store GATING';
          keeper.moveTo(next);
        }
      }
      position = next;
    }
  }
}

function expectRecord(record: number, seen: { header: number; first: number; second: number; sequence: number }): void {
  const expected = { header: ((RECORD_BYTES >> 3) << 12) | TYPE, first: mark(record), second: mark(record) };
  for (const [word, value] of Object.entries({ ...expected, sequence: record - 1 })) {
    const found = seen[word as keyof typeof seen];
    if (found !== value) throw new Error(`record ${record} has ${word} ${hex(found)}, expected ${hex(value)}`);
  }
}

const hex = (word: number): string => `0x${(word >>> 0).toString(16)}`;

describe('publication and reuse', () => {
  it('shows a reader whole records only, in every schedule, over the wrap and the padding', () => {
    const { schedules, violation } = explore(publication('none'));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it('shows a reader whole records only when commits are put off and become visible in groups', () => {
    const { schedules, violation } = explore(publication('none', true));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it('overwrites nothing that one of two readers is still at', () => {
    const { schedules, violation } = explore(sharedReuse('none'));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it.each([
    ['P1 and P2', /^record \d has second 0x(eeeeeeee|1010101), expected/],
    ['C2 and C3', /^record \d has \w+ 0x3030303, expected 0x1010101/],
    ['P0 and P1', /^record \d has \w+ 0x3030303, expected 0x1010101/],
    ['count and cursor', /^record \d is read and not yet counted/],
  ] as const)('is broken when %s are swapped', (swap, violation) => {
    expect(explore(publication(swap)).violation).toMatch(violation);
  });

  it('is broken when one of two readers swaps C2 and C3', () => {
    expect(explore(sharedReuse('C2 and C3')).violation).toMatch(/^record 0 has \w+ 0x3030303, expected 0x1010101/);
  });
});
