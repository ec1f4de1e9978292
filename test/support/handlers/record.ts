// Handlers that note what they see.
import { type Context, note, type Halt, type Job, type Signal, type Tick, type Wide } from './catalog.js';

let inThread = 0;

/** Notes each event, with the context's plain fields. */
export function onTick(event: Tick, context: Context): void {
  const { sequence, lane, publisher, publishedAt, attempt, thread } = context;
  note(context, 'tick', event.n, { event, sequence, lane, publisher, publishedAt, attempt, thread });
}

/** Numbers in the order in which they came, as runs [first, last] without a gap. */
export type Runs = [first: number, last: number][];

const runs: Runs = [];
const runsToo: Runs = [];

/** Keeps the numbers of the events; notes them when an event with n = -1 asks for them. */
export function keep(event: Tick | Signal, context: Context): void {
  if (event.n >= 0) extend(runs, event.n);
  else note(context, 'kept', 0, runs.splice(0));
}

export function keepToo(event: Tick, context: Context): void {
  if (event.n >= 0) extend(runsToo, event.n);
  else note(context, 'kept too', 0, runsToo.splice(0));
}

export function extend(numbers: Runs, n: number): void {
  const last = numbers.at(-1);
  if (last?.[1] === n - 1) last[1] = n;
  else numbers.push([n, n]);
}

export function onWide(event: Wide, context: Context): void {
  note(context, 'wide', 0, event);
}

/** For several types: what this thread runs, in order. */
export function onAny(event: Tick | Signal | Halt | Job, context: Context): void {
  note(context, event.type, event.n, ++inThread);
}

export function quiet(): void {
  // takes the event
}

export function quietToo(): void {
  // takes the event
}

export const notAFunction = 5;
