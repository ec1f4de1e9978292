// Four handlers of one event, each with its own account of what it was given; and an echo.
import { type Context, note, type Tick, type Wide } from './catalog.js';
import { extend, type Runs } from './record.js';

export interface Account {
  readonly thread: number;
  readonly runs: Runs;
  /** Numbers of ticks whose other fields are not those of `tickOf`. */
  readonly wrong: readonly number[];
}

const SYMBOLS = ['ESH4', 'NQH4', 'Ä€𝄞'];

/** Every field of it follows from its number. */
export function tickOf(n: number): Tick {
  return { type: 'TICK', n, symbol: SYMBOLS[n % SYMBOLS.length], price: n / 7 };
}

/** Keeps account; tells it, under this name, when a tick with n = -1 asks for it. */
export function accountant(name: string): (event: Tick, context: Context) => void {
  const runs: Runs = [];
  const wrong: number[] = [];
  return (event, context) => {
    if (event.n < 0) {
      const account: Account = { thread: context.thread, runs, wrong };
      note(context, name, 0, account);
      return;
    }
    extend(runs, event.n);
    const expected = tickOf(event.n);
    if (event.symbol !== expected.symbol || event.price !== expected.price) wrong.push(event.n);
  };
}

export const first = accountant('first');
export const second = accountant('second');
export const third = accountant('third');
export const fourth = accountant('fourth');

/** Sends back what comes from the bus's own thread. */
export async function echo(event: Wide, context: Context): Promise<void> {
  if (context.publisher === 0) await context.publish(event);
}
