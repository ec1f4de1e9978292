/** Threads that die before each of their stores in turn, and what the real take-over makes of it. */
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EventType } from '../../src/shared/catalog.js';
import { compileDecoder, type Decoder } from '../../src/shared/codec.js';
import { ConflatedReader } from '../../src/shared/conflated-reader.js';
import { ConflationBlock, ConflationProgress } from '../../src/shared/conflation-block.js';
import { type BurstControl, Dispatcher } from '../../src/shared/dispatch.js';
import { select } from '../../src/shared/division.js';
import { ConsumerBlock, FlightWord } from '../../src/shared/layout.js';
import { type AnyReader, Reader } from '../../src/shared/reader.js';
import { LocalSubscription } from '../../src/shared/subscription.js';
import { SymbolReader } from '../../src/shared/symbols.js';
import { inherit, suspect } from '../../src/main/inheritance.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import type { ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';
import { CATALOG, keepingLog, KEYS, lanesWith, TestEngine, type TestEvent } from '../support/engine.js';
import { MortalThread, watchAtomics } from '../support/mortal.js';

const MARKET = 1;
const log = pino({ enabled: false });

/** The subscription wants ticks only. Their numbers are their keys. */
const EVENTS: readonly (readonly [TestEvent['type'], number])[] = [
  ['BAR', 0],
  ['TICK', 1],
  ['TICK', 2],
  ['BAR', 0],
  ['TICK', 1],
  ['TICK', 1],
  ['BAR', 0],
];
const TICKS = EVENTS.flatMap(([type, n]) => (type === 'TICK' ? [n] : []));

type Options = Partial<ResolvedSubscribeOptions>;

interface World {
  readonly test: TestEngine;
  readonly record: SubscriptionRecord;
  /** Sequences of the events whose handler was begun. */
  readonly begun: number[];
}

async function publishAll(options: Options, capacityBytes: number): Promise<World> {
  const market = { capacityBytes, maxRecordBytes: 128 };
  const test = new TestEngine({ lanes: lanesWith({ market }), position: 2 ** 31 - 64, sequence: 2 ** 32 - 3 });
  const record = test.register(['TICK'], options);
  for (const [type, n] of EVENTS) await test.publish(type, n);
  return { test, record, begun: [] };
}

/** An incarnation of the subscription's thread, which lives to make so many stores. @returns Whether it has died. */
function live(world: World, life: number): boolean {
  const { test, record } = world;
  const thread = new MortalThread(life);
  const incarnation = incarnationOf(world, thread);
  try {
    while (incarnation.reader.hasNews) incarnation.run();
    expect(record.hasDrained(test.producer)).toBe(true);
  } catch (error) {
    if (!thread.dead) throw error;
  }
  return thread.dead;
}

/** The real code of a subscription's thread, with a reader of the market lane. `run` is a burst. */
function incarnationOf(world: World, thread: MortalThread): { reader: AnyReader; run: () => number } {
  const { test, record, begun } = world;
  const [member] = record.members;
  const handler = (_: unknown, { sequence }: { sequence: number }): void => {
    step(thread);
    begun.push(sequence);
  };
  const subscription = new LocalSubscription(
    {
      id: member.id,
      name: record.name,
      types: record.types.map(({ index }) => index),
      block: member.block.source,
      once: false,
      failures: member.failureSetup,
    },
    { handler, predicate: record.options.predicate as undefined },
    test.engine.outbox,
    keepingLog([]),
    0,
    test.lanes.map(({ name }) => name),
  );
  const seen = {
    words: watch(thread, subscription.words),
    // Durations are of no interest: they lie before the flights.
    stats: watch(thread, subscription.stats, FlightWord.beforeF64(0)),
  };
  for (const views of [subscription, subscription.block, ...subscription.deliveries]) Object.assign(views, seen);
  const control: BurstControl = {
    bell: 0,
    sliceEnd: Infinity,
    sliceOver: false,
    isGuarded: () => true,
    overtaken: () => false,
    owe: (reader) => {
      reader.giveBack();
    },
    deliveryStarted: () => undefined,
    deliveryEnded: () => undefined,
  };
  const reader = readerOf(thread, subscription, world);
  const dispatcher = new Dispatcher(new ConsumerBlock(ConsumerBlock.create().source).words, control);
  return { reader, run: () => dispatcher.burst(reader, 3) };
}

function readerOf(thread: MortalThread, subscription: LocalSubscription, { test, record }: World): AnyReader {
  const [member] = record.members;
  const { producer } = test;
  const { block } = producer;
  const place = {
    block,
    rank: MARKET,
    name: 'market',
    producer: 0,
    publisher: 0,
    lanes: test.lanes.length,
    isRetries: false,
  };
  const symbols = new SymbolReader(block.symbols);
  const decoderOf = (type: EventType): Decoder => compileDecoder(type, symbols);
  const { filter } = record.options;
  const selection = select(record.types, CATALOG.types.length, decoderOf, member.division, filter, symbols);
  const repeats = new Map(member.redeliveries.map(({ position, attempt }) => [position, attempt]));
  const conflations = member.readSpec(producer).conflations?.[MARKET];
  if (conflations === undefined) return new Reader(subscription, place, selection, repeats);
  const queue = new ConflationBlock(conflations.block);
  const progress = new ConflationProgress(conflations.progress);
  Object.assign(queue, { states: watch(thread, queue.states) });
  Object.assign(progress, { words: watch(thread, progress.words), delivered: watch(thread, progress.delivered) });
  return new ConflatedReader(subscription, place, selection, repeats, queue, progress);
}

/** A dead thread goes no further than the store that it does not make. */
function step(thread: MortalThread): void {
  if (!thread.mayStore('handler')) throw new Error('the thread is dead');
}

function watch<W extends Int32Array | Float64Array>(thread: MortalThread, words: W, from = 0): W {
  return thread.watch(words, (index) => {
    if (thread.dead) throw new Error('the thread is dead');
    return index < from ? undefined : 'store';
  });
}

/** Every pair of deaths of a thread and of its successor, before any of their stores. @returns How many there were. */
async function throughAllDeaths(
  options: Options,
  capacityBytes: number,
  check: (world: World, repeated: number) => void,
): Promise<number> {
  let pairs = 0;
  for (let first = 0; ; first++) {
    for (let second = 0; ; second++) {
      const world = await publishAll(options, capacityBytes);
      const lives = [first, second, Infinity];
      let deaths = 0;
      let repeated = 0;
      while (live(world, lives[deaths])) {
        deaths++;
        repeated += takeOver(world);
      }
      check(world, repeated);
      if (deaths === 0) return pairs;
      if (deaths === 1) break;
      pairs++;
    }
  }
}

/** @returns How many deliveries were in flight and are to be repeated. */
function takeOver({ test, record }: World): number {
  const [member] = record.members;
  const { redeliveries } = member;
  const suspicion = suspect(member.inFlight);
  inherit(member, { reason: 'crash', late: [], maxCrashes: 9, lingers: false, suspicion }, log, test.desk);
  return member.redeliveries.filter((redelivery) => !redeliveries.includes(redelivery)).length;
}

describe('a successor', () => {
  let stopWatching: () => void;
  beforeEach(() => {
    stopWatching = watchAtomics();
  });
  afterEach(() => {
    stopWatching();
  });

  const SEQUENCES = EVENTS.flatMap(([type], index) => (type === 'TICK' ? [2 ** 32 - 3 + index] : []));

  it.each([
    ['gives room back after every few records', 1024],
    ['gives room back in the end', 1 << 16],
  ])('of an ordered reader that %s delivers all in order, and repeats what was in flight only', async (_, capacity) => {
    const pairs = await throughAllDeaths({}, capacity, ({ record, begun }, repeated) => {
      expect(record.metrics()).toMatchObject({ owed: TICKS.length, processed: TICKS.length, pending: 0, exact: true });
      expect(begun.filter((sequence, i) => sequence !== begun[i - 1])).toEqual(SEQUENCES);
      // A death between D1 and the handler repeats a delivery that was not begun.
      expect(begun.length).toBeLessThanOrEqual(TICKS.length + repeated);
      expect(record.metrics().redelivered).toBeLessThanOrEqual(repeated);
    });
    expect(pairs).toBeGreaterThan(500);
  });

  it('of a reader that filters counts each event once, passed or not', async () => {
    const filter = [{ field: 'n', min: 2, max: undefined }];
    await throughAllDeaths({ filter }, 1024, ({ record, begun }) => {
      expect(record.metrics()).toMatchObject({ owed: 4, processed: 1, filtered: 3, pending: 0, exact: true });
      expect(new Set(begun)).toEqual(new Set([SEQUENCES[1]]));
    });
  });

  it('of a conflating reader delivers the newest of each key, and counts each event once', async () => {
    const newest = [1, 2].map((key) => SEQUENCES[TICKS.lastIndexOf(key)]);
    const options = { mode: 'conflated', keys: KEYS } as const;
    const pairs = await throughAllDeaths(options, 1024, ({ record, begun }, repeated) => {
      expect(record.metrics()).toMatchObject({ owed: 4, processed: 2, conflated: 2, pending: 0, exact: true });
      expect(begun.filter((sequence, i) => sequence !== begun[i - 1])).toEqual(newest);
      expect(begun.length).toBeLessThanOrEqual(newest.length + repeated);
    });
    expect(pairs).toBeGreaterThan(380);
  });

  it('of a conflating reader that lingers has all keys to itself', async () => {
    const world = await publishAll({ mode: 'conflated', keys: KEYS }, 1024);
    const { record, begun } = world;
    const lingering = incarnationOf(world, new MortalThread());
    takeOver(world);
    expect(lingering.run()).toBe(0);
    expect(begun).toEqual([]);
    expect(live(world, Infinity)).toBe(false);
    expect(begun).toHaveLength(2);
    expect(record.metrics()).toMatchObject({ owed: 4, processed: 2, conflated: 2, pending: 0, exact: true });
  });
});
