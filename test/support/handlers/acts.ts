// Does what its event asks for, on whatever thread it is.
import type { SetupInfo } from 'lanebus';
import { type Context, type Job, note } from './catalog.js';

let lives = 0;
let jobs = 0;

export function setup({ thread }: SetupInfo): void {
  lives += thread === 0 ? 1 : 0;
}

export function teardown({ thread }: SetupInfo): void {
  lives -= thread === 0 ? 1 : 0;
}

export function snapshot(): number {
  return jobs;
}

export function restore(state: number): void {
  jobs = state;
}

export async function onJob({ n, act }: Job, context: Context): Promise<void> {
  jobs++;
  note(context, act, n, { thread: context.thread, lives });
  if (act === 'fail') throw new Error('as it is to');
  if (act === 'hold') {
    const end = performance.now() + n;
    while (performance.now() < end);
  }
  if (act === 'wait for ever') await new Promise(() => undefined);
}

/** How many subscriptions of this module live on the thread that asks, if that is the bus's own. */
export function livesHere(): number {
  return lives;
}
