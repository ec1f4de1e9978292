/**
 * A thread that dies in the middle of the real code.
 *
 * Words of shared memory are watched: each store to them is noted by name, in the order in which the code makes them.
 * At its death a store is not made, and none after it is: nobody else can tell that from a thread that was terminated
 * there. Going through all the deaths shows what the code leaves behind, and the notes show its order of stores, which
 * the models in test/interleaving must have too.
 */
const REAL = {
  load: Atomics.load.bind(Atomics),
  store: Atomics.store.bind(Atomics),
  add: Atomics.add.bind(Atomics),
  compareExchange: Atomics.compareExchange.bind(Atomics),
  notify: Atomics.notify.bind(Atomics),
};

type Words = Int32Array<SharedArrayBuffer> | Float64Array<SharedArrayBuffer>;

interface Watched {
  readonly thread: MortalThread;
  readonly target: Int32Array<SharedArrayBuffer>;
  readonly nameOf: NameOf;
}

/** Name of a store to the word at an index, of a value; undefined for words that are of no interest. */
export type NameOf = (index: number, value: number) => string | undefined;

const watched = new WeakMap<object, Watched>();

export class MortalThread {
  /** Names of the stores that were made. */
  readonly stores: string[] = [];
  readonly #life: number;
  #dead = false;

  /** @param life Stores that it lives to make. */
  constructor(life = Infinity) {
    this.#life = life;
  }

  get dead(): boolean {
    return this.#dead;
  }

  /** The same words as this thread sees them. Stores without a name are neither noted nor counted. */
  watch<W extends Int32Array | Float64Array>(words: W, nameOf: NameOf): W {
    const seen = new Proxy(words as unknown as Words, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
      set: (target, key, value: number) => {
        const index = Number(key);
        if (this.mayStore(nameOf(index, value))) target[index] = value;
        return true;
      },
    });
    watched.set(seen, { thread: this, target: words as never, nameOf });
    return seen as unknown as W;
  }

  /** Notes a store that is about to be made. @returns Whether the thread lives to make it. */
  mayStore(name: string | undefined): boolean {
    if (name === undefined) return !this.#dead;
    if (this.stores.length >= this.#life) this.#dead = true;
    if (!this.#dead) this.stores.push(name);
    return !this.#dead;
  }
}

/** Lets Atomics work on watched words. @returns The way back. */
export function watchAtomics(): () => void {
  const change = (words: object, index: number, value: number, act: (target: Int32Array) => number): number => {
    const seen = watched.get(words);
    if (seen === undefined) return act(words as Int32Array);
    return seen.thread.mayStore(seen.nameOf(index, value)) ? act(seen.target) : value;
  };
  Object.assign(Atomics, {
    load: (words: Int32Array, index: number) => REAL.load(watched.get(words)?.target ?? words, index),
    store: (words: Int32Array, index: number, value: number) =>
      change(words, index, value, (target) => REAL.store(target, index, value)),
    add: (words: Int32Array, index: number, value: number) =>
      change(words, index, value, (target) => REAL.add(target, index, value)),
    compareExchange: (words: Int32Array, index: number, expected: number, value: number) =>
      change(words, index, value, (target) => REAL.compareExchange(target, index, expected, value)),
    notify: (words: Int32Array, index: number) => REAL.notify(watched.get(words)?.target ?? words, index),
  });
  return () => {
    Object.assign(Atomics, REAL);
  };
}

/** Names of words by their index, from constants such as LaneWord; only those of one width. */
export function namesOf(
  words: Readonly<Record<string, number>>,
  suffix: '_INDEX' | '_F64',
): (index: number) => string | undefined {
  const names = new Map(
    Object.entries(words)
      .filter(([name]) => name.endsWith(suffix))
      .map(([name, index]) => [index, name.slice(0, -suffix.length)]),
  );
  return (index) => names.get(index);
}
