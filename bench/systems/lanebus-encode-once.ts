/** Several subscriptions to the same ticks, through Lanebus's public interface alone, with its default lanes. */
import { createBus, type Subscription, workerHandlers } from 'lanebus';
import { CLOCK, measureCpu } from '../cpu-clock.js';
import { median } from '../statistics.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { checkTally, makeTick, symbolsOf, type Tally } from '../ticks.js';
import { catalog } from './lanebus-catalog.js';
import { checkLedger } from './lanebus.js';
import type * as consumer from './lanebus-encode-once-consumer.js';
import { withParameters } from './module-parameters.js';

/** A publisher awaits admission now and then, not for every event. */
const AWAIT_MASK = 255;

async function encodeOnce(parameters: Parameters): Promise<Measurement> {
  const { threads, subscriptions, warmup, events, burst, workSteps } = parameters;
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads, logger: false });
  const script = new URL('./lanebus-encode-once-consumer.js', import.meta.url);
  const ticks = Array.from({ length: subscriptions }, (_, index): Subscription => {
    // Each has an instance of the module, and so a tally, of its own.
    const module = withParameters(script, { subscription: index, workSteps });
    return bus.subscribe(['TICK', 'END'], workerHandlers<typeof consumer>(module).onEvent);
  });
  const tallies: Tally[] = [];
  let onResults: (() => void) | undefined;
  bus.subscribe('RESULT', ({ count, sizeSum, symbolSum, inOrder }) => {
    tallies.push({ count, sizeSum, symbolSum, inOrder });
    if (tallies.length === subscriptions) onResults?.();
  });

  const stream = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at++) {
      const admitted = bus.publish(makeTick(at, symbols));
      if ((at & AWAIT_MASK) === AWAIT_MASK) await admitted;
    }
  };

  /** @returns Of each burst, the nanoseconds that publishing an event of it took. */
  const streamInBursts = async (count: number): Promise<number[]> => {
    const costs: number[] = [];
    for (let from = 0; from < count; from += burst) {
      const to = Math.min(count, from + burst);
      const nanoseconds = measureCpu(() => {
        for (let at = from; at < to; at++) void bus.publish(makeTick(at, symbols));
      });
      costs.push(nanoseconds / (to - from));
      const { waiting } = bus.metrics().lanes.market;
      await bus.drain();
      if (waiting > 0) throw new Error(`a burst of ${burst} ticks has not found room`);
    }
    return costs;
  };

  /** Resolves when every subscription has told what it saw since it was last asked. */
  const end = async (): Promise<void> => {
    const results = new Promise<void>((resolve) => {
      onResults = resolve;
    });
    await bus.publish({ type: 'END' });
    await Promise.race([results, bus.drain()]);
    if (tallies.length < subscriptions)
      throw new Error(`${tallies.length} of ${subscriptions} subscriptions have ended`);
  };

  const check = (count: number): void => {
    for (const tally of tallies.splice(0)) checkTally(tally, count, symbols);
  };

  await bus.start();
  try {
    await stream(warmup);
    await end();
    check(warmup);
    await bus.drain();

    const costs = await streamInBursts(events);
    await end();
    check(events);

    const startedAt = performance.now();
    await stream(events);
    await end();
    const seconds = (performance.now() - startedAt) / 1000;
    check(events);

    await bus.drain();
    const expected = warmup + 2 * events + 3;
    for (const subscription of ticks) checkLedger(subscription, expected);
    const eventsPerSecond = events / seconds;
    const details = {
      clock: CLOCK,
      bursts: costs.length,
      meanNs: costs.reduce((sum, cost) => sum + cost, 0) / costs.length,
      eventsPerSecond,
      deliveriesPerSecond: eventsPerSecond * subscriptions,
    };
    return { value: median(costs), details };
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'encode-once': encodeOnce };
