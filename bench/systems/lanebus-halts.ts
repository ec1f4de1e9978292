/** A HALT on an urgent lane, and a flood on another one, through Lanebus's public interface alone, with its default lanes. */
import { createBus, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { flood, type HaltResult, toMeasurement } from '../scenarios/halt-overtakes.js';
import { makeTick, symbolsOf, type Tally } from '../ticks.js';
import { catalog } from './lanebus-halts-catalog.js';
import type * as consumer from './lanebus-halts-consumer.js';
import { checkLedger } from './lanebus.js';
import { withParameters } from './module-parameters.js';

async function haltOvertakes(parameters: Parameters): Promise<Measurement> {
  const { warmup, events } = parameters;
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads: 1, logger: false });
  const module = withParameters(new URL('./lanebus-halts-consumer.js', import.meta.url), parameters);
  const handlers = workerHandlers<typeof consumer>(module);
  const ticks = bus.subscribe(['TICK', 'END'], handlers.onTick);
  const halts = bus.subscribe('HALT', handlers.onHalt);
  const result = new Promise<{ halts: HaltResult; tally: Tally }>((resolve) => {
    bus.subscribe('RESULT', resolve);
  });
  await bus.start();
  try {
    const sent = await flood(parameters, {
      tick(at) {
        const tick = makeTick(at, symbols);
        return bus.tryPublish(tick) === 'full' ? bus.publish(tick) : undefined;
      },
      halt(halt) {
        void bus.publish(halt);
      },
    });
    await bus.publish({ type: 'END' });
    const seen = await result;
    const measurement = toMeasurement(seen.halts, seen.tally, sent, parameters);
    await bus.drain();
    checkLedger(ticks, sent + 1);
    checkLedger(halts, warmup + events);
    return measurement;
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'halt-overtakes': haltOvertakes };
