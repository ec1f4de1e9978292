/** A publishing thread and a handling one, both this one: an outbox with one lane, a subscription, and its reader. */
import type { Division } from '../../src/shared/division.js';
import { type Tick, symbolsOf } from '../ticks.js';
import { catalog } from '../systems/lanebus-catalog.js';
import {
  CircuitBlock,
  compileDecoder,
  ConsumerBlock,
  filterProblems,
  LaneWord,
  LocalSubscription,
  normaliseFilter,
  Outcome,
  Outbox,
  ProducerBlock,
  Pump,
  Reader,
  ReturnReader,
  select,
  SubscriptionBlock,
  SymbolReader,
} from './internals.js';

export const SYMBOLS = symbolsOf({ symbols: 16 });
const CAPACITY_BYTES = 1 << 20;
const RETURN_BYTES = 1 << 18;
export const ALONE: Division = { index: 0, of: 1, mode: 'ordered', keys: undefined, holds: undefined };
const NO_LOG = { debug: ignore, info: ignore, warn: ignore, error: ignore, isLevelEnabled: () => false };

function ignore(): void {
  // Nothing that is measured logs.
}

export interface RigOptions {
  readonly handler?: (event: Tick, context: { publish(event: object): Promise<void> }) => unknown;
  readonly predicate?: (event: Tick) => boolean;
  readonly filter?: object;
  readonly division?: Division;
  /** Types that the subscription wants. Default TICK. */
  readonly wants?: readonly string[];
  /** A pool thread's outbox. */
  readonly mortal?: boolean;
}

export function openRig({ handler = ignore, predicate, filter, division = ALONE, ...options }: RigOptions = {}) {
  const { wants = ['TICK'], mortal = false } = options;
  const { types } = catalog;
  const wanted = types.filter(({ name }) => wants.includes(name));
  const block = ProducerBlock.create({
    capacities: [CAPACITY_BYTES],
    types: types.length,
    symbols: 64,
    nameBytes: 1024,
  });
  const lane = {
    name: 'market',
    maxPriority: Infinity,
    maxRecordBytes: CAPACITY_BYTES >> 3,
    urgent: false,
    whenFull: 'reject',
    timeoutMs: 0,
    spillWatermarkBytes: CAPACITY_BYTES,
  } as const;
  const outbox = new Outbox(catalog, block, [lane], 'the bench', mortal, ignore);
  const consumer = ConsumerBlock.create();
  const pump = new Pump(consumer, { urgent: [false], spinMicros: 0, starvation: false }, () => {
    outbox.flush();
  });
  pump.sliceEnd = Infinity; // set by its loop otherwise: no burst ends for the time that it has taken
  const own = SubscriptionBlock.create({ lanes: 1, addresses: 1, flights: 1 });
  const subscription = new LocalSubscription(
    {
      id: 1,
      name: 'ticks',
      types: wanted.map(({ index }) => index),
      block: own.source,
      once: false,
      failures: {
        member: 0,
        circuit: CircuitBlock.create().source,
        maxFailures: 0,
        returns: new ReturnReader(types.length, RETURN_BYTES, ConsumerBlock.create().source).spec,
        keepsOrder: false,
        held: [],
      },
    },
    { handler, predicate },
    outbox,
    NO_LOG,
    0,
    ['market'],
  );
  const symbols = new SymbolReader(block.symbols);
  if (filter !== undefined && filterProblems(filter, wanted).length > 0) throw new Error('the filter is wrong');
  const selection = select(
    wanted,
    types.length,
    (type) => compileDecoder(type, symbols),
    division,
    filter === undefined ? undefined : normaliseFilter(filter),
    symbols,
  );
  const place = { block, rank: 0, name: 'market', producer: 0, publisher: 0, lanes: 1, isRetries: false };
  const reader = new Reader(subscription, place, selection, undefined);
  subscription.readers.push(reader);
  const gatingIndex = own.gatingIndex(0);
  /** Lets the lane wait for the reader. */
  const connect = (): void => {
    const gate = {
      id: 1,
      name: 'ticks',
      types: wanted.map(({ index }) => index),
      words: own.words,
      index: gatingIndex,
      consumer: consumer.words,
      conflator: undefined,
    };
    outbox.openGates([[gate]]);
  };
  const [ring] = outbox.lanes;
  return {
    outbox,
    pump,
    reader,
    lane: ring,
    types: wanted,
    symbols,
    /** Records that the lane has taken. */
    records: (): number => ring.stats[LaneWord.RECORDS_F64],
    /** Delivers what is visible, in bursts of so many. */
    deliver: (limit = Infinity): void => {
      while (reader.hasNews) pump.dispatcher.burst(reader, limit);
    },
    /** Puts the reader at a position, as if nothing behind it had been delivered. The lane must not wait for it. */
    rewind: (position: number): void => {
      own.words[own.settledIndex(0)] = position;
      own.words[gatingIndex] = position;
      reader.position = reader.flushed = position;
    },
    /** Lets everything that is visible count as read, for a lane whose reader is not measured. */
    catchUp: (): void => {
      Atomics.store(own.words, gatingIndex, ring.cursor);
    },
    connect,
    /** Deliveries so far that were processed, or did not pass a filter. */
    processed: (): number => own.stats[own.outcomeF64(0, Outcome.processed)],
    filtered: (): number => own.stats[own.outcomeF64(0, Outcome.filtered)],
  };
}

export type Rig = ReturnType<typeof openRig>;
