/**
 * The handlers of the suite. Each is given to a bus as a function, and as a worker handler. They tell what happens by
 * events (`report`) only. Whatever the module remembers is kept by `run`: where handlers run on the bus's own thread, all
 * buses of the process share the module.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventOf } from '../../main/index.js';
import type { C, Context, Job, Numbered, Tick } from './catalog.js';
import { Latch } from './latch.js';
import { busy, epochNow, report } from './tell.js';

/** What `record` tells of a delivery. */
export interface Seen {
  readonly type: string;
  readonly sequence: number;
  readonly lane: string;
  readonly publisher: number;
  readonly publishedAt: number;
  readonly attempt: number;
  readonly aborted: boolean;
  readonly thread: number;
  readonly cause: unknown;
  readonly skipped: number;
  readonly missed: number;
  readonly replay: boolean;
}

/** Reports every delivery as `seen`. */
export function record(event: Numbered, context: Context): Promise<void> {
  const { sequence, lane, publisher, publishedAt, attempt, thread, cause, skipped, missed, replay } = context;
  const { aborted } = context.signal;
  const seen = { sequence, lane, publisher, publishedAt, attempt, aborted, thread, cause, skipped, missed, replay };
  return report(context, event, 'seen', { type: event.type, ...seen } satisfies Seen);
}

/** For a subscription of its own, as the others named `…Too`. Reports `seenToo`. */
export function recordToo(event: Numbered, context: Context): Promise<void> {
  return report(context, event, 'seenToo', { type: event.type, thread: context.thread, attempt: context.attempt });
}

/** Reports a wide event as `wide`. */
export function recordWide(event: EventOf<C, 'WIDE'>, context: Context): Promise<void> {
  return context.publish({ type: 'REPORT', run: event.run, what: 'wide', n: event.n, data: event });
}

/** Spoils its event, and then reports what it has become as `spoilt`. */
export function spoil(event: Tick, context: Context): Promise<void> {
  event.n = -1;
  event.symbol = 'SPOILT';
  return report(context, event, 'spoilt', event.symbol);
}

/**
 * Does what the job's act says: `WHAT` or `WHAT NUMBER`, or several with commas, of which each attempt has its own and all
 * later ones the last. Reports `begun` before and `done` after.
 */
export async function perform(event: Job, context: Context): Promise<void> {
  const acts = event.act.split(',');
  const act = acts[Math.min(context.attempt, acts.length) - 1];
  void report(context, event, 'begun', { attempt: context.attempt, at: epochNow(), thread: context.thread });
  await doAct(act, event, context);
  void report(context, event, 'done', { attempt: context.attempt, at: epochNow() });
}

export function performToo(event: Job, context: Context): Promise<void> {
  return perform(event, context);
}

/** Opens the gate of this number for the job that waits there, now or later. */
export function openGate(event: Numbered): void {
  gateOf(event).open();
}

/** Publishes the next in a chain, TICK → SIGNAL → ORDER, and reports the end as `chained`. */
export function chain(event: EventOf<C, 'TICK' | 'SIGNAL' | 'ORDER'>, context: Context): Promise<void> {
  const { run, n } = event;
  if (event.type === 'TICK') return context.publish({ type: 'SIGNAL', run, n });
  if (event.type === 'SIGNAL') return context.publish({ type: 'ORDER', run, n });
  return report(context, event, 'chained', context.cause);
}

/** As `record`, but returns nothing: a burst of deliveries goes on. */
export function note(event: Numbered, context: Context): void {
  void record(event, context);
}

/** As `note`. At every tenth TICK it publishes a HALT, at every tenth LOG a TICK. */
export function urgentAtTen(event: Numbered, context: Context): void {
  const { type, run, n } = event;
  if (n % 10 === 9 && type === 'TICK') void context.publish({ type: 'HALT', run, n });
  if (n % 10 === 9 && type === 'LOG') void context.publish({ type: 'TICK', run, n, symbol: 'ESH4', price: 0 });
  note(event, context);
}

/** Publishes two ticks, and awaits neither. */
export function publishTwice({ run, n }: Numbered, context: Context): void {
  for (const price of [0, 1]) void context.publish({ type: 'TICK', run, n, symbol: 'ESH4', price });
}

/** Publishes on the lane that it reads itself, more than that can hold, until it is refused. */
export async function flood(event: Job, context: Context): Promise<void> {
  const { run, n, symbol } = event;
  if (event.act !== 'flood') return;
  for (let at = 0; at < 1_000; at++) {
    try {
      await context.publish({ type: 'JOB', run, n: at, symbol, act: 'ok' });
    } catch (error) {
      await report(context, { ...event, n }, 'refused', (error as { code?: unknown }).code);
      return;
    }
  }
}

/** Publishes what is no event, and reports the refusal. */
export async function publishBad(event: Job, context: Context): Promise<void> {
  try {
    await context.publish({ type: 'TICK', run: event.run, n: 1, symbol: 'A', price: 'free' } as never);
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    await report(context, event, 'refused', { code, message });
  }
}

/** Writes a line to the log. */
export function log({ n }: Numbered, context: Context): void {
  context.log.info({ told: n }, 'told by a handler');
}

/** A filter. */
export function isEven({ n }: Numbered): boolean {
  return n % 2 === 0;
}

/** A filter that fails for 3. */
export function isNotThree({ n }: Numbered): boolean {
  if (n === 3) throw new RangeError('cannot judge 3');
  return true;
}

async function doAct(act: string, event: Job, context: Context): Promise<void> {
  const [what, number = '0'] = act.split(' ');
  const argument = Number(number);
  switch (what) {
    case 'throw':
      throw new TypeError(`job ${event.n} fails`);
    case 'final': {
      const { NonRetryableError } = await import('../../main/index.js');
      throw new NonRetryableError(`job ${event.n} is final`);
    }
    case 'marked':
      throw Object.assign(new Error(`job ${event.n} is marked`), { retryable: false });
    case 'coded':
      throw Object.assign(new Error(`job ${event.n} has a code`), { code: 'E_CODED' });
    case 'gate':
      return gateOf({ run: event.run, n: argument }).opened;
    case 'locked':
      if (!gateOf({ run: event.run, n: argument }).isOpen)
        throw new Error(`job ${event.n} finds gate ${argument} closed`);
      return;
    case 'sleep':
      return sleep(argument);
    case 'busy':
      busy(argument);
      return;
    case 'never':
      return new Promise(() => undefined);
    case 'heed':
      await new Promise((resolve) => {
        context.signal.addEventListener('abort', resolve, { once: true });
      });
      void report(context, event, 'aborted', { name: (context.signal.reason as Error).name, at: epochNow() });
      return;
    case 'loop':
      for (;;);
    // falls through: it does not come here
    case 'exit':
      process.exit(argument);
      break;
    case 'timer':
      setTimeout(() => {
        throw new Error('thrown in a timer');
      }, 0);
      return new Promise(() => undefined);
    case 'rejection':
      void Promise.reject(new Error('nobody looks'));
      return new Promise(() => undefined);
    case 'tick':
      void context.publish({ type: 'TICK', run: event.run, n: event.n, symbol: event.symbol, price: 0 });
  }
}

const gates = new Map<string, Latch>();

function gateOf({ run, n }: Pick<Numbered, 'run' | 'n'>): Latch {
  const name = `${run}:${n}`;
  const known = gates.get(name);
  if (known !== undefined) return known;
  const gate = new Latch();
  gates.set(name, gate);
  return gate;
}
