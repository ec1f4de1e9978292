/** Ctrl-C of a bench: its children run in process groups of their own, where the terminal does not reach them. */
import { constants } from 'node:os';

const controller = new AbortController();
let endedBy: 'SIGINT' | 'SIGTERM' | undefined;

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    endedBy ??= signal;
    controller.abort();
  });
}

export const interrupted: AbortSignal = controller.signal;

/** Of a bench that has failed: a shell's number for the signal, if it was one. */
export function exitCode(): number {
  return endedBy === undefined ? 1 : 128 + constants.signals[endedBy];
}

export function problemOf(error: unknown): string {
  if (endedBy !== undefined) return `interrupted by ${endedBy}`;
  return `error: ${error instanceof Error ? error.message : String(error)}`;
}
