// The argument of execution.ts, run: whatever the schedule, an instrument's stages end with the same state. Each type's
// events of an instrument stay in order, as a lane keeps them; between types, anything goes.
import { describe, expect, it } from 'vitest';
import { BookStage } from '../../../examples/market-data/pipeline/book.js';
import type { DerivedEvent, MboEvent } from '../../../examples/market-data/pipeline/catalog.js';
import { ExecutionStage } from '../../../examples/market-data/pipeline/execution.js';
import { FeaturesStage } from '../../../examples/market-data/pipeline/features.js';
import { canonical } from '../../../examples/market-data/pipeline/final-state.js';
import { PredictionStage } from '../../../examples/market-data/pipeline/prediction.js';
import { RiskStage } from '../../../examples/market-data/pipeline/risk.js';
import { SignalStage } from '../../../examples/market-data/pipeline/signal.js';
import { simulatedSource } from '../../../examples/market-data/pipeline/source.js';
import { InstrumentStage, type State } from '../../../examples/market-data/pipeline/stage.js';
import { Random } from '../../../examples/market-data/random.js';

type Type = MboEvent['type'] | DerivedEvent['type'];

/** Most urgent first, as in the catalog. */
const TYPES: readonly Type[] = ['HALT', 'CLEAR', 'FILL', 'SIGNAL', 'PREDICTION', 'FEATURES', 'QUOTE', 'MBO'];
const EVENTS = 60_000;
const events = exchangeEvents(EVENTS);

function exchangeEvents(count: number): MboEvent[] {
  const found: MboEvent[] = [];
  for (const burst of simulatedSource(11, 1).bursts as Iterable<readonly MboEvent[]>) {
    found.push(...burst);
    if (found.length >= count) break;
  }
  return found.slice(0, count);
}

/** Chooses among the types that have an event waiting. */
type Schedule = (waiting: readonly Type[]) => Type;

/** The stages of one instrument and the events between them. */
class Line {
  /** Signals that were delivered while a fill had no answer. */
  heldSignals = 0;
  refused = 0;
  readonly #execution = new InstrumentStage(new ExecutionStage());
  readonly #stages: { readonly [T in Type]: { apply(event: never): DerivedEvent | undefined; state(): State } } = {
    MBO: new InstrumentStage(new BookStage()),
    QUOTE: new InstrumentStage(new FeaturesStage()),
    FEATURES: new InstrumentStage(new PredictionStage()),
    PREDICTION: new InstrumentStage(new SignalStage()),
    SIGNAL: this.#execution,
    CLEAR: this.#execution,
    HALT: this.#execution,
    FILL: new InstrumentStage(new RiskStage()),
  };
  readonly #queues = new Map<Type, { events: (MboEvent | DerivedEvent)[]; next: number }>(
    TYPES.map((type) => [type, { events: [], next: 0 }]),
  );
  #unanswered = 0;

  run(feed: readonly MboEvent[], schedule: Schedule): string {
    this.#queue('MBO').events.push(...feed);
    for (;;) {
      const waiting = TYPES.filter((type) => this.#queue(type).next < this.#queue(type).events.length);
      if (waiting.length === 0) return this.#state();
      this.#deliver(schedule(waiting));
    }
  }

  #deliver(type: Type): void {
    const queue = this.#queue(type);
    const event = queue.events[queue.next++];
    if (type === 'SIGNAL' && this.#unanswered > 0) this.heldSignals++;
    if (type === 'CLEAR' || type === 'HALT') this.#unanswered--;
    const derived = this.#stages[type].apply(event as never);
    if (derived === undefined) return;
    if (derived.type === 'FILL') this.#unanswered++;
    expect(this.#unanswered).toBeLessThan(2);
    this.#queue(derived.type).events.push(derived);
  }

  #state(): string {
    this.refused = this.#execution.state().refused as number;
    const states = Object.fromEntries(TYPES.map((type) => [type, this.#stages[type].state()]));
    return canonical(states, 'state');
  }

  #queue(type: Type) {
    const queue = this.#queues.get(type);
    if (queue === undefined) throw new Error(`no queue for ${type}`);
    return queue;
  }
}

const reference = new Line();
const expected = reference.run(events, ([first]) => first);

describe('the stages of the pipeline', () => {
  it('trade, halt and refuse orders on the events of this test', () => {
    expect(reference.refused).toBeGreaterThan(10);
    expect(reference.heldSignals).toBe(0);
  });

  it('come to the same when each finishes all its events before the next begins', () => {
    const line = new Line();
    expect(line.run(events, (waiting) => waiting[waiting.length - 1])).toBe(expected);
    expect(line.heldSignals).toBeGreaterThan(50);
  });

  it('come to the same when answers of risk are as late as they can be', () => {
    const line = new Line();
    const late: Schedule = (waiting) => waiting.find((type) => type !== 'CLEAR' && type !== 'HALT') ?? waiting[0];
    expect(line.run(events, late)).toBe(expected);
    expect(line.heldSignals).toBeGreaterThan(50);
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])('come to the same under a random schedule: seed %i', (seed) => {
    const random = new Random(seed);
    const line = new Line();
    const patience = random.below(200);
    let favourite: Type = 'MBO';
    const schedule: Schedule = (waiting) => {
      if (random.below(patience + 1) === 0) favourite = TYPES[random.below(TYPES.length)];
      return waiting.includes(favourite) ? favourite : waiting[random.below(waiting.length)];
    };
    expect(line.run(events, schedule)).toBe(expected);
    expect(line.heldSignals).toBeGreaterThan(0);
  });

  it('come to something else when an event is missing', () => {
    expect(new Line().run(events.toSpliced(30_000, 1), ([first]) => first)).not.toBe(expected);
  });
});
