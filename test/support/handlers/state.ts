// A module with state that must survive its thread: what it has seen, in order, as a number that another order or another
// event would change. What goes wrong is written in a job, or in the environment.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SetupInfo } from 'lanebus';
import { type Context, type Job, note, type Signal, type Tick } from './catalog.js';

/** What structured clone keeps, so that a checkpoint must keep it too. */
export interface State {
  digest: number;
  count: number;
  /** Newest number by symbol. */
  readonly newest: Map<string, number>;
  readonly odd: Set<number>;
  readonly prices: Float64Array;
  last: bigint;
  readonly at: Date;
}

const fresh = (): State => ({
  digest: 0x811c9dc5 | 0,
  count: 0,
  newest: new Map(),
  odd: new Set(),
  prices: new Float64Array(4),
  last: 0n,
  at: new Date(1_703_545_200_000),
});

let state = fresh();
let restored = 0;
let lost = false;
let ballast = '';

export function setup({ stateLost }: SetupInfo): void {
  lost = stateLost;
  tell('setup');
}

export function snapshot(): unknown {
  tell('snapshot');
  switch (process.env.SNAPSHOT) {
    case 'throws':
      throw new RangeError('no snapshot');
    case 'exits':
      process.exit(4);
      break;
    case 'hangs':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      break;
    case 'is a promise':
      return Promise.reject(new Error('later'));
    case 'has a function':
      return { state, act: () => undefined };
    case 'is large':
      ballast = 'x'.repeat(4096);
  }
  return { state, ballast };
}

export async function restore(found: { readonly state: State }): Promise<void> {
  tell('restore');
  await sleep(1);
  state = found.state;
  restored++;
}

/** Folds everything that is not a job into the state. */
export function apply(event: Tick | Signal, context?: Context): void {
  const { type, n, symbol } = event;
  state.digest = fold(state.digest, type === 'TICK' ? n : ~n);
  state.count++;
  state.newest.set(symbol, n);
  if (n % 2 === 1) state.odd.add(n % 16);
  state.prices[n & 3] += n;
  state.last = BigInt(n) << 40n;
  if (context?.missed) state.digest = fold(state.digest, context.missed);
}

export function fold(digest: number, word: number): number {
  const mixed = Math.imul(digest ^ word, 0x01000193);
  return mixed ^ (mixed >>> 15);
}

/** The whole state, as plain data. */
export function summary(): object {
  const { digest, count, newest, odd, prices, last, at } = state;
  return {
    digest,
    count,
    newest: Object.fromEntries([...newest].sort()),
    odd: [...odd].sort((a, b) => a - b),
    prices: [...prices],
    last: String(last),
    at: at.toISOString(),
  };
}

/** For a test's own thread. */
export function summaryOf(events: readonly (Tick | Signal)[]): object {
  const before = state;
  state = fresh();
  for (const event of events) apply(event);
  const found = summary();
  state = before;
  return found;
}

/** Keeps state; a job of the act `report` tells it. */
export function onEvent(event: Tick | Signal | Job, context: Context): void {
  if (event.type === 'JOB') {
    work(event, context);
    return;
  }
  if (event.n < 0) note(context, 'part', 0, summary());
  else apply(event, context);
}

/** As `onEvent`, after a while. */
export async function onEventLater(event: Tick | Signal | Job, context: Context): Promise<void> {
  await sleep(0);
  onEvent(event, context);
}

/** Tells of every delivery, and of every one that is shown again. */
export function onEventTold(event: Tick | Signal | Job, context: Context): void {
  onEvent(event, context);
  if (event.type === 'JOB') return;
  note(context, context.replay ? 'muted' : event.type, event.n, context.attempt);
  if (context.replay) tell(`replay ${event.n} ${context.attempt}`);
}

/** Publishes the next job on the lane that it reads itself, until there were as many as its number says. */
export async function onJobAgain({ n, act }: Job, context: Context): Promise<void> {
  state.count++;
  state.digest = fold(state.digest, n);
  // All of one size, their cause included.
  if (n > 0) await context.publish({ type: 'JOB', n: n - 1, act: act.slice(0, 472) });
  else note(context, 'state', restored, summary());
}

function work({ n, act }: Job, context: Context): void {
  const [what, when] = act.split(' ');
  if (when === 'once' && context.attempt > 1) return;
  if (when === 'replayed' && !context.replay) return;
  switch (what) {
    case 'report':
      note(context, 'state', n, { ...summary(), restored, lost, replay: context.replay });
      break;
    case 'exit':
      process.exit(3);
      break;
    case 'throw':
      state.digest = fold(state.digest, 7);
      throw new Error('a handler fails');
    case 'hang':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  }
}

function tell(what: string): void {
  if (process.env.TOLD !== undefined) appendFileSync(process.env.TOLD, `${what}\n`);
}
