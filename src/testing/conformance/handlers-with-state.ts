/** Handlers of a module with `setup`, `teardown`, `snapshot` and `restore`. Kept by subscription name, which has the run. */
import type { SetupInfo } from '../../main/index.js';
import type { Context, Job } from './catalog.js';
import { report } from './tell.js';

/** A subscription's life on this thread. */
interface Life {
  readonly setups: { readonly incarnation: number; readonly lastEnd: string | undefined; readonly name: string }[];
  teardowns: number;
  restores: number;
}

/** What must survive the thread: by run, what was seen, in order. */
let state = new Map<number, number[]>();
const lives = new Map<string, Life>();

const lifeOf = (name: string): Life => {
  const known = lives.get(name) ?? { setups: [], teardowns: 0, restores: 0 };
  lives.set(name, known);
  return known;
};

export async function setup({ incarnation, lastEnd, subscription: { name } }: SetupInfo): Promise<void> {
  await Promise.resolve();
  lifeOf(name).setups.push({ incarnation, lastEnd, name });
}

export function teardown({ subscription: { name } }: SetupInfo): void {
  lifeOf(name).teardowns++;
}

export const snapshot = (): unknown => state;

export function restore(found: Map<number, number[]>): void {
  state = found;
}

/**
 * Keeps the job's number, and tells of those that are shown again; `exit` ends the thread on the first attempt, `state` and
 * `life NAME` are reported.
 */
export async function keep(event: Job, context: Context): Promise<void> {
  const [what, name] = event.act.split(' ');
  const kept = state.get(event.run) ?? [];
  state.set(event.run, kept);
  if (what === 'exit' && context.attempt === 1) process.exit(5);
  if (what === 'state') return report(context, event, 'state', [...kept]);
  if (what === 'life') return report(context, event, 'life', lifeOf(name));
  kept.push(event.n);
  return report(context, event, context.replay ? 'replayed' : 'kept', context.attempt);
}

/** For a subscription of its own. */
export function keepToo(event: Job, context: Context): Promise<void> {
  return keep(event, context);
}
