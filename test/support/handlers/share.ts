// Handlers that tell the test each delivery and what its context says. A tick's price may say that it goes another way.
import type { Cause } from 'lanebus';
import { type Context, type Job, note, type Order, type Signal, type Tick } from './catalog.js';
import { busy } from './hang.js';

/** One delivery that ended well. */
export interface Seen {
  readonly type: string;
  readonly key: string;
  readonly n: number;
  readonly thread: number;
  readonly publisher: number;
  readonly lane: string;
  readonly sequence: number;
  readonly attempt: number;
  readonly skipped: number;
  readonly missed: number;
  readonly cause: Cause | undefined;
}

/** What `act` does with a tick of this price, instead of only telling it. */
export const Act = {
  /** Notes "begun", and never comes back. */
  loop: -1,
  /** Notes "begun" and ends its thread, on the first attempt. */
  exitOnce: -2,
  /** Notes "begun" and waits for `release`. */
  wait: -3,
  /** Notes "begun" and waits for ever; notes "aborted" when its signal says so. */
  never: -4,
  /** Notes "begun" and throws where nobody catches, on the first attempt. */
  crashOnce: -5,
  /** Waits for a turn of the event loop, then fails. */
  reject: -6,
} as const;

export function seenOf(event: Tick | Order | Signal | Job, context: Context): Seen {
  const { thread, publisher, lane, sequence, attempt, skipped, missed, cause } = context;
  const key = event.type === 'JOB' ? event.act : event.symbol;
  return { type: event.type, key, n: event.n, thread, publisher, lane, sequence, attempt, skipped, missed, cause };
}

export function tell(event: Tick | Order | Signal | Job, context: Context): void {
  note(context, 'seen', event.n, seenOf(event, context));
}

/** For a subscription of its own. */
export function tellToo(event: Tick | Order | Signal | Job, context: Context): void {
  note(context, 'seen too', event.n, seenOf(event, context));
}

/** Long enough that one thread alone does not keep up with a publisher. */
export function tellSlowly(event: Tick | Order, context: Context): void {
  busy(0.02);
  tell(event, context);
}

export async function tellLater(event: Tick | Order | Signal, context: Context): Promise<void> {
  for (let turns = event.n % 3; turns >= 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  tell(event, context);
}

export function act(event: Tick, context: Context): void | Promise<void> {
  if (event.price >= 0) {
    tell(event, context);
    return;
  }
  note(context, 'begun', event.n, seenOf(event, context));
  switch (event.price) {
    case Act.loop:
      for (;;);
    case Act.exitOnce:
      if (context.attempt === 1) process.exit(7);
      break;
    case Act.wait:
      return new Promise<void>((resolve) => waiting.push(resolve)).then(() => {
        tell(event, context);
      });
    case Act.never:
      return new Promise(() => {
        context.signal.addEventListener('abort', () => {
          note(context, 'aborted', event.n);
        });
      });
    case Act.crashOnce:
      if (context.attempt > 1) break;
      setTimeout(() => {
        throw new Error('thrown in a timer');
      }, 0);
      return new Promise(() => undefined);
    case Act.reject:
      return new Promise((_, reject) => {
        setImmediate(() => {
          reject(new Error(`rejected at ${event.n}`));
        });
      });
  }
  tell(event, context);
}

const waiting: (() => void)[] = [];

/** Lets the deliveries go on that wait on this thread now. */
export function release(): void {
  for (const go of waiting.splice(0)) go();
}

/** For a subscription of its own, on another thread. */
export function releaseToo(): void {
  release();
}
