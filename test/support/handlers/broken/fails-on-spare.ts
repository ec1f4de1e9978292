// A module that so many threads of a process may import, one after the other, and none after them. The environment data
// `imports` has the count, which the test sees.
import { getEnvironmentData } from 'node:worker_threads';

const imports = getEnvironmentData('imports') as SharedArrayBuffer | undefined;
if (imports !== undefined) {
  const [, allowed] = new Int32Array(imports);
  if (Atomics.add(new Int32Array(imports), 0, 1) >= allowed) throw new Error('imported too often');
}

export function onTick(): void {
  // Nothing: it is about its import.
}
