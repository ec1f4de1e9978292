/** A round trip as a call through comlink, over a channel of its own to a worker. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { wrap } from 'comlink';
import { measureCalls } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { makeTick, symbolsOf } from '../ticks.js';
import type { Echo } from './calls-worker.js';

async function pingPong(parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./calls-worker.js', import.meta.url), {
    workerData: { port: port2 },
    transferList: [port2],
  });
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
  await Promise.race([once(worker, 'message'), failed]); // a call made before comlink listens would be lost
  // A Node port is an EventTarget too, which is all that comlink needs.
  const echo = wrap<Echo>(port1);
  try {
    const measured = measureCalls(parameters, async (sequence) => (await echo(makeTick(sequence, symbols))).sequence);
    return await Promise.race([measured, failed]);
  } finally {
    await worker.terminate();
    port1.close();
  }
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong };
