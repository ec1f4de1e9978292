import { describe, expect, it } from 'vitest';
import {
  ClaimBlock,
  ConsumerBlock,
  ConsumerWord,
  FlightWord,
  HEADER_BYTES,
  LaneWord,
  LINE_BYTES,
  MAX_CAPACITY_BYTES,
  MAX_LANES,
  MIN_CAPACITY_BYTES,
  Outcome,
  ProducerBlock,
  type ProducerShape,
  SubscriptionBlock,
  SubscriptionWord,
} from '../../src/shared/layout.js';
import { ConflationBlock, ConflationProgress } from '../../src/shared/conflation-block.js';
import { SeededRandom } from '../support/random.js';

/** Where something lies in its block, in bytes. */
interface Range {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

const TIMING_F64 = 4;
const FOREIGN = 'ERR_LANEBUS_FOREIGN_BLOCK';

function wordsOf(words: Readonly<Record<string, number>>, base: number, prefix = ''): Range[] {
  return Object.entries(words).map(([name, index]) => {
    const isF64 = name.endsWith('_F64');
    const length = name === 'HANDLER_F64' || name === 'WAIT_F64' ? TIMING_F64 * 8 : isF64 ? 8 : 4;
    const start = base + index * (isF64 ? 8 : 4);
    return { name: prefix + name, start, end: start + length };
  });
}

function rangeOf(name: string, view: { byteOffset: number; byteLength: number }): Range {
  return { name, start: view.byteOffset, end: view.byteOffset + view.byteLength };
}

function header(): Range {
  return { name: 'header', start: 0, end: LINE_BYTES };
}

function producerRanges({ control, stats, rings, published, symbols }: ProducerBlock): Range[] {
  return [
    header(),
    ...control.flatMap((words, rank) => wordsOf(LaneWord, words.byteOffset, `lane ${rank} `)),
    ...control.map((words, rank) => {
      // Both views of a lane's control words are of the same bytes.
      expect([stats[rank].byteOffset, stats[rank].byteLength]).toEqual([words.byteOffset, words.byteLength]);
      return {
        name: `end of lane ${rank}`,
        start: words.byteOffset + words.byteLength - 1,
        end: words.byteOffset + words.byteLength,
      };
    }),
    rangeOf('published', published),
    rangeOf('symbol state', symbols.state),
    rangeOf('symbol ends', symbols.ends),
    rangeOf('symbol names', symbols.names),
    ...rings.map(({ u8 }, rank) => rangeOf(`ring ${rank}`, u8)),
  ];
}

interface SubscriptionShape {
  readonly lanes: number;
  readonly addresses: number;
  readonly flights: number;
}

function subscriptionRanges(block: SubscriptionBlock, { lanes, addresses, flights }: SubscriptionShape): Range[] {
  const ranges = [header(), ...wordsOf(SubscriptionWord, 0)];
  for (let flight = 0; flight < flights; flight++) {
    for (const [name, place] of Object.entries(FlightWord)) {
      const bytes = name.endsWith('F64') ? 8 : 4;
      const start = place(flight) * bytes;
      expect(start % bytes).toBe(0);
      ranges.push({ name: `${name} of ${flight}`, start, end: start + bytes });
    }
  }
  for (let rank = 0; rank < lanes; rank++) {
    for (const [name, outcome] of Object.entries(Outcome)) {
      const start = block.outcomeF64(rank, outcome) * 8;
      ranges.push({ name: `${name} of lane ${rank}`, start, end: start + 8 });
    }
  }
  for (let address = 0; address < addresses; address++) {
    const settled = block.settledIndex(address) * 4;
    const gating = block.gatingIndex(address) * 4;
    ranges.push({ name: `settled ${address}`, start: settled, end: settled + 4 });
    ranges.push({ name: `gating ${address}`, start: gating, end: gating + 8 });
    ranges.push({ name: `numbers ${address}`, start: gating + 8, end: gating + 24 });
  }
  return ranges;
}

/** Every range lies in the block, is aligned to what it holds, and overlaps no other. */
function expectApart(ranges: readonly Range[], bytes: number): void {
  const sorted = [...ranges].sort((a, b) => a.start - b.start);
  const overlaps = sorted.filter((range, i) => i > 0 && range.start < sorted[i - 1].end).map(({ name }) => name);
  expect(overlaps).toEqual([]);
  expect(sorted.filter(({ end }) => end > bytes)).toEqual([]);
}

/** Words that somebody looks at again and again while another thread writes have their lines to themselves. */
function expectOwnLines(polled: readonly number[], ranges: readonly Range[]): void {
  const lineOf = (byte: number): number => Math.floor(byte / LINE_BYTES);
  const owners = new Map(polled.map((word) => [lineOf(word), word]));
  expect(owners.size).toBe(polled.length);
  const intruders = ranges.filter(({ start, end }) => {
    for (let line = lineOf(start); line <= lineOf(end - 1); line++) {
      if (owners.has(line) && owners.get(line) !== start) return true;
    }
    return false;
  });
  expect(intruders.map(({ name }) => name)).toEqual([]);
  const sorted = [...polled].sort((a, b) => a - b);
  for (let i = 1; i < sorted.length; i++) expect(sorted[i] - sorted[i - 1]).toBeGreaterThanOrEqual(LINE_BYTES);
}

function randomShape(random: SeededRandom): ProducerShape {
  return {
    capacities: Array.from({ length: 1 + random.below(8) }, () => 2 ** (6 + random.below(10))),
    types: 1 + random.below(300),
    symbols: 1 + random.below(5_000),
    nameBytes: 1 + random.below(50_000),
  };
}

describe('a producer block', () => {
  const random = new SeededRandom(7);
  const shapes = [
    { capacities: [64], types: 1, symbols: 1, nameBytes: 1 },
    { capacities: Array.from({ length: MAX_LANES }, () => 64), types: 2047, symbols: 33, nameBytes: 127 },
    ...Array.from({ length: 50 }, () => randomShape(random)),
  ];

  it('has no two words in the same place, whatever its shape', () => {
    for (const shape of shapes) {
      const block = ProducerBlock.create(shape);
      expectApart(producerRanges(block), block.source.byteLength);
    }
  });

  it('has the words that others poll in lines of their own', () => {
    for (const shape of shapes) {
      const block = ProducerBlock.create(shape);
      const polled = block.control.flatMap((words) =>
        [LaneWord.CURSOR_INDEX, LaneWord.ROOM_INDEX].map((index) => words.byteOffset + index * 4),
      );
      expectOwnLines([...polled, block.symbols.state.byteOffset], producerRanges(block));
    }
  });

  it('is seen by another thread in the shape in which it was made', () => {
    for (const shape of shapes) {
      const made = ProducerBlock.create(shape);
      const seen = new ProducerBlock(made.source);
      expect(producerRanges(seen)).toEqual(producerRanges(made));
      expect(seen.rings.map(({ u8 }) => u8.length)).toEqual(shape.capacities);
      // One for padding, one for gap notices.
      expect(seen.published.length).toBe(shape.types + 2);
      expect([seen.symbols.ends.length, seen.symbols.names.length]).toEqual([shape.symbols, shape.nameBytes]);
    }
  });

  it('has its rings where float64 and int64 can be written', () => {
    for (const shape of shapes) {
      for (const { u8 } of ProducerBlock.create(shape).rings) expect(u8.byteOffset % 8).toBe(0);
    }
  });

  it.each([0, 8, 63, 65, 96, 1_000, MIN_CAPACITY_BYTES / 2, MAX_CAPACITY_BYTES * 2, -64])(
    'refuses a capacity of %i bytes',
    (capacity) => {
      const make = (): unknown =>
        ProducerBlock.create({ capacities: [64, capacity], types: 1, symbols: 1, nameBytes: 1 });
      expect(make).toThrow(
        expect.objectContaining({
          code: 'ERR_LANEBUS_OPTIONS',
          message: `lane capacity of ${capacity} bytes: expected a power of two from 64 to 1073741824`,
        }),
      );
    },
  );

  it('starts a lane where it is told, before and behind the wraps', () => {
    const block = ProducerBlock.create({ capacities: [64, 64], types: 1, symbols: 1, nameBytes: 1 });
    block.startLaneAt(1, 2 ** 32 - 8, 2 ** 32 - 1);
    expect(block.control[1][LaneWord.CURSOR_INDEX]).toBe(-8);
    expect(block.stats[1][LaneWord.RECORDS_F64]).toBe(2 ** 32 - 1);
    expect(block.control[0][LaneWord.CURSOR_INDEX]).toBe(0);
  });
});

describe('a consumer block', () => {
  it('has no two words in the same place, and those that others poll in lines of their own', () => {
    const { source } = ConsumerBlock.create();
    const ranges = [header(), ...wordsOf(ConsumerWord, 0)];
    expectApart(ranges, source.byteLength);
    expectOwnLines([ConsumerWord.DOORBELL_INDEX * 4, ConsumerWord.BELL_INDEX * 4], ranges);
  });
});

describe('a subscription block', () => {
  const shapes: SubscriptionShape[] = [1, 2, 5, 24].flatMap((lanes) =>
    [1, 2, 17].flatMap((producers) => [1, 3, 40].map((flights) => ({ lanes, addresses: lanes * producers, flights }))),
  );
  const name = '$lanes lanes, $addresses addresses, $flights flights';

  it.each(shapes)(`has no two words in the same place (${name})`, (shape) => {
    const block = SubscriptionBlock.create(shape);
    expectApart(subscriptionRanges(block, shape), block.source.byteLength);
    const seen = new SubscriptionBlock(block.source);
    expect(subscriptionRanges(seen, shape)).toEqual(subscriptionRanges(block, shape));
    expect(seen.flights).toBe(shape.flights);
  });

  it.each(shapes)(`has the words that others poll in lines of their own (${name})`, (shape) => {
    const block = SubscriptionBlock.create(shape);
    const gates = Array.from({ length: shape.addresses }, (_, address) => block.gatingIndex(address) * 4);
    // A claim number is read when its thread is gone; it belongs to the gating position and lies in its line.
    const ranges = subscriptionRanges(block, shape).filter((range) => !range.name.startsWith('numbers'));
    expectOwnLines([SubscriptionWord.STATE_INDEX * 4, ...gates], ranges);
  });

  it('is seeded with the place where a lane is read from', () => {
    const block = SubscriptionBlock.create({ lanes: 2, addresses: 4, flights: 1 });
    block.seed(3, -64, 17, 5);
    expect(block.words[block.settledIndex(3)]).toBe(-64);
    expect([...block.words.subarray(block.gatingIndex(3), block.gatingIndex(3) + 2)]).toEqual([-64, 17]);
    expect(block.numberAt(3)).toBe(5);
    expect(block.words[block.settledIndex(2)]).toBe(0);
    expect(block.numberAt(2)).toBe(0);
  });

  it('finds the claim number of its gating position, before and after that has moved to the one noted', () => {
    const block = SubscriptionBlock.create({ lanes: 1, addresses: 2, flights: 1 });
    const gating = new Int32Array([2 ** 31 - 64]);
    const number = new Int32Array([2 ** 31 - 4]);
    block.seed(1, gating[0], 0, number[0]);
    for (let move = 0; move < 5; move++) {
      expect(block.numberAt(1)).toBe(number[0]);
      block.number(1, gating[0] + 24, number[0] + 3);
      expect(block.numberAt(1)).toBe(number[0]);
      gating[0] += 24;
      number[0] += 3;
      block.words[block.gatingIndex(1)] = gating[0];
    }
  });

  it('keeps the claim number of its gating position while it notes others that never become one', () => {
    const block = SubscriptionBlock.create({ lanes: 1, addresses: 1, flights: 1 });
    block.seed(0, 0, 0, 7);
    for (const position of [24, 48, 24, 72]) block.number(0, position, position);
    expect(block.numberAt(0)).toBe(7);
  });
});

describe('attaching to shared memory', () => {
  const blocks = {
    producer: {
      make: () => ProducerBlock.create({ capacities: [64, 128], types: 3, symbols: 5, nameBytes: 64 }).source,
      attach: (source: SharedArrayBuffer) => new ProducerBlock(source),
    },
    consumer: {
      make: () => ConsumerBlock.create().source,
      attach: (source: SharedArrayBuffer) => new ConsumerBlock(source),
    },
    subscription: {
      make: () => SubscriptionBlock.create({ lanes: 2, addresses: 6, flights: 3 }).source,
      attach: (source: SharedArrayBuffer) => new SubscriptionBlock(source),
    },
    claims: {
      make: () => ClaimBlock.create(64).source,
      attach: (source: SharedArrayBuffer) => new ClaimBlock(source),
    },
    conflation: {
      make: () => ConflationBlock.create({ keys: 5, recordBytes: 40 }).source,
      attach: (source: SharedArrayBuffer) => new ConflationBlock(source),
    },
    progress: {
      make: () => ConflationProgress.create(5).source,
      attach: (source: SharedArrayBuffer) => new ConflationProgress(source),
    },
  };
  const kinds = Object.entries(blocks);
  const foreign = (message: string | RegExp): unknown =>
    expect.objectContaining({
      code: FOREIGN,
      message: typeof message === 'string' ? message : (expect.stringMatching(message) as unknown),
    });

  it.each(kinds)('takes a %s block', (_, { make, attach }) => {
    const source = make();
    expect(attach(source).source).toBe(source);
  });

  it.each(kinds)('refuses what is not a %s block by its magic', (kind, { make, attach }) => {
    expect(() => attach(new SharedArrayBuffer(4096))).toThrow(
      foreign(`shared memory is not a Lanebus ${kind} block: magic is 0x0, expected 0x4c414e45`),
    );
    const source = make();
    new Int32Array(source)[0] = 0x45414e4c;
    expect(() => attach(source)).toThrow(foreign(/: magic is 0x45414e4c, expected 0x4c414e45$/));
  });

  it.each(kinds)('refuses a %s block of another version', (_, { make, attach }) => {
    const source = make();
    new Int32Array(source)[1] = 2;
    expect(() => attach(source)).toThrow(foreign(/: version is 2, expected 1$/));
  });

  it.each(kinds)('refuses other kinds than a %s block', (kind, { attach }) => {
    for (const [other, { make }] of kinds) {
      if (other === kind) continue;
      expect(() => attach(make())).toThrow(
        foreign(new RegExp(`^shared memory is not a Lanebus ${kind} block: kind is \\d, expected \\d$`)),
      );
    }
  });

  it.each(kinds)('refuses a %s block that is cut short or too long', (_, { make, attach }) => {
    const source = make();
    for (const bytes of [source.byteLength - LINE_BYTES, source.byteLength + LINE_BYTES, source.byteLength * 2]) {
      const other = new SharedArrayBuffer(bytes);
      new Uint8Array(other).set(new Uint8Array(source).subarray(0, bytes));
      expect(() => attach(other)).toThrow(
        foreign(new RegExp(`: it has ${bytes} bytes, its header says ${source.byteLength}$`)),
      );
    }
  });

  it.each(kinds)('refuses memory too small for the header of a %s block', (kind, { attach }) => {
    for (const bytes of [0, 4, HEADER_BYTES, LINE_BYTES - 1]) {
      expect(() => attach(new SharedArrayBuffer(bytes))).toThrow(
        foreign(`shared memory is not a Lanebus ${kind} block: it has ${bytes} bytes, its header alone needs 128`),
      );
    }
  });

  it.each(kinds)('refuses as a %s block what is not shared', (kind, { make, attach }) => {
    const copy = new Uint8Array(make()).slice().buffer;
    for (const given of [copy, new Uint8Array(4096), {}, null, undefined, 42]) {
      expect(() => attach(given as never)).toThrow(
        foreign(`shared memory is not a Lanebus ${kind} block: it is no SharedArrayBuffer`),
      );
    }
  });
});
