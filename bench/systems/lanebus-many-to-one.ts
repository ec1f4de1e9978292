/** Handlers on pool threads that publish, and one subscription to all of it; by the public interface alone. */
import { createBus, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { checkShares, PRODUCERS } from '../scenarios/many-to-one.js';
import { eventsSent, measureThroughput } from '../throughput.js';
import { checkLedger } from './lanebus.js';
import { catalog } from './lanebus-many-to-one-catalog.js';
import type * as pool from './lanebus-many-to-one-pool.js';
import { gatherTallies } from './lanebus-tallies.js';
import { withParameters } from './module-parameters.js';

const MODULE = new URL('./lanebus-many-to-one-pool.js', import.meta.url);

async function manyToOne(parameters: Parameters): Promise<Measurement> {
  const { threads } = parameters;
  const bus = createBus(catalog, { threads, logger: false });
  // First, so that each has a thread of its own: a subscription goes where there are fewest.
  for (let producer = 0; producer < PRODUCERS; producer++) {
    bus.subscribe('GO', workerHandlers<typeof pool>(withParameters(MODULE, { ...parameters, producer })).produce);
  }
  const ticks = bus.subscribe(
    ['TICK', 'DONE'],
    workerHandlers<typeof pool>(withParameters(MODULE, parameters)).consume,
  );
  const tallies = gatherTallies(bus, PRODUCERS);
  await bus.start();
  try {
    const measurement = await measureThroughput(parameters, {
      async run(events) {
        const results = tallies();
        await bus.publish({ type: 'GO', events });
        return results;
      },
      check(found, events) {
        checkShares(found, events, parameters);
      },
    });
    await bus.drain();
    const sent = eventsSent(parameters, measurement);
    checkLedger(ticks, sent.events + PRODUCERS * sent.streams);
    return measurement;
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'many-to-one': manyToOne };
