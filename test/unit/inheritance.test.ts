import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { type Death, inherit, suspect, type Suspicion } from '../../src/main/inheritance.js';
import type { Member } from '../../src/main/member.js';
import { LaneView } from '../../src/shared/lane.js';
import { FlightWord, HEADER_BYTES, WAITING_BIT } from '../../src/shared/layout.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import type { ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';
import { CATALOG, TestEngine, type TestEvent, type TestHandler } from '../support/engine.js';

interface Line {
  readonly level: number;
  readonly msg: string;
}

function logInto(lines: Line[]): Parameters<typeof inherit>[2] {
  return pino({ base: null, timestamp: false }, { write: (line) => lines.push(JSON.parse(line) as Line) });
}

/** Of the suspects, those are told that are not the subscription's own. */
type TestDeath = Omit<Death, 'suspicion'> & { readonly suspicion?: Suspicion };
const crash: TestDeath = { reason: 'crash', late: [], maxCrashes: 2, lingers: false };
const timeout: TestDeath = { ...crash, reason: 'timeout' };
const anotherRan: Suspicion = { of: 'running', count: 1 };

/** A subscription whose thread is the test's: a death is an incarnation that is left where it stands. */
class Mortal {
  readonly publisher = new TestEngine();
  readonly record: SubscriptionRecord;
  readonly lines: Line[] = [];
  /** What was run, as `type number: attempt`. */
  readonly runs: string[] = [];
  #incarnation: TestEngine | undefined;

  constructor(types: readonly TestEvent['type'][] = ['TICK'], options: Partial<ResolvedSubscribeOptions> = {}) {
    this.record = this.publisher.register(types, options);
  }

  /** Starts an incarnation, which runs until it has come to the events with these numbers, and is stuck there. */
  async live(...stuckAt: readonly number[]): Promise<void> {
    const engine = new TestEngine();
    this.#incarnation = engine;
    const stuck = new Set<number>();
    const handler: TestHandler = ({ type, n }, { attempt }) => {
      this.runs.push(`${type} ${n}: ${attempt}`);
      if (!stuckAt.includes(n)) return undefined;
      stuck.add(n);
      return new Promise(() => undefined);
    };
    const { index, thread, block } = this.publisher.producer;
    engine.engine.addProducer({ index, thread, block: block.source }, []);
    engine.attach(this.record, handler);
    engine.start();
    while (stuck.size < stuckAt.length && !this.record.drained) await turn();
  }

  async die(death: TestDeath): Promise<void> {
    await this.#incarnation?.stop();
    inherit(
      this.member,
      { suspicion: suspect(this.member.inFlight), ...death },
      logInto(this.lines),
      this.publisher.desk,
    );
    this.publisher.engine.openGates([this.publisher.gateOf(this.member)], false);
  }

  /** A death for which the delivery in flight is blamed. */
  late(): TestDeath {
    const { member, publisher } = this;
    const tag = member.address(publisher.producer, 1) + 1;
    return { ...timeout, late: [{ member, flight: 0, tag, position: member.settled(publisher.producer, 1) }] };
  }

  /** Where the words of the delivery of an event are, if it is in flight. */
  flightOf(n: number): { flight: number; position: number } {
    const { block } = this.member;
    const lane = new LaneView(this.publisher.producer.block, 1);
    const offset = HEADER_BYTES + (CATALOG.types[1].fields.find(({ name }) => name === 'n')?.offset ?? 0);
    const flights = Array.from({ length: block.flights }, (_, flight) => ({
      flight,
      position: block.words[FlightWord.positionIndex(flight)],
    }));
    const found = flights.find(
      ({ flight, position }) =>
        block.words[FlightWord.laneIndex(flight)] !== 0 && lane.memory.i32[(lane.offset(position) + offset) >> 2] === n,
    );
    if (found === undefined) throw new Error(`event ${n} is not in flight`);
    return found;
  }

  get member(): Member {
    return this.record.members[0];
  }

  async publish(type: TestEvent['type'], ...numbers: number[]): Promise<void> {
    for (const n of numbers) await this.publisher.publish(type, n);
  }
}

describe('the successor of a thread that has died', () => {
  it('goes on where the subscription is settled, when nothing was in flight', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1, 2);
    await mortal.live(-1);
    await mortal.die(crash);
    await mortal.publish('TICK', 3);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'TICK 2: 1', 'TICK 3: 1']);
    expect(mortal.record.metrics()).toMatchObject({ owed: 3, processed: 3, redelivered: 0, exact: true });
    expect(mortal.lines).toEqual([]);
  });

  it('repeats the delivery that was in flight, with the next attempt, and goes on', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1, 2, 3);
    await mortal.live(2);
    await mortal.die(crash);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'TICK 2: 1', 'TICK 2: 2', 'TICK 3: 1']);
    expect(mortal.record.metrics()).toMatchObject({ owed: 3, processed: 3, redelivered: 1, pending: 0, exact: true });
  });

  it('does not repeat a delivery that has killed its thread as often as is allowed: it is poison', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1, 2, 3);
    await mortal.live(2);
    await mortal.die(crash);
    await mortal.live(2);
    await mortal.die(crash);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'TICK 2: 1', 'TICK 2: 2', 'TICK 3: 1']);
    expect(mortal.record.metrics()).toMatchObject({ owed: 3, processed: 2, failed: 1, pending: 0, exact: true });
    expect(mortal.lines).toMatchObject([
      { level: 50, msg: 'poison event: its thread died 2 times', crashes: 2, attempt: 2 },
    ]);
  });

  it('counts deaths of the same event only', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1, 2);
    await mortal.live(1);
    await mortal.die(crash);
    await mortal.live(2);
    await mortal.die(crash);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'TICK 1: 2', 'TICK 2: 1', 'TICK 2: 2']);
    expect(mortal.record.metrics()).toMatchObject({ processed: 2, failed: 0, redelivered: 2, exact: true });
  });

  it('does not repeat the delivery for which the thread was terminated: it has timed out', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1, 2, 3);
    await mortal.live(2);
    await mortal.die(mortal.late());
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'TICK 2: 1', 'TICK 3: 1']);
    expect(mortal.record.metrics()).toMatchObject({ owed: 3, processed: 2, timedOut: 1, pending: 0, exact: true });
    expect(mortal.lines).toMatchObject([{ level: 50, msg: 'delivery timed out after 0 ms', lane: 'market' }]);
  });

  it('repeats a delivery that died with a late one as often as it takes: it is not to blame', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1);
    for (let death = 1; death <= 5; death++) {
      await mortal.live(1);
      await mortal.die(timeout);
    }
    await mortal.live(-1);
    expect(mortal.runs).toEqual([1, 2, 3, 4, 5, 6].map((attempt) => `TICK 1: ${attempt}`));
    expect(mortal.record.metrics()).toMatchObject({ processed: 1, timedOut: 0, failed: 0, exact: true });
  });

  it('does not count the deaths that another delivery caused towards poison', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1);
    for (const death of [timeout, timeout, crash, timeout, crash]) {
      expect(mortal.record.metrics().failed).toBe(0);
      await mortal.live(1);
      await mortal.die(death);
    }
    expect(mortal.record.metrics()).toMatchObject({ owed: 1, failed: 1, pending: 0, exact: true });
    expect(mortal.lines).toMatchObject([{ crashes: 2, attempt: 5 }]);
  });

  it('counts time-outs in a row as failures in a row', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1, 2, 3);
    for (const n of [1, 2]) {
      await mortal.live(n);
      await mortal.die(mortal.late());
      expect(mortal.record.metrics().consecutiveFailures).toBe(n);
    }
    await mortal.live(-1);
    expect(mortal.record.metrics()).toMatchObject({ timedOut: 2, processed: 1, consecutiveFailures: 0, exact: true });
  });

  it('keeps the attempt of a delivery that it had not come to repeat', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1, 2);
    await mortal.live(1);
    await mortal.die(crash);
    await mortal.die(crash);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'TICK 1: 2', 'TICK 2: 1']);
    expect(mortal.record.metrics()).toMatchObject({ processed: 2, failed: 0, redelivered: 1, exact: true });
  });

  it('forgets the attempt of a delivery that was repeated and has ended', async () => {
    const mortal = new Mortal();
    await mortal.publish('TICK', 1);
    await mortal.live(1);
    await mortal.die(crash);
    await mortal.live(-1);
    await mortal.die(crash);
    expect(mortal.member.redeliveries).toEqual([]);
    await mortal.publish('TICK', 2);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'TICK 1: 2', 'TICK 2: 1']);
  });

  it('keeps the attempt of a delivery while another lane comes first and its thread dies there', async () => {
    const mortal = new Mortal(['TICK', 'HALT']);
    await mortal.publish('TICK', 1);
    await mortal.live(1);
    await mortal.die(crash);
    await mortal.publish('HALT', 2);
    await mortal.live(2);
    await mortal.die(timeout);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['TICK 1: 1', 'HALT 2: 1', 'HALT 2: 2', 'TICK 1: 2']);
    expect(mortal.record.metrics()).toMatchObject({ processed: 2, redelivered: 2, exact: true });
  });
});

describe('the successor of a thread with several deliveries in flight', () => {
  /** Four ticks, of which three may be in flight together. */
  async function waiting(): Promise<Mortal> {
    const mortal = new Mortal(['TICK'], { mode: 'claimed', concurrency: 3 });
    await mortal.publish('TICK', 1, 2, 3, 4);
    return mortal;
  }

  it('repeats them all, and each has its attempts', async () => {
    const mortal = await waiting();
    await mortal.live(1, 3);
    await mortal.die(crash);
    await mortal.live(3);
    await mortal.die(timeout);
    await mortal.live(-1);
    expect(mortal.runs).toEqual(['1: 1', '2: 1', '3: 1', '4: 1', '1: 2', '3: 2', '3: 3'].map((run) => `TICK ${run}`));
    expect(mortal.record.metrics()).toMatchObject({ owed: 4, processed: 4, redelivered: 2, pending: 0, exact: true });
    expect(mortal.member.redeliveries).toHaveLength(1);
    await mortal.die(crash);
    expect(mortal.member.redeliveries).toEqual([]);
  });

  it('delivers suspects one at a time: the one whose thread dies again is poison, the other is processed', async () => {
    const mortal = await waiting();
    await mortal.live(2, 3);
    await mortal.die(crash);
    expect(mortal.member.redeliveries.map(({ suspect }) => suspect)).toEqual([true, true]);
    await mortal.live(2);
    expect(mortal.runs.slice(-1)).toEqual(['TICK 2: 2']);
    await mortal.die(crash);
    await mortal.live(-1);
    expect(mortal.runs.slice(-1)).toEqual(['TICK 3: 2']);
    expect(mortal.record.metrics()).toMatchObject({ owed: 4, processed: 3, failed: 1, pending: 0, exact: true });
    expect(mortal.lines.map(({ msg }) => msg)).toEqual(['poison event: its thread died 2 times']);
  });

  it('gives no outcome to one of several suspects, however few crashes are allowed', async () => {
    const mortal = await waiting();
    await mortal.live(2, 3);
    await mortal.die({ ...crash, maxCrashes: 1 });
    expect(mortal.record.metrics()).toMatchObject({ failed: 0 });
    await mortal.live(-1);
    expect(mortal.record.metrics()).toMatchObject({ owed: 4, processed: 4, failed: 0, redelivered: 2, exact: true });
  });

  it('takes a delivery for guilty that was among the suspects five times', async () => {
    const mortal = await waiting();
    for (let death = 0; death < 5; death++) {
      await mortal.live(2);
      await mortal.die({ ...crash, suspicion: { of: 'working', count: 2 } });
    }
    expect(mortal.record.metrics()).toMatchObject({ failed: 1 });
    expect(mortal.lines.map(({ msg }) => msg)).toEqual(['poison event: its thread died 5 times']);
  });

  it('suspects one that waits for room only if there is no other', () => {
    const one = { flight: 0, address: 0, position: 0, attempt: 1, running: false, awaitsRoom: false };
    const waits = { ...one, awaitsRoom: true };
    expect(suspect([one, waits])).toEqual({ of: 'working', count: 1 });
    expect(suspect([waits, waits])).toEqual({ of: 'any', count: 2 });
    expect(suspect([one, { ...one, running: true }])).toEqual({ of: 'running', count: 1 });
  });

  it('suspects none that waited, when a handler was running elsewhere on the thread', async () => {
    const mortal = await waiting();
    for (let death = 0; death < 3; death++) {
      await mortal.live(2, 3);
      await mortal.die({ ...crash, suspicion: anotherRan });
    }
    await mortal.live(-1);
    expect(mortal.record.metrics()).toMatchObject({ owed: 4, processed: 4, failed: 0, redelivered: 2, exact: true });
    expect(mortal.runs.slice(-2)).toEqual(['TICK 2: 4', 'TICK 3: 4']);
  });

  it('suspects the one whose handler was running, and none of those that waited', async () => {
    const mortal = await waiting();
    for (let death = 0; death < 2; death++) {
      await mortal.live(2, 3);
      const { words } = mortal.member.block;
      words[FlightWord.laneIndex(mortal.flightOf(3).flight)] &= ~WAITING_BIT;
      await mortal.die(crash);
    }
    await mortal.live(-1);
    expect(mortal.record.metrics()).toMatchObject({ owed: 4, processed: 3, failed: 1, redelivered: 1, exact: true });
    expect(mortal.runs.slice(-1)).toEqual(['TICK 2: 3']);
  });

  it('ends the one that was late, and repeats the others', async () => {
    const mortal = await waiting();
    await mortal.live(1, 2, 4);
    const { member } = mortal;
    const tag = member.address(mortal.publisher.producer, 1) + 1;
    await mortal.die({ ...timeout, late: [{ member, tag, ...mortal.flightOf(2) }] });
    await mortal.live(-1);
    expect(mortal.record.metrics()).toMatchObject({ owed: 4, processed: 3, timedOut: 1, redelivered: 2, exact: true });
    expect(mortal.runs.slice(4)).toEqual(['TICK 1: 2', 'TICK 4: 2']);
  });

  it('repeats one that is in flight where the late one was, which has ended', async () => {
    const mortal = await waiting();
    await mortal.live(2);
    const { member } = mortal;
    const tag = member.address(mortal.publisher.producer, 1) + 1;
    const { flight, position } = mortal.flightOf(2);
    await mortal.die({ ...timeout, late: [{ member, tag, flight, position: position - 8 }] });
    await mortal.live(-1);
    expect(mortal.record.metrics()).toMatchObject({ owed: 4, processed: 4, timedOut: 0, redelivered: 1, exact: true });
  });
});
