/** Lanebus through its public interface alone, with the default lanes and the ledger that is always on. */
import { createBus, type Subscription, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { MemoryRecorder } from '../scenarios/soak.js';
import { eventsSent, measureThroughput, type Streaming } from '../throughput.js';
import { checkTally, symbolsOf, type Tally } from '../ticks.js';
import { catalog } from './lanebus-catalog.js';
import type * as consumer from './lanebus-consumer.js';
import { tickPublisher } from './lanebus-publisher.js';
import { gatherTallies } from './lanebus-tallies.js';
import { withParameters } from './module-parameters.js';

/** A bus, and its subscriptions to the ticks on pool threads: one, or several that each get every tick. */
function connect(parameters: Parameters) {
  const { consumers = 1, threads = 1 } = parameters;
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads, logger: false });
  const subscriptions = Array.from({ length: consumers }, (_, number) => {
    const module = withParameters(new URL('./lanebus-consumer.js', import.meta.url), { number });
    return bus.subscribe(['TICK', 'END'], workerHandlers<typeof consumer>(module).onEvent);
  });
  const tallies = gatherTallies(bus, consumers);
  const publishTicks = tickPublisher(bus, parameters, symbols);

  const stream = {
    async run(events: number, onTurn?: () => void): Promise<Tally[]> {
      const results = tallies();
      await publishTicks(events, onTurn);
      await bus.publish({ type: 'END' });
      return results;
    },
    check(found: readonly Tally[], events: number): void {
      for (const tally of found) checkTally(tally, events, symbols);
    },
  } satisfies Streaming<Tally[]>;
  return { bus, subscriptions, stream };
}

/** Throws unless the subscription owed and processed so many events, by the ledger. */
export function checkLedger(ticks: Subscription, expected: number): void {
  const { name, exact, processed, owed } = ticks.metrics();
  if (exact && processed === expected && owed === expected) return;
  throw new Error(`${name}: owed ${owed}, processed ${processed}, exact ${exact}; expected ${expected}`);
}

async function fanOut(parameters: Parameters): Promise<Measurement> {
  const { bus, subscriptions, stream } = connect(parameters);
  await bus.start();
  try {
    const measurement = await measureThroughput(parameters, stream);
    await bus.drain();
    const sent = eventsSent(parameters, measurement);
    for (const subscription of subscriptions) checkLedger(subscription, sent.events + sent.streams);
    return measurement;
  } finally {
    await bus.stop();
  }
}

async function soak(parameters: Parameters): Promise<Measurement> {
  const { events } = parameters;
  const memory = new MemoryRecorder();
  const { bus, subscriptions, stream } = connect(parameters);
  await bus.start();
  try {
    const startedAt = performance.now();
    stream.check(
      await stream.run(events, () => {
        memory.tick();
      }),
      events,
    );
    const seconds = (performance.now() - startedAt) / 1000;
    await bus.drain();
    for (const subscription of subscriptions) checkLedger(subscription, events + 1);
    return { value: events / seconds, ...memory.report() };
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = {
  'one-to-one': fanOut,
  'one-to-one-batch': fanOut,
  'fan-out-1-to-4': fanOut,
  soak,
};
