/** One subscription on so many pool threads, through Lanebus's public interface alone, with its default lanes. */
import { createBus, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { checkKeyTallies, type KeyTally } from '../scenarios/fan-out-keyed.js';
import { makeTick, symbolsOf } from '../ticks.js';
import { catalog } from './lanebus-keyed-catalog.js';
import { checkLedger } from './lanebus.js';
import type * as consumer from './lanebus-keyed-consumer.js';
import { withParameters } from './module-parameters.js';

/** A publisher awaits admission now and then, not for every event. */
const AWAIT_MASK = 255;

async function fanOutKeyed(parameters: Parameters): Promise<Measurement> {
  const { threads, warmup, events, drop = -1 } = parameters;
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads, logger: false });
  const module = withParameters(new URL('./lanebus-keyed-consumer.js', import.meta.url), parameters);
  const ticks = bus.subscribe(['TICK', 'END'], workerHandlers<typeof consumer>(module).onEvent, { threads });
  let tallies = new Map<number, KeyTally>();
  let ticksByThread = new Map<number, number>();
  let onResults: (() => void) | undefined;
  bus.subscribe('RESULT', ({ key, count, sizeSum, workSum, inOrder }, { publisher }) => {
    tallies.set(key, { count, sizeSum, workSum, inOrder });
    ticksByThread.set(publisher, (ticksByThread.get(publisher) ?? 0) + count);
    if (tallies.size === symbols.length) onResults?.();
  });

  const run = async (count: number): Promise<void> => {
    tallies = new Map();
    ticksByThread = new Map();
    const results = new Promise<void>((resolve) => {
      onResults = resolve;
    });
    for (let at = 0; at < count; at++) {
      if (at === drop) continue;
      const admitted = bus.publish(makeTick(at, symbols));
      if ((at & AWAIT_MASK) === AWAIT_MASK) await admitted;
    }
    for (const [key, symbol] of symbols.entries()) await bus.publish({ type: 'END', symbol, key });
    await Promise.race([results, bus.drain()]); // drained without results: the check fails
  };

  await bus.start();
  try {
    await run(warmup);
    checkKeyTallies(tallies, parameters, warmup, symbols);
    const startedAt = performance.now();
    await run(events);
    const seconds = (performance.now() - startedAt) / 1000;
    checkKeyTallies(tallies, parameters, events, symbols);
    await bus.drain();
    checkLedger(ticks, warmup + events + 2 * symbols.length);
    const details = {
      handlerMeanMicros: ticks.metrics().handler.meanMs * 1000,
      busiestThreadShare: Math.max(...ticksByThread.values()) / events,
    };
    return { value: events / seconds, details };
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'fan-out-keyed': fanOutKeyed };
