/** What handler modules tell, without what it takes to run a bus: a pool thread imports no more than this. */
import type { Context, Numbered } from './catalog.js';

/** What a handler has seen, or has come to, as an event: the only way back that every backend has. */
export function report(
  context: Context,
  { run, n }: Pick<Numbered, 'run' | 'n'>,
  what: string,
  data: unknown = null,
): Promise<void> {
  return context.publish({ type: 'REPORT', run, what, n, data });
}

/** In ms since the Unix epoch, finer than `Date.now()`, and the same on every thread of a machine. */
export function epochNow(): number {
  return performance.timeOrigin + performance.now();
}

/** Keeps its thread for so long. */
export function busy(ms: number): void {
  const end = epochNow() + ms;
  while (epochNow() < end);
}
