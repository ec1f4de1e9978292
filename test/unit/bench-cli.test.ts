import { describe, expect, it } from 'vitest';
import { catalog, isWhole, makerOf, symbolsOf, typeOf } from '../../src/cli/bench/events.js';
import { formatProgress } from '../../src/cli/bench/report.js';
import { type Account, problemsOf } from '../../src/cli/bench/result.js';
import { readTally, Tally, TALLY_F64 } from '../../src/cli/bench/tally.js';
import { type Flags, planOf } from '../../src/cli/bench/plan.js';
import { createBus, type SubscriptionMetrics } from '../../src/main/index.js';

const flags: Flags = { seconds: 1, warmup: 0, payload: 64, work: 0, backend: 'parallel', whenFull: 'block' };
const KEYS = 16;

describe('an event of a benchmark', () => {
  it.each([16, 24, 32, 64, 72, 4_096])('takes as many bytes in the lane as was asked for: %i', async (payloadBytes) => {
    const bus = createBus(catalog, { backend: 'inline', logger: false });
    bus.subscribe(typeOf(payloadBytes), () => undefined);
    await bus.start();
    expect(bus.tryPublish(makerOf(payloadBytes, KEYS)(7, 0))).toBe('published');
    expect(bus.metrics().lanes.market.depthBytes).toBe(16 + payloadBytes);
    await bus.stop();
  });

  it.each([16, 64, 104])('is told from one that was changed on its way: %i bytes', (payloadBytes) => {
    const symbols = symbolsOf(KEYS);
    const event = makerOf(payloadBytes, KEYS)(2 ** 32 - 1, 0);
    expect(isWhole(event, payloadBytes, symbols)).toBe(true);
    expect(isWhole({ ...event, symbol: 'ES0' }, payloadBytes, symbols)).toBe(false);
    expect(isWhole({ ...event, sequence: 31 - KEYS - 1 }, payloadBytes, symbols)).toBe(false);
    if (event.type === 'TICK') expect(isWhole({ ...event, ask: 0 }, payloadBytes, symbols)).toBe(false);
    if (event.type === 'BLOCK') {
      const filling = event.filling.slice(1);
      expect(isWhole({ ...event, filling }, payloadBytes, symbols)).toBe(false);
    }
  });
});

describe('a tally', () => {
  const tallied = (keys: number, sequences: readonly number[]): ReturnType<typeof readTally> => {
    const words = new Float64Array(TALLY_F64);
    const tally = new Tally(words, keys);
    for (const sequence of sequences) tally.take(sequence);
    return readTally(words);
  };

  it('finds nothing wrong with events that come once and in order, of each key', () => {
    expect(tallied(1, [0, 1, 2, 3])).toEqual({ seen: 4, halts: 0, wrong: undefined });
    expect(tallied(2, [1, 3, 0, 5, 2])).toEqual({ seen: 5, halts: 0, wrong: undefined });
  });

  it.each([
    ['missing', 1, [0, 1, 3, 4], { expected: 2, found: 3, events: 1 }],
    ['there twice', 1, [0, 1, 1, 2], { expected: 2, found: 1, events: 1 }],
    ['early', 1, [0, 2, 1, 3], { expected: 1, found: 2, events: 3 }],
    ['missing of a key', 2, [0, 1, 4, 3], { expected: 2, found: 4, events: 1 }],
  ] as const)('tells of the first event that is %s', (_, keys, sequences, wrong) => {
    expect(tallied(keys, sequences).wrong).toEqual({ fault: 'order', ...wrong });
  });

  it('goes on where the numbers begin anew', () => {
    const words = new Float64Array(TALLY_F64);
    const tally = new Tally(words, 1);
    for (const sequence of [2 ** 32 - 1, 0, 1]) tally.take(sequence);
    expect(readTally(words).wrong).toMatchObject({ found: 2 ** 32 - 1, events: 1 });
  });
});

describe('a result', () => {
  const account = (changes: Partial<Account> = {}, metrics: Partial<SubscriptionMetrics> = {}): Account => ({
    metrics: {
      name: 'a',
      owed: 9,
      processed: 9,
      discarded: 0,
      exact: true,
      threads: [1],
      ...metrics,
    } as SubscriptionMetrics,
    owed: 9,
    seen: 9,
    wrong: undefined,
    ...changes,
  });

  it('is right where all counts agree, those discarded at the end among them', () => {
    expect(problemsOf([account()], 0)).toEqual([]);
    expect(problemsOf([account({ seen: 7 }, { processed: 7, discarded: 2 })], 0)).toEqual([]);
    expect(problemsOf([account({ seen: 8 }, { processed: 7, discarded: 2 })], 0)).toEqual([]);
  });

  it.each([
    [account({ seen: 8 }), 'subscription a: its handler has seen 8 events of 9'],
    [account({ owed: 10 }, {}), 'subscription a: the ledger owes it 9 events, 10 were published'],
    [account({ seen: 8 }, { processed: 8 }), 'subscription a: 9 events were published, 8 processed and 0 discarded'],
    [account({}, { exact: false }), 'subscription a: the two sides of its ledger do not agree'],
    [
      account({ wrong: { fault: 'order', expected: 3, found: 4, events: 2 } }),
      'subscription a: event 4 came where 3 should have, the first of 2 that were wrong',
    ],
    [
      account({ wrong: { fault: 'content', expected: 3, found: 3, events: 1 } }),
      'subscription a: event 3 was not what was published',
    ],
  ])('that is wrong says what is', (wrong, line) => {
    expect(problemsOf([wrong], 0)).toContain(line);
  });

  it('is wrong where a thread was lost', () => {
    expect(problemsOf([account()], 1)).toEqual([
      '1 pool thread was lost: what was in flight there was delivered again',
    ]);
  });
});

describe('a plan', () => {
  it('makes room for eight records, as far as no capacity was given', () => {
    expect(planOf('one-to-one', flags)).toMatchObject({ capacityBytes: 2 ** 22, maxRecordBytes: undefined });
    const large = { ...flags, payload: 1_000_001 };
    expect(planOf('one-to-one', large)).toMatchObject({ payloadBytes: 1_000_008, capacityBytes: 2 ** 23 });
    expect(planOf('one-to-one', { ...large, capacity: 2 ** 21 })).toMatchObject({ maxRecordBytes: 1_000_024 });
  });
});

it('progress is a line', () => {
  const plan = planOf('one-to-one', flags);
  expect(formatProgress(plan, { seconds: 0, eventsPerSecond: 1e6, p99Micros: undefined })).toBe(
    'one-to-one: warming up, 1,000,000 events/s',
  );
  expect(formatProgress(plan, { seconds: 3.01, eventsPerSecond: 1234.5, p99Micros: 1234 })).toBe(
    'one-to-one: 3 of 1 s, 1,235 events/s, p99 so far 1.23 ms',
  );
});
