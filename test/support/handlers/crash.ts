// Handlers that end their thread, each in its own way.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, type Job, note } from './catalog.js';

/** What a delivery does is written in its event: how the thread ends, and `once` for only on the first attempt. */
export async function onJob(event: Job, context: Context): Promise<void> {
  const [way, often] = event.act.split(' ');
  note(context, 'begun', event.n, context.attempt);
  if (often !== 'once' || context.attempt === 1) await end(way);
  note(context, 'done', event.n, context.attempt);
}

export function onJobSync(event: Job, context: Context): void {
  note(context, 'begun', event.n, context.attempt);
  if (event.act === 'exit') process.exit(7);
}

/** Beside the one that crashes: is in flight for as long as the event's number says, in ms. */
export async function sleepOnJob(event: Job, context: Context): Promise<void> {
  await sleep(event.n);
  note(context, 'slept', event.n, context.attempt);
}

async function end(way: string): Promise<void> {
  switch (way) {
    case 'exit':
      process.exit(7);
      break;
    case 'timer':
      setTimeout(() => {
        throw new Error('thrown in a timer');
      }, 0);
      await sleep(60_000);
      break;
    case 'rejection':
      void Promise.reject(new Error('nobody looks'));
      await sleep(60_000);
      break;
    case 'memory': {
      const hoard: number[][] = [];
      for (;;) hoard.push(new Array<number>(100_000).fill(hoard.length));
    }
  }
}
