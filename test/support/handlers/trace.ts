// TICK → SIGNAL → ORDER, each handler telling what its own context says: where its event comes from, and its cause.
import { type Context, note, type Order, type Signal, type Tick } from './catalog.js';
import { seenOf } from './share.js';

/** Awaits before it publishes, a different number of turns each time: other deliveries begin and end meanwhile. */
export async function traceTick(event: Tick, context: Context): Promise<void> {
  const seen = seenOf(event, context);
  for (let turns = event.n % 4; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
  note(context, 'tick', event.n, seen);
  await context.publish({ type: 'SIGNAL', n: event.n, symbol: event.symbol });
}

export function traceSignal(event: Signal, context: Context): void {
  note(context, 'signal', event.n, seenOf(event, context));
  void context.publish({ type: 'ORDER', n: event.n, symbol: event.symbol });
}

export function traceOrder(event: Order, context: Context): void {
  note(context, 'order', event.n, seenOf(event, context));
}

/** An ORDER for each TICK; the tick whose price is below 0 ends the thread after it, on the first attempt. */
export function toOrderOrExit(event: Tick, context: Context): void {
  void context.publish({ type: 'ORDER', n: event.n, symbol: event.symbol });
  if (event.price < 0 && context.attempt === 1) process.exit(7);
}

/** Publishes ORDERs without end, some in each turn of the event loop. */
export async function toOrders({ n, symbol }: Tick, context: Context): Promise<void> {
  for (;;) {
    for (let i = 0; i < 5; i++) await context.publish({ type: 'ORDER', n, symbol });
    await new Promise((resolve) => setImmediate(resolve));
  }
}
