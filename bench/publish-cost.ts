/** How long publishing keeps the producer's own thread busy. */
import { CLOCK, measureCpu } from './cpu-clock.js';
import type { Measurement, Parameters } from './scenario.js';
import { median } from './statistics.js';
import type { Tally } from './ticks.js';

/** What differs from system to system. */
export interface Bursts {
  /** Sends the events 0 … count - 1 without waiting for anything. */
  send(count: number): void;
  /** Resolves when the consumer has told what it saw of them. */
  end(): Promise<Tally>;
  /** Throws when that is not exactly what was sent. */
  check(tally: Tally, count: number): void;
}

export async function measurePublishCost(parameters: Parameters, bursts: Bursts): Promise<Measurement> {
  const { warmup, events } = parameters;
  const burst = Math.min(parameters.burst, events);
  const run = async (): Promise<number> => {
    const nanoseconds = measureCpu(() => {
      bursts.send(burst);
    });
    bursts.check(await bursts.end(), burst);
    return nanoseconds / burst;
  };
  for (let sent = 0; sent < warmup; sent += burst) await run();
  const costs: number[] = [];
  for (let sent = 0; sent < events; sent += burst) costs.push(await run());
  return { value: median(costs), details: { clock: CLOCK, bursts: costs.length, burst } };
}
