/** A tick in 64 bytes, by hand: what users of systems that carry bytes have to write for each of their types. */
import type { Tick } from './ticks.js';

export const TICK_FLOATS = 8;
export const TICK_BYTES = TICK_FLOATS * Float64Array.BYTES_PER_ELEMENT;

/** Ticks in an array, the same one both ways. The first number of a tick is two: its size, and its symbol by number. */
export class TickBytes {
  readonly floats: Float64Array<ArrayBuffer>;
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #symbols: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;

  /** @param symbols Known to both sides; a symbol's number is its place. */
  constructor(symbols: readonly string[], ticks: number) {
    this.floats = new Float64Array(ticks * TICK_FLOATS);
    this.#words = new Uint32Array(this.floats.buffer);
    this.#symbols = symbols;
    this.#numbers = new Map(symbols.map((symbol, number) => [symbol, number]));
  }

  write(tick: Tick, place: number): void {
    const at = place * TICK_FLOATS;
    const floats = this.floats;
    const words = this.#words;
    words[at * 2] = tick.size;
    // In the upper half: no size makes a NaN of the two, which a copy as a float need not keep.
    words[at * 2 + 1] = this.#numbers.get(tick.symbol) ?? 0;
    floats[at + 1] = tick.price;
    floats[at + 2] = tick.bid;
    floats[at + 3] = tick.ask;
    floats[at + 4] = tick.bidSize;
    floats[at + 5] = tick.askSize;
    floats[at + 6] = tick.exchangeTime;
    floats[at + 7] = tick.sequence;
  }

  read(place: number): Tick {
    const at = place * TICK_FLOATS;
    const floats = this.floats;
    const words = this.#words;
    return {
      type: 'TICK',
      symbol: this.#symbols[words[at * 2 + 1]],
      size: words[at * 2],
      price: floats[at + 1],
      bid: floats[at + 2],
      ask: floats[at + 3],
      bidSize: floats[at + 4],
      askSize: floats[at + 5],
      exchangeTime: floats[at + 6],
      sequence: floats[at + 7],
    };
  }
}
