import type { Instrument } from '../venue.js';

const DECIMALS = /^([0-9]{1,6})(?:\.([0-9]{1,9}))?$/;
const MAX_TICKS = 2 ** 31 - 1;

/**
 * The step of an instrument's prices, as a fraction. A price is the double nearest to some decimal, and one division of
 * integers gives the double nearest to its quotient: so a price that is a whole number of ticks is recognised exactly.
 */
export class TickSize {
  /** Of the E-mini index futures. */
  static readonly QUARTER = new TickSize(1, 4);
  readonly #numerator: number;
  readonly #denominator: number;

  private constructor(numerator: number, denominator: number) {
    this.#numerator = numerator;
    this.#denominator = denominator;
  }

  /** @returns undefined if the text is not a decimal number above 0, up to 999999 and with 9 decimals at most. */
  static parse(text: string): TickSize | undefined {
    const [, whole, decimals = ''] = DECIMALS.exec(text) ?? [];
    const numerator = Number(whole + decimals);
    return numerator > 0 ? new TickSize(numerator, 10 ** decimals.length) : undefined;
  }

  /** Of an instrument of the simulated exchange: it has a whole number of ticks in a unit, or of units in a tick. */
  static of({ ticksPerUnit }: Instrument): TickSize {
    return ticksPerUnit >= 1 ? new TickSize(1, ticksPerUnit) : new TickSize(1 / ticksPerUnit, 1);
  }

  /** The price of so many ticks. */
  priceOf(ticks: number): number {
    return (ticks * this.#numerator) / this.#denominator;
  }

  /** undefined if the price is not a whole number of ticks, or so many that they need more than 32 bits. */
  ticksOf(price: number): number | undefined {
    const ticks = Math.round((price * this.#denominator) / this.#numerator);
    return Math.abs(ticks) <= MAX_TICKS && this.priceOf(ticks) === price ? ticks : undefined;
  }

  toString(): string {
    return this.priceOf(1).toString();
  }
}
