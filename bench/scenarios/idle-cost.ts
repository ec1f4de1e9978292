/**
 * Topology: whatever a system has running when it is ready, and nothing to do. Question: how much of a core does the whole
 * process use? Round trips afterwards show that it was there all the time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { nativeSystems } from '../native-systems.js';
import type { Measurement, Parameters, Scenario } from '../scenario.js';

export const idleCost: Scenario = {
  name: 'idle-cost',
  question: 'started, and nothing to do: CPU time of the whole process, in % of a core',
  unit: '% of a core',
  better: 'lower',
  systems: [
    // As it comes: two threads, a spare, all lanes.
    {
      name: 'lanebus',
      module: 'lanebus-ping-pong',
      subject: true,
      parameters: (quick) => idling(quick, { threads: 2 }),
    },
    // One worker that listens.
    { name: 'post-message', module: 'ports-ping-pong', parameters: (quick) => idling(quick) },
    { name: 'piscina', module: 'piscina', parameters: (quick) => idling(quick, { threads: 2 }) },
    ...nativeSystems((quick) => idling(quick)),
  ],
  targets: [{ title: 'idle-cost, % of a core', of: { system: 'lanebus' }, atMost: 1 }],
  rounds: { full: 3, quick: 1 },
};

function idling(quick: boolean, more?: Parameters): Parameters {
  return { settleMs: 500, idleMs: quick ? 2_000 : 5_000, warmup: 0, events: 1_000, symbols: 16, ...more };
}

/** Measures idle time, then makes the round trips, which throw when they are not as they should be. */
export async function measureIdle(
  { settleMs, idleMs }: Parameters,
  makeTrips: () => Promise<unknown>,
): Promise<Measurement> {
  await sleep(settleMs);
  const before = process.cpuUsage();
  const startedAt = performance.now();
  await sleep(idleMs);
  const { user, system } = process.cpuUsage(before);
  const wallMs = performance.now() - startedAt;
  await makeTrips();
  const userMs = user / 1e3;
  const systemMs = system / 1e3;
  return { value: (100 * (userMs + systemMs)) / wallMs, details: { userMs, systemMs, wallMs } };
}
