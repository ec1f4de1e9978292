// Handlers that fail in the way that the event's symbol names; and one that ends when it is told.
import { type Context, type Job, note, type Tick, type Wide } from './catalog.js';

export function failOnTick(event: Tick): void | Promise<void> {
  switch (event.symbol) {
    case 'THROW':
      throw new Error(`thrown at ${event.n}`);
    case 'REJECT':
      return Promise.resolve().then(() => {
        throw new Error(`rejected at ${event.n}`);
      });
    case 'FINE LATER':
      return Promise.resolve();
    case 'NO ERROR':
      // eslint-disable-next-line @typescript-eslint/only-throw-error -- as careless code does
      throw 'just a text';
    case 'CHANGED':
      event.n = -1;
      throw new Error('with its event changed');
  }
}

export function failOnWide(event: Wide): void {
  throw new Error(`cannot take ${event.symbol}`);
}

let go: (() => void) | undefined;

/** Ends with the next tick. */
export async function endWithTick(event: Job, context: Context): Promise<void> {
  note(context, 'begun', event.n);
  await new Promise<void>((resolve) => (go = resolve));
}

export function onTick(): void {
  go?.();
}
