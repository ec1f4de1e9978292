// Handlers whose time is measured: each uses a known amount of it, of one kind or the other.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Context, epochNow, type Job, note } from './catalog.js';

/** The event's number is a time in ms. */
export async function onJob(event: Job, context: Context): Promise<void> {
  note(context, 'begun', event.n, context.attempt);
  switch (event.act) {
    case 'loop':
      for (;;);
    // falls through: it does not come here
    case 'never':
      await new Promise(() => undefined);
      break;
    case 'sleep':
      await sleep(event.n);
      break;
    case 'work':
      work(event.n);
      break;
    case 'run':
      for (const end = epochNow() + event.n; epochNow() < end;);
      break;
  }
  note(context, 'done', event.n, context.attempt);
}

/** Takes so much of a core, however long that lasts. */
function work(ms: number): void {
  const before = process.cpuUsage().user;
  const rounds = 2_000_000;
  // The process's other threads sleep meanwhile: its time is this thread's.
  while ((process.cpuUsage().user - before) / 1e3 < ms) for (let i = 0; i < rounds; i++);
}
