// Millions of ticks from the main thread to a handler in a pool thread. Prints the resident memory after each million, in MiB.
import { createBus, workerHandlers } from 'lanebus';
import { catalog } from '../catalog.js';
import type * as record from '../record.js';

const MILLIONS = Number(process.argv[2]);
const { quiet } = workerHandlers<typeof record>(new URL('../record.js', import.meta.url));
const bus = createBus(catalog, { threads: 1, logger: false });
const subscription = bus.subscribe('TICK', quiet);
await bus.start();
const residentMib: number[] = [];
for (let million = 0; million < MILLIONS; million++) {
  for (let n = 0; n < 1e6; n++) await bus.publish({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });
  await bus.drain();
  residentMib.push(process.memoryUsage.rss() / 2 ** 20);
}
const { processed, exact } = subscription.metrics();
process.stdout.write(`${JSON.stringify({ residentMib, processed, exact })}\n`);
await bus.stop();
