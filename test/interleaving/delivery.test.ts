import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type InFlight, recover } from '../../src/shared/delivery.js';
import { Dispatcher } from '../../src/shared/dispatch.js';
import { HOT_DELIVERIES } from '../../src/shared/hot-burst.js';
import { LaneView } from '../../src/shared/lane.js';
import {
  ConsumerBlock,
  FlightWord,
  LaneWord,
  Outcome,
  OUTCOME_SHIFT,
  ProducerBlock,
  type SubscriptionBlock,
  SubscriptionWord,
  WAITING_BIT,
} from '../../src/shared/layout.js';
import { Reader } from '../../src/shared/reader.js';
import { distance, later } from '../../src/shared/sequence.js';
import { LocalSubscription } from '../../src/shared/subscription.js';
import { failuresFor } from '../support/failures.js';
import { type Actor, explore, type Scenario } from '../support/interleavings.js';
import { Gatekeeper, laneOf } from '../support/lanes.js';
import { MortalThread, namesOf, watchAtomics } from '../support/mortal.js';

/** What happens for one delivery, in the order of delivery.ts. */
const DELIVERY = [
  'POSITION', // D1
  'LANE = tag',
  'handler',
  'BEFORE', // D2
  'LANE = outcome', // D3
  'OUTCOME', // D4
  'SETTLED', // D5
  'LANE = 0', // D6
  'SETTLED', // over what is skipped, too
  'GATING', // C3: from here on the lane may overwrite the record
] as const;
/** And for one that goes back to main, in the order of returns.ts. */
const RETURN = [
  'POSITION',
  'LANE = tag',
  'handler',
  'RETURN_END', // R1
  'RETURNED',
  'CURSOR', // R2: of the lane back
  'SETTLED',
  'LANE = 0',
  'RETURNED',
] as const;
const IN_ORDER = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const TAG = 1;
const START = 2 ** 31 - 64;
/** Behind everything that is published. */
const END = START + 256;

/** Where a record starts and ends, as noted when it was published. */
interface Place {
  readonly position: number;
  readonly next: number;
}

/** What a thread has left when it died. */
interface Remains {
  readonly block: SubscriptionBlock;
  /** Deliveries that have gone back to main. */
  readonly returned?: number;
  /** The records that were to be delivered. */
  readonly records: readonly Place[];
  /** Handlers that it had run, or begun to run. */
  readonly begun: number;
  readonly inFlight: InFlight | undefined;
}

/**
 * Every delivery has been counted once, or is reported in flight once, or has not begun; and the successor starts with
 * the first one that was not counted. @returns How many were counted.
 */
function expectOneFate({ block, returned = 0, records, begun, inFlight }: Remains): number {
  const { words, stats } = block;
  const counted = Object.values(Outcome).reduce((sum, outcome) => sum + stats[block.outcomeF64(0, outcome)], returned);
  const settled = words[block.settledIndex(0)];
  const least = counted === 0 ? START : records[counted - 1].next;
  const most = counted < records.length ? records[counted].position : END;
  if (distance(settled, least) < 0 || distance(settled, most) > 0) {
    throw new Error(`settled up to ${settled} after ${counted} outcomes, expected ${least} to ${most}`);
  }
  if (inFlight !== undefined && inFlight.position !== records.at(counted)?.position) {
    throw new Error(`delivery at ${inFlight.position} is in flight after ${counted} outcomes`);
  }
  if (begun > counted + (inFlight === undefined ? 0 : 1)) {
    throw new Error(`${begun} begun, ${counted} counted, ${inFlight === undefined ? 'none' : 'one'} in flight`);
  }
  const first = later(settled, words[block.gatingIndex(0)]);
  if (counted < records.length && distance(first, records[counted].position) > 0) throw new Error('one is skipped');
  return counted;
}

/** What the main thread does with the block of a thread that has exited. */
function recoverFrom(block: SubscriptionBlock, view: LaneView, returned = 0): InFlight | undefined {
  const found = recover(block, 1, returned, (address, position) => {
    block.words[block.settledIndex(address)] = view.next(position);
  });
  if (found.length > 1) throw new Error(`${found.length} deliveries are in flight at one place`);
  return found.at(0);
}

// ---------------------------------------------------------------------------------------------------------- the model

/**
 * A thread delivers three events and may die; the producer waits for the room of the first two. The third record is
 * longer: it overwrites the first one's header with its own, and the second one's with its payload.
 */
function delivering(order: readonly number[]): () => Scenario {
  return () => {
    const { lane, view } = laneOf({ capacity: 64, position: START });
    const { block, gate } = new Gatekeeper(lane);
    lane.setGates([gate]);
    const records: Place[] = [];
    const publish = (payloadBytes: number): void => {
      const before = lane.cursor;
      const at = lane.claim(payloadBytes, 1);
      lane.memory.i32.fill(-1, at >> 2, (at + payloadBytes) >> 2);
      lane.commit(1);
      records.push({ position: (before + ((at - 16 - before) & 63)) | 0, next: lane.cursor });
    };
    publish(8);
    publish(8);
    let begun = 0;
    return {
      actors: {
        *producer() {
          yield { step: 'publish', when: () => distance(block.words[gate.index], START) >= 48 };
          publish(16);
        },
        *pump() {
          for (let delivery = 0; delivery < 3; delivery++) {
            yield { step: 'C1 load CURSOR', when: () => records.length > delivery };
            yield* deliver(block, records[delivery], order, () => begun++);
          }
        },
      },
      mortal: 'pump',
      *heir() {
        yield 'recover';
        const inFlight = recoverFrom(block, view);
        expectOneFate({ block, records, begun, inFlight });
        yield 'free the room';
        Atomics.store(block.words, gate.index, lane.cursor);
      },
      check: (waiting) => {
        if (waiting.length > 0) throw new Error(`${waiting.join(', ')} waits for ever`);
      },
    };
  };
}

function* deliver(
  block: SubscriptionBlock,
  { position, next }: Place,
  order: readonly number[],
  handler: () => void,
): Actor {
  const { words, stats } = block;
  const counter = block.outcomeF64(0, Outcome.processed);
  const before = stats[counter];
  const laneIndex = FlightWord.laneIndex(0);
  const steps = [
    () => (words[FlightWord.positionIndex(0)] = position),
    () => (words[laneIndex] = TAG),
    handler,
    () => (stats[FlightWord.beforeF64(0)] = before),
    () => (words[laneIndex] = TAG | (Outcome.processed << OUTCOME_SHIFT)),
    () => (stats[counter] = before + 1),
    () => (words[block.settledIndex(0)] = next),
    () => (words[laneIndex] = 0),
    () => (words[block.settledIndex(0)] = next),
    () => Atomics.store(words, block.gatingIndex(0), next),
  ];
  for (const step of order) {
    yield DELIVERY[step];
    steps[step]();
  }
}

const swapped = (a: number, b: number): number[] => IN_ORDER.map((step) => (step === a ? b : step === b ? a : step));

describe('a delivery', () => {
  it('has one fate wherever its thread died: counted once, in flight once, or not begun', () => {
    const { schedules, violation } = explore(delivering(IN_ORDER));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(3 * DELIVERY.length);
  });

  it.each([
    ['D1: POSITION and LANE', 0, 1, /^delivery at \S+ is in flight after/],
    ['D1 and the handler', 1, 2, /^\d begun, \d counted, none in flight/],
    ['the handler and D3', 2, 4, /^settled up to/],
    ['D2 and D3', 3, 4, /^settled up to/],
    ['D3 and D4', 4, 5, /^settled up to/],
    ['D3 and D5', 4, 6, /^delivery at \S+ is in flight after/],
    ['D4 and D6', 5, 7, /^settled up to/],
    ['D5 and D6', 6, 7, /^settled up to/],
    ['D6 and C3', 7, 9, /^settled up to/],
  ])('has not when %s are swapped', (_, a, b, problem) => {
    const { violation } = explore(delivering(swapped(a, b)));
    expect(violation).toMatch(problem);
    expect(violation).toMatch(/pump: dies before/);
  });

  it('does not need the order of D4 and D5', () => {
    expect(explore(delivering(swapped(5, 6))).violation).toBeUndefined();
  });
});

// ------------------------------------------------------------------------------------------------------- the real code

const TICK = 1;
const OTHER = 2;
/** The subscription wants the first type only. */
const TYPES = [OTHER, TICK, OTHER, TICK, TICK, OTHER];
const TICKS = 3;

type Behaviour = () => unknown;

/** Whether the reader has delivered so much before that the loop of hot-burst.ts is compiled for it. */
let isHot = false;

/** The real dispatcher on a thread that lives to make so many stores. */
function dispatching(behaviour: Behaviour, life?: number, attempt = 1) {
  const thread = new MortalThread(life);
  const { block: producer, lane, view } = laneOf({ capacity: 256, types: 2, position: START });
  const { block, gate } = new Gatekeeper(lane, 1, [TICK]);
  lane.setGates([gate]);
  for (const type of TYPES) {
    lane.claim(8, type);
    lane.commit(type);
  }
  const records: Place[] = [];
  view.walk(START, view.end(), (type, position) => {
    if (type === TICK) records.push({ position, next: view.next(position) });
  });

  let begun = 0;
  const handler = (): unknown => {
    if (!thread.mayStore('handler')) return undefined;
    begun++;
    return behaviour();
  };
  const quiet = () => undefined;
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const failures = failuresFor(2);
  const setup = { id: 1, name: 'ticks', types: [TICK], block: block.source, once: false, failures };
  const handling = { handler, predicate: undefined };
  const subscription = new LocalSubscription(setup, handling, {} as never, log, 1, ['market']);
  const wordNames = new Map([
    [FlightWord.positionIndex(0), 'POSITION'],
    [FlightWord.laneIndex(0), 'LANE'],
    [FlightWord.attemptIndex(0), 'ATTEMPT'],
    [FlightWord.returnedIndex(0), 'RETURNED'],
    [FlightWord.returnEndIndex(0), 'RETURN_END'],
    [block.settledIndex(0), 'SETTLED'],
    [block.gatingIndex(0), 'GATING'],
    [block.gatingIndex(0) + 1, 'GATING_SEQUENCE'],
  ]);
  const nameOfWord = namesOf(SubscriptionWord, '_INDEX');
  const nameOfStat = namesOf(SubscriptionWord, '_F64');
  const outcomes = Object.values(Outcome).map((outcome) => block.outcomeF64(0, outcome));
  const seen = {
    words: thread.watch(subscription.words, (index, value) => {
      const name = wordNames.get(index) ?? nameOfWord(index);
      return name === 'LANE' ? nameOfLane(value) : name;
    }),
    stats: thread.watch(subscription.stats, (index) => {
      if (index === FlightWord.beforeF64(0)) return 'BEFORE';
      return outcomes.includes(index) ? 'OUTCOME' : nameOfStat(index);
    }),
  };
  for (const views of [subscription, subscription.block, ...subscription.deliveries]) Object.assign(views, seen);
  const back = subscription.returns.lane;
  const nameOfBack = (index: number): string | undefined => (index === LaneWord.CURSOR_INDEX ? 'CURSOR' : undefined);
  Object.assign(back, { control: thread.watch(back.control, nameOfBack) });
  const backView = new LaneView(new ProducerBlock(failures.returns.lane), 0);
  const place = { block: producer, rank: 0, name: 'market', producer: 0, publisher: 0, lanes: 1, isRetries: false };
  const selection = { decoders: [null, () => ({}), null, null], owns: null, accepts: null, keys: null, holds: null };
  const repeats = attempt === 1 ? undefined : new Map([[records[0].position, attempt]]);
  const reader = new Reader(subscription, place, selection, repeats);
  if (isHot) {
    reader.delivered = HOT_DELIVERIES;
    subscription.untilSample = 64; // the handlers before were fast
  }
  let ended: () => void = quiet;
  const dispatcher = new Dispatcher(new ConsumerBlock(ConsumerBlock.create().source).words, {
    bell: 0,
    sliceEnd: Infinity,
    sliceOver: false,
    isGuarded: () => true,
    overtaken: () => false,
    owe: quiet,
    deliveryStarted: quiet,
    deliveryEnded: () => {
      ended();
    },
  });
  return {
    thread,
    subscription,
    reader,
    dispatcher,
    block,
    lane,
    /** Delivers until nothing is left, or the thread is dead. */
    async deliver(): Promise<void> {
      while (!thread.dead && reader.hasNews) {
        const end = new Promise<void>((resolve) => (ended = resolve));
        dispatcher.burst(reader, Infinity);
        if (subscription.waiting > 0) await end;
      }
    },
    /** Why deliveries have gone back. */
    reasons(): string[] {
      const back: string[] = [];
      failures.reader.drain(({ reason }) => back.push(reason) > 0);
      return back;
    },
    /** What its successor finds. */
    recover(): { counted: number; inFlight: InFlight | undefined } {
      const inFlight = recoverFrom(block, view, backView.end());
      expect(recoverFrom(block, view, backView.end())).toEqual(inFlight);
      let returned = 0;
      backView.walk(0, backView.end(), () => returned++);
      return { counted: expectOneFate({ block, returned, records, begun, inFlight }), inFlight };
    },
  };
}

function nameOfLane(value: number): string {
  if (value === 0) return 'LANE = 0';
  if ((value & WAITING_BIT) !== 0) return 'LANE = waiting';
  return value >> OUTCOME_SHIFT === 0 ? 'LANE = tag' : 'LANE = outcome';
}

/** Goes through all deaths of what `act` makes a dispatcher do. @returns How many there were. */
async function throughAllDeaths(
  behaviour: Behaviour,
  act: (dispatching_: ReturnType<typeof dispatching>) => unknown,
  check: (found: { counted: number; inFlight: InFlight | undefined }) => void = () => undefined,
  attempt = 1,
): Promise<number> {
  for (let life = 0; ; life++) {
    const made = dispatching(behaviour, life, attempt);
    await act(made);
    const found = made.recover();
    check(found);
    if (made.thread.dead) continue;
    expect(found).toEqual({ counted: TICKS, inFlight: undefined });
    return life;
  }
}

const returns = (): void => undefined;
const fails = (): never => {
  throw new Error('no');
};
const resolves = (): Promise<void> => Promise.resolve();
const rejects = (): Promise<void> => Promise.reject(new Error('no'));
const never = (): Promise<void> => new Promise(() => undefined);

describe.each([
  ['the dispatcher', false],
  ['the dispatcher, hot,', true],
])('%s', (_, hot) => {
  let stopWatching: () => void;
  beforeEach(() => {
    isHot = hot;
    stopWatching = watchAtomics();
  });
  afterEach(() => {
    stopWatching();
  });

  /** Stores of the model only, and those that say that a promise is waited for. */
  async function storesOf(behaviour: Behaviour): Promise<string[]> {
    const made = dispatching(behaviour);
    await made.deliver();
    const known = new Set<string>([...DELIVERY, ...RETURN, 'LANE = waiting']);
    return made.thread.stores.filter((name) => known.has(name));
  }

  it('has a loop of its own for a reader that is hot', async () => {
    const made = dispatching(returns);
    await made.deliver();
    expect(made.reader.hot !== undefined).toBe(hot);
  });

  it('makes its stores in the order of the model', async () => {
    const stores = await storesOf(returns);
    // It gives back the room of records that it only skips too: at the start of the lane, and at its end.
    expect(stores).toEqual([...Array.from({ length: TICKS }, () => DELIVERY).flat(), 'SETTLED', 'GATING']);
  });

  it('makes its stores in the order of the model when a handler throws', async () => {
    const stores = await storesOf(fails);
    expect(stores.slice(0, RETURN.length)).toEqual(RETURN);
    expect(stores.filter((name) => name === 'LANE = 0')).toHaveLength(TICKS);
  });

  it('makes its stores in the order of the model when a handler rejects', async () => {
    const [position, tag, handler, ...ending] = RETURN;
    const awaited = [position, tag, handler, 'LANE = waiting', 'SETTLED', 'GATING', ...ending];
    expect((await storesOf(rejects)).slice(0, awaited.length)).toEqual(awaited);
  });

  it('makes its stores in the order of the model when a handler resolves', async () => {
    const stores = await storesOf(resolves);
    const [position, tag, handler, ...ending] = DELIVERY;
    const awaited = [position, tag, handler, 'LANE = waiting', 'SETTLED', 'GATING', ...ending];
    const first = stores.slice(0, awaited.length);
    expect(first).toEqual(awaited);
    expect(stores.filter((name) => name === 'LANE = 0')).toHaveLength(TICKS);
  });

  it.each([
    ['returns', returns],
    ['throws', fails],
    ['resolves', resolves],
    ['rejects', rejects],
  ] as [string, Behaviour][])(
    'leaves every delivery with one fate, whichever store it died before, when a handler %s',
    async (_, behaviour) => {
      const deaths = await throughAllDeaths(behaviour, (made) => made.deliver());
      expect(deaths).toBeGreaterThanOrEqual(TICKS * DELIVERY.length);
    },
  );

  it.each([
    ['returns', returns],
    ['resolves', resolves],
  ] as [string, Behaviour][])('counts the outcome of a handler that %s', async (_, behaviour) => {
    const made = dispatching(behaviour);
    await made.deliver();
    expect(made.block.stats[made.block.outcomeF64(0, Outcome.processed)]).toBe(TICKS);
  });

  it.each([
    ['throws', fails],
    ['rejects', rejects],
  ] as [string, Behaviour][])(
    'gives back what a handler that %s has failed at, and counts nothing',
    async (_, behaviour) => {
      const made = dispatching(behaviour);
      await made.deliver();
      expect(made.reasons()).toEqual(['failed', 'failed', 'failed']);
      for (const outcome of Object.values(Outcome)) expect(made.block.stats[made.block.outcomeF64(0, outcome)]).toBe(0);
    },
  );

  it('leaves every delivery with one fate while it gives up one that waits', async () => {
    const giveUpAll = ({ dispatcher, reader, subscription, thread }: ReturnType<typeof dispatching>): void => {
      while (!thread.dead && reader.hasNews) {
        dispatcher.burst(reader, Infinity);
        dispatcher.giveUp(subscription.deliveries[0]);
      }
    };
    expect(await throughAllDeaths(never, giveUpAll)).toBeGreaterThanOrEqual(TICKS * DELIVERY.length);
    const made = dispatching(never);
    giveUpAll(made);
    expect(made.reasons()).toEqual(['timedOut', 'timedOut', 'timedOut']);
  });

  it('discards each delivery once, whichever store it died before, and reports none in flight', async () => {
    const discardAll = ({ dispatcher, reader, lane }: ReturnType<typeof dispatching>): void => {
      dispatcher.discard(reader, lane.cursor);
    };
    await throughAllDeaths(returns, discardAll, ({ inFlight }) => {
      expect(inFlight).toBeUndefined();
    });
    const made = dispatching(returns);
    discardAll(made);
    expect(made.block.stats[made.block.outcomeF64(0, Outcome.discarded)]).toBe(TICKS);
    expect(made.reader.hasNews).toBe(false);
  });

  it('reports the attempt of a redelivery, and 1 for those behind it', async () => {
    const attempts = new Map<number, Set<number>>();
    const note = ({ counted, inFlight }: { counted: number; inFlight: InFlight | undefined }): void => {
      if (inFlight === undefined) return;
      attempts.set(counted, (attempts.get(counted) ?? new Set()).add(inFlight.attempt));
    };
    await throughAllDeaths(returns, (made) => made.deliver(), note, 3);
    expect(attempts).toEqual(
      new Map([
        [0, new Set([3])],
        [1, new Set([1])],
        [2, new Set([1])],
      ]),
    );
  });
});
