// Handlers that end their thread, or must be parted from it, each in its own way.
import { pbkdf2Sync } from 'node:crypto';
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
    case 'loop':
      for (;;);
    // falls through: it does not come here
    case 'never':
      await new Promise(() => undefined);
      break;
    case 'regex':
      // Exponential in the number of a's: years.
      /^(a+)+$/.test(`${'a'.repeat(60)}!`);
      break;
    case 'wait':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      break;
    case 'native':
      pbkdf2Sync('password', 'salt', 6_000_000, 64, 'sha512'); // seconds, and nothing can interrupt it
      break;
    case 'stack':
      deeper();
      break;
    case 'stack-later':
      setTimeout(deeper, 0);
      await sleep(60_000);
      break;
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

function deeper(): number {
  return deeper() + 1;
}
