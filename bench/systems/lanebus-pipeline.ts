/** Three stages on the bus's pool threads, each subscribed to what the one before publishes; by the public interface alone. */
import { createBus, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { checkDerived } from '../scenarios/pipeline-3.js';
import { eventsSent, measureThroughput } from '../throughput.js';
import { symbolsOf } from '../ticks.js';
import { checkLedger } from './lanebus.js';
import { catalog } from './lanebus-pipeline-catalog.js';
import type * as stages from './lanebus-pipeline-stages.js';
import { tickPublisher } from './lanebus-publisher.js';
import { gatherTallies } from './lanebus-tallies.js';

async function pipeline(parameters: Parameters): Promise<Measurement> {
  const { threads } = parameters;
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads, logger: false });
  const { first, second, last } = workerHandlers<typeof stages>(
    new URL('./lanebus-pipeline-stages.js', import.meta.url),
  );
  const subscriptions = [
    bus.subscribe(['TICK', 'END'], first),
    bus.subscribe(['TICK_2', 'END_2'], second),
    bus.subscribe(['TICK_3', 'END_3'], last),
  ];
  const tallies = gatherTallies(bus, 1);
  const publishTicks = tickPublisher(bus, parameters, symbols);
  await bus.start();
  try {
    const measurement = await measureThroughput(parameters, {
      async run(events) {
        const results = tallies();
        await publishTicks(events);
        await bus.publish({ type: 'END' });
        return results;
      },
      check([tally], events) {
        checkDerived(tally, events, symbols);
      },
    });
    await bus.drain();
    const sent = eventsSent(parameters, measurement);
    for (const subscription of subscriptions) checkLedger(subscription, sent.events + sent.streams);
    return measurement;
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'pipeline-3': pipeline };
