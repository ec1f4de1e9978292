/** A round trip as a task of a Piscina pool with one thread, its options as they come. */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { measureCalls } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { makeTick, symbolsOf, type Tick } from '../ticks.js';

async function pingPong(parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const pool = new Piscina<Tick, Tick>({
    filename: fileURLToPath(new URL('./calls-worker.js', import.meta.url)),
    minThreads: 1,
    maxThreads: 1,
  });
  try {
    return await measureCalls(parameters, async (sequence) => (await pool.run(makeTick(sequence, symbols))).sequence);
  } finally {
    await pool.destroy();
  }
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong };
