/** What the process has open, as its operating system sees it. */
import { readdirSync, readlinkSync } from 'node:fs';

/**
 * Pipes, sockets, event loops. Files of modules are left out: Node leaves those open that a thread was just reading when it
 * was terminated from outside while it imports them.
 */
export function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').filter((descriptor) => !/\.[cm]?js$/.test(targetOf(descriptor))).length;
  } catch {
    return 0; // not Linux: nothing is known, nothing is compared
  }
}

function targetOf(descriptor: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return ''; // that of the look itself
  }
}

/** Threads of the process, Node's own among them. */
export function systemThreads(): number {
  try {
    return readdirSync('/proc/self/task').length;
  } catch {
    return 0;
  }
}
