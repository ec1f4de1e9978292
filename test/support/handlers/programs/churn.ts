// Subscriptions that come and go while the bus runs. Prints the heap in KiB after the first ones, and after more of them.
import { setImmediate as turn } from 'node:timers/promises';
import { createBus } from 'lanebus';
import { catalog } from '../catalog.js';

const [first, more] = process.argv.slice(2).map(Number);
const bus = createBus(catalog, { threads: 1, logger: false });

async function churn(times: number): Promise<number> {
  for (let n = 0; n < times; n++) {
    const subscription = bus.subscribe('SIGNAL', () => undefined);
    await subscription.ready;
    await bus.publish({ type: 'SIGNAL', n, symbol: 'ESH4' });
    subscription.unsubscribe();
    await subscription.ended;
  }
  return heapKib();
}

/** The least of a few looks: what has just ended is let go a turn or two later. */
async function heapKib(): Promise<number> {
  let least = Infinity;
  for (let look = 0; look < 10; look++) {
    await turn();
    globalThis.gc?.();
    least = Math.min(least, process.memoryUsage().heapUsed / 1024);
  }
  return least;
}

await bus.start();
const heapsKib = [await churn(first), await churn(more)];
process.stdout.write(`${JSON.stringify({ heapsKib })}\n`);
await bus.stop();
