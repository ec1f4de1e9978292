/** From an event object to a committed record: route, codec and lane together, by the calls that a bus makes. */
import { checkTally, makeTick, type Tick, TickTally } from '../ticks.js';
import type { Micro, MicroSpec } from './micro.js';
import { openRig, type Rig, type RigOptions, SYMBOLS } from './rig.js';

const EVENTS = 1024;
/** Between two moves of the reader's position. */
const READ_EVERY = 256;

const ticks: readonly Tick[] = Array.from({ length: EVENTS }, (_, n) => makeTick(n, SYMBOLS));

function taken(outcome: string): void {
  if (outcome !== 'published') throw new Error(`a tick was not published, but ${outcome}`);
}

/** Publishes the ticks from one number to another, for which there is room. */
type Publish = (rig: Rig, from: number, to: number) => void;

/** A rig whose reader has read everything; and whether what is published then arrives there. */
function openChecked(options: RigOptions) {
  const tally = new TickTally();
  const rig = openRig({
    ...options,
    handler: (event: Tick | { readonly type: 'END' }) => {
      if (event.type === 'TICK') tally.take(event);
    },
  });
  rig.connect();
  return {
    rig,
    start: (): void => {
      rig.outbox.flush();
      rig.catchUp();
      rig.rewind(rig.lane.cursor);
    },
    checkArrival: (): void => {
      rig.outbox.flush();
      rig.deliver();
      checkTally(tally.close(), EVENTS, SYMBOLS);
    },
  };
}

function makePublish(publish: Publish, options: RigOptions = {}, recordsPerTick = 1): Micro {
  const { rig, start, checkArrival } = openChecked(options);
  const { outbox, catchUp, records } = rig;
  return {
    operations: EVENTS * recordsPerTick,
    run() {
      const before = records();
      for (let from = 0; from < EVENTS; from += READ_EVERY) {
        publish(rig, from, from + READ_EVERY);
        catchUp();
      }
      outbox.flush();
      return records() - before;
    },
    check() {
      start();
      publish(rig, 0, EVENTS);
      checkArrival();
    },
  };
}

/** The awaiting loop of a user: it goes through the microtask queue for each event. */
function makeAwaited(): Micro {
  const { rig, start, checkArrival } = openChecked({});
  const { outbox, catchUp, records } = rig;
  return {
    operations: EVENTS,
    async run() {
      const before = records();
      for (let n = 0; n < EVENTS; n++) {
        await outbox.publish(makeTick(n, SYMBOLS));
        if ((n & (READ_EVERY - 1)) === READ_EVERY - 1) catchUp();
      }
      outbox.flush();
      return records() - before;
    },
    async check() {
      start();
      for (const tick of ticks) await outbox.publish(tick);
      checkArrival();
    },
  };
}

/** What a publisher that looks for room again and again is told. */
function makeFull(): Micro {
  const { outbox } = openChecked({}).rig;
  while (outbox.tryPublish(ticks[0]) === 'published');
  const run = (): number => {
    let refused = 0;
    for (const tick of ticks) if (outbox.tryPublish(tick) === 'full') refused++;
    return refused;
  };
  return {
    operations: EVENTS,
    run,
    check() {
      if (run() !== EVENTS) throw new Error('a full lane has taken an event');
    },
  };
}

const DELIVERY = { publisher: 0, rank: 0, sequence: 7, awaitRoom: (): void => undefined };

export const publish: readonly MicroSpec[] = [
  {
    name: 'publish: a tick, tryPublish',
    make: () =>
      makePublish(({ outbox }, from, to) => {
        for (let n = from; n < to; n++) taken(outbox.tryPublish(ticks[n]));
      }),
  },
  {
    name: 'publish: a tick made for it, tryPublish',
    make: () =>
      makePublish(({ outbox }, from, to) => {
        for (let n = from; n < to; n++) taken(outbox.tryPublish(makeTick(n, SYMBOLS)));
      }),
  },
  {
    name: 'publish: a tick made for it, of a pool thread',
    make: () =>
      makePublish(
        ({ outbox }, from, to) => {
          for (let n = from; n < to; n++) taken(outbox.tryPublish(makeTick(n, SYMBOLS)));
        },
        { mortal: true },
      ),
  },
  {
    name: 'publish: a tick made for it, by a handler',
    make: () =>
      makePublish(({ outbox }, from, to) => {
        for (let n = from; n < to; n++) void outbox.derive(makeTick(n, SYMBOLS), DELIVERY);
      }),
  },
  {
    // Another route and another group each time.
    name: 'publish: ticks and another type in turn, tryPublish',
    make: () =>
      makePublish(
        ({ outbox }, from, to) => {
          for (let n = from; n < to; n++) {
            taken(outbox.tryPublish(makeTick(n, SYMBOLS)));
            taken(outbox.tryPublish({ type: 'END' }));
          }
        },
        { wants: ['TICK', 'END'] },
        2,
      ),
  },
  {
    name: 'publish: a tick made for it, publishBatch of 256',
    make: () =>
      makePublish(({ outbox }, from, to) => {
        for (let at = from; at < to; at += READ_EVERY) {
          const batch: Tick[] = [];
          for (let n = at; n < at + READ_EVERY; n++) batch.push(makeTick(n, SYMBOLS));
          void outbox.publishBatch(batch);
        }
      }),
  },
  { name: 'publish: a tick made for it, publish awaited', make: makeAwaited },
  { name: 'publish: a tick, tryPublish on a full lane', make: makeFull },
];
