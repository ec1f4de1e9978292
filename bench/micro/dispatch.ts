/** From a record in the lane to the end of its delivery; what follows on another thread is here on this one. */
import { deepStrictEqual } from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { catalog } from '../systems/lanebus-catalog.js';
import { checkTally, makeTick, type Tick, TickTally } from '../ticks.js';
import type { Division } from '../../src/shared/division.js';
import type { Micro, MicroSpec } from './micro.js';
import { ALONE, openRig, type Rig, type RigOptions, SYMBOLS } from './rig.js';

const EVENTS = 1024;
/** Of those that end with a turn of the event loop or a sleep, which are not to count. */
const PUMPED_EVENTS = 4096;
/** What the pump allows a burst. */
const BURST = 256;

interface Dispatched extends RigOptions {
  /** Most deliveries of a burst. */
  readonly limit?: number;
  /** Which ticks the handler is to get. Default: each. */
  readonly wanted?: (tick: Tick) => boolean;
  /** Deliveries that end without it, of EVENTS. */
  readonly filtered?: number;
  /** Published behind each tick. */
  readonly other?: object;
}

/** The same records over and over, read field by field, as the consumer of scenario one-to-one does. */
function makeDispatch({ limit = BURST, wanted = () => true, filtered = 0, other, ...options }: Dispatched): Micro {
  let sum = 0;
  let seen = 0;
  const rig = openRig({
    ...options,
    handler: (tick) => {
      seen++;
      sum += tick.size + tick.ask - tick.bid + tick.symbol.length + tick.sequence;
    },
  });
  const { outbox, rewind, deliver, processed } = rig;
  const expected = { seen: 0, sum: 0 };
  for (let n = 0; n < EVENTS; n++) {
    const tick = makeTick(n, SYMBOLS);
    outbox.tryPublish(tick);
    if (other !== undefined) outbox.tryPublish(other);
    if (!wanted(tick)) continue;
    expected.seen++;
    expected.sum += tick.size + tick.ask - tick.bid + tick.symbol.length + tick.sequence;
  }
  outbox.flush();
  const run = (): number => {
    rewind(0);
    sum = seen = 0;
    deliver(limit);
    return sum;
  };
  return {
    operations: EVENTS,
    run,
    check() {
      const before = processed();
      const filteredBefore = rig.filtered();
      run();
      deepStrictEqual({ seen, sum }, expected);
      deepStrictEqual(
        { processed: processed() - before, filtered: rig.filtered() - filteredBefore },
        { processed: expected.seen, filtered },
      );
    },
  };
}

/** A handler that keeps each event for a while: the object must be made. */
function makeKeeping(): Micro {
  const kept: Tick[] = [];
  let next = 0;
  const { outbox, rewind, deliver } = openRig({
    handler: (tick) => {
      kept[next++ & 63] = tick;
    },
  });
  for (let n = 0; n < EVENTS; n++) outbox.tryPublish(makeTick(n, SYMBOLS));
  outbox.flush();
  const run = (): number => {
    rewind(0);
    next = 0;
    deliver(BURST);
    return next;
  };
  return {
    operations: EVENTS,
    run,
    check() {
      run();
      deepStrictEqual(
        kept,
        Array.from({ length: 64 }, (_, at) => makeTick(EVENTS - 64 + at, SYMBOLS)),
      );
    },
  };
}

/** The thread of a pump that runs: what it is to do is begun, then awaited. */
function makePumped(
  begin: (rig: Rig) => void | Promise<void>,
  handle: (tick: Tick, take: (tick: Tick) => void, publish: (event: object) => Promise<void>) => unknown,
): Micro {
  const tally = new TickTally();
  let seen = 0;
  let end: (() => void) | undefined;
  const take = (tick: Tick): void => {
    tally.take(tick);
    if (++seen === PUMPED_EVENTS) end?.();
  };
  const rig = openRig({ handler: (tick, context) => handle(tick, take, (event) => context.publish(event)) });
  const { pump, reader, connect } = rig;
  connect();
  pump.wired = true;
  pump.add(reader);
  const running = pump.run();
  const deliverAll = async (): Promise<void> => {
    seen = 0;
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    await begin(rig);
    await ended;
  };
  return {
    operations: PUMPED_EVENTS,
    async run() {
      await deliverAll();
      const { count, sizeSum, symbolSum } = tally.close();
      return count + sizeSum + symbolSum;
    },
    async check() {
      await deliverAll();
      checkTally(tally.close(), PUMPED_EVENTS, SYMBOLS);
      await turn();
    },
    async close() {
      pump.stop();
      await running;
    },
  };
}

const publishAll = ({ outbox }: Rig): void => {
  for (let n = 0; n < PUMPED_EVENTS; n++) outbox.tryPublish(makeTick(n, SYMBOLS));
};

/** Those of one of four threads. What all four get is checked: each symbol, once. */
function makeDivided(): Micro {
  const { index = 0 } = catalog.typeNamed('TICK') ?? {};
  const divisions = [0, 1, 2, 3].map((member): Division => ({
    ...ALONE,
    index: member,
    of: 4,
    keys: { [index]: 'symbol' },
  }));
  const owned = divisions.map((division) => {
    const seen = new Set<string>();
    const { outbox, deliver } = openRig({ division, handler: ({ symbol }) => seen.add(symbol) });
    SYMBOLS.forEach((_, n) => outbox.tryPublish(makeTick(n, SYMBOLS)));
    outbox.flush();
    deliver();
    return seen;
  });
  deepStrictEqual(owned.flatMap((seen) => [...seen]).toSorted(), SYMBOLS.toSorted());
  return makeDispatch({ division: divisions[0], wanted: ({ symbol }) => owned[0].has(symbol) });
}

export const dispatch: readonly MicroSpec[] = [
  { name: 'dispatch: a tick, in bursts', make: () => makeDispatch({}) },
  { name: 'dispatch: a tick, one a burst', make: () => makeDispatch({ limit: 1 }) },
  { name: 'dispatch: a tick that the handler keeps', make: makeKeeping },
  {
    name: 'dispatch: a tick that passes a filter',
    make: () => makeDispatch({ filter: { symbol: [...SYMBOLS] } }),
  },
  {
    name: 'dispatch: a tick that a filter stops',
    make: () => makeDispatch({ filter: { symbol: ['NQ'] }, wanted: () => false, filtered: EVENTS }),
  },
  {
    name: 'dispatch: a tick that a predicate stops',
    make: () => makeDispatch({ predicate: ({ size }) => size > 8, wanted: () => false, filtered: EVENTS }),
  },
  { name: 'dispatch: ticks divided by key among 4 threads', make: makeDivided },
  {
    name: 'dispatch: ticks behind a record of another type each',
    make: () => makeDispatch({ other: { type: 'END' } }),
  },
  {
    name: 'pump: ticks published, then delivered',
    make: () =>
      makePumped(publishAll, (tick, take) => {
        take(tick);
      }),
  },
  {
    name: 'pump: ticks published, then delivered to an async handler',
    make: () =>
      makePumped(publishAll, async (tick, take) => {
        await Promise.resolve();
        take(tick);
      }),
  },
  {
    name: 'pump: each tick published by the handler of the one before',
    make: () =>
      makePumped(
        ({ outbox }) => {
          outbox.tryPublish(makeTick(0, SYMBOLS));
        },
        (tick, take, publish) => {
          const next = tick.sequence + 1;
          if (next < PUMPED_EVENTS) void publish(makeTick(next, SYMBOLS));
          take(tick);
        },
      ),
  },
];
