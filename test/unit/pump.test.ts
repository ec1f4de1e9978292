import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { ConsumerWord, SubscriptionMode, SubscriptionWord } from '../../src/shared/layout.js';
import { PARKED } from '../../src/shared/parking.js';
import { nudge } from '../../src/shared/engine.js';
import { type EngineOptions, lanesWith, TestEngine, type TestEvent } from '../support/engine.js';

/** Which thread the pump is on: the bus's own puts commits off within a burst, a pool thread never does. */
const THREADS = [
  ["the bus's own thread", 0],
  ['a pool thread', 1],
] as const;

const made: TestEngine[] = [];
function engineWith(options?: EngineOptions): TestEngine {
  const engine = new TestEngine(options);
  made.push(engine);
  return engine;
}

afterEach(async () => {
  for (const engine of made.splice(0)) await engine.stop();
});

/** Subscribes to all types, each with a subscription of its own, and notes the order in which events are run. */
function noteOrder(test: TestEngine, act: (event: TestEvent, publish: (event: TestEvent) => void) => void): string[] {
  const order: string[] = [];
  for (const type of ['NOTE', 'BAR', 'TICK', 'HALT'] as const) {
    test.subscribe(type, (event, context) => {
      order.push(`${event.type} ${event.n}`);
      act(event, (derived) => void context.publish(derived));
    });
  }
  return order;
}

const nothing = (): void => undefined;

describe('a failure of the pump itself', () => {
  it('ends its run, unless somebody is told: then it goes on where it was, after what that takes', async () => {
    const test = engineWith();
    const order = noteOrder(test, nothing);
    const { dispatcher } = test.engine.pump;
    const burst = dispatcher.burst.bind(dispatcher);
    let faults = 0;
    dispatcher.burst = (reader, limit) => {
      if (faults++ < 2) throw new Error('a fault of ours');
      return burst(reader, limit);
    };
    const told: unknown[] = [];
    test.engine.pump.onFault = async (error) => {
      told.push(String(error));
      await turn();
    };
    for (const n of [1, 2]) await test.publish('TICK', n);
    test.start();
    await test.drained();
    expect(order).toEqual(['TICK 1', 'TICK 2']);
    expect(told).toEqual(['Error: a fault of ours', 'Error: a fault of ours']);

    const other = engineWith();
    noteOrder(other, nothing);
    other.engine.pump.dispatcher.burst = () => {
      throw new Error('a fault of ours');
    };
    await other.publish('TICK', 1);
    await expect(other.engine.pump.run()).rejects.toThrow('a fault of ours');
  });
});

describe('strict priority', () => {
  it('runs what waits in the order of urgency, and within a lane in the order of publishing', async () => {
    const test = engineWith();
    const order = noteOrder(test, nothing);
    for (const n of [1, 2]) for (const type of ['NOTE', 'TICK', 'HALT'] as const) await test.publish(type, n);
    test.start();
    await test.drained();
    expect(order).toEqual(['HALT 1', 'HALT 2', 'TICK 1', 'TICK 2', 'NOTE 1', 'NOTE 2']);
  });

  it.each(THREADS)('runs a HALT next that is published with 100,000 ticks waiting, on %s', async (_, thread) => {
    const test = engineWith({ thread, lanes: lanesWith({ market: { capacityBytes: 2 ** 23 } }) });
    const order = noteOrder(test, ({ type, n }, publish) => {
      if (type === 'TICK' && n === 50_000) publish({ type: 'HALT', n });
    });
    for (let n = 1; n <= 100_000; n++) void test.publish('TICK', n);
    test.start();
    await test.drained();
    expect(order).toHaveLength(100_001);
    expect(order.slice(49_999, 50_002)).toEqual(['TICK 50000', 'HALT 50000', 'TICK 50001']);
  });

  it.each(THREADS)(
    'lets events of a lane that is not urgent overtake less urgent ones too, on %s',
    async (_, thread) => {
      const test = engineWith({ thread });
      const order = noteOrder(test, ({ type, n }, publish) => {
        if (type === 'NOTE') publish({ type: 'TICK', n });
      });
      const expected: string[] = [];
      for (let n = 1; n <= 200; n++) {
        void test.publish('NOTE', n);
        expected.push(`NOTE ${n}`, `TICK ${n}`);
      }
      test.start();
      await test.drained();
      expect(order).toEqual(expected);
    },
  );

  it('holds for what other threads publish', async () => {
    const test = engineWith();
    const order = noteOrder(test, ({ type, n }) => {
      // As if by another thread: no promise, no context.
      if (type === 'TICK' && n === 3) test.engine.outbox.tryPublish({ type: 'HALT', n: 0 });
    });
    for (let n = 1; n <= 5; n++) void test.publish('TICK', n);
    test.start();
    await test.drained();
    expect(order).toEqual(['TICK 1', 'TICK 2', 'TICK 3', 'HALT 0', 'TICK 4', 'TICK 5']);
  });

  it('gives the subscriptions of one lane their turns', async () => {
    const test = engineWith();
    // Turns: whose it is, and how many events it has run.
    const turns: { reader: number; events: number }[] = [];
    for (const reader of [0, 1, 2]) {
      test.subscribe('TICK', () => {
        const last = turns.at(-1);
        if (last?.reader === reader) last.events++;
        else turns.push({ reader, events: 1 });
      });
    }
    for (let n = 0; n < 1_000; n++) void test.publish('TICK', n);
    test.start();
    await test.drained();
    // Three turns of 256 for each before the first can be done; the end of a slice makes some shorter.
    const early = turns.slice(0, 9);
    expect(early.map(({ reader }) => reader)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2]);
    for (const { events } of early) expect(events).toBeLessThanOrEqual(256);
    expect(turns.reduce((sum, { events }) => sum + events, 0)).toBe(3_000);
  });
});

describe('a starvation bound', () => {
  it('of events gives a waiting lane a turn of one event after that many', async () => {
    const test = engineWith({ starvation: { events: 3, ms: Infinity } });
    const order = noteOrder(test, nothing);
    for (let n = 1; n <= 3; n++) void test.publish('NOTE', n);
    for (let n = 1; n <= 9; n++) void test.publish('TICK', n);
    test.start();
    await test.drained();
    const kinds = order.map((line) => line[0]).join('');
    expect(kinds).toBe('TTTNTTTNTTTN');
  });

  it('of events counts those of all more urgent lanes together', async () => {
    const test = engineWith({ starvation: { events: 4, ms: Infinity } });
    const order = noteOrder(test, nothing);
    for (let n = 1; n <= 2; n++) void test.publish('NOTE', n);
    for (let n = 1; n <= 12; n++) void test.publish('TICK', n);
    for (let n = 1; n <= 3; n++) void test.publish('HALT', n);
    test.start();
    await test.drained();
    const kinds = order.map((line) => line[0]).join('');
    const gaps = kinds.split('N').slice(0, 2);
    expect(gaps.map((gap) => gap.length)).toEqual([4, 4]);
    expect(gaps[0]).toBe('HHHT');
  });

  it('of milliseconds gives a waiting lane a turn while the more urgent one never rests', async () => {
    const test = engineWith({ starvation: { events: Infinity, ms: 5 } });
    let ticks = 0;
    let waited = 0;
    test.subscribe('NOTE', () => {
      waited = performance.now() - began;
    });
    test.subscribe('TICK', (_, context) => {
      ticks++;
      if (waited === 0 && ticks < 10_000_000) void context.publish({ type: 'TICK', n: 1 });
    });
    await test.publish('NOTE', 1);
    for (let n = 1; n <= 100; n++) await test.publish('TICK', n);
    const began = performance.now();
    test.start();
    await test.drained();
    expect(waited).toBeGreaterThanOrEqual(5);
    expect(ticks).toBeLessThan(10_000_000);
  });

  it('is off by default: a waiting lane waits for all that is more urgent', async () => {
    const test = engineWith();
    const order = noteOrder(test, ({ type, n }, publish) => {
      if (type === 'TICK' && n < 5_000) publish({ type: 'TICK', n: n + 1 });
    });
    await test.publish('NOTE', 0);
    await test.publish('TICK', 1);
    test.start();
    await test.drained();
    expect(order.indexOf('NOTE 0')).toBe(5_000);
  });
});

describe('a busy pump', () => {
  it.each(THREADS)('lets timers and I/O of handlers run, on %s', async (_, thread) => {
    const test = engineWith({ thread });
    let fired = 0;
    let ticks = 0;
    test.subscribe('TICK', (_event, context) => {
      ticks++;
      if (ticks === 1) {
        setTimeout(() => fired++, 0);
        setImmediate(() => fired++);
      }
      if (fired < 2 && ticks < 50_000_000) void context.publish({ type: 'TICK', n: 0 });
    });
    await test.publish('TICK', 0);
    test.start();
    await test.drained();
    expect(fired).toBe(2);
  });

  it('is stopped by a handler at the end of its slice, and leaves the rest where it is', async () => {
    const test = engineWith();
    let ticks = 0;
    const record = test.subscribe('TICK', () => {
      if (++ticks === 10) test.engine.stop();
      test.engine.outbox.tryPublish({ type: 'TICK', n: 0 });
    });
    await test.publish('TICK', 0);
    test.start();
    await test.stopped();
    expect(ticks).toBeGreaterThanOrEqual(10);
    expect(record.metrics()).toMatchObject({ processed: ticks, owed: ticks + 1, pending: 1, exact: true });
  });

  it('says how busy it was', async () => {
    const test = engineWith();
    const { stats } = test.consumer;
    test.subscribe('TICK', () => {
      const end = performance.now() + 20;
      while (performance.now() < end);
    });
    await test.publish('TICK', 0);
    test.start();
    await test.drained();
    await test.stop();
    expect(stats[ConsumerWord.BUSY_F64]).toBeGreaterThanOrEqual(20);
    expect(stats[ConsumerWord.STARTED_F64]).toBeGreaterThan(0);
  });
});

describe('an idle pump', () => {
  const parked = async (test: TestEngine): Promise<void> => {
    while (Atomics.load(test.consumer.words, ConsumerWord.DOORBELL_INDEX) !== PARKED) await turn();
  };

  it('parks, and is woken by an event', async () => {
    const test = engineWith();
    const order = noteOrder(test, nothing);
    test.start();
    for (let n = 1; n <= 3; n++) {
      await parked(test);
      await test.publish('TICK', n);
      await test.drained();
    }
    expect(order).toEqual(['TICK 1', 'TICK 2', 'TICK 3']);
  });

  it('is not woken by events of a type that none of its subscriptions wants, and skips them later', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', nothing);
    test.start();
    await parked(test);
    await test.publish('BAR', 1);
    expect(Atomics.load(test.consumer.words, ConsumerWord.DOORBELL_INDEX)).toBe(PARKED);
    expect(record.drained).toBe(false);
    await test.publish('TICK', 2);
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 1, owed: 1, pending: 0 });
  });

  it('is woken for a subscription that is attached, and runs what waits for it', async () => {
    const test = engineWith();
    const order: number[] = [];
    test.start();
    await parked(test);
    const record = test.register(['TICK']);
    await test.publish('TICK', 1);
    test.attach(record, ({ n }) => order.push(n));
    await test.drained();
    expect(order).toEqual([1]);
  });

  it('looks by itself as long as some publisher may not know its doorbell', async () => {
    const test = engineWith();
    test.engine.pump.wired = false;
    const order: number[] = [];
    const record = test.register(['TICK']);
    test.engine.closeGates([record.id]);
    test.attach(record, ({ n }) => order.push(n));
    test.start();
    await parked(test);
    await test.publish('TICK', 1);
    await test.drained();
    expect(order).toEqual([1]);
  });
});

describe('an async handler', () => {
  it('has one delivery at a time in flight, in order, while others go on', async () => {
    const test = engineWith();
    const order: string[] = [];
    let release: () => void = nothing;
    let inFlight = 0;
    const slow = test.subscribe('TICK', async ({ n }) => {
      expect(++inFlight).toBe(1);
      order.push(`slow ${n}`);
      await new Promise<void>((resolve) => (release = resolve));
      inFlight--;
    });
    const fast = test.subscribe('TICK', ({ n }) => {
      order.push(`fast ${n}`);
    });
    for (let n = 1; n <= 3; n++) await test.publish('TICK', n);
    test.start();
    while (!fast.drained) await turn();
    expect(order).toEqual(['slow 1', 'fast 1', 'fast 2', 'fast 3']);
    expect(slow.metrics()).toMatchObject({ processed: 0, pending: 3 });
    for (let n = 1; n <= 3; n++) {
      expect(order.at(-1)).toBe(n === 1 ? 'fast 3' : `slow ${n}`);
      release();
      while (slow.metrics().processed < n) await turn();
      if (n < 3) while (order.at(-1) !== `slow ${n + 1}`) await turn();
    }
    expect(slow.metrics()).toMatchObject({ processed: 3, pending: 0, exact: true });
  });

  it('that is done within a few microtasks does not wait for a turn of the event loop each time', async () => {
    const test = engineWith();
    let turns = 0;
    const count = (): void => {
      turns++;
      if (!done) setImmediate(count);
    };
    let done = false;
    test.subscribe('TICK', async () => {
      await Promise.resolve();
      await Promise.resolve();
    });
    for (let n = 0; n < 1_000; n++) void test.publish('TICK', n);
    test.start();
    setImmediate(count);
    await test.drained();
    done = true;
    expect(turns).toBeLessThan(500);
  });

  it('is overtaken by what is more urgent at its end', async () => {
    const test = engineWith();
    const order: string[] = [];
    test.subscribe('TICK', async ({ n }, context) => {
      order.push(`TICK ${n}`);
      await Promise.resolve();
      if (n === 1) void context.publish({ type: 'HALT', n });
    });
    test.subscribe('HALT', ({ n }) => {
      order.push(`HALT ${n}`);
    });
    for (let n = 1; n <= 3; n++) await test.publish('TICK', n);
    test.start();
    await test.drained();
    expect(order).toEqual(['TICK 1', 'HALT 1', 'TICK 2', 'TICK 3']);
  });
});

describe('a paused subscription', () => {
  const setMode = (test: TestEngine, index: number, mode: SubscriptionMode): void => {
    Atomics.store(test.records[index].members[0].block.words, SubscriptionWord.STATE_INDEX, mode);
    nudge(test.consumer.words);
  };

  it('runs nothing until it is resumed, and holds nobody else up', async () => {
    const test = engineWith();
    const order: string[] = [];
    test.subscribe('TICK', ({ n }) => order.push(`paused ${n}`));
    const other = test.subscribe('TICK', ({ n }) => order.push(`other ${n}`));
    setMode(test, 0, SubscriptionMode.paused);
    for (let n = 1; n <= 2; n++) await test.publish('TICK', n);
    test.start();
    while (!other.drained) await turn();
    expect(order).toEqual(['other 1', 'other 2']);
    setMode(test, 0, SubscriptionMode.active);
    await test.drained();
    expect(order).toEqual(['other 1', 'other 2', 'paused 1', 'paused 2']);
  });

  it('lets go of what is not for it, and holds its lane from the first event that is', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', nothing);
    setMode(test, 0, SubscriptionMode.paused);
    const [member] = record.members;
    const { words } = member.block;
    const address = member.address(test.producer, 1);
    const gating = member.block.gatingIndex(address);
    for (const type of ['BAR', 'BAR', 'TICK', 'BAR'] as const) await test.publish(type, 1);
    const bars = (test.engine.outbox.lanes[1].cursor / 4) * 2;
    test.start();
    while (words[gating] === 0) await turn();
    expect(words[gating]).toBe(bars);
    expect(words[gating + 1]).toBe(2);
    // Its settled place goes along: positions can only be compared while they are less than 2^31 apart.
    expect(words[member.block.settledIndex(address)]).toBe(bars);
    expect(record.metrics()).toMatchObject({ owed: 1, processed: 0, pending: 1 });
    setMode(test, 0, SubscriptionMode.active);
    await test.drained();
    expect(record.metrics()).toMatchObject({ owed: 1, processed: 1, exact: true });
  });

  it('that its own handler pauses runs no further event', async () => {
    const test = engineWith();
    const order: number[] = [];
    const record = test.subscribe('TICK', ({ n }) => {
      order.push(n);
      if (n === 2) setMode(test, 0, SubscriptionMode.paused);
    });
    for (let n = 1; n <= 4; n++) await test.publish('TICK', n);
    test.start();
    while (record.metrics().processed < 2) await turn();
    await turn();
    expect(order).toEqual([1, 2]);
    setMode(test, 0, SubscriptionMode.active);
    await test.drained();
    expect(order).toEqual([1, 2, 3, 4]);
  });
});
