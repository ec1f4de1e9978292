import type { SymbolReader } from './symbols.js';

/**
 * An int32 for each symbol of one table, worked out from its string once: after that a record costs an array load.
 * Symbols never change or go, so neither does what was worked out.
 */
export class SymbolMemo {
  readonly #symbols: SymbolReader;
  readonly #workOut: (name: string) => number;
  #known = new Int32Array(64);
  /** Symbols below this id are known. */
  #count = 0;

  constructor(symbols: SymbolReader, workOut: (name: string) => number) {
    this.#symbols = symbols;
    this.#workOut = workOut;
  }

  /** Throws as `SymbolReader.nameOf` does if the table has no such symbol. */
  of(id: number): number {
    // As an unsigned number a negative id is above every count.
    return id >>> 0 < this.#count ? this.#known[id] : this.#catchUp(id);
  }

  #catchUp(id: number): number {
    // First of all: it refuses a foreign id, which must not decide how long the array gets.
    this.#symbols.nameOf(id);
    if (id >= this.#known.length) {
      const longer = new Int32Array(2 * (id + 1));
      longer.set(this.#known);
      this.#known = longer;
    }
    for (; this.#count <= id; this.#count++)
      this.#known[this.#count] = this.#workOut(this.#symbols.nameOf(this.#count));
    return this.#known[id];
  }
}
