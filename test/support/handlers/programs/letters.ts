// A process with a store of dead letters. Arguments: its folder, and `flood` for more letters than its files may hold.
import { createBus } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import { catalog } from '../catalog.js';

const [, , path, what] = process.argv;
const print = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const bus = createBus(catalog, {
  threads: 1,
  spares: 0,
  logger: { level: 'fatal', destination: 1 },
  deadLetterStore: lmdbDeadLetters({ path }),
});
const jobs = bus.subscribe('JOB', ({ n }) => {
  throw new Error(`job ${n} fails, with a text that takes some room: ${'x'.repeat(500)}`);
});
try {
  await bus.start();
  if (what === 'flood') for (let n = 0; n < 2_000; n++) await bus.publish({ type: 'JOB', n, act: '' });
  await bus.drain();
  const { failed, pending, exact } = jobs.metrics();
  const { degraded, evicted } = bus.deadLetters;
  const count = bus.deadLetters.count();
  await bus.stop();
  print({ failed, pending, exact, degraded, evicted, count });
} catch (error) {
  print({ refused: (error as Error).message });
}
