// Publishes events whose handler fails, as fast as the bus takes them, and writes the number of each whose letter is kept.
// Arguments: the store's folder, and the number of the first event.
import { writeSync } from 'node:fs';
import { createBus } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import { catalog, payloadFor } from './payload.js';

const [, , path, first] = process.argv;
const bus = createBus(catalog, {
  threads: 1,
  spares: 0,
  logger: { level: 'fatal', destination: 2 },
  deadLetterStore: lmdbDeadLetters({ path }),
});
const batch: number[] = [];
bus.on('deadLetter', ({ event }) => {
  batch.push(Number(event.n));
  if (batch.length === 1) {
    queueMicrotask(() => {
      // Whole in the pipe when this returns, whatever becomes of the process.
      writeSync(1, `${batch.splice(0).join(' ')}\n`);
    });
  }
});
bus.subscribe(
  'JOB',
  ({ n }) => {
    throw new Error(`job ${n}`);
  },
  { name: 'jobs' },
);
await bus.start();
for (let n = Number(first); ; n++) await bus.publish({ type: 'JOB', n, ...payloadFor(n) });
