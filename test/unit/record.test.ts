import { describe, expect, it } from 'vitest';
import { LaneView } from '../../src/shared/lane.js';
import { Outcome, SubscriptionMode, SubscriptionWord, TimingWord } from '../../src/shared/layout.js';
import type { Producer, SubscriptionRecord } from '../../src/main/record.js';
import { lanesWith, producerOf, TestEngine } from '../support/engine.js';

const [CONTROL, MARKET, LOG] = [0, 1, 2];

/** A subscription, the engine that publishes to it, and a second producer that nobody drives. */
function bookkeeping(): { test: TestEngine; record: SubscriptionRecord; other: Producer } {
  const lanes = lanesWith();
  const test = new TestEngine({ lanes, producers: 2 });
  return { test, record: test.register(['TICK', 'BAR', 'NOTE']), other: producerOf(lanes, 1, 1) };
}

/** Ends so many deliveries of a lane as the subscription's thread would, without moving its place. */
function endDeliveries(record: SubscriptionRecord, rank: number, outcome: Outcome, deliveries: number): void {
  const [{ block }] = record.members;
  block.stats[block.outcomeF64(rank, outcome)] += deliveries;
}

/** Moves the subscription's place in each lane to its end. */
function readToEnd(record: SubscriptionRecord, producer: Producer): void {
  for (const member of record.members) member.seed(producer);
}

describe('the ledger of a subscription', () => {
  it('has what was published for it on one side, and what came of that on the other, lane by lane', async () => {
    const { test, record } = bookkeeping();
    for (const type of ['HALT', 'TICK', 'TICK', 'BAR', 'NOTE'] as const) await test.publish(type, 1);
    expect(record.metrics()).toMatchObject({ owed: 4, processed: 0, pending: 4, exact: true });
    expect(record.metrics().lanes).toMatchObject({ market: { owed: 3, pending: 3 }, log: { owed: 1, pending: 1 } });
    endDeliveries(record, MARKET, Outcome.processed, 2);
    endDeliveries(record, MARKET, Outcome.failed, 1);
    endDeliveries(record, LOG, Outcome.timedOut, 1);
    readToEnd(record, test.producer);
    expect(record.drained).toBe(true);
    expect(record.metrics()).toMatchObject({ owed: 4, processed: 2, failed: 1, timedOut: 1, pending: 0, exact: true });
    expect(record.metrics().lanes).toMatchObject({
      market: { owed: 3, processed: 2, failed: 1, timedOut: 0, pending: 0, exact: true },
      log: { owed: 1, processed: 0, failed: 0, timedOut: 1, pending: 0, exact: true },
    });
  });

  it('owes what was published up to the first cut, however often it is cut', async () => {
    const { test, record } = bookkeeping();
    await test.publish('TICK', 1);
    const first = test.engine.snapshot();
    expect(record.cut(test.producer, first)).toBe(first);
    await test.publish('TICK', 2);
    // A thread was lost while it was asked, and all are asked again: what is conflated has been put aside up to `first`.
    expect(record.cut(test.producer, test.engine.snapshot())).toBe(first);
    expect(record.metrics()).toMatchObject({ owed: 1 });
  });

  it('is not exact when an outcome is missing, or is one too many', async () => {
    const { test, record } = bookkeeping();
    await test.publish('TICK', 1);
    readToEnd(record, test.producer);
    expect(record.metrics()).toMatchObject({ owed: 1, processed: 0, pending: 0, exact: false });
    endDeliveries(record, MARKET, Outcome.processed, 1);
    expect(record.metrics()).toMatchObject({ exact: true });
    endDeliveries(record, MARKET, Outcome.processed, 1);
    expect(record.metrics()).toMatchObject({ owed: 1, processed: 2, exact: false });
  });

  it('owes nothing that was published before it reads, or after it was cut', async () => {
    const { test } = bookkeeping();
    await test.publish('TICK', 1);
    const late = test.register(['TICK']);
    expect(late.metrics()).toMatchObject({ owed: 0, pending: 0, exact: true });
    await test.publish('TICK', 2);
    const at = test.engine.snapshot();
    late.cut(test.producer, at);
    await test.publish('TICK', 3);
    expect(late.metrics()).toMatchObject({ owed: 1, pending: 1 });
    endDeliveries(late, MARKET, Outcome.processed, 1);
    const [member] = late.members;
    member.block.seed(member.address(test.producer, MARKET), at.cursors[MARKET], 2);
    expect(late.hasDrained(test.producer)).toBe(true);
    expect(late.metrics()).toMatchObject({ owed: 1, processed: 1, pending: 0, exact: true });
  });

  it('adds up over producers, those that are gone included', async () => {
    const { test, record, other } = bookkeeping();
    record.readFromStart(other);
    await test.publish('TICK', 1);
    other.block.published[2] += 5;
    expect(record.metrics()).toMatchObject({ owed: 6 });
    record.retire(other);
    other.block.published[2] += 100;
    expect(record.reads).toEqual([test.producer]);
    expect(record.metrics()).toMatchObject({ owed: 6 });
    expect(record.metrics().lanes).toMatchObject({ market: { owed: 6 }, log: { owed: 0 } });
  });

  it('of one that was never delivered anything owes nothing', async () => {
    const { test, record } = bookkeeping();
    await test.publish('TICK', 1);
    record.disown();
    expect(record.metrics()).toMatchObject({ owed: 0, pending: 0, exact: true });
  });

  it('takes the outcomes that the main thread decides', async () => {
    const { test, record } = bookkeeping();
    for (let n = 0; n < 3; n++) await test.publish('TICK', n);
    record.count(MARKET, Outcome.discarded, 2);
    record.count(MARKET, Outcome.timedOut);
    readToEnd(record, test.producer);
    expect(record.metrics()).toMatchObject({ owed: 3, discarded: 2, timedOut: 1, exact: true });
  });
});

describe('a subscription whose thread has died', () => {
  it('moves to a fresh block, with its counts, its place and its mode', async () => {
    const { test, record, other } = bookkeeping();
    record.readFromStart(other);
    for (let n = 0; n < 4; n++) await test.publish('TICK', n);
    endDeliveries(record, MARKET, Outcome.processed, 2);
    const [member] = record.members;
    const { block: old } = member;
    old.stats[SubscriptionWord.REDELIVERED_F64] = 1;
    old.stats[SubscriptionWord.MISSED_F64] = 7;
    for (let n = 0; n < 3; n++) record.circuit.failed(false);
    const market = member.address(test.producer, MARKET);
    const control = member.address(other, MARKET);
    old.seed(market, 64, 2);
    old.words[old.settledIndex(market)] = 96;
    old.seed(control, 40, 1);
    old.words[old.settledIndex(control)] = 8;
    record.pause(true);
    const bytes = Buffer.from(new Uint8Array(old.source));

    record.moveOn(member);

    const { block } = member;
    expect(block).not.toBe(old);
    expect(Buffer.from(new Uint8Array(old.source)).equals(bytes)).toBe(true);
    const placeOf = (address: number): number[] => [
      block.words[block.settledIndex(address)],
      block.words[block.gatingIndex(address)],
    ];
    // From where it has settled its deliveries, or has skipped to, whichever is further.
    expect(placeOf(market)).toEqual([96, 96]);
    expect(placeOf(control)).toEqual([40, 40]);
    expect(block.words[SubscriptionWord.STATE_INDEX]).toBe(SubscriptionMode.paused);
    expect(record.metrics()).toMatchObject({
      owed: 4,
      processed: 2,
      redelivered: 1,
      missed: 7,
      consecutiveFailures: 3,
    });
    endDeliveries(record, MARKET, Outcome.processed, 2);
    readToEnd(record, test.producer);
    record.moveOn(member);
    expect(record.metrics()).toMatchObject({ owed: 4, processed: 4, redelivered: 1, pending: 0, exact: true });
  });

  it('starts behind a delivery that has got its outcome meanwhile', async () => {
    const { test, record } = bookkeeping();
    for (let n = 0; n < 2; n++) await test.publish('TICK', n);
    const [member] = record.members;
    member.pass(member.address(test.producer, MARKET), 0, Outcome.timedOut);
    record.moveOn(member);
    expect(member.settled(test.producer, MARKET)).toBe(new LaneView(test.producer.block, MARKET).next(0));
    expect(member.settled(test.producer, LOG)).toBe(0);
  });

  it('keeps its durations: means over all incarnations, and the longest of any', () => {
    const { record } = bookkeeping();
    const take = (ms: number, weight: number): void => {
      const [{ block }] = record.members;
      const { stats } = block;
      stats[SubscriptionWord.HANDLER_F64 + TimingWord.SUM] += ms * weight;
      stats[SubscriptionWord.HANDLER_F64 + TimingWord.WEIGHT] += weight;
      stats[SubscriptionWord.HANDLER_F64 + TimingWord.SAMPLES] += 1;
      stats[SubscriptionWord.HANDLER_F64 + TimingWord.MAX] = ms;
    };
    expect(record.metrics().handler).toEqual({ meanMs: 0, maxMs: 0, samples: 0 });
    take(8, 1);
    record.moveOn(record.members[0]);
    take(2, 64);
    expect(record.metrics().handler).toEqual({ meanMs: (8 + 2 * 64) / 65, maxMs: 8, samples: 2 });
    expect(record.metrics().queueWait).toEqual({ meanMs: 0, maxMs: 0, samples: 0 });
  });
});

describe('what is left of a subscription', () => {
  it('is discarded from where it is settled to the end, its own types only', async () => {
    const { test, record, other } = bookkeeping();
    record.readFromStart(other);
    for (const type of ['HALT', 'TICK', 'BAR', 'NOTE', 'TICK'] as const) await test.publish(type, 1);
    const ticksOnly = test.register(['TICK']);
    await test.publish('BAR', 2);
    await test.publish('TICK', 3);
    record.discardRest();
    ticksOnly.discardRest();
    expect(record.metrics()).toMatchObject({ owed: 6, discarded: 6, pending: 0, exact: true });
    expect(ticksOnly.metrics()).toMatchObject({ owed: 1, discarded: 1, pending: 0, exact: true });
    record.discardRest();
    expect(record.metrics()).toMatchObject({ discarded: 6, exact: true });
  });

  it('is discarded up to its cut only', async () => {
    const { test, record } = bookkeeping();
    await test.publish('TICK', 1);
    record.cut(test.producer, test.engine.snapshot());
    await test.publish('TICK', 2);
    record.discardRest();
    expect(record.metrics()).toMatchObject({ owed: 1, discarded: 1, pending: 0, exact: true });
  });
});

describe('the state of a subscription', () => {
  const modeOf = (record: SubscriptionRecord): number => record.members[0].block.words[SubscriptionWord.STATE_INDEX];

  it('follows pause, resume and end, and its thread is told', () => {
    const { record } = bookkeeping();
    record.pause(true);
    expect([record.state, modeOf(record)]).toEqual(['paused', SubscriptionMode.paused]);
    record.pause(false);
    expect([record.state, modeOf(record)]).toEqual(['active', SubscriptionMode.active]);
    record.end();
    expect([record.state, modeOf(record)]).toEqual(['ending', SubscriptionMode.ending]);
  });

  it('that was paused before the start is paused after it', () => {
    const { record } = bookkeeping();
    record.state = 'starting';
    record.pause(true);
    expect(record.state).toBe('starting');
    record.activate();
    expect(record.state).toBe('paused');
  });

  it('names the lanes that carry its types, most urgent first', () => {
    const { test } = bookkeeping();
    expect(test.register(['NOTE', 'HALT', 'BAR', 'TICK']).ranks).toEqual([CONTROL, MARKET, LOG]);
    expect(test.register(['BAR', 'TICK']).ranks).toEqual([MARKET]);
  });
});
