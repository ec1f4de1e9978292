/** Lanebus through its public interface alone, with the default lanes and the ledger that is always on. */
import { createBus, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { checkTally, makeTick, symbolsOf, type Tally } from '../scenarios/one-to-one.js';
import { MemoryRecorder } from '../scenarios/soak.js';
import { catalog } from './lanebus-catalog.js';
import type * as consumer from './lanebus-consumer.js';

/** A publisher awaits admission now and then, not for every event: the promise of a lane with room is not made at all. */
const AWAIT_MASK = 255;
const SAMPLE_MASK = 0xffff;

async function stream(parameters: Parameters, memory?: MemoryRecorder): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads: 1, logger: false });
  let onResult: ((tally: Tally) => void) | undefined;
  const handlers = workerHandlers<typeof consumer>(new URL('./lanebus-consumer.js', import.meta.url));
  const ticks = bus.subscribe(['TICK', 'END'], handlers.onEvent);
  bus.subscribe('RESULT', (result) => onResult?.(result));

  const run = async (events: number): Promise<Tally> => {
    const result = new Promise<Tally>((resolve) => {
      onResult = resolve;
    });
    for (let at = 0; at < events; at++) {
      const admitted = bus.publish(makeTick(at, symbols));
      if ((at & AWAIT_MASK) === AWAIT_MASK) {
        await admitted;
        // A long-running producer lets its event loop turn: with a lane that always has room, `await` alone never does.
        if ((at & SAMPLE_MASK) === SAMPLE_MASK && memory?.tick() === true) await new Promise(setImmediate);
      }
    }
    await bus.publish({ type: 'END' });
    return result;
  };

  await bus.start();
  try {
    checkTally(await run(parameters.warmup), parameters.warmup, symbols);
    const startedAt = performance.now();
    const tally = await run(parameters.events);
    const seconds = (performance.now() - startedAt) / 1000;
    checkTally(tally, parameters.events, symbols);
    await bus.drain();
    const { exact, processed, owed } = ticks.metrics();
    const expected = parameters.warmup + parameters.events + 2;
    if (!exact || processed !== expected || owed !== expected) {
      throw new Error(`the ledger says owed ${owed}, processed ${processed}, exact ${exact}; expected ${expected}`);
    }
    return { value: parameters.events / seconds };
  } finally {
    await bus.stop();
  }
}

async function soak(parameters: Parameters): Promise<Measurement> {
  const memory = new MemoryRecorder();
  const { value } = await stream(parameters, memory);
  return { value, ...memory.report() };
}

export const scenarios: SystemScenarios = { 'one-to-one': (parameters) => stream(parameters), soak };
