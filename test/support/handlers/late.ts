// A module that takes its time to set itself up, and never ends to tear itself down.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from './catalog.js';

export const SETUP_MS = 150;
/** What has happened on this thread. */
export const told: string[] = [];

export async function setup(): Promise<void> {
  told.push('begins');
  await sleep(SETUP_MS);
  told.push('set up');
}

export async function teardown(): Promise<void> {
  told.push('tears down');
  await new Promise(() => undefined);
}

export function onJob({ n }: Job): void {
  told.push(`job ${n}`);
}
