const LOW_RANGE = 2 ** 32;
const FACTOR = 0x01000193;

/**
 * Folds a series of integers and texts into 32 bits, in their order: two stages that published different events, or the
 * same ones in another order, do not look alike in the end though they may have come to the same state. Not for secrets.
 */
export class Checksum {
  #value = 0x811c9dc5 | 0;

  get value(): number {
    return this.#value >>> 0;
  }

  /** Goes on from a value that it had before. */
  restore(value: number): void {
    this.#value = value | 0;
  }

  /** @param value An integer below 2^53 in magnitude, all of whose digits count. */
  addInteger(value: number): void {
    this.#fold(value | 0);
    this.#fold(Math.floor(value / LOW_RANGE));
  }

  addText(text: string): void {
    for (let at = 0; at < text.length; at++) this.#fold(text.charCodeAt(at));
  }

  // Multiplying carries differences upwards only; the shift brings them back down.
  #fold(word: number): void {
    const mixed = Math.imul(this.#value ^ word, FACTOR);
    this.#value = mixed ^ (mixed >>> 15);
  }
}
