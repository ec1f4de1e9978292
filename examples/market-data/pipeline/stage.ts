import type { DerivedEvent, PipelineContext, SnapshotEvent } from './catalog.js';
import { Checksum } from './checksum.js';

/** From the exchange's messages to the limits, in this order. */
export const STAGES = ['book', 'features', 'prediction', 'signal', 'execution', 'risk'] as const;
export type StageName = (typeof STAGES)[number];

/** Integers, and lists of them: what a stage ended with for one instrument. */
export type State = Readonly<Record<string, number | readonly (readonly number[])[]>>;

/** What a stage knows of one instrument. Decides by the events alone: no clock, no chance, nothing of other instruments. */
export interface StageLogic<E> {
  /** What follows from the event, if anything does. */
  apply(event: E): DerivedEvent | undefined;
  state(): State;
}

/** The events of one instrument at one stage, and how many they were. */
export class InstrumentStage<E> {
  readonly #logic: StageLogic<E>;
  readonly #checksum = new Checksum();
  #received = 0;
  #published = 0;

  constructor(logic: StageLogic<E>) {
    this.#logic = logic;
  }

  apply(event: E): DerivedEvent | undefined {
    this.#received++;
    const derived = this.#logic.apply(event);
    if (derived === undefined) return undefined;
    this.#published++;
    this.#note(derived);
    return derived;
  }

  state(): State {
    const counts = { received: this.#received, published: this.#published, checksum: this.#checksum.value };
    return { ...counts, ...this.#logic.state() };
  }

  // The instrument's name is left out: two instruments with the same feed then end with the same state.
  #note(derived: DerivedEvent): void {
    let name: keyof DerivedEvent;
    for (name in derived) {
      const value = derived[name];
      if (typeof value === 'number') this.#checksum.addInteger(value);
      else if (name !== 'instrument') this.#checksum.addText(value);
    }
  }
}

/**
 * The handler of a stage. Its instruments are those whose events reach this thread: with the keys spread over several
 * threads, each thread's module has some of them, and all events of one instrument go to the same.
 *
 * Why the results do not depend on scheduling: per instrument, a stage's events come from one publishing thread through
 * one lane, in their order, and what it makes of them depends on nothing else. So if each stage publishes the same series
 * for the instrument on every run, so does the next one. The first series is the feed. Execution alone has two inputs;
 * see there.
 */
export function stageHandler<E extends { readonly instrument: string }>(
  stage: StageName,
  create: () => StageLogic<E>,
): (event: E | SnapshotEvent, context: PipelineContext) => void {
  const instruments = new Map<string, InstrumentStage<E>>();
  return (event, context) => {
    const { instrument } = event;
    let known = instruments.get(instrument);
    if (known === undefined) {
      known = new InstrumentStage(create());
      instruments.set(instrument, known);
    }
    const derived = isSnapshot(event)
      ? ({ type: 'REPORT', instrument, stage, state: known.state() } as const)
      : known.apply(event);
    // Not awaited, so that nothing is put off while there is room: the delivery ends only after the event was admitted.
    if (derived !== undefined) void context.publish(derived);
  };
}

function isSnapshot(event: object): event is SnapshotEvent {
  return 'type' in event && event.type === 'SNAPSHOT';
}
