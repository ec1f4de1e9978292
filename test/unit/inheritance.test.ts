import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { type Death, inherit } from '../../src/main/inheritance.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import { TestEngine, type TestEvent, type TestHandler } from '../support/engine.js';

interface Line {
  readonly level: number;
  readonly msg: string;
}

function logInto(lines: Line[]): Parameters<typeof inherit>[2] {
  return pino({ base: null, timestamp: false }, { write: (line) => lines.push(JSON.parse(line) as Line) });
}

const crash: Death = { reason: 'crash', late: [], maxCrashes: 2 };
const timeout: Death = { ...crash, reason: 'timeout' };

/** A subscription whose thread is the test's: a death is an incarnation that is left where it stands. */
class Mortal {
  readonly publisher = new TestEngine();
  readonly record: SubscriptionRecord;
  readonly lines: Line[] = [];
  /** What was run, as `type number: attempt`. */
  readonly runs: string[] = [];
  #incarnation: TestEngine | undefined;

  constructor(types: readonly TestEvent['type'][] = ['TICK']) {
    this.record = this.publisher.register(types);
  }

  /** Starts an incarnation, which runs until it has come to the event with this number, and is stuck there. */
  async live(stuckAt: number): Promise<void> {
    const engine = new TestEngine();
    this.#incarnation = engine;
    const seen = { stuck: false };
    const handler: TestHandler = ({ type, n }, { attempt }) => {
      this.runs.push(`${type} ${n}: ${attempt}`);
      if (n !== stuckAt) return undefined;
      seen.stuck = true;
      return new Promise(() => undefined);
    };
    const { index, thread, block } = this.publisher.producer;
    engine.engine.addProducer({ index, thread, block: block.source }, []);
    engine.attach(this.record, handler, this.record.redeliveries);
    engine.start();
    while (!seen.stuck && !this.record.drained) await turn();
  }

  async die(death: Death): Promise<void> {
    await this.#incarnation?.stop();
    inherit(this.record, death, logInto(this.lines));
    this.publisher.engine.openGates([this.publisher.gateOf(this.record)], false);
  }

  /** A death for which the delivery in flight is blamed. */
  late(): Death {
    const { address, position } = this.inFlight;
    return { ...timeout, late: [{ record: this.record, tag: address + 1, position }] };
  }

  get inFlight(): { address: number; position: number } {
    const address = this.record.address(this.publisher.producer, 1);
    return { address, position: this.record.settled(this.publisher.producer, 1) };
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
