// A handler module that exists but requires one that does not.
import { createRequire } from 'node:module';

createRequire(import.meta.url)('./not-there.cjs');

export function onTick(): void {
  // never there
}
