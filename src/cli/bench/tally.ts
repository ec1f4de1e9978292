/** What a subscription has seen on one thread: counts in shared memory, so that they are there whatever becomes of it. */

/** Words of a tally: its line is a multiple of 128 bytes, so that no two threads write to the same one. */
export const TALLY_F64 = 16;
const Word = { SEEN: 0, HALTS: 1, WRONG: 2, FAULT: 3, EXPECTED: 4, FOUND: 5 } as const;

const FAULTS = ['order', 'content', 'work'] as const;
type Fault = (typeof FAULTS)[number];

/** The first event that was not as it should be. */
export interface Wrong {
  readonly fault: Fault;
  readonly expected: number;
  readonly found: number;
  /** How many there were. */
  readonly events: number;
}

export class Tally {
  readonly #words: Float64Array;
  readonly #keys: number;
  /** Of each key, the sequence of the next event. */
  readonly #next: Uint32Array;
  #nextHalt = 0;

  /** @param keys Number k of them has the events k, k + keys, k + 2 keys …; they come to one thread. A power of two. */
  constructor(words: Float64Array, keys: number) {
    this.#words = words;
    this.#keys = keys;
    this.#next = Uint32Array.from({ length: keys }, (_, key) => key);
  }

  take(sequence: number): void {
    const key = sequence & (this.#keys - 1);
    const expected = this.#next[key];
    if (sequence !== expected) this.#wrong('order', expected, sequence);
    this.#next[key] = sequence + this.#keys;
    this.#words[Word.SEEN]++;
  }

  takeHalt(sequence: number): void {
    if (sequence !== this.#nextHalt) this.#wrong('order', this.#nextHalt, sequence);
    this.#nextHalt = (sequence + 1) >>> 0;
    this.#words[Word.HALTS]++;
  }

  /** Tells of an event that is not what was sent, or whose work was not done. */
  fault(fault: Fault, sequence: number): void {
    this.#wrong(fault, sequence, sequence);
  }

  #wrong(fault: Fault, expected: number, found: number): void {
    const words = this.#words;
    if (words[Word.WRONG]++ > 0) return;
    words[Word.EXPECTED] = expected;
    words[Word.FOUND] = found;
    words[Word.FAULT] = FAULTS.indexOf(fault);
  }
}

/** Read by another thread: a moment old, exact once nothing runs. */
export function readTally(words: Float64Array): { seen: number; halts: number; wrong: Wrong | undefined } {
  const events = words[Word.WRONG];
  const wrong =
    events === 0
      ? undefined
      : { fault: FAULTS[words[Word.FAULT]], expected: words[Word.EXPECTED], found: words[Word.FOUND], events };
  return { seen: words[Word.SEEN], halts: words[Word.HALTS], wrong };
}
