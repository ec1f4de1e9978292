// Handlers that fail so often as their event says, then succeed. Each try is noted.
import { NonRetryableError } from 'lanebus';
import { type Context, epochNow, type Job, note, type Tick, type Wide } from './catalog.js';

const untold = (context: Context) => ({
  attempt: context.attempt,
  sequence: context.sequence,
  publisher: context.publisher,
  lane: context.lane,
  thread: context.thread,
  publishedAt: context.publishedAt,
});

/** `act`: steps by commas, one for each try; the last one is repeated. */
export function onJob(event: Job, context: Context): void | Promise<void> {
  note(context, 'try', event.n, untold(context));
  const steps = event.act.split(',');
  const step = steps[Math.min(context.attempt, steps.length) - 1];
  switch (step) {
    case 'fail':
      throw new TypeError(`job ${event.n} fails`);
    case 'coded':
      throw Object.assign(new Error('coded'), { code: 'E_CODED' });
    case 'final':
      throw new NonRetryableError(`job ${event.n} never works`);
    case 'marked':
      throw Object.assign(new Error('marked'), { retryable: false });
    case 'reject':
      return Promise.reject(new RangeError(`job ${event.n} rejects`));
    case 'hostile':
      throw new Proxy(new Error(), {
        get: () => {
          throw new Error('trap');
        },
        getPrototypeOf: () => {
          throw new Error('trap');
        },
      });
    case 'exit':
      process.exit(3);
    // falls through: it does not come here
    case 'hang':
      for (;;);
    case 'sleep':
      return new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** For a subscription of its own. */
export function onJobToo(event: Job, context: Context): void | Promise<void> {
  return onJob(event, context);
}

/** Fails for `price` tries, in keyed order. */
export function onTick(event: Tick, context: Context): void {
  note(context, 'tick', event.n, { symbol: event.symbol, attempt: context.attempt, at: epochNow() });
  if (context.attempt <= event.price) throw new Error(`tick ${event.n}`);
}

export function onWide(event: Wide, context: Context): void {
  note(context, 'wide', context.attempt, event);
  if (context.attempt < 3) throw new Error('wide');
}

/** For a subscription with checkpoints. */
export function snapshot(): number {
  return 0;
}

export function restore(): void {
  // There is nothing to restore.
}
