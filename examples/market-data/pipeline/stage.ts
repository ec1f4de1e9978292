import type { DerivedEvent, PipelineContext, SnapshotEvent } from './catalog.js';
import { Instruments } from '../instruments.js';
import { Checksum } from './checksum.js';

/** From the exchange's messages to the limits, in this order. */
export const STAGES = ['book', 'features', 'prediction', 'signal', 'execution', 'risk'] as const;
export type StageName = (typeof STAGES)[number];

/** Integers, and lists of them: what a stage ended with for one instrument. */
export type State = Readonly<Record<string, number | readonly (readonly number[])[]>>;

/** What a stage knows of one instrument. Decides by the events alone: no clock, no chance, nothing of other instruments. */
export interface StageLogic<E, S = unknown> {
  /** What follows from the event, if anything does. */
  apply(event: E): DerivedEvent | undefined;
  state(): State;
  /** All that the stage is, for a checkpoint: packed before the next event. */
  snapshot(): S;
  restore(state: S): void;
}

/** Where an event stands among those of its instrument. */
interface Placed {
  readonly index: number;
  readonly type: string;
}

/** What a checkpoint has of one instrument at one stage. */
interface Counted<S> {
  readonly logic: S;
  readonly checksum: number;
  readonly received: number;
  readonly published: number;
  readonly newest: number;
  readonly answered: number;
}

const NONE = -1;

/**
 * The events of one instrument at one stage, and how many they were.
 *
 * A repeat is recognised. When a thread dies, the delivery that was in flight is made again, and publishes again what it
 * may have published before: whoever reads that gets an event twice. A stage publishes one event at most for each that it
 * gets, with its index; it gets them in the order of their indexes; and a publisher's events stay in order over its
 * death. So a repeat is an event whose index is not beyond the newest, and what follows from it was published the first
 * time. Risk's answers to execution have indexes of their own: those of the fills.
 */
export class InstrumentStage<E extends Placed, S = unknown> {
  readonly #logic: StageLogic<E, S>;
  readonly #checksum = new Checksum();
  #received = 0;
  #published = 0;
  #newest = NONE;
  #answered = NONE;

  constructor(logic: StageLogic<E, S>) {
    this.#logic = logic;
  }

  apply(event: E): DerivedEvent | undefined {
    if (this.#isRepeat(event)) return undefined;
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

  snapshot(): Counted<S> {
    return {
      logic: this.#logic.snapshot(),
      checksum: this.#checksum.value,
      received: this.#received,
      published: this.#published,
      newest: this.#newest,
      answered: this.#answered,
    };
  }

  restore({ logic, checksum, received, published, newest, answered }: Counted<S>): void {
    this.#logic.restore(logic);
    this.#checksum.restore(checksum);
    this.#received = received;
    this.#published = published;
    this.#newest = newest;
    this.#answered = answered;
  }

  #isRepeat({ type, index }: E): boolean {
    if (type === 'CLEAR' || type === 'HALT') {
      if (index <= this.#answered) return true;
      this.#answered = index;
      return false;
    }
    if (index <= this.#newest) return true;
    this.#newest = index;
    return false;
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

/** What a stage's module exports: its handler, and the state that survives its thread. */
export interface StageModule<E> {
  readonly onEvent: (event: E | SnapshotEvent, context: PipelineContext) => void;
  readonly snapshot: () => unknown;
  readonly restore: (state: never) => void;
}

/**
 * A stage. Its instruments are those whose events reach this thread: with the keys spread over several threads, each
 * thread's module has some of them, and all events of one instrument go to the same.
 *
 * Why the results do not depend on scheduling: per instrument, a stage's events come from one publishing thread through
 * one lane, in their order, and what it makes of them depends on nothing else. So if each stage publishes the same series
 * for the instrument on every run, so does the next one. The first series is the feed. Execution alone has two inputs;
 * see there. Nor do they depend on threads that die: state and what followed its checkpoint come back as they were, and
 * repeats are recognised.
 */
export function stageModule<E extends Placed & { readonly instrument: string }, S>(
  stage: StageName,
  create: () => StageLogic<E, S>,
): StageModule<E> {
  const instruments = new Instruments<InstrumentStage<E, S>, Counted<S>>(() => new InstrumentStage(create()));
  const onEvent: StageModule<E>['onEvent'] = (event, context) => {
    const { instrument } = event;
    const known = instruments.of(instrument);
    const derived = isSnapshot(event)
      ? ({ type: 'REPORT', instrument, stage, state: known.state() } as const)
      : known.apply(event);
    // Not awaited, so that nothing is put off while there is room: the delivery ends only after the event was admitted.
    if (derived !== undefined) void context.publish(derived);
  };
  return { onEvent, snapshot: instruments.snapshot, restore: instruments.restore };
}

function isSnapshot(event: object): event is SnapshotEvent {
  return 'type' in event && event.type === 'SNAPSHOT';
}
