/** Runs one random graph on a bus of its own while threads die, and keeps what is to be checked. */
import { setTimeout as sleep } from 'node:timers/promises';
import { setEnvironmentData, type Worker } from 'node:worker_threads';
import {
  type Catalog,
  createBus,
  type DeadLetter,
  type DrainReport,
  type EventBus,
  type MetricsSnapshot,
  workerHandlers,
} from 'lanebus';
import { catalogOf, lanesOf } from '../support/graphs/catalog.js';
import type * as handlers from '../support/handlers/graph.js';
import { type Call, Journal, journalKey, type Offer } from '../support/graphs/journal.js';
import { Publisher } from '../support/graphs/publishers.js';
import { Script, type Subscribed } from '../support/graphs/script.js';
import { openDescriptors } from '../support/process.js';
import { SeededRandom } from '../support/random.js';
import { type ChaosPlan, failuresOf, type Fault } from './faults.js';

const MODULE = new URL('../support/handlers/chaos.js', import.meta.url);
const LIMIT_MS = 60_000;
const SETTLED_MS = 5_000;
/** Repeats of a delivery that the journal has room for. */
const REPEATS = 4;

const killed = new WeakSet<Worker>();
/** Every thread of the process that lives. */
const living = new Set<Worker>();
process.on('worker', (worker) => {
  living.add(worker);
  worker.once('exit', () => living.delete(worker));
});

export interface Ran {
  readonly plan: ChaosPlan;
  readonly offers: readonly Offer[];
  readonly calls: readonly Call[];
  readonly subscribed: ReadonlyMap<number, Subscribed>;
  /** Undefined where the bus was stopped before. */
  readonly drained: DrainReport | undefined;
  readonly metrics: MetricsSnapshot;
  readonly letters: readonly DeadLetter[];
  readonly kills: number;
  readonly stalls: number;
  readonly leftThreads: number;
  readonly descriptors: number;
}

export async function runChaos(plan: ChaosPlan): Promise<Ran> {
  const { graph } = plan;
  const planned = graph.publishers.reduce((sum, events) => sum + events, 0);
  const stormy = plan.faults.reduce((sum, { what, size }) => sum + (what === 'storm' ? size : 0), 0);
  const maxOffers = planned + stormy + graph.maxDerived;
  const journal = Journal.create(maxOffers, graph.maxDerived, maxOffers * graph.subscriptions.length * REPEATS);
  setEnvironmentData(journalKey(graph.seed), journal.source);
  const bus = createBus(catalogOf(graph), {
    threads: graph.threads,
    spares: plan.spares,
    exitWaitMs: plan.exitWaitMs,
    lanes: lanesOf(graph),
    starvation: graph.starvation,
    logger: false,
    metricsLogIntervalMs: 0,
    timeoutMs: 100,
    graceMs: 10,
    maxCrashes: 2,
    maxDeadLetters: 1_000_000,
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
    env: { GRAPH_SEED: String(graph.seed) },
  });
  const stage = { plan: graph, journal };
  const script = new Script(bus, stage, workerHandlers<typeof handlers>(MODULE), (one) => failuresOf(graph, one));
  const counts = { kills: 0, stalls: 0 };
  try {
    await bus.start();
    const storms = new Publisher(bus, stage, new SeededRandom(graph.seed + 99));
    const all = Promise.all([
      ...graph.publishers.map((events, index) =>
        publish(bus, stage, script, new SeededRandom(graph.seed + (index + 1) * 7919), events),
      ),
      strike(plan.faults, counts, (events) => storms.run(events, () => undefined)),
    ]);
    let drained: DrainReport | undefined;
    if (plan.stopsAtMs === undefined) {
      await within(
        all.then(() => script.finish()),
        bus,
        'was admitted, or has ended',
      );
      drained = await bus.drain({ timeoutMs: LIMIT_MS });
      await settled(() => isTidy(bus.metrics(), plan));
    } else {
      await sleep(plan.stopsAtMs);
      script.cancel();
      await bus.stop({ timeoutMs: 200 });
      await within(
        all.then(() => undefined),
        bus,
        'was released by stop',
      );
    }
    // Together: a handler that was given up on the bus's own thread may go on, and publish, at any time.
    const metrics = bus.metrics();
    const offers = journal.readOffers();
    await bus.stop();
    const letters = bus.deadLetters.list({ limit: 1_000_000 });
    await settled(() => living.size === 0);
    return {
      plan,
      offers,
      calls: journal.readCalls().filter(({ id }) => id < offers.length),
      subscribed: script.subscribed,
      drained,
      metrics,
      letters,
      ...counts,
      leftThreads: living.size,
      descriptors: openDescriptors(),
    };
  } finally {
    script.cancel();
    await bus.stop({ timeoutMs: 1 });
    setEnvironmentData(journalKey(graph.seed), undefined);
  }
}

/** Whether the lanes of all dead threads have been let go of, and every thread runs. */
export function isTidy({ lanes, threads }: MetricsSnapshot, { graph }: ChaosPlan): boolean {
  return (
    threads.every(({ state }) => state === 'running') &&
    graph.lanes.every(({ name, capacityBytes }) => lanes[name].capacityBytes === capacityBytes * (graph.threads + 1))
  );
}

async function publish(
  bus: EventBus<Catalog>,
  stage: ConstructorParameters<typeof Publisher>[1],
  script: Script,
  random: SeededRandom,
  events: number,
): Promise<void> {
  const publisher = new Publisher(bus, stage, random);
  for (let left = events; left > 0;) {
    const count = Math.min(left, 1 + random.below(12));
    left -= count;
    await publisher.run(count, () => {
      script.advance(stage.journal.offered);
    });
    await sleep(random.below(25));
  }
}

async function strike(
  faults: readonly Fault[],
  counts: { kills: number; stalls: number },
  storm: (events: number) => Promise<void>,
): Promise<void> {
  const begun = performance.now();
  const storms: Promise<void>[] = [];
  for (const { atMs, what, size } of faults) {
    await sleep(Math.max(0, begun + atMs - performance.now()));
    switch (what) {
      case 'kill':
      case 'kill two':
        for (let victims = what === 'kill' ? 1 : 2; victims > 0; victims--) {
          const left = [...living].filter((worker) => !killed.has(worker));
          if (left.length === 0) break;
          const victim = left[(size + victims) % left.length];
          killed.add(victim);
          counts.kills++;
          void victim.terminate();
        }
        break;
      case 'stall': {
        counts.stalls++;
        const end = performance.now() + size;
        while (performance.now() < end);
        break;
      }
      case 'storm':
        storms.push(storm(size));
        break;
    }
  }
  await Promise.all(storms);
}

async function within<T>(awaited: Promise<T>, bus: EventBus<Catalog>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not everything ${what} within ${LIMIT_MS} ms: ${JSON.stringify(bus.metrics())}`));
    }, LIMIT_MS);
  });
  try {
    return await Promise.race([awaited, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function settled(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + SETTLED_MS; !isSo() && performance.now() < end;) await sleep(10);
}
