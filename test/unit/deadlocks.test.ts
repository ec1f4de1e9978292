import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { pino } from 'pino';
import { MemoryDeadLetterStore } from '../../src/main/dead-letter-store.js';
import { DeadLetterOffice } from '../../src/main/dead-letters.js';
import { FailureDesk } from '../../src/main/failure-desk.js';
import { describeDeadlock, findDeadlock, type Wait } from '../../src/main/deadlocks.js';
import { FAILURE_DEFAULTS } from '../../src/main/failure-options.js';
import { resolveOptions } from '../../src/main/options.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import type { ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';
import { Wiring } from '../../src/main/wiring.js';
import type { HandlerContext } from '../../src/shared/api.js';
import { defineEvents } from '../../src/shared/catalog.js';
import { Engine } from '../../src/shared/engine.js';
import { i32 } from '../../src/shared/fields.js';
import { FlightWord, LaneWord } from '../../src/shared/layout.js';
import { keepingLog } from '../support/engine.js';

const payload = { n: i32() };
/** A type for each lane of the same name, and EE that shares the lane of E. */
const CATALOG = defineEvents({
  A: { priority: 30, payload },
  B: { priority: 31, payload },
  C: { priority: 32, payload },
  D: { priority: 33, payload },
  E: { priority: 34, payload },
  EE: { priority: 34, payload },
});
type Type = 'A' | 'B' | 'C' | 'D' | 'E' | 'EE';
const RING = ['A', 'B', 'C', 'D', 'E'] as const;
const KEYS = Object.fromEntries(CATALOG.types.map(({ index }) => [index, 'n']));
/** Of the smallest size, but for D. */
const LANES = {
  ...{ control: false, execution: false, signal: false, market: false, log: false },
  ...Object.fromEntries(RING.map((name, at) => [name, { maxPriority: 30 + at, capacityBytes: 1024 }])),
  D: { maxPriority: 33, capacityBytes: 1 << 16 },
  E: { maxPriority: Infinity, capacityBytes: 1024 },
} as const;
const ORDERED: ResolvedSubscribeOptions = {
  ...{ name: undefined, signal: undefined, timeoutMs: 0, graceMs: 0, threads: 1, concurrency: 1, mode: 'ordered' },
  ...{ keys: undefined, maxKeys: 16, filter: undefined, predicate: undefined, once: false },
  ...{ holds: undefined, checkpointEvery: undefined, maxCheckpointBytes: 1024, ...FAILURE_DEFAULTS },
};
const CLAIMED = { mode: 'claimed', concurrency: 4 } as const;

type TestHandler = (event: { type: Type; n: number }, context: HandlerContext<typeof CATALOG>) => unknown;

/** The threads of a bus, all on the test's own: what each does between two turns of the event loop is one step. */
class Threads {
  readonly wiring: Wiring;
  engines: Engine[] = [];
  readonly desk: FailureDesk;
  readonly #handlers = new Map<SubscriptionRecord, TestHandler>();

  constructor(threads: number) {
    this.wiring = new Wiring(CATALOG, resolveOptions({ threads, lanes: LANES, logger: false }, CATALOG));
    const log = pino({ enabled: false });
    const letters = new DeadLetterOffice(new MemoryDeadLetterStore(10), 0, log, () => undefined);
    this.desk = new FailureDesk(this.wiring, { max: 16, maxBytes: 256 }, letters, log);
  }

  subscribe(
    types: readonly Type[],
    threads: readonly number[],
    handler: TestHandler,
    options: Partial<ResolvedSubscribeOptions> = {},
  ): SubscriptionRecord {
    const record = this.wiring.newRecord({
      id: this.wiring.records.length + 1,
      name: `on ${types.join('+')}`,
      types: CATALOG.types.filter(({ name }) => types.includes(name as Type)),
      handler: () => undefined,
      threads,
      options: { ...ORDERED, ...options },
    });
    for (const producer of this.wiring.producers) record.readFromStart(producer);
    record.state = 'active';
    this.#handlers.set(record, handler);
    return record;
  }

  start(): void {
    this.engines = this.wiring.slots.map((slot) => new Engine(this.wiring.engineSetup(slot), () => undefined));
    for (const [record, handler] of this.#handlers) {
      for (const member of record.members) {
        const handling = { handler, predicate: undefined };
        this.engines[member.thread].attach(this.wiring.subscriptionSpec(member), handling, keepingLog([]));
      }
    }
    for (const engine of this.engines) {
      engine.wired();
      void engine.pump.run();
    }
    void this.desk.run();
  }

  /** By the bus's own thread. */
  publish(type: Type, n = 0): Promise<void> {
    return this.engines[0].outbox.publish({ type, n });
  }

  find(): readonly Wait[] | undefined {
    return findDeadlock(this.wiring);
  }

  /** The lanes of the cycle that is found, as `name of thread`, and whom each waits for. */
  steps(): string[] | undefined {
    return this.find()?.map(({ lane, member }) => {
      const { lanes, name } = member.record;
      return `${lanes[lane.rank].name} of ${lane.producer.thread} → ${name}, thread ${member.thread}`;
    });
  }

  isAwaited(type: Type, thread: number): boolean {
    const rank = RING.findIndex((name) => type.startsWith(name));
    return this.wiring.slots[thread].producer.block.stats[rank][LaneWord.WAITING_F64] > 0;
  }

  /** Refuses one delivery of each cycle, until there is none. @returns How many. */
  async resolve(): Promise<number> {
    let refused = 0;
    await turns();
    for (let cycle = this.find(); cycle !== undefined; cycle = this.find()) {
      const [{ member, flight, position }] = cycle;
      this.engines[member.thread].refuse(member.id, flight, position, describeDeadlock(cycle));
      refused++;
      await turns();
    }
    return refused;
  }

  stop(): void {
    for (const engine of this.engines) engine.stop();
    this.desk.silenceAll();
  }
}

let running: Threads | undefined;
function threads(count: number): Threads {
  return (running = new Threads(count));
}
afterEach(() => {
  running?.stop();
  running = undefined;
});

async function until(isTrue: () => boolean): Promise<void> {
  do await turn();
  while (!isTrue());
}

/** More than any pump needs for what it can do without help from outside. */
async function turns(): Promise<void> {
  for (let n = 0; n < 30; n++) await turn();
}

/** Publishes until the test is over, each time when the former event was admitted. */
const flood =
  (type: Type, keys: (count: number) => number = () => 0): TestHandler =>
  async (_, context) => {
    const bus = running;
    for (let count = 0; running === bus; count++) {
      await context.publish({ type, n: keys(count) });
      if (count % 64 === 63) await turn();
    }
  };

const forever = (): Promise<void> => new Promise(() => undefined);

describe('a deadlock', () => {
  it('is found when a handler fills the lane that waits for its own delivery', async () => {
    const bus = threads(1);
    bus.subscribe(['A'], [1], flood('A'));
    bus.start();
    await bus.publish('A');
    await until(() => bus.isAwaited('A', 1));
    expect(bus.steps()).toEqual(['A of 1 → on A, thread 1']);
  });

  it('is found on the thread of the bus too', async () => {
    const bus = threads(1);
    bus.subscribe(['A'], [0], flood('A'));
    bus.start();
    await bus.publish('A');
    await until(() => bus.isAwaited('A', 0));
    expect(bus.steps()).toEqual(['A of 0 → on A, thread 0']);
  });

  it.each([2, 5])('of %i handlers on as many threads is found as a whole, lane by lane', async (count) => {
    const bus = threads(count);
    const ring = RING.slice(0, count);
    ring.forEach((type, at) => bus.subscribe([type], [at + 1], flood(ring[(at + 1) % count])));
    bus.start();
    await bus.publish('A');
    await until(() => bus.find() !== undefined);
    const steps = ring.map((type, at) => `${type} of ${((at + count - 1) % count) + 1} → on ${type}, thread ${at + 1}`);
    const found = bus.steps() ?? [];
    const first = steps.indexOf(found[0]);
    expect(found).toEqual([...steps.slice(first), ...steps.slice(0, first)]);
  });

  it('does not count those among its lanes that only wait for it', async () => {
    const bus = threads(2);
    bus.subscribe(['A'], [1], flood('B'));
    bus.subscribe(['B', 'C'], [2], flood('C'));
    bus.start();
    for (let n = 0; n < 60; n++) void bus.publish('A');
    await until(() => bus.isAwaited('A', 0) && bus.isAwaited('B', 1) && bus.isAwaited('C', 2));
    expect(bus.steps()).toEqual(['C of 2 → on B+C, thread 2']);
  });

  it('is described by its lanes, whom each waits for, and what would avoid it', async () => {
    const bus = threads(1);
    bus.subscribe(['A'], [1], flood('B'));
    bus.subscribe(['B'], [1], flood('A'));
    bus.start();
    await bus.publish('A');
    await until(() => bus.find() !== undefined);
    expect(describeDeadlock(bus.find() ?? [])).toMatch(
      /^handlers publish in a cycle whose lanes are full: lane "([AB])" of thread 1, which waits for subscription "on \1", which waits for lane "([AB])" of thread 1, which waits for subscription "on \2", which waits for lane "\1" of thread 1; larger lanes, whenFull: 'spill', or fewer events in the cycle avoid it$/,
    );
  });

  it('ends with the refusal of one delivery, after which the others go on', async () => {
    const bus = threads(2);
    const refused: { code: string }[] = [];
    const twice =
      (type: Type): TestHandler =>
      async ({ n }, context) => {
        if (n === 0) return;
        try {
          await Promise.all([context.publish({ type, n: n - 1 }), context.publish({ type, n: n - 1 })]);
        } catch (error) {
          refused.push(error as { code: string });
          throw error;
        }
      };
    const records = [bus.subscribe(['A'], [1], twice('B')), bus.subscribe(['B'], [2], twice('A'))];
    bus.start();
    await bus.publish('A', 8);
    let refusals = 0;
    do refusals += await bus.resolve();
    while (!records.every((record) => record.drained));
    expect(refusals).toBeGreaterThan(0);
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(['ERR_LANEBUS_DEADLOCK']));
    const failed = records.map((record) => record.metrics().failed);
    expect(failed[0] + failed[1]).toBe(refused.length);
    expect(refused.length).toBe(refusals);
    for (const record of records) expect(record.metrics()).toMatchObject({ pending: 0, exact: true });
  });
});

describe('a subscription with several deliveries in flight', () => {
  it('is stuck when all of them are', async () => {
    const bus = threads(1);
    bus.subscribe(['A'], [1], flood('A'), CLAIMED);
    bus.start();
    for (let n = 0; n < 3; n++) await bus.publish('A');
    await until(() => bus.isAwaited('A', 1));
    await until(() => bus.find() !== undefined);
    expect(bus.steps()).toEqual(['A of 1 → on A, thread 1']);
  });

  it('is not, while one of them may end', async () => {
    const bus = threads(1);
    let end = (): void => undefined;
    const other = new Promise<void>((resolve) => {
      end = resolve;
    });
    let ended = 0;
    const handler: TestHandler = (event, context) => {
      if (event.type === 'A') return event.n === 1 ? other : flood('B')(event, context);
      ended++;
      return undefined;
    };
    bus.subscribe(['A', 'B'], [1], handler, CLAIMED);
    bus.start();
    for (const n of [1, 2, 3, 4]) void bus.publish('A', n);
    await until(() => bus.isAwaited('B', 1));
    await turns();
    expect(bus.steps()).toBeUndefined();
    expect(ended).toBe(0);
    end();
    await until(() => ended > 100);
  });

  it('is stuck at an event whose key is in a delivery that is, though it has places left', async () => {
    const bus = threads(1);
    const ended: number[] = [];
    const handler: TestHandler = async ({ n }, context) => {
      if (n === 1) await flood('B', (count) => count + 1)({ type: 'A', n }, context);
      ended.push(n);
    };
    bus.subscribe(['A', 'B'], [1], handler, { ...CLAIMED, keys: KEYS });
    bus.start();
    await bus.publish('A', 1);
    // The first event behind is one of the same key; all others run, and end.
    await until(() => bus.isAwaited('B', 1) && ended.length > 10);
    await turns();
    expect(bus.steps()).toEqual(['B of 1 → on A+B, thread 1']);
  });

  it('reads the lane that it publishes to, however many events of another one wait for their key', async () => {
    const bus = threads(1);
    let ended = 0;
    const handler: TestHandler = async (event, context) => {
      if (event.type === 'D') await flood('B', (count) => count + 2)(event, context);
      else ended++;
    };
    bus.subscribe(['D', 'B'], [1], handler, { ...CLAIMED, keys: KEYS });
    bus.start();
    for (let n = 0; n < 1_100; n++) await bus.publish('D', 1);
    await until(() => ended > 200);
    expect(bus.steps()).toBeUndefined();
  });

  it('is not stuck at an event of another key', async () => {
    const bus = threads(1);
    const seen = new Set<number>();
    const handler: TestHandler = async ({ type, n }, context) => {
      seen.add(n);
      await (type === 'A' ? flood('B', (count) => 100 + count)({ type, n }, context) : forever());
    };
    bus.subscribe(['A'], [1], handler, { ...CLAIMED, keys: KEYS });
    bus.subscribe(['B'], [1], handler, { ...CLAIMED, keys: KEYS });
    bus.start();
    for (const n of [1, 2]) await bus.publish('A', n);
    await until(() => bus.isAwaited('B', 1) && seen.has(103));
    expect(bus.steps()).toBeUndefined();
  });
});

describe('a subscription on several threads', () => {
  it('is stuck where one of them is', async () => {
    const bus = threads(2);
    bus.subscribe(['A'], [1, 2], flood('A'), { mode: 'ordered', keys: KEYS });
    bus.start();
    await bus.publish('A', 1);
    await until(() => bus.isAwaited('A', 1) || bus.isAwaited('A', 2));
    await turns();
    const thread = bus.isAwaited('A', 1) ? 1 : 2;
    expect(bus.steps()).toEqual([`A of ${thread} → on A, thread ${thread}`]);
  });

  it('is not stuck at events that belong to another one', async () => {
    const bus = threads(2);
    const runs = { own: 0, other: 0 };
    let home = 0;
    // One key floods its thread's lane with events of the other thread's keys.
    const handler: TestHandler = async ({ n }, context) => {
      if (n !== 0) {
        if (context.thread === home) runs.own++;
        else runs.other++;
        return;
      }
      home = context.thread;
      for (let key = 1; key < 200; key++) await context.publish({ type: 'A', n: key });
    };
    const record = bus.subscribe(['A'], [1, 2], handler, { mode: 'ordered', keys: KEYS });
    bus.start();
    await bus.publish('A', 0);
    await until(() => bus.find() !== undefined);
    // Its own keys it must run itself, and it waits: that one is a deadlock, and it is on this thread.
    expect(bus.steps()).toEqual([`A of ${home} → on A, thread ${home}`]);
    expect(runs.own).toBe(0);
    await bus.resolve();
    await until(() => record.drained);
    expect(runs.own + runs.other).toBe(record.metrics().owed - 1);
  });
});

describe('no deadlock is', () => {
  it('a lane that waits for a handler which waits for something else', async () => {
    const bus = threads(2);
    bus.subscribe(['A'], [1], flood('B'));
    bus.subscribe(['B'], [2], forever);
    bus.start();
    await bus.publish('A');
    await until(() => bus.isAwaited('B', 1));
    await turns();
    expect(bus.steps()).toBeUndefined();
  });

  it('a lane that waits for another reader than the one whose delivery waits for it', async () => {
    const bus = threads(1);
    bus.subscribe(['B'], [1], forever);
    const ahead = flood('B');
    bus.subscribe(['B'], [1], (event, context) => (event.n === 10 ? ahead(event, context) : undefined));
    bus.subscribe(['A'], [1], async ({ n }, context) => context.publish({ type: 'B', n }));
    bus.start();
    for (let n = 0; n <= 10; n++) void bus.publish('A', n);
    await until(() => bus.isAwaited('B', 1));
    await turns();
    expect(bus.steps()).toBeUndefined();
  });

  it('a lane that waits for a paused subscription', async () => {
    const bus = threads(1);
    bus.subscribe(['A'], [1], flood('B'));
    const paused = bus.subscribe(['B'], [1], flood('A'));
    paused.pause(true);
    bus.start();
    for (let n = 0; n < 60; n++) void bus.publish('A');
    await until(() => bus.isAwaited('A', 0) && bus.isAwaited('B', 1));
    await turns();
    expect(bus.steps()).toBeUndefined();
    paused.pause(false);
    bus.engines[1].pump.wake();
    await until(() => bus.find() !== undefined);
  });

  it('a handler that is not done: its burst may have passed what the lane waits for', async () => {
    const bus = threads(1);
    let inside: readonly Wait[] | undefined | 'not asked' = 'not asked';
    bus.subscribe(['A'], [1], ({ n }, context) => {
      // A short burst that is not told to the lane; the last of it finds the lane full, and takes its time.
      if (n < 20) return;
      for (let more = 0; !bus.isAwaited('A', 1); more++) void context.publish({ type: 'A', n: more % 20 });
      inside = bus.find();
    });
    bus.start();
    for (let n = 0; n <= 20; n++) await bus.publish('A', n);
    await until(() => inside !== 'not asked');
    expect(inside).toBeUndefined();
    await until(() => bus.find() !== undefined);
  });

  it('a subscription that only has to go past what is not for it', async () => {
    const bus = threads(1);
    // E and EE share a lane: it holds the room of its own EE, which nobody reads.
    bus.subscribe(['E'], [1], flood('EE'));
    bus.start();
    await bus.publish('E');
    await turns();
    bus.engines[1].stop();
    await until(() => bus.isAwaited('EE', 1));
    await turns();
    expect(bus.steps()).toBeUndefined();
  });

  it('a place in flight whose former delivery has been given up before what it published was admitted', async () => {
    const bus = threads(1);
    let starts = 0;
    const handler: TestHandler = async (_, context) => {
      starts++;
      if (starts === 1) for (let n = 0; !bus.isAwaited('A', 0); n++) void context.publish({ type: 'A', n });
      await forever();
    };
    const [member] = bus.subscribe(['A'], [0], handler).members;
    bus.start();
    void bus.publish('A');
    void bus.publish('A');
    await until(() => bus.find() !== undefined);
    bus.engines[0].giveUp(member.id, 0);
    await until(() => starts === 2);
    // It waits for something else; the lane is full all the same.
    for (let n = 0; !bus.isAwaited('A', 0); n++) void bus.publish('A', n);
    await turns();
    expect(bus.steps()).toBeUndefined();
  });

  it('a delivery whose handler has failed: it ends when what it has published is admitted', async () => {
    const bus = threads(1);
    let go = (): void => undefined;
    const blocked = new Promise<void>((resolve) => {
      go = resolve;
    });
    const failing = bus.subscribe(['A'], [1], async (_, context) => {
      for (let n = 0; !bus.isAwaited('B', 1); n++) void context.publish({ type: 'B', n });
      await turn();
      throw new Error('failed');
    });
    bus.subscribe(['B'], [1], () => blocked);
    bus.start();
    await bus.publish('A');
    await until(() => bus.isAwaited('B', 1));
    await turns();
    expect(failing.metrics()).toMatchObject({ failed: 0, pending: 1 });
    go();
    await until(() => failing.drained);
    expect(failing.metrics()).toMatchObject({ failed: 1, pending: 0, exact: true });
    expect(bus.isAwaited('B', 1)).toBe(false);
  });

  it('a lane of a thread that has died', async () => {
    const bus = threads(1);
    bus.subscribe(['A'], [1], flood('A'));
    bus.start();
    await bus.publish('A');
    await until(() => bus.find() !== undefined);
    bus.wiring.slots[1].producer.dead = true;
    expect(bus.steps()).toBeUndefined();
  });

  it('what a reader that conflates does not take', async () => {
    const bus = threads(1);
    const record = bus.subscribe(['A'], [1], flood('A'), { mode: 'conflated', keys: KEYS });
    bus.start();
    await bus.publish('A', 1);
    await until(() => record.metrics().owed > 200);
    expect(bus.isAwaited('A', 1)).toBe(false);
    expect(bus.steps()).toBeUndefined();
  });

  it('what looks like one only because it was read at different moments', async () => {
    const bus = threads(1);
    const record = bus.subscribe(['A'], [1], flood('A'));
    bus.start();
    await bus.publish('A');
    await until(() => bus.find() !== undefined);
    const [member] = record.members;
    // As if the delivery had been admitted after it had been looked at, and before the lane was looked at again.
    const gating = member.gating.bind(member);
    const looks = vi.spyOn(member, 'gating').mockImplementation((producer, rank) => {
      Atomics.store(member.block.words, FlightWord.roomIndex(0), looks.mock.calls.length > 2 ? 0 : 1);
      return gating(producer, rank);
    });
    expect(bus.steps()).toBeUndefined();
    looks.mockRestore();
    Atomics.store(member.block.words, FlightWord.roomIndex(0), 1);
    expect(bus.steps()).toHaveLength(1);
  });
});
