/**
 * A module's state over the death of its thread: the steps of checkpointer.ts as a model, every schedule of a thread that
 * may die and a producer that waits for its room; and the real code, dying before each of its stores.
 */
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckpointBlock, CheckpointWord, claimRegion } from '../../src/shared/checkpoint-block.js';
import { CheckpointedReader } from '../../src/shared/checkpointed-reader.js';
import { Checkpointer } from '../../src/shared/checkpointer.js';
import type { EventType } from '../../src/shared/catalog.js';
import { compileDecoder, type Decoder } from '../../src/shared/codec.js';
import { packValue, unpackCopy } from '../../src/shared/codec-values.js';
import { type BurstControl, Dispatcher } from '../../src/shared/dispatch.js';
import { select } from '../../src/shared/division.js';
import { ConsumerBlock, FlightWord } from '../../src/shared/layout.js';
import { distance, later } from '../../src/shared/sequence.js';
import { LocalSubscription } from '../../src/shared/subscription.js';
import { SymbolReader } from '../../src/shared/symbols.js';
import { inherit, suspect } from '../../src/main/inheritance.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import { CATALOG, keepingLog, lanesWith, TestEngine, type TestEvent } from '../support/engine.js';
import { type Actor, explore, type Scenario } from '../support/interleavings.js';
import { Gatekeeper, laneOf } from '../support/lanes.js';
import { MortalThread, watchAtomics } from '../support/mortal.js';

const START = 2 ** 31 - 64;
const PAYLOAD_OFFSET = 16;

function newBlock(addresses: number): CheckpointBlock {
  return CheckpointBlock.create({ addresses, entries: 8 }, [claimRegion(1024), claimRegion(1024)]);
}

// -------------------------------------------------------------------------------------------------- the model: K1 to K3

/** The steps of a checkpoint, in the order of checkpointer.ts. A state is written in two halves: see what tears. */
const STEPS = ['K1 first half', 'K1 second half', 'K1 lanes', 'K2 CURRENT', 'K3 GATING'] as const;

/**
 * A thread delivers three records of a lane that has room for two, with a checkpoint after each. The state is the list
 * of numbers that it has seen. The producer overwrites the first record as soon as GATING lets it.
 */
function checkpointing(order: readonly number[]): () => Scenario {
  return () => {
    const { block: producer, lane, view } = laneOf({ capacity: 64, position: START });
    const { block, gate } = new Gatekeeper(lane);
    const checkpoints = newBlock(1);
    lane.setGates([gate]);
    let published = 0;
    const publish = (): void => {
      const at = lane.claim(16, 1);
      lane.memory.i32[at >> 2] = ++published;
      lane.commit(1);
    };
    const numberAt = (position: number): number => lane.memory.i32[(view.offset(position) + PAYLOAD_OFFSET) >> 2];
    publish();
    publish();
    const { words } = block;
    const settledIndex = block.settledIndex(0);
    const state: number[] = [];

    function* checkpoint(position: number): Actor {
      const place = checkpoints.next;
      const bytes = new Uint8Array(packValue(state));
      const half = new Uint8Array(bytes);
      half.fill(0xff, bytes.length >> 1);
      const steps = [
        () => {
          place.writeState(half);
        },
        () => {
          place.writeState(bytes);
        },
        () => {
          place.begin([{ address: 0, serial: producer.serial, position, sequence: 0, missed: 0 }]);
        },
        () => {
          checkpoints.commit('whole');
        },
        () => Atomics.store(words, gate.index, position),
      ];
      for (const step of order) {
        yield STEPS[step];
        steps[step]();
      }
    }

    return {
      actors: {
        *producer() {
          yield { step: 'publish', when: () => distance(gate.words[gate.index], START) >= 32 };
          publish();
        },
        *pump() {
          for (let position = START, count = 1; count <= 3; count++) {
            yield { step: `deliver ${count}`, when: () => published >= count };
            state.push(numberAt(position));
            position = view.next(position);
            words[settledIndex] = position;
            yield* checkpoint(position);
          }
        },
      },
      mortal: 'pump',
      *heir() {
        yield 'restore';
        const { current } = checkpoints;
        const found: number[] = checkpoints.hasState ? (unpackCopy(current.readState()) as number[]) : [];
        const mark = current.laneAt(0, producer.serial);
        const gating = words[gate.index];
        let position = mark === undefined ? gating : later(gating, mark.position);
        for (const settled = words[settledIndex]; distance(settled, position) > 0; position = view.next(position)) {
          found.push(numberAt(position));
        }
        if (found.join() !== state.join()) throw new Error(`state is ${found.join()}, expected ${state.join()}`);
        yield 'free the room';
        Atomics.store(words, gate.index, lane.cursor);
      },
      check: (waiting) => {
        if (waiting.length > 0) throw new Error(`${waiting.join(', ')} waits for ever`);
      },
    };
  };
}

describe('a checkpoint', () => {
  const IN_ORDER = [0, 1, 2, 3, 4];
  const swapped = (a: number, b: number): number[] => IN_ORDER.map((step) => (step === a ? b : step === b ? a : step));

  it('is whole, or the one before it is, wherever the thread dies, and the lane has what followed it', () => {
    const { schedules, violation } = explore(checkpointing(IN_ORDER));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(50);
  });

  it.each([
    ['the state and K2', 1, 3],
    ['the lanes and K2', 2, 3],
    ['K2 and K3', 3, 4],
    ['the state and K3', 0, 4],
  ])('is not when %s are swapped', (_, a, b) => {
    const { violation } = explore(checkpointing(swapped(a, b)));
    expect(violation).toMatch(/^state is/);
    expect(violation).toMatch(/pump: dies before/);
  });
});

// -------------------------------------------------------------------------------------------- the model: the order log

/** The steps of a delivery from another lane than the one before it. */
const LOG_STEPS = ['L1, L2 the entry', 'D1 and the handler', 'D5 SETTLED'] as const;
/** Lanes of the deliveries. */
const TURNS = [0, 1, 1, 0, 1] as const;

/** Deliveries of two lanes in turns; the heir finds the order of those that have ended. */
function taking(order: readonly number[]): () => Scenario {
  return () => {
    const block = newBlock(2);
    const settled = [START, START];
    const ended: number[] = [];
    return {
      actors: {
        *pump() {
          let last = -1;
          for (const [n, address] of TURNS.entries()) {
            const position = settled[address];
            const steps = [
              () => {
                if (last !== address) block.current.log(address, position);
                last = address;
              },
              () => undefined,
              () => {
                settled[address] = (position + 8) | 0;
                ended.push(n);
              },
            ];
            for (const step of order) {
              yield LOG_STEPS[step];
              steps[step]();
            }
          }
        },
      },
      mortal: 'pump',
      *heir() {
        yield 'read the log';
        const ends = [...settled];
        const runs: { address: number; from: number; to: number }[] = [];
        for (let index = block.current.logged - 1; index >= 0; index--) {
          const { address, position } = block.current.entryAt(index);
          if (distance(ends[address], position) > 0) runs.unshift({ address, from: position, to: ends[address] });
          ends[address] = position;
        }
        const lanes = runs.flatMap(({ address, from, to }) =>
          Array.from({ length: distance(to, from) / 8 }, () => address),
        );
        const expected = ended.map((n) => TURNS[n]);
        if (lanes.join() !== expected.join()) {
          throw new Error(`shown again: lanes ${lanes.join()}, expected ${expected.join()}`);
        }
      },
    };
  };
}

describe('the order log', () => {
  it('tells the order of what has ended, wherever the thread died', () => {
    expect(explore(taking([0, 1, 2])).violation).toBeUndefined();
  });

  it('does not when a delivery ends before its entry is made', () => {
    expect(explore(taking([2, 1, 0])).violation).toMatch(/^shown again: lanes/);
  });
});

// ------------------------------------------------------------------------------------------------------- the real code

const log = pino({ enabled: false });
/** On two lanes. */
const EVENTS: readonly (readonly [TestEvent['type'], number])[] = [
  ['TICK', 1],
  ['BAR', 0],
  ['HALT', 2],
  ['TICK', 3],
  ['HALT', 4],
];
const RANKS = [1, 0];
const SMALL = { capacityBytes: 1024, maxRecordBytes: 128 } as const;
const EVERY = 2;

interface World {
  readonly test: TestEngine;
  readonly record: SubscriptionRecord;
  /** Numbers of the events that were delivered, not shown again, in order. One that was repeated is there twice. */
  readonly delivered: number[];
  /** What the current life's module has seen. */
  state: number[];
}

async function newWorld(every = EVERY): Promise<World> {
  const test = new TestEngine({
    lanes: lanesWith({ market: SMALL, control: SMALL, log: SMALL }),
    position: START,
    sequence: 2 ** 32 - 3,
  });
  const record = test.register(['TICK', 'HALT'], { checkpointEvery: every });
  for (const [type, n] of EVENTS) await test.publish(type, n);
  return { test, record, delivered: [], state: [] };
}

interface Life {
  readonly checkpointer: Checkpointer;
  /** Runs one delivery of one lane, the next time one of the other. @returns Whether there was one. */
  readonly run: () => boolean;
}

/** A life of the subscription's thread, which lives to make so many stores. @returns Whether it has died. */
function live(world: World, life: number): boolean {
  const thread = new MortalThread(life);
  try {
    const { run } = lifeOf(world, thread);
    while (run());
    expect(world.record.hasDrained(world.test.producer)).toBe(true);
  } catch (error) {
    if (!thread.dead) throw error;
  }
  return thread.dead;
}

/** The real code of a subscription's thread. */
function lifeOf(world: World, thread: MortalThread): Life {
  const { test, record, delivered } = world;
  const [member] = record.members;
  const spec = member.checkpoints?.spec;
  if (spec === undefined) throw new Error('it has no checkpoints');
  const step = (): void => {
    if (!thread.mayStore('handler')) throw new Error('the thread is dead');
  };
  const block = new CheckpointBlock(spec);
  world.state = block.hasState ? (unpackCopy(block.current.readState()) as number[]) : [];
  const handler = ({ n }: { n: number }, { replay }: { replay: boolean }): void => {
    step();
    if (!replay) delivered.push(n);
    world.state.push(n);
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
    { handler, predicate: undefined },
    test.engine.outbox,
    keepingLog([]),
    0,
    test.lanes.map(({ name }) => name),
  );
  const watch = <W extends Int32Array | Float64Array>(words: W, from = 0): W =>
    thread.watch(words, (index) => {
      if (thread.dead) throw new Error('the thread is dead');
      return index < from ? undefined : 'store';
    });
  const seen = { words: watch(subscription.words), stats: watch(subscription.stats, FlightWord.beforeF64(0)) };
  for (const views of [subscription, subscription.block, ...subscription.deliveries]) Object.assign(views, seen);
  Object.assign(block, { words: watch(block.words), stats: watch(block.stats, CheckpointWord.REPLAYED_F64) });
  const checkpointer = new Checkpointer(subscription, block, spec, {
    snapshot: () => {
      step();
      return world.state;
    },
    fatal: () => undefined,
  });
  const readers = RANKS.map((rank) => readerOf(world, subscription, checkpointer, rank));
  subscription.readers.push(...readers);
  checkpointer.start(spec.skipped);
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
  const dispatcher = new Dispatcher(new ConsumerBlock(ConsumerBlock.create().source).words, control);
  let turn = 0;
  const run = (): boolean => {
    const next = [readers[turn % 2], readers[(turn + 1) % 2]].find(({ canRun }) => canRun);
    turn++;
    if (next !== undefined) dispatcher.burst(next, 1);
    else for (const reader of readers) reader.skip();
    return next !== undefined;
  };
  return { checkpointer, run };
}

function readerOf(
  { test, record }: World,
  subscription: LocalSubscription,
  checkpointer: Checkpointer,
  rank: number,
): CheckpointedReader {
  const [member] = record.members;
  const { block } = test.producer;
  const lanes = test.lanes.length;
  const place = { block, rank, name: test.lanes[rank].name, producer: 0, publisher: 0, lanes, isRetries: false };
  const symbols = new SymbolReader(block.symbols);
  const decoderOf = (type: EventType): Decoder => compileDecoder(type, symbols);
  const selection = select(record.types, CATALOG.types.length, decoderOf, member.division, undefined, symbols);
  const due = member.redeliveries.filter(({ address }) => address === rank);
  const repeats = due.length === 0 ? undefined : new Map(due.map(({ position, attempt }) => [position, attempt]));
  return new CheckpointedReader(subscription, place, selection, repeats, checkpointer, 1 << 14);
}

function takeOver({ test, record }: World): void {
  const [member] = record.members;
  const suspicion = suspect(member.inFlight);
  inherit(member, { reason: 'crash', late: [], maxCrashes: 99, lingers: false, suspicion }, log, test.desk);
}

describe('a module whose thread dies', () => {
  let stopWatching: () => void;
  beforeEach(() => {
    stopWatching = watchAtomics();
  });
  afterEach(() => {
    stopWatching();
  });

  it('has seen everything once, in the order in which it was delivered, whichever store it and its successor died before', async () => {
    let pairs = 0;
    for (let first = 0, ended = false; !ended; first++) {
      // Every third death of the successor, others for each death of the first: all together are every state it may find.
      for (let second = first % 3; ; second += 3) {
        const world = await newWorld();
        const lives = [first, second, Infinity];
        let deaths = 0;
        while (live(world, lives[deaths])) {
          deaths++;
          takeOver(world);
        }
        const { record, delivered, state } = world;
        const once = delivered.filter((n, at) => n !== delivered[at - 1]);
        expect(state, `deaths after ${first} and ${second} stores`).toEqual(once);
        expect([...state].sort()).toEqual([1, 2, 3, 4]);
        expect(record.metrics()).toMatchObject({ owed: 4, processed: 4, pending: 0, exact: true });
        if (deaths === 0) ended = true;
        if (deaths < 2) break;
        pairs++;
      }
    }
    expect(pairs).toBeGreaterThan(500);
  });

  it('gives nothing back while it is shown again what it had, whoever asks', async () => {
    const world = await newWorld(100);
    const { record, test } = world;
    const [member] = record.members;
    const first = lifeOf(world, new MortalThread());
    for (let delivery = 0; delivery < 3; delivery++) first.run();
    takeOver(world);
    const second = lifeOf(world, new MortalThread());
    const positions = (): unknown[] =>
      RANKS.map((rank) => [member.settled(test.producer, rank), member.gating(test.producer, rank)]);
    const before = positions();
    expect(second.run()).toBe(true);
    expect(second.checkpointer.replay).toBeDefined();
    second.checkpointer.ask();
    expect(positions()).toEqual(before);
    while (second.run());
    expect(world.state).toEqual(world.delivered);
  });
});
