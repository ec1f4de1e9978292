import type { DeadLetter, DeadLetters } from '../shared/api.js';

/** Deliveries that were set aside, in memory: with no room left the oldest goes, and is counted. */
export class MemoryDeadLetters implements DeadLetters {
  readonly #max: number;
  readonly #onAdd: (letter: DeadLetter) => void;
  readonly #letters: DeadLetter[] = [];
  #nextId = 1;
  #evicted = 0;

  /** @param max Letters that are kept. */
  constructor(max: number, onAdd: (letter: DeadLetter) => void = () => undefined) {
    this.#max = max;
    this.#onAdd = onAdd;
  }

  get count(): number {
    return this.#letters.length;
  }

  get evicted(): number {
    return this.#evicted;
  }

  list(): DeadLetter[] {
    return [...this.#letters];
  }

  purge(): number {
    return this.#letters.splice(0).length;
  }

  add(content: Omit<DeadLetter, 'id' | 'setAsideAt'>): void {
    const letter = { id: this.#nextId++, setAsideAt: Date.now(), ...content };
    this.#letters.push(letter);
    this.#onAdd(letter);
    if (this.#letters.length <= this.#max) return;
    this.#letters.shift();
    this.#evicted++;
  }
}
