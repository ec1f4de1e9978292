/** What the scenarios send, and how they find that it has arrived: all of it, once, unchanged and in order. */
import type { Parameters } from './scenario.js';

/** 64 bytes on the wire: 7 numbers of 8 bytes, one of 4, and an interned symbol of 4. */
export interface Tick {
  type: 'TICK';
  symbol: string;
  size: number;
  price: number;
  bid: number;
  ask: number;
  bidSize: number;
  askSize: number;
  exchangeTime: number;
  sequence: number;
}

export type TickFields = Omit<Tick, 'type'>;

/** What the consumer saw, for the producer to compare with what it sent. */
export interface Tally {
  count: number;
  sizeSum: number;
  symbolSum: number;
  inOrder: boolean;
}

export function symbolsOf({ symbols }: Parameters): readonly string[] {
  return Array.from({ length: symbols }, (_, at) => `ES${at}`);
}

export function makeTick(at: number, symbols: readonly string[]): Tick {
  const price = 4800 + (at & 255) * 0.25;
  return {
    type: 'TICK',
    symbol: symbols[at % symbols.length],
    size: 1 + (at & 7),
    price,
    bid: price - 0.25,
    ask: price + 0.25,
    bidSize: 10,
    askSize: 12,
    exchangeTime: 1_703_545_201_000 + at,
    sequence: at,
  };
}

/** The consumer's work, the same for every system: it reads fields and notices a tick that is missing, changed or early. */
export class TickTally {
  #count = 0;
  #sizeSum = 0;
  #symbolSum = 0;
  #inOrder = true;

  /** Ticks taken since it was last closed. */
  get count(): number {
    return this.#count;
  }

  take(tick: TickFields): void {
    if (tick.sequence !== this.#count || tick.ask - tick.bid !== 0.5) this.#inOrder = false;
    this.#count++;
    this.#sizeSum += tick.size;
    this.#symbolSum += tick.symbol.length;
  }

  /** The tally so far; the next one starts from nothing. */
  close(): Tally {
    const tally = {
      count: this.#count,
      sizeSum: this.#sizeSum,
      symbolSum: this.#symbolSum,
      inOrder: this.#inOrder,
    };
    this.#count = this.#sizeSum = this.#symbolSum = 0;
    this.#inOrder = true;
    return tally;
  }
}

/**
 * Throws when the consumer did not see exactly the ticks 0 … count - 1 in order.
 * @param derived What has become of each on its way, if anything.
 */
export function checkTally(
  tally: Tally,
  count: number,
  symbols: readonly string[],
  derived: (tick: Tick) => TickFields = (tick) => tick,
): void {
  const expected = new TickTally();
  for (let at = 0; at < count; at++) expected.take(derived(makeTick(at, symbols)));
  const wanted = expected.close();
  for (const key of Object.keys(wanted) as (keyof Tally)[]) {
    if (tally[key] !== wanted[key]) {
      throw new Error(`the consumer's ${key} is ${tally[key]}, expected ${wanted[key]} after ${count} ticks`);
    }
  }
}
