// Handlers that take too long, each in its own way.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, epochNow, type Job, note, type Tick } from './catalog.js';

const never = new Promise<void>(() => undefined);

/** What a delivery does is written in its event; the event's number is a time in ms for some. */
export async function onJob(event: Job, context: Context): Promise<void> {
  note(context, 'begun', event.n, context.attempt);
  switch (event.act) {
    case 'loop':
      loop();
    // falls through: it does not come here
    case 'loop later':
      await sleep(20);
      loop();
    // falls through
    case 'regex':
      // Exponential in the number of a's: years.
      /^(a+)+$/.test(`${'a'.repeat(60)}!`);
      break;
    case 'never':
      await never;
      break;
    case 'respect':
      await sleep(60_000, undefined, { signal: context.signal });
      break;
    case 'sleep':
      await sleep(event.n);
      break;
    case 'heed':
      await new Promise((resolve) => {
        context.signal.addEventListener('abort', resolve);
      });
      note(context, 'aborted', event.n, (context.signal.reason as Error).name);
      break;
  }
  note(context, 'done', event.n, context.attempt);
}

/** For a subscription of its own. */
export function onJobToo(event: Job, context: Context): Promise<void> {
  return onJob(event, context);
}

export function onJobSync(event: Job, context: Context): void {
  note(context, 'begun', event.n, context.attempt);
  if (event.act === 'loop') loop();
  note(context, 'done', event.n, context.attempt);
}

export function onJobSyncToo(event: Job, context: Context): void {
  onJobSync(event, context);
}

export function loopOnTick(event: Tick, context: Context): void {
  if (event.symbol !== 'LOOP') return;
  note(context, 'begun', event.n, context.attempt);
  loop();
}

export function busyOnTick(event: Tick): void {
  busy(event.n);
}

export async function sleepOnTick(event: Tick): Promise<void> {
  await sleep(event.n);
}

export function busy(ms: number): void {
  const end = epochNow() + ms;
  while (epochNow() < end);
}

function loop(): never {
  for (;;);
}
