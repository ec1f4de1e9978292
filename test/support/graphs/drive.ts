/** Runs one random graph on a bus of its own, from start to stop, and keeps what is to be checked. */
import { setImmediate as turn } from 'node:timers/promises';
import { setEnvironmentData } from 'node:worker_threads';
import { createBus, type MetricsSnapshot, type StopReport, workerHandlers } from 'lanebus';
import type * as handlers from '../handlers/graph.js';
import { SeededRandom } from '../random.js';
import { catalogOf, lanesOf } from './catalog.js';
import { areGapsTold } from './check-losses.js';
import { History } from './history.js';
import { Journal, journalKey } from './journal.js';
import type { GraphPlan } from './plan.js';
import { Publisher } from './publishers.js';
import { Script } from './script.js';

/** Longest time until all is admitted, and for the drain after that. */
const LIMIT_MS = 20_000;
const GAPS_LIMIT_MS = 2_000;

/** A graph's run, from its end. */
export interface Ending {
  readonly history: History;
  readonly stopped: StopReport;
  /** After the stop. */
  readonly last: MetricsSnapshot;
}

/** @param module Where the pool threads find the handlers. */
export async function runGraph(plan: GraphPlan, module: URL): Promise<Ending> {
  const planned = plan.publishers.reduce((sum, events) => sum + events, 0);
  const maxOffers = planned + plan.maxDerived;
  const journal = Journal.create(maxOffers, plan.maxDerived, maxOffers * plan.subscriptions.length);
  setEnvironmentData(journalKey(plan.seed), journal.source);
  const bus = createBus(catalogOf(plan), {
    threads: plan.threads,
    lanes: lanesOf(plan),
    starvation: plan.starvation,
    logger: false,
    metricsLogIntervalMs: 0,
    timeoutMs: 0, // no handler is too slow here, however busy the machine is
    env: { GRAPH_SEED: String(plan.seed) },
  });
  const stage = { plan, journal };
  const script = new Script(bus, stage, workerHandlers<typeof handlers>(module));
  try {
    await bus.start();
    const published = plan.publishers.map((events, index) =>
      new Publisher(bus, stage, new SeededRandom(plan.seed + (index + 1) * 7919)).run(events, () => {
        script.advance(journal.offered);
      }),
    );
    await within(
      LIMIT_MS,
      Promise.all(published).then(() => script.finish()),
      () => `not everything was admitted, or has ended, within ${LIMIT_MS} ms: ${JSON.stringify(bus.metrics())}`,
    );
    const drained = await bus.drain({ timeoutMs: LIMIT_MS });
    const [offers, calls] = [journal.readOffers(), journal.readCalls()];
    const { subscribed } = script;
    const run = { plan, offers, calls, subscribed, drained };
    // The notice of a gap needs room in its lane, so it may come after the end of a drain.
    const deadline = performance.now() + GAPS_LIMIT_MS;
    let metrics = bus.metrics();
    while (!areGapsTold(new History({ ...run, metrics })) && performance.now() < deadline) {
      await turn();
      metrics = bus.metrics();
    }
    const stopped = await bus.stop();
    return { history: new History({ ...run, metrics }), stopped, last: bus.metrics() };
  } finally {
    script.cancel();
    await bus.stop({ timeoutMs: 1 });
    setEnvironmentData(journalKey(plan.seed), undefined);
  }
}

async function within<T>(limitMs: number, awaited: Promise<T>, describe: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(describe()));
    }, limitMs);
  });
  try {
    return await Promise.race([awaited, late]);
  } finally {
    clearTimeout(timer);
  }
}
