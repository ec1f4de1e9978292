// Handlers that publish derived events.
import { type Context, type Job, note, type Tick } from './catalog.js';

/** One SIGNAL for each TICK, awaited. */
export async function deriveAndWait(event: Tick, context: Context): Promise<void> {
  await context.publish({ type: 'SIGNAL', n: event.n, symbol: event.symbol });
}

/** One SIGNAL for each TICK; nobody looks at what becomes of it. */
export function derive(event: Tick, context: Context): void {
  void context.publish({ type: 'SIGNAL', n: event.n, symbol: event.symbol });
}

/** Notes how a publish has ended, and is content. */
export async function deriveAndCatch(event: Tick, context: Context): Promise<void> {
  try {
    await context.publish({ type: 'SIGNAL', n: event.n, symbol: event.symbol });
    note(context, 'published', event.n);
  } catch (error) {
    note(context, 'refused', event.n, (error as { code?: string }).code);
  }
}

/** As many SIGNALs as the event's number. */
export function burst(event: Job, context: Context): void {
  for (let n = 0; n < event.n; n++) void context.publish({ type: 'SIGNAL', n, symbol: event.act });
}
