// A program that stops its bus while threads hang, die, restart, publish and wait for room. It prints what became of it,
// and must end by itself. Arguments: a seed, and after how many ms it stops.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { createBus, type LanebusError, workerHandlers } from 'lanebus';
import { SeededRandom } from '../../random.js';
import { catalog } from '../catalog.js';
import type * as crash from '../crash.js';
import type * as derive from '../derive.js';
import type * as share from '../share.js';

const [seed, stopsAfterMs] = process.argv.slice(2).map(Number);
const random = new SeededRandom(seed);
const handlersOf = <M>(name: string): ReturnType<typeof workerHandlers<M>> =>
  workerHandlers<M>(new URL(`../${name}.js`, import.meta.url));

const living = new Set<Worker>();
process.on('worker', (worker) => {
  living.add(worker);
  worker.once('exit', () => living.delete(worker));
});

const tiny = { capacityBytes: 1024, whenFull: 'block', timeoutMs: 60_000 } as const;
const bus = createBus(catalog, {
  threads: 3,
  spares: seed % 2,
  logger: false,
  timeoutMs: 60,
  graceMs: 10,
  maxCrashes: 3,
  lanes: { market: tiny, signal: tiny },
});
bus.subscribe('JOB', handlersOf<typeof crash>('crash').onJob, { threads: 2, order: 'none', concurrency: 3 });
bus.subscribe('TICK', handlersOf<typeof derive>('derive').deriveAndWait, { concurrency: 8 });
bus.subscribe('TICK', handlersOf<typeof share>('share').tellSlowly, { lag: 'conflate', threads: 2 });
bus.subscribe('SIGNAL', () => sleep(3, undefined), { concurrency: 2, order: 'none' });
await bus.start();

const codes: Record<string, number> = {};
const ways = ['', '', '', '', 'exit', 'loop', 'never', 'timer', 'rejection', 'exit once'];
let stopping = false;
/** Publishes until it is refused, and waits for room in between. */
async function publish(): Promise<void> {
  for (let n = 0; ; n++) {
    const act = ways[random.below(ways.length)];
    try {
      if (random.below(4) === 0) await bus.publish({ type: 'JOB', n, act });
      else await bus.publish({ type: 'TICK', n, symbol: `S${random.below(9)}`, price: n });
    } catch (error) {
      const { code = String(error) } = error as Partial<LanebusError>;
      codes[code] = (codes[code] ?? 0) + 1;
      return;
    }
  }
}
async function strike(): Promise<void> {
  while (!stopping) {
    const victims = [...living];
    if (victims.length > 0) {
      const victim = victims[random.below(victims.length)];
      living.delete(victim); // once: each call adds a listener to a thread that may take its time to end
      void victim.terminate();
    }
    await sleep(random.below(30));
  }
}

const publishers = Array.from({ length: 20 }, publish);
const striking = strike();
await sleep(stopsAfterMs);
const restarts = bus.metrics().threads.reduce((sum, { restarts: { crash, timeout } }) => sum + crash + timeout, 0);
const report = await bus.stop({ timeoutMs: 50 });
stopping = true;
await sleep(300); // whoever waits to start another thread would have done so
await Promise.all([...publishers, striking]);
const { subscriptions } = bus.metrics();
process.stdout.write(
  `${JSON.stringify({
    restarts,
    codes,
    releasedPublishers: report.releasedPublishers,
    durationMs: report.durationMs,
    discarded: report.discarded,
    discardedBySubscription: subscriptions.reduce((sum, { discarded }) => sum + discarded, 0),
    inexact: subscriptions.filter(({ exact, pending }) => !exact || pending > 0),
    unlikeTheReport: subscriptions.filter(
      ({ owed, discarded }, index) =>
        report.subscriptions[index].owed !== owed || report.subscriptions[index].discarded !== discarded,
    ),
    threadsLeft: living.size,
  })}\n`,
);
