/** For scale: what runs its consumers on the producer's own thread. Nothing is copied, and nothing runs beside the producer. */
import { produceEach } from '../producer.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { measureThroughput } from '../throughput.js';
import { checkTally, symbolsOf, type Tick, TickTally } from '../ticks.js';

export type Take = (tick: Tick) => void;

/** @returns What sends a tick to every consumer, and returns what to await before the next one, if anything. */
export type Connect = (consumers: readonly Take[]) => (tick: Tick) => Promise<unknown> | undefined;

export function sameThreadScenarios(connect: Connect): SystemScenarios {
  const stream = async (parameters: Parameters): Promise<Measurement> => {
    const { consumers: count = 1 } = parameters;
    const symbols = symbolsOf(parameters);
    const tallies = Array.from({ length: count }, () => new TickTally());
    const consumers = tallies.map((tally): Take => (tick) => {
      tally.take(tick);
    });
    const send = connect(consumers);
    const measurement = await measureThroughput(parameters, {
      async run(events) {
        await produceEach(events, parameters, symbols, send);
        return tallies.map((tally) => tally.close());
      },
      check(found, events) {
        for (const tally of found) checkTally(tally, events, symbols);
      },
    });
    return { ...measurement, details: { ...measurement.details, threads: 'the same one' } };
  };
  return { 'one-to-one': stream, 'fan-out-1-to-4': stream };
}
