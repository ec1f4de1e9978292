// Handlers that publish what their event says, whatever that is.
import type { EventOf } from 'lanebus';
import { type C, type Context, type Job, note } from './catalog.js';

/** Publishes the event that `act` is as JSON, and notes the code and message of its refusal. */
export async function publishAndTell(event: Job, context: Context): Promise<void> {
  try {
    await context.publish(parse(event));
    note(context, 'published', event.n);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    note(context, 'refused', event.n, { code, message });
  }
}

/** Publishes the event that `act` is as JSON. Nobody looks at what becomes of it. */
export function publishUnseen(event: Job, context: Context): void {
  void context.publish(parse(event));
}

function parse({ act }: Job): EventOf<C> {
  return JSON.parse(act) as EventOf<C>;
}
