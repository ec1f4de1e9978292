/** Events at a rate through Lanebus's public interface alone, with its default lanes; the producer awaits what it has published. */
import { createBus, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { type LoadResult, measureOpenLoad } from '../scenarios/open-load.js';
import { catalog } from './lanebus-open-load-catalog.js';
import type * as consumer from './lanebus-open-load-consumer.js';
import { checkLedger } from './lanebus.js';

async function openLoad(parameters: Parameters): Promise<Measurement> {
  const bus = createBus(catalog, { threads: 1, logger: false });
  const handlers = workerHandlers<typeof consumer>(new URL('./lanebus-open-load-consumer.js', import.meta.url));
  const ticks = bus.subscribe(['TICK', 'END'], handlers.onEvent);
  let onResult: ((result: LoadResult) => void) | undefined;
  bus.subscribe('RESULT', ({ result }) => onResult?.(result));
  let owed = 0;
  await bus.start();
  try {
    const measurement = await measureOpenLoad(parameters, {
      tryTick: (tick) => (bus.tryPublish(tick) === 'full' ? bus.publish(tick) : undefined),
      tick: (tick) => bus.publish(tick),
      async end() {
        const result = new Promise<LoadResult>((resolve) => {
          onResult = resolve;
        });
        await bus.publish({ type: 'END' });
        const found = await result;
        owed += found.tally.count + 1;
        return found;
      },
    });
    await bus.drain();
    checkLedger(ticks, owed);
    return measurement;
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'open-load': openLoad };
