// A bus with two threads and three subscriptions that has had some traffic and now has none. Prints how much CPU time
// the whole process uses meanwhile, as a share of one core. Its argument: how long to measure, in ms.
import { setTimeout as sleep } from 'node:timers/promises';
import { createBus, workerHandlers } from 'lanebus';
import { catalog } from '../catalog.js';
import type * as record from '../record.js';

const handlers = workerHandlers<typeof record>(new URL('../record.js', import.meta.url));
const bus = createBus(catalog, { threads: 2, logger: false });
bus.subscribe('TICK', handlers.quiet);
bus.subscribe('TICK', handlers.quietToo);
bus.subscribe('TICK', () => undefined);
await bus.start();
for (let n = 0; n < 100_000; n++) await bus.publish({ type: 'TICK', n, symbol: 'ESH4', price: n / 4 });
await bus.drain();
// What V8 compiles and collects after the traffic is not the bus's doing.
await sleep(1_000);
// Three times, the smallest counts: a kernel that charges CPU time by its own tick charges a timer that falls on it too much.
const shares: number[] = [];
for (let round = 0; round < 3; round++) {
  const begun = performance.now();
  const before = process.cpuUsage();
  await sleep(Number(process.argv[2]));
  const { user, system } = process.cpuUsage(before);
  shares.push((user + system) / 1e3 / (performance.now() - begun));
}
process.stdout.write(`${JSON.stringify({ share: Math.min(...shares) })}\n`);
await bus.stop();
