/** What a handler module keeps of one instrument. */
export interface Kept<S> {
  snapshot(): S;
  restore(state: S): void;
}

/**
 * A handler module's state, by instrument. The module exports `snapshot` and `restore` of it, so that it survives its
 * thread: the bus packs what `snapshot` returns before the next event.
 */
export class Instruments<T extends Kept<S>, S> {
  readonly #create: () => T;
  readonly #byName = new Map<string, T>();

  constructor(create: () => T) {
    this.#create = create;
  }

  /** What is kept of an instrument; nothing yet, if this is its first event. */
  of(name: string): T {
    let kept = this.#byName.get(name);
    if (kept === undefined) this.#byName.set(name, (kept = this.#create()));
    return kept;
  }

  get all(): ReadonlyMap<string, T> {
    return this.#byName;
  }

  readonly snapshot = (): Map<string, S> => new Map([...this.#byName].map(([name, kept]) => [name, kept.snapshot()]));

  readonly restore = (states: ReadonlyMap<string, S>): void => {
    for (const [name, state] of states) this.of(name).restore(state);
  };
}
