// TICK → SIGNAL → ORDER, each step by a handler that publishes. Symbols grow on the way, so that each thread interns its own.
import { type Context, note, type Signal, type Tick } from './catalog.js';

export async function toSignal(event: Tick, context: Context): Promise<void> {
  const { sequence, lane, publisher, publishedAt, attempt, thread } = context;
  if (event.n === 7) note(context, 'tick', 7, { sequence, lane, publisher, publishedAt, attempt, thread });
  await context.publish({ type: 'SIGNAL', n: event.n, symbol: `${event.symbol}>${thread}` });
}

export function toOrder(event: Signal, context: Context): void {
  const { sequence, lane, publisher, publishedAt, attempt, thread } = context;
  if (event.n === 7) note(context, 'signal', 7, { sequence, lane, publisher, publishedAt, attempt, thread });
  void context.publish({ type: 'ORDER', n: event.n, symbol: `${event.symbol}>${thread}` });
}

/** Publishes the next of a countdown to 0; every tenth only after a turn of the event loop. */
export async function countDown(event: Signal, context: Context): Promise<void> {
  if (event.n === 0) return;
  if (event.n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
  await context.publish({ type: 'SIGNAL', n: event.n - 1, symbol: event.symbol });
}
