import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { Dispatcher } from '../../src/shared/dispatch.js';
import { nudge } from '../../src/shared/engine.js';
import { LaneView } from '../../src/shared/lane.js';
import { ConsumerBlock, LaneWord, Outcome } from '../../src/shared/layout.js';
import { Reader } from '../../src/shared/reader.js';
import { unpackError } from '../../src/shared/packed-error.js';
import type { Returned } from '../../src/shared/returns.js';
import { LocalSubscription } from '../../src/shared/subscription.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import type { ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';
import {
  type EngineOptions,
  keepingLog,
  type LogLine,
  TestEngine,
  type TestEvent,
  type TestHandler,
} from '../support/engine.js';
import { failuresFor } from '../support/failures.js';
import { Gatekeeper, laneOf } from '../support/lanes.js';

const made: TestEngine[] = [];
function engineWith(options?: EngineOptions): TestEngine {
  const engine = new TestEngine(options);
  made.push(engine);
  return engine;
}

afterEach(async () => {
  for (const engine of made.splice(0)) await engine.stop();
});

/** Publishes ticks 1 to n. */
async function ticks(test: TestEngine, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) await test.publish('TICK', n);
}

const consecutive = (record: SubscriptionRecord): number => record.metrics().consecutiveFailures;

describe('a handler that fails', () => {
  it.each([
    [
      'throws',
      ({ n }: TestEvent) => {
        if (n === 2) throw new TypeError('no such instrument');
      },
    ],
    ['rejects', ({ n }: TestEvent) => (n === 2 ? Promise.reject(new TypeError('no such instrument')) : undefined)],
  ])('and %s is counted and logged with the event and the stack, and changes nothing else', async (_, handler) => {
    const test = engineWith({ sequence: 2 ** 32 + 5 });
    const failing = test.subscribe('TICK', handler);
    const other = test.subscribe('TICK', () => undefined);
    await ticks(test, 3);
    test.start();
    await test.drained();
    expect(failing.metrics()).toMatchObject({ owed: 3, processed: 2, failed: 1, pending: 0, exact: true });
    expect(other.metrics()).toMatchObject({ owed: 3, processed: 3, failed: 0, exact: true });
    expect(test.lines).toEqual([
      {
        level: 'error',
        text: 'handler failed',
        fields: {
          err: expect.objectContaining({
            message: 'no such instrument',
            stack: expect.stringContaining('dispatch.test') as unknown,
          }) as unknown,
          event: { type: 'TICK', n: 2 },
          lane: 'market',
          sequence: 2 ** 32 + 6,
          attempt: 1,
        },
      },
    ]);
  });

  it.each([['a string'], [undefined], [null], [7]])(
    'with %j instead of an error is logged as an error',
    async (thrown) => {
      const test = engineWith();
      test.subscribe('TICK', () => {
        // eslint-disable-next-line @typescript-eslint/only-throw-error -- that is the case under test
        throw thrown;
      });
      await ticks(test, 1);
      test.start();
      await test.drained();
      expect(test.lines[0].fields.err).toMatchObject({ name: 'Error', message: String(thrown) });
    },
  );

  it.each([
    [
      'sync',
      ({ n }: TestEvent) => {
        if (n !== 4) throw new Error('no');
      },
    ],
    [
      'async',
      async ({ n }: TestEvent) => {
        await Promise.resolve();
        if (n !== 4) throw new Error('no');
      },
    ],
  ] as [string, TestHandler][])('and is %s has its failures in a row counted, until a success', async (_, handler) => {
    const test = engineWith();
    const seen: number[] = [];
    const record = test.subscribe('TICK', (event, context) => {
      seen.push(consecutive(record));
      return handler(event, context);
    });
    await ticks(test, 6);
    test.start();
    await test.drained();
    expect(seen).toEqual([0, 1, 2, 3, 0, 1]);
    expect(consecutive(record)).toBe(2);
  });

  it('is logged with the event as it was published, whatever it made of its copy', async () => {
    const test = engineWith();
    test.subscribe('TICK', (event) => {
      (event as { n: number }).n = -1;
      throw new Error('no');
    });
    await ticks(test, 1);
    test.start();
    await test.drained();
    expect(test.lines[0].fields.event).toEqual({ type: 'TICK', n: 1 });
  });

  it('by the look of what it returns fails like any other', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', ({ n }) => {
      if (n === 1) {
        return Object.defineProperty({}, 'then', {
          get() {
            throw new Error('a hostile thenable');
          },
        });
      }
      if (n === 2)
        return {
          then: (resolve: (value: unknown) => void) => {
            resolve(1);
          },
        };
      return { then: 'not a function' };
    });
    await ticks(test, 3);
    test.start();
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 2, failed: 1, exact: true });
  });
});

describe('an event that cannot be decoded', () => {
  it('fails its delivery, with a line that says so, and the next one is run', () => {
    const { block: producer, lane } = laneOf({ capacity: 256 });
    const { block, gate } = new Gatekeeper(lane);
    lane.setGates([gate]);
    for (let n = 1; n <= 2; n++) {
      lane.memory.i32[lane.claim(8, 1) >> 2] = n;
      lane.commit(1);
    }
    const lines: LogLine[] = [];
    const run: unknown[] = [];
    const failures = failuresFor(2);
    const setup = { id: 1, name: 'ticks', types: [1], block: block.source, once: false, failures };
    const handling = { handler: (event: unknown) => run.push(event), predicate: undefined };
    const subscription = new LocalSubscription(setup, handling, {} as never, keepingLog(lines), 1, ['market']);
    const place = { block: producer, rank: 0, name: 'market', producer: 0, publisher: 0, lanes: 1, isRetries: false };
    const decode = ({ i32 }: { i32: Int32Array }, at: number): object => {
      if (i32[at >> 2] === 1) throw new Error('not of this table');
      return { n: i32[at >> 2] };
    };
    const nothing = (): void => undefined;
    const control = { bell: 0, sliceEnd: Infinity, sliceOver: false, isGuarded: () => true, overtaken: () => false };
    const dispatcher = new Dispatcher(ConsumerBlock.create().words, {
      ...control,
      owe: nothing,
      deliveryStarted: nothing,
      deliveryEnded: nothing,
    });
    const selection = { decoders: [null, decode, null], owns: null, accepts: null, keys: null, holds: null };
    const reader = new Reader(subscription, place, selection, undefined);
    while (reader.hasNews) dispatcher.burst(reader, Infinity);
    expect(run).toEqual([{ n: 2 }]);
    expect(lines).toMatchObject([
      { level: 'error', text: 'event cannot be decoded', fields: { event: undefined, sequence: 0 } },
    ]);
    const back: Returned[] = [];
    failures.reader.drain((returned) => back.push(returned) > 0);
    expect(back).toMatchObject([{ reason: 'undecodable', attempt: 1, ticket: 0, sequence: 0 }]);
    expect(unpackError(back[0].error ?? new Uint8Array())).toMatchObject({ message: 'not of this table' });
    expect(block.stats[block.outcomeF64(0, Outcome.processed)]).toBe(1);
  });
});

describe('an event that is filtered', () => {
  it.each<[string, Partial<ResolvedSubscribeOptions>]>([
    ['a condition', { filter: [{ field: 'n', min: 3, max: undefined }] }],
    ['a predicate', { predicate: (({ n }: TestEvent) => n >= 3) as never }],
  ])('by %s is counted, and its handler does not hear of it', async (_, options) => {
    for (const more of [{}, { mode: 'claimed', concurrency: 2 }] as const) {
      const test = engineWith();
      const seen: number[] = [];
      const record = test.subscribe('TICK', ({ n }) => seen.push(n), { ...options, ...more });
      await ticks(test, 4);
      test.start();
      await test.drained();
      expect(seen).toEqual([3, 4]);
      expect(record.metrics()).toMatchObject({ owed: 4, processed: 2, filtered: 2, pending: 0, exact: true });
    }
  });

  it('by a predicate that throws has failed', async () => {
    const test = engineWith();
    const predicate = ({ n }: TestEvent): boolean => {
      if (n === 2) throw new Error('no opinion');
      return false;
    };
    const options = { predicate: predicate as never };
    const record = test.subscribe('TICK', () => undefined, options);
    await ticks(test, 3);
    test.start();
    await test.drained();
    expect(record.metrics()).toMatchObject({ owed: 3, processed: 0, filtered: 2, failed: 1, exact: true });
    expect(consecutive(record)).toBe(1);
    expect(test.lines).toMatchObject([{ text: 'handler failed', fields: { event: { n: 2 } } }]);
  });
});

describe('a subscription for one event', () => {
  it.each<[string, TestHandler]>([
    ['that returns', () => undefined],
    ['that resolves', () => Promise.resolve()],
  ])('delivers the first that passes to a handler %s, and discards what comes after it', async (_, handler) => {
    const test = engineWith();
    const seen: number[] = [];
    const note: TestHandler = (event, context) => {
      seen.push(event.n);
      return handler(event, context);
    };
    const record = test.subscribe('TICK', note, { once: true, filter: [{ field: 'n', min: 2, max: undefined }] });
    await ticks(test, 4);
    test.start();
    await test.drained();
    await ticks(test, 2);
    await test.drained();
    expect(seen).toEqual([2]);
    expect(record.isSpent).toBe(true);
    expect(record.metrics()).toMatchObject({ owed: 6, processed: 1, filtered: 1, discarded: 4, exact: true });
  });

  it('has had it when its handler failed', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', () => Promise.reject(new Error('no')), { once: true });
    await ticks(test, 2);
    expect(record.isSpent).toBe(false);
    test.start();
    await test.drained();
    expect(record.metrics()).toMatchObject({ owed: 2, failed: 1, discarded: 1, exact: true });
    expect(record.isSpent).toBe(true);
  });
});

describe('a context', () => {
  it('tells where, when and by whom its event was published, across the wrap of sequences', async () => {
    const test = engineWith({ sequence: 2 ** 32 - 1, position: 2 ** 31 - 40 });
    const before = Date.now();
    const seen: object[] = [];
    test.subscribe(['TICK', 'NOTE'], ({ n }, { sequence, lane, publisher, attempt, thread, publishedAt }) => {
      expect(publishedAt).toBeGreaterThan(before - 1_000);
      expect(publishedAt).toBeLessThan(Date.now() + 1_000);
      seen.push({ n, sequence, lane, publisher, attempt, thread });
    });
    await ticks(test, 2);
    await test.publish('NOTE', 3);
    test.start();
    await test.drained();
    const common = { publisher: 0, attempt: 1, thread: 0 };
    expect(seen).toEqual([
      { n: 1, sequence: 2 ** 32 - 1, lane: 'market', ...common },
      { n: 2, sequence: 2 ** 32, lane: 'market', ...common },
      { n: 3, sequence: 2 ** 32 - 1, lane: 'log', ...common },
    ]);
  });

  it('has a signal that aborts when the time is up, and a fresh one for the next delivery', async () => {
    const test = engineWith();
    const signals: AbortSignal[] = [];
    const record = test.subscribe('TICK', async (_, { signal }) => {
      signals.push(signal);
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          resolve();
        });
        if (signals.length === 2) resolve();
      });
    });
    await ticks(test, 2);
    test.start();
    while (signals.length === 0) await turn();
    test.engine.abort(record.members[0].id, 0);
    await test.drained();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
    expect(signals[0].reason).toMatchObject({ name: 'TimeoutError' });
    expect(record.metrics()).toMatchObject({ processed: 2, exact: true });
  });

  it('aborted before its handler has asked for the signal says so when it asks', async () => {
    const test = engineWith();
    let go: () => void = () => undefined;
    let aborted: boolean | undefined;
    let begun = false;
    const record = test.subscribe('TICK', async (_, context) => {
      begun = true;
      await new Promise<void>((resolve) => (go = resolve));
      ({ aborted } = context.signal);
    });
    await ticks(test, 1);
    test.start();
    while (!begun) await turn();
    test.engine.abort(record.members[0].id, 0);
    go();
    await test.drained();
    expect(aborted).toBe(true);
  });
});

describe('a redelivery', () => {
  /** Where the second record of the market lane starts. */
  const behindFirst = (test: TestEngine): number => new LaneView(test.producer.block, 1).next(0);

  it('is told its attempt, once, behind records that its subscription does not want', async () => {
    const test = engineWith();
    const attempts: string[] = [];
    const record = test.register(['TICK', 'NOTE']);
    await test.publish('BAR', 0);
    await ticks(test, 2);
    await test.publish('NOTE', 3);
    const [member] = record.members;
    const address = member.address(test.producer, 1);
    const note = ({ n }: TestEvent, { attempt }: { attempt: number }): void => {
      attempts.push(`${n}: ${attempt}`);
    };
    member.redeliveries = [{ address, position: behindFirst(test), attempt: 3, crashes: 0, doubts: 0, suspect: false }];
    test.attach(record, note);
    test.start();
    await test.drained();
    expect(attempts).toEqual(['1: 3', '2: 1', '3: 1']);
    expect(record.metrics()).toMatchObject({ processed: 3, redelivered: 1, exact: true });
  });

  it('that is discarded before its turn was not repeated', async () => {
    const test = engineWith();
    const record = test.register(['TICK']);
    await ticks(test, 2);
    const [member] = record.members;
    member.redeliveries = [
      { address: member.address(test.producer, 1), position: 0, attempt: 2, crashes: 0, doubts: 0, suspect: false },
    ];
    test.attach(record, () => undefined);
    await endSubscription(test, record);
    expect(record.metrics()).toMatchObject({ discarded: 2, redelivered: 0, pending: 0, exact: true });
  });
});

/** What the bus does to end a subscription. */
async function endSubscription(test: TestEngine, record: SubscriptionRecord): Promise<void> {
  const [member] = record.members;
  record.end();
  nudge(test.consumer.words);
  await test.engine.halt(member.id);
  const at = test.engine.snapshot();
  record.cut(test.producer, at);
  const cuts = new Map(record.ranks.map((rank) => [member.address(test.producer, rank), at.cursors[rank]]));
  test.engine.detach(member.id, cuts);
  test.engine.closeGates([member.id]);
}

describe('a subscription that ends', () => {
  it('discards what it has not begun, in each of its lanes, and skips what it did not want', async () => {
    const test = engineWith();
    let run = 0;
    const record = test.subscribe(['TICK', 'NOTE'], () => {
      if (++run === 2) void endSubscription(test, record);
    });
    await ticks(test, 5);
    for (let n = 0; n < 3; n++) {
      await test.publish('BAR', n);
      await test.publish('NOTE', n);
    }
    test.start();
    await test.drained();
    expect(record.metrics()).toMatchObject({ owed: 8, processed: 2, discarded: 6, pending: 0, exact: true });
    expect(record.metrics().lanes).toMatchObject({
      market: { owed: 5, processed: 2, discarded: 3 },
      log: { owed: 3, processed: 0, discarded: 3 },
    });
  });

  it('lets the delivery in flight come to its end, and discards the rest', async () => {
    const test = engineWith();
    let finish: (() => void) | undefined;
    const record = test.subscribe('TICK', () => new Promise<void>((resolve) => (finish = resolve)));
    await ticks(test, 3);
    test.start();
    while (finish === undefined) await turn();
    let ended = false;
    const ending = endSubscription(test, record).then(() => (ended = true));
    for (let i = 0; i < 5; i++) await turn();
    expect(ended).toBe(false);
    finish();
    await ending;
    expect(record.metrics()).toMatchObject({ owed: 3, processed: 1, discarded: 2, pending: 0, exact: true });
  });

  it('is owed nothing that is published later, and holds no lane', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', () => undefined);
    await ticks(test, 3);
    await endSubscription(test, record);
    for (let n = 0; n < 10_000; n++) await test.publish('TICK', n);
    expect(record.metrics()).toMatchObject({ owed: 3, discarded: 3, pending: 0, exact: true });
  });
});

describe('a delivery that is given up', () => {
  it('ends timedOut, and what its promise comes to later does not count', async () => {
    const test = engineWith();
    const promises: { resolve: () => void; reject: (error: Error) => void }[] = [];
    const record = test.subscribe(
      'TICK',
      () => new Promise<void>((resolve, reject) => promises.push({ resolve, reject })),
    );
    await ticks(test, 3);
    test.start();
    for (const late of [0, 1]) {
      while (promises.length <= late) await turn();
      test.engine.giveUp(record.members[0].id, 0);
    }
    while (promises.length < 3) await turn();
    promises[0].resolve();
    promises[1].reject(new Error('too late'));
    while (record.metrics().timedOut < 2) await turn();
    for (let i = 0; i < 5; i++) await turn();
    expect(record.metrics()).toMatchObject({
      timedOut: 2,
      processed: 0,
      failed: 0,
      pending: 1,
      consecutiveFailures: 2,
    });
    promises[2].resolve();
    await test.drained();
    expect(record.metrics()).toMatchObject({ timedOut: 2, processed: 1, pending: 0, exact: true });
    expect(test.lines.map(({ text }) => text)).toEqual(['delivery timed out', 'delivery timed out']);
  });

  it('is none when nothing of the subscription waits', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', () => undefined);
    await ticks(test, 1);
    test.start();
    await test.drained();
    test.engine.giveUp(record.members[0].id, 0);
    test.engine.giveUp(record.members[0].id + 1, 0);
    test.engine.giveUp(record.members[0].id, 1);
    expect(record.metrics()).toMatchObject({ timedOut: 0, processed: 1, exact: true });
  });
});

describe('durations', () => {
  it('of a slow handler are all measured, and how long its events waited', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', () => {
      const end = performance.now() + 2;
      while (performance.now() < end);
    });
    await ticks(test, 5);
    test.start();
    await test.drained();
    const { handler, queueWait } = record.metrics();
    expect(handler.samples).toBe(5);
    expect(handler.meanMs).toBeGreaterThanOrEqual(2);
    expect(handler.maxMs).toBeGreaterThanOrEqual(handler.meanMs);
    expect(queueWait.samples).toBe(5);
    expect(queueWait.maxMs).toBeGreaterThanOrEqual(8);
  });

  it('of a fast handler are sampled', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', () => undefined);
    for (let round = 0; round < 20; round++) {
      await ticks(test, 500);
      if (round === 0) test.start();
      await test.drained();
    }
    const { handler, processed } = record.metrics();
    expect(processed).toBe(10_000);
    expect(handler.samples).toBeGreaterThan(10);
    expect(handler.samples).toBeLessThan(5_000);
  });

  it('of an async handler last until its promise has settled', async () => {
    const test = engineWith();
    let settle: () => void = () => undefined;
    let begun = false;
    const record = test.subscribe('TICK', () => {
      begun = true;
      return new Promise<void>((resolve) => (settle = resolve));
    });
    await ticks(test, 1);
    test.start();
    while (!begun) await turn();
    const end = performance.now() + 5;
    while (performance.now() < end);
    settle();
    await test.drained();
    expect(record.metrics().handler.maxMs).toBeGreaterThanOrEqual(5);
  });
});

describe('a lane', () => {
  it('gets room back within a burst, before its reader has come to the end', async () => {
    const test = engineWith();
    const record = test.register(['TICK']);
    await ticks(test, 1_000);
    const [{ block }] = record.members;
    const gating = block.gatingIndex(record.members[0].address(test.producer, 1));
    const moves = new Set<number>();
    test.attach(record, () => {
      moves.add(block.words[gating]);
    });
    test.start();
    await test.drained();
    expect(moves.size).toBeGreaterThan(4);
    expect(block.words[gating + 1]).toBe(test.producer.block.stats[1][LaneWord.RECORDS_F64]);
  });
});
