/** A round trip as a task of a Piscina pool, its options as they come. */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { measureCalls } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { measureIdle } from '../scenarios/idle-cost.js';
import { makeTick, symbolsOf, type Tick } from '../ticks.js';

async function withPool(
  { threads }: Parameters,
  measure: (pool: Piscina<Tick, Tick>) => Promise<Measurement>,
): Promise<Measurement> {
  const pool = new Piscina<Tick, Tick>({
    filename: fileURLToPath(new URL('./calls-worker.js', import.meta.url)),
    minThreads: threads,
    maxThreads: threads,
  });
  try {
    return await measure(pool);
  } finally {
    await pool.destroy();
  }
}

function makeTrips(pool: Piscina<Tick, Tick>, parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  return measureCalls(parameters, async (sequence) => (await pool.run(makeTick(sequence, symbols))).sequence);
}

async function pingPong(parameters: Parameters): Promise<Measurement> {
  return withPool(parameters, (pool) => makeTrips(pool, parameters));
}

async function idleCost(parameters: Parameters): Promise<Measurement> {
  return withPool(parameters, (pool) => measureIdle(parameters, () => makeTrips(pool, parameters)));
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong, 'idle-cost': idleCost };
