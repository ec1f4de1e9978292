import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { SubscriptionRecord } from '../../src/main/record.js';
import type { ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';
import { ClaimedReader } from '../../src/shared/claimed-reader.js';
import { Claims } from '../../src/shared/claims.js';
import { Dispatcher } from '../../src/shared/dispatch.js';
import { nudge } from '../../src/shared/engine.js';
import { ClaimBlock, ConsumerBlock, SubscriptionBlock } from '../../src/shared/layout.js';
import { LocalSubscription } from '../../src/shared/subscription.js';
import { failuresFor } from '../support/failures.js';
import { keepingLog, KEYS, TestEngine, type TestEvent, type TestHandler } from '../support/engine.js';
import { laneOf } from '../support/lanes.js';
import { MortalThread, watchAtomics } from '../support/mortal.js';

const MARKET = 1;
/** Records that may be put off before a thread reads no further. */
const MAX_PUT_OFF = 1024;

const engines: TestEngine[] = [];
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.stop();
});

/** Positions wrap on the way, and sequences. */
function engineWith(): TestEngine {
  const engine = new TestEngine({ position: 2 ** 31 - 64, sequence: 2 ** 32 - 2 });
  engines.push(engine);
  return engine;
}

/** Without order, or with the field `n` as the key. */
const unordered = (concurrency: number): Partial<ResolvedSubscribeOptions> => ({ mode: 'claimed', concurrency });
const keyed = (concurrency: number): Partial<ResolvedSubscribeOptions> => ({ ...unordered(concurrency), keys: KEYS });

/** Handlers that the test lets go on, by hand. */
class Gate {
  /** As begun: the event's own number among those published, and its `n`. */
  readonly begun: string[] = [];
  readonly #ends = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();

  /** Waits until the test says how each delivery ends. */
  readonly handler: TestHandler = ({ n }, { sequence }) =>
    new Promise<void>((resolve, reject) => {
      this.#ends.set(this.#note(n, sequence), { resolve, reject });
    });

  /** Waits for events with this `n`; others end at once. */
  waitingFor(waits: number): TestHandler {
    return (event, context) => {
      if (event.n === waits) return this.handler(event, context);
      this.#note(event.n, context.sequence);
      return undefined;
    };
  }

  end(name: string): void {
    this.#take(name).resolve();
  }

  fail(name: string): void {
    this.#take(name).reject(new Error('no'));
  }

  #note(n: number, sequence: number): string {
    const name = `${sequence - (2 ** 32 - 2)}:${n}`;
    this.begun.push(name);
    return name;
  }

  #take(name: string): { resolve: () => void; reject: (error: Error) => void } {
    const end = this.#ends.get(name);
    if (end === undefined) throw new Error(`${name} has not begun`);
    this.#ends.delete(name);
    return end;
  }
}

async function publish(test: TestEngine, ...keys: number[]): Promise<void> {
  for (const n of keys) await test.publish('TICK', n);
}

/** Long enough for whatever the pump can do now. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 5; turns++) await turn();
}

/** Records that the lane does not have to keep for the subscription any more. */
function givenBack(test: TestEngine, record: SubscriptionRecord): number {
  const [{ block }] = record.members;
  return (block.words[block.gatingIndex(record.members[0].address(test.producer, MARKET)) + 1] - (2 ** 32 - 2)) | 0;
}

/** What the bus does to end a subscription. */
async function endSubscription(test: TestEngine, record: SubscriptionRecord): Promise<void> {
  const [member] = record.members;
  record.end();
  nudge(test.consumer.words);
  await test.engine.halt(member.id);
  const at = test.engine.snapshot();
  record.cut(test.producer, at);
  test.engine.detach(
    member.id,
    new Map(record.ranks.map((rank) => [member.address(test.producer, rank), at.cursors[rank]])),
  );
  test.engine.closeGates([member.id]);
}

function pause(test: TestEngine, record: SubscriptionRecord, paused: boolean): void {
  record.pause(paused);
  nudge(test.consumer.words);
}

describe('concurrency', () => {
  it('lets so many deliveries be in flight, and the next begin when one has ended', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.handler, unordered(3));
    await publish(test, 0, 0, 0, 0, 0);
    test.start();
    await settled();
    expect(gate.begun).toEqual(['0:0', '1:0', '2:0']);
    gate.end('1:0');
    await settled();
    expect(gate.begun).toEqual(['0:0', '1:0', '2:0', '3:0']);
    for (const name of ['3:0', '0:0', '2:0']) gate.end(name);
    await settled();
    gate.end('4:0');
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 5, pending: 0, exact: true });
  });

  it('lets a synchronous handler have one after the other, in the order of the lane', async () => {
    const test = engineWith();
    const seen: number[] = [];
    const record = test.subscribe('TICK', ({ n }) => void seen.push(n), keyed(4));
    const keys = Array.from({ length: 500 }, (_, n) => n);
    await publish(test, ...keys);
    test.start();
    await test.drained();
    expect(seen).toEqual(keys);
    expect(record.metrics()).toMatchObject({ processed: 500, pending: 0, exact: true });
  });

  it('tells each delivery of its own event while others are in flight', async () => {
    const test = engineWith();
    const told: string[] = [];
    const resolves: (() => void)[] = [];
    test.subscribe(
      'TICK',
      async ({ n }, context) => {
        await new Promise<void>((resolve) => resolves.push(resolve));
        told.push(`${n}: ${context.sequence}`);
      },
      unordered(3),
    );
    await publish(test, 7, 8, 9);
    test.start();
    await settled();
    for (const resolve of resolves.reverse()) resolve();
    await test.drained();
    expect(told).toEqual([`9: ${2 ** 32}`, `8: ${2 ** 32 - 1}`, `7: ${2 ** 32 - 2}`]);
  });
});

describe('keys', () => {
  it('are kept in order, and overtake one that is in flight', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.handler, keyed(3));
    await publish(test, 1, 1, 2, 1, 2);
    test.start();
    await settled();
    expect(gate.begun).toEqual(['0:1', '2:2']);
    gate.end('2:2');
    await settled();
    expect(gate.begun).toEqual(['0:1', '2:2', '4:2']);
    gate.end('0:1');
    await settled();
    expect(gate.begun).toEqual(['0:1', '2:2', '4:2', '1:1']);
    gate.end('1:1');
    await settled();
    expect(gate.begun.at(-1)).toBe('3:1');
    gate.end('3:1');
    gate.end('4:2');
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 5, pending: 0, exact: true });
  });

  it('of several types and lanes are one key of the subscription', async () => {
    const test = engineWith();
    const begun: string[] = [];
    const ends: (() => void)[] = [];
    const handler = ({ type, n }: TestEvent): Promise<void> => {
      begun.push(`${type} ${n}`);
      return new Promise((resolve) => ends.push(resolve));
    };
    const record = test.subscribe(['TICK', 'NOTE'], handler, keyed(4));
    await test.publish('TICK', 1);
    await test.publish('NOTE', 1);
    await test.publish('NOTE', 2);
    test.start();
    await settled();
    expect(begun).toEqual(['TICK 1', 'NOTE 2']);
    ends[0]();
    await settled();
    expect(begun).toEqual(['TICK 1', 'NOTE 2', 'NOTE 1']);
    for (const end of ends) end();
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 3, pending: 0, exact: true });
  });

  it('are free again after a delivery that has failed, thrown or timed out', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe(
      'TICK',
      (event, context) => {
        if (gate.begun.length === 1) {
          gate.begun.push('thrown');
          throw new Error('no');
        }
        return gate.handler(event, context);
      },
      keyed(2),
    );
    await publish(test, 1, 1, 1, 1);
    test.start();
    await settled();
    gate.fail('0:1');
    await settled();
    expect(gate.begun).toEqual(['0:1', 'thrown', '2:1']);
    for (const flight of [0, 1]) test.engine.giveUp(record.members[0].id, flight);
    await settled();
    expect(gate.begun).toEqual(['0:1', 'thrown', '2:1', '3:1']);
    gate.end('2:1');
    while (record.metrics().failed + record.metrics().timedOut < 3) await settled();
    expect(record.metrics()).toMatchObject({ failed: 2, timedOut: 1, processed: 0, pending: 1 });
    gate.end('3:1');
    await test.drained();
    expect(record.metrics()).toMatchObject({ failed: 2, timedOut: 1, processed: 1, pending: 0, exact: true });
  });

  it.each([
    ['reads on', MAX_PUT_OFF - 1, true],
    ['reads no further', MAX_PUT_OFF, false],
  ])('that wait behind one: the thread %s when %i are put off', async (_, putOff, readsOn) => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.waitingFor(1), keyed(2));
    await publish(test, ...Array.from({ length: putOff + 1 }, () => 1), 2);
    test.start();
    await settled();
    expect(gate.begun).toEqual(readsOn ? ['0:1', `${putOff + 1}:2`] : ['0:1']);
    gate.end('0:1');
    await settled();
    expect(gate.begun).toContain('1:1');
    expect(gate.begun).toContain(`${putOff + 1}:2`);
    await endWhile(gate, test, record);
    expect(record.metrics()).toMatchObject({ processed: putOff + 2, pending: 0, exact: true });
    expect(gate.begun.filter((name) => name.endsWith(':1'))).toEqual(
      Array.from({ length: putOff + 1 }, (__, index) => `${index}:1`),
    );
  });
});

/** Ends each delivery as soon as it has begun. */
async function endWhile(gate: Gate, test: TestEngine, record: SubscriptionRecord): Promise<void> {
  let ended = 1;
  while (!record.drained) {
    const waiting = gate.begun.filter((name) => name.endsWith(':1'));
    for (; ended < waiting.length; ended++) gate.end(waiting[ended]);
    await turn();
  }
  expect(givenBack(test, record)).toBe(gate.begun.length);
}

describe('a lane', () => {
  it('gets its room back up to the oldest delivery without an outcome, in whatever order they end', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.handler, unordered(4));
    await publish(test, 0, 0);
    await test.publish('BAR', 0);
    await publish(test, 0);
    test.start();
    const ends: [string, number][] = [
      ['1:0', 0],
      ['3:0', 0],
      ['0:0', 4],
    ];
    await settled();
    for (const [name, records] of ends) {
      gate.end(name);
      await settled();
      expect(givenBack(test, record), `after ${name}`).toBe(records);
    }
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 3, pending: 0, exact: true });
  });

  it('gets it back from a record that is in flight on, not from the one behind', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.handler, unordered(2));
    await test.publish('BAR', 0);
    await publish(test, 0, 0);
    test.start();
    await settled();
    expect(givenBack(test, record)).toBe(1);
    gate.end('1:0');
    await settled();
    expect(givenBack(test, record)).toBe(2);
    gate.end('2:0');
    await test.drained();
    expect(givenBack(test, record)).toBe(3);
  });

  it('is not held by a paused subscription for what it does not want', async () => {
    const test = engineWith();
    const record = test.subscribe('TICK', () => undefined, unordered(2));
    pause(test, record, true);
    for (let n = 0; n < 3; n++) await test.publish('BAR', n);
    await publish(test, 0);
    test.start();
    await settled();
    expect(givenBack(test, record)).toBe(3);
    pause(test, record, false);
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 1, pending: 0, exact: true });
  });

  it('goes round many times under deliveries that end out of order', async () => {
    const test = engineWith();
    const waiting: (() => void)[] = [];
    const lastOf = new Map<number, number>();
    const record = test.subscribe(
      'TICK',
      ({ n }, { sequence }) => {
        expect(sequence).toBeGreaterThan(lastOf.get(n) ?? 0);
        lastOf.set(n, sequence);
        return new Promise<void>((resolve) => waiting.push(resolve));
      },
      keyed(8),
    );
    test.start();
    const events = 10_000;
    let published = 0;
    for (let round = 0; !(published === events && record.drained); round++) {
      for (let burst = 0; burst < 50 && published < events; burst++) {
        if (test.engine.outbox.tryPublish({ type: 'TICK', n: (published * 7) % 13 }) !== 'published') break;
        published++;
      }
      waiting.splice(round % 3, 1)[0]?.();
      for (const end of waiting.splice(round % 2)) end();
      await turn();
    }
    expect(record.metrics()).toMatchObject({ processed: events, pending: 0, exact: true });
  });
});

describe('a pause', () => {
  it('lets those in flight end, and begins none that was put off until it is over', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.handler, keyed(3));
    await publish(test, 1, 1, 2, 1);
    test.start();
    await settled();
    pause(test, record, true);
    gate.end('0:1');
    gate.end('2:2');
    await settled();
    expect(gate.begun).toEqual(['0:1', '2:2']);
    expect(record.metrics()).toMatchObject({ processed: 2, pending: 2 });
    expect(givenBack(test, record)).toBe(1);
    await publish(test, 1);
    pause(test, record, false);
    for (const name of ['1:1', '3:1', '4:1']) {
      await settled();
      expect(gate.begun.at(-1)).toBe(name);
      gate.end(name);
    }
    await test.drained();
    expect(record.metrics()).toMatchObject({ processed: 5, pending: 0, exact: true });
  });
});

describe('a subscription that ends', () => {
  it('waits for those in flight, and discards what was put off and what was not read', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.handler, keyed(2));
    await publish(test, 1, 1, 1, 2, 3, 1);
    test.start();
    await settled();
    expect(gate.begun).toEqual(['0:1', '3:2']);
    let ended = false;
    const ending = endSubscription(test, record).then(() => (ended = true));
    gate.end('0:1');
    await settled();
    expect(ended).toBe(false);
    gate.end('3:2');
    await ending;
    expect(gate.begun).toEqual(['0:1', '3:2']);
    expect(record.metrics()).toMatchObject({ owed: 6, processed: 2, discarded: 4, pending: 0, exact: true });
    await publish(test, 1, 1);
    expect(record.metrics()).toMatchObject({ owed: 6, pending: 0, exact: true });
  });

  it('discards in each of its lanes', async () => {
    const test = engineWith();
    const record = test.subscribe(['TICK', 'NOTE'], () => undefined, keyed(2));
    await publish(test, 1, 1);
    await test.publish('BAR', 1);
    await test.publish('NOTE', 1);
    await endSubscription(test, record);
    expect(record.metrics()).toMatchObject({ owed: 3, processed: 0, discarded: 3, pending: 0, exact: true });
  });

  it('after its only delivery discards the rest', async () => {
    const test = engineWith();
    const gate = new Gate();
    const record = test.subscribe('TICK', gate.handler, { ...keyed(1), once: true });
    await publish(test, 1, 1, 2);
    test.start();
    await settled();
    gate.end('0:1');
    await publish(test, 1);
    await test.drained();
    expect(gate.begun).toEqual(['0:1']);
    expect(record.metrics()).toMatchObject({ owed: 4, processed: 1, discarded: 3, pending: 0, exact: true });
  });
});

// ------------------------------------------------------------------------------------------------------- a death

const TICK = 1;
const OTHER = 2;
const TYPES = [TICK, OTHER, TICK, TICK, OTHER, OTHER, TICK, TICK];
const POSITION = 2 ** 31 - 64;
/** Numbers wrap with the third event. */
const FIRST_NUMBER = 2 ** 32 - 2;
const SLOTS = 32;

describe('the claim number of a position', () => {
  /** A thread that lives to make so many stores, and delivers all there is one by one. */
  function deliverAll(life: number) {
    const { block: producer, lane, view } = laneOf({ capacity: 512, types: 2, position: POSITION });
    const block = SubscriptionBlock.create({ lanes: 1, addresses: 1, flights: 2 });
    block.seed(0, lane.cursor, 0, FIRST_NUMBER | 0);
    const numberOf = new Map<number, number>();
    let number = FIRST_NUMBER;
    for (const type of TYPES) {
      numberOf.set(lane.cursor, number | 0);
      lane.claim(8, type);
      lane.commit(type);
      if (type === TICK) number++;
    }
    numberOf.set(lane.cursor, number | 0);

    const thread = new MortalThread(life);
    const setup = { id: 1, name: 'ticks', types: [TICK], block: block.source, once: false, failures: failuresFor(2) };
    const handling = { handler: () => undefined, predicate: undefined };
    const subscription = new LocalSubscription(setup, handling, {} as never, keepingLog([]), 0, ['market']);
    const words = thread.watch(subscription.words, String);
    Object.assign(subscription.block, { words });
    Object.assign(subscription, { words });
    const place = { block: producer, rank: 0, name: 'market', producer: 0, publisher: 0, lanes: 1, isRetries: false };
    const selection = { decoders: [null, () => ({}), null, null], owns: null, accepts: null, keys: null, holds: null };
    const claims = new Claims(ClaimBlock.create(SLOTS), 1);
    // Somebody has had the laps before, so that the slots are as they would be.
    const cycle = 256 * SLOTS;
    for (let before = Math.floor(FIRST_NUMBER / cycle) * cycle - cycle; before < FIRST_NUMBER; before++) {
      if (claims.take(before | 0)) claims.done(before | 0);
    }
    const reader = new ClaimedReader(subscription, place, selection, undefined, claims);
    const quiet = (): void => undefined;
    const dispatcher = new Dispatcher(new ConsumerBlock(ConsumerBlock.create().source).words, {
      bell: 0,
      sliceEnd: Infinity,
      sliceOver: false,
      isGuarded: () => true,
      overtaken: () => false,
      owe: (owing) => {
        owing.giveBack();
      },
      deliveryStarted: quiet,
      deliveryEnded: quiet,
    });
    while (!thread.dead && reader.hasNews) dispatcher.burst(reader, 1);
    return { thread, block, numberOf, end: view.end() };
  }

  it('is found with GATING, whichever store the thread died before', () => {
    const stopWatching = watchAtomics();
    const positions = new Set<number>();
    try {
      for (let life = 0; ; life++) {
        const { thread, block, numberOf, end } = deliverAll(life);
        const position = block.words[block.gatingIndex(0)];
        positions.add(position);
        expect(block.numberAt(0), `${position - POSITION} bytes, after ${life} stores`).toBe(numberOf.get(position));
        if (thread.dead) continue;
        expect(position).toBe(end);
        break;
      }
    } finally {
      stopWatching();
    }
    expect(positions.size).toBeGreaterThan(4);
  });
});
