// A handler that keeps, for each symbol, what a conflating subscription has given it.
import { type Context, type Halt, note, type Tick } from './catalog.js';
import { busy } from './hang.js';

/** What a thread has been given. */
export interface Kept {
  /** Number of the newest tick, by symbol. */
  readonly newest: Readonly<Record<string, number>>;
  readonly delivered: number;
  /** Sum of `context.skipped`. */
  readonly skipped: number;
  /** Numbers whose `skipped` is not the gap to the one before, of the same symbol. */
  readonly wrong: readonly number[];
}

const newest = new Map<string, number>();
const wrong: number[] = [];
let delivered = 0;
let skipped = 0;

/** Takes as many milliseconds as the tick's price says. Ticks of a symbol must be numbered from 0. */
export function keepNewest(event: Tick, context: Context): void {
  const before = newest.get(event.symbol) ?? -1;
  if (event.n - before - 1 !== context.skipped) wrong.push(event.n);
  newest.set(event.symbol, event.n);
  delivered++;
  skipped += context.skipped;
  busy(event.price);
}

/** Tells what the thread has been given. For a lane of its own. */
export function tellKept(_: Halt, context: Context): void {
  const kept: Kept = { newest: Object.fromEntries(newest), delivered, skipped, wrong };
  note(context, 'kept', 0, kept);
}
