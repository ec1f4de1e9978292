// Handlers that keep the order in which their thread runs events, of whatever lane and subscription.
import {
  type Context,
  epochNow,
  type Halt,
  type Job,
  note,
  type Note,
  type Order,
  type Signal,
  type Tick,
} from './catalog.js';

/** Events of one type that ran one after the other, without a gap in their numbers. */
export interface Run {
  readonly type: string;
  readonly first: number;
  last: number;
}

let ran: Run[] = [];
/** When the last ticks have begun, newest last; see `epochNow`. */
const begun: number[] = [];

/** For any types. The JOB or NOTE called "report" asks for what has run, and is not itself part of it. */
export function keepOrder(event: Tick | Signal | Order | Halt | Job | Note, context: Context): void {
  if (event.type === 'JOB' || event.type === 'NOTE') {
    if ((event.type === 'JOB' ? event.act : event.what) === 'report') {
      note(context, 'order', 0, ran);
      ran = [];
      return;
    }
    if (event.type === 'NOTE' && event.what !== 'filler') return;
  }
  keep(event.type, event.n);
}

/** For HALT in a subscription of its own. */
export function keepHalt(event: Halt): void {
  keep(event.type, event.n);
}

/** Keeps ticks, and at the tenth event of each hundred publishes HALT with the tick's number. */
export function haltAtTen(event: Tick, context: Context): void {
  keep(event.type, event.n);
  if (event.n % 100 === 9) void context.publish({ type: 'HALT', n: event.n, reason: 'breach' });
}

/** Takes 0.1 ms a tick until HALT has come, which notes when the ticks before it had begun. */
export function slowUntilHalt(event: Tick | Halt, context: Context): void {
  const at = epochNow();
  if (event.type === 'HALT') {
    note(context, 'halted', begun.length, begun.slice(-20));
    halted = true;
  } else if (!halted) {
    begun.push(at);
    while (epochNow() < at + 0.1);
  }
}

let halted = false;

function keep(type: string, n: number): void {
  const last = ran.at(-1);
  if (last?.type === type && last.last === n - 1) last.last = n;
  else ran.push({ type, first: n, last: n });
}
