// What reaches the handlers, and how a delivery ends.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Tick, Wide } from '../support/handlers/catalog.js';
import * as copies from '../support/handlers/copies.js';
import * as failing from '../support/handlers/failing.js';
import { SeededRandom } from '../support/random.js';
import { expectExact, handlersOf, newBus, Notes, range } from './buses.js';

const copy = handlersOf<typeof copies>('copies');
const POOL = handlersOf<typeof failing>('failing');
const ON = { 'the main thread': failing, 'a pool thread': POOL };
const THREADS = ['the main thread', 'a pool thread'] as const;

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describe('every event', () => {
  it.each([1, 2])('reaches each of five subscriptions once and in order, over %i pool threads', async (threads) => {
    const EVENTS = 20_000;
    const NAMES = ['first', 'second', 'third', 'fourth'] as const;
    const bus = newBus({ threads, lanes: { market: { capacityBytes: 2 ** 16 } } });
    const notes = new Notes(bus);
    const subscriptions = NAMES.map((name) => bus.subscribe('TICK', copy[name]));
    subscriptions.push(bus.subscribe('TICK', copies.accountant('main')));
    await bus.start();
    for (const n of range(EVENTS)) await bus.publish(copies.tickOf(n));
    await bus.publish({ ...copies.tickOf(0), n: -1 });
    await bus.drain();
    for (const [index, name] of [...NAMES, 'main'].entries()) {
      const [{ data }] = await notes.until(name);
      const [thread] = subscriptions[index].metrics().threads;
      expect(data, name).toEqual({ thread, runs: [[0, EVENTS - 1]], wrong: [] });
    }
    const used = new Set(subscriptions.map((subscription) => subscription.metrics().threads[0]));
    expect(used).toEqual(new Set(range(threads + 1)));
    for (const subscription of subscriptions) {
      expect(subscription.metrics()).toMatchObject({ owed: EVENTS + 1, processed: EVENTS + 1, exact: true });
    }
    expectExact(bus.metrics());
    expectExact(await bus.stop());
  });

  it('of a batch arrives in the order of the batch', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    bus.subscribe('TICK', copy.first);
    await bus.start();
    for (const n of range(100)) await bus.publishBatch(range(100, n * 100).map(copies.tickOf));
    await bus.publish({ ...copies.tickOf(0), n: -1 });
    expect((await notes.until('first'))[0].data).toMatchObject({ runs: [[0, 9_999]], wrong: [] });
  });

  it('comes back from a pool thread as it was, with fields of every kind', async () => {
    const bus = newBus();
    const back: Wide[] = [];
    bus.subscribe('WIDE', (event, { publisher }) => {
      if (publisher !== 0) back.push(event);
    });
    bus.subscribe('WIDE', copy.echo);
    await bus.start();
    const random = new SeededRandom(4);
    const sent = range(500).map(() => randomWide(random));
    for (const event of sent) await bus.publish(event);
    await bus.drain();
    expect(back).toHaveLength(sent.length);
    for (const [n, event] of back.entries()) expect(event, `event ${n}`).toStrictEqual(sent[n]);
  });
});

describe.each(THREADS)('a handler on %s', (thread) => {
  const { endWithTick, failOnTick, failOnWide, onTick } = ON[thread];
  const tick = (n: number, symbol = 'ESH4'): Tick => ({ type: 'TICK', n, symbol, price: n / 4 });

  it('that is async has processed its event when its promise resolves, not before', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const jobs = bus.subscribe('JOB', endWithTick);
    const ticks = bus.subscribe('TICK', onTick);
    await bus.start();
    for (const n of range(2)) await bus.publish({ type: 'JOB', n, act: '' });
    await notes.until('begun');
    expect(jobs.metrics()).toMatchObject({ owed: 2, processed: 0, pending: 2 });
    expect(await bus.drain({ timeoutMs: 5 })).toMatchObject({ drained: false });
    await bus.publish(tick(1));
    await notes.until('begun', 2);
    expect(jobs.metrics()).toMatchObject({ owed: 2, processed: 1, pending: 1 });
    await bus.publish(tick(2));
    await bus.drain();
    expect(jobs.metrics()).toMatchObject({ owed: 2, processed: 2, pending: 0, exact: true });
    expect(ticks.metrics()).toMatchObject({ processed: 2 });
    // It was in flight while a tick came and went.
    expect(jobs.metrics().handler).toMatchObject({ samples: 2 });
  });

  it('that throws or rejects fails this delivery, and touches no other', async () => {
    const bus = newBus();
    const notes = new Notes(bus);
    const failed = bus.subscribe('TICK', failOnTick);
    const others = [bus.subscribe('TICK', copy.first), bus.subscribe('TICK', () => undefined)];
    await bus.start();
    const ways = ['THROW', 'REJECT', 'NO ERROR', 'CHANGED', 'fine'];
    for (const n of range(1000)) await bus.publish(tick(n, ways[n % ways.length]));
    await bus.drain();
    expect(failed.metrics()).toMatchObject({ owed: 1000, processed: 200, failed: 800, timedOut: 0, exact: true });
    for (const other of others) {
      expect(other.metrics()).toMatchObject({ owed: 1000, processed: 1000, failed: 0, exact: true });
    }
    await bus.publish(tick(-1));
    expect((await notes.until('first'))[0].data).toMatchObject({ runs: [[0, 999]] });
    expect(bus.metrics().threads[1]).toMatchObject({ incarnation: 0, restarts: { crash: 0, timeout: 0 } });
    await bus.drain();
    expectExact(bus.metrics());
  });

  it('has consecutive failures counted, until a success sets them to 0', async () => {
    const bus = newBus();
    const subscription = bus.subscribe('TICK', failOnTick);
    const other = bus.subscribe('TICK', () => undefined);
    await bus.start();
    const after = async (...symbols: string[]): Promise<number> => {
      for (const symbol of symbols) await bus.publish(tick(0, symbol));
      await bus.drain();
      return subscription.metrics().consecutiveFailures;
    };
    expect(await after('fine')).toBe(0);
    expect(await after('THROW', 'REJECT', 'NO ERROR')).toBe(3);
    expect(await after('REJECT')).toBe(4);
    expect(await after('fine')).toBe(0);
    expect(await after('THROW', 'fine', 'THROW')).toBe(1);
    expect(await after('FINE LATER')).toBe(0);
    expect(subscription.metrics()).toMatchObject({ processed: 4, failed: 6 });
    expect(other.metrics()).toMatchObject({ processed: 10, failed: 0, consecutiveFailures: 0 });
  });

  it('that fails is logged with stack, event and place', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lanebus-'));
    folders.push(folder);
    const destination = join(folder, 'bus.log');
    const bus = newBus({ logger: { destination } });
    const ticks = bus.subscribe('TICK', failOnTick, { name: 'failing ticks' });
    const wides = bus.subscribe('WIDE', failOnWide);
    await bus.start();
    for (const [n, symbol] of ['THROW', 'REJECT', 'NO ERROR', 'CHANGED', 'fine'].entries()) {
      await bus.publish(tick(n, symbol));
    }
    const wide: Wide = { ...randomWide(new SeededRandom(1)), i64: -(2n ** 60n) - 1n, symbol: 'WIDE ONE' };
    await bus.publish(wide);
    await bus.drain();
    const text = readFileSync(destination, 'utf8');
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const errors = lines.filter(({ msg }) => msg === 'handler failed');
    expect(errors).toHaveLength(5);
    const placed = { level: 50, subscription: 'failing ticks', lane: 'market', attempt: 1 };
    const stackWith = (message: string): unknown =>
      expect.stringMatching(new RegExp(`^Error: ${message}\\n(.*\\n)*.*failing\\.[jt]s:\\d+`)) as unknown;
    // Each subscription's deliveries are in order; a waiting one lets others of its thread go ahead.
    const [ofTicks, ofWides] = [ticks, wides].map(({ name }) =>
      errors.filter(({ subscription }) => subscription === name),
    );
    expect(ofTicks).toMatchObject([
      {
        ...placed,
        sequence: 0,
        event: tick(0, 'THROW'),
        err: { message: 'thrown at 0', stack: stackWith('thrown at 0') },
      },
      { ...placed, sequence: 1, event: tick(1, 'REJECT'), err: { stack: stackWith('rejected at 1') } },
      { ...placed, sequence: 2, event: tick(2, 'NO ERROR'), err: { message: 'just a text' } },
      // As it was published, not as the handler left it.
      { ...placed, sequence: 3, event: tick(3, 'CHANGED'), err: { message: 'with its event changed' } },
    ]);
    expect(ofWides).toMatchObject([{ lane: 'market', sequence: 5, err: { message: 'cannot take WIDE ONE' } }]);
    expect(text).toContain('-1152921504606846977');
  });
});

/** Values from the edges of their ranges as often as from between. */
function randomWide(random: SeededRandom): Wide {
  const oneOf = <T>(...values: T[]): T => random.pick(values);
  const text = (): string => oneOf('', 'a', '€', '𝄞 clef', 'x'.repeat(random.below(3000)), '\0\n"', 'ß'.repeat(100));
  const bytes = (): Uint8Array => Uint8Array.from(range(random.below(300)), () => random.below(256));
  const any = (): unknown =>
    oneOf<unknown>(
      null,
      0,
      1.5,
      'text',
      [1, [2, ['3']]],
      { a: { b: [true, null] } },
      new Date(1_703_508_040_123),
      2n ** 64n - 1n,
      new Map([['k', new Set([1])]]),
    );
  const f64 = (): number => oneOf(0, -0, NaN, Infinity, -Infinity, Number.MIN_VALUE, Number.MAX_VALUE, random.next());
  const i64 = (): bigint => oneOf(0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 1_703_508_040_123_456_789n);
  const maybe = <T>(value: T): T | undefined => oneOf(value, undefined);
  return {
    type: 'WIDE',
    f64: f64(),
    i32: oneOf(0, -1, 2 ** 31 - 1, -(2 ** 31), random.below(1000)),
    u32: oneOf(0, 1, 2 ** 32 - 1, 2 ** 31),
    u8: random.below(256),
    bool: oneOf(true, false),
    i64: i64(),
    u64: oneOf(0n, 1n, 2n ** 64n - 1n, 2n ** 63n),
    side: oneOf('BUY', 'SELL'),
    symbol: oneOf('', 'ESH4', 'NQH4', 'Ä€𝄞', `S${random.below(100)}`),
    text: text(),
    bytes: bytes(),
    any: any(),
    maybeF64: maybe(f64()),
    maybeU8: maybe(random.below(256)),
    maybeI64: maybe(i64()),
    maybeSide: maybe(oneOf('BUY', 'SELL')),
    maybeSymbol: maybe(oneOf('', 'ESH4', 'late')),
    maybeText: maybe(text()),
    maybeBytes: maybe(bytes()),
    maybeAny: maybe(any()),
  };
}
