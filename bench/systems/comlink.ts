/** Calls through comlink, over a channel of its own to a worker. */
import { once } from 'node:events';
import { MessageChannel, Worker } from 'node:worker_threads';
import { type Remote, wrap } from 'comlink';
import { measureCalls } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { makeTick, symbolsOf } from '../ticks.js';
import { measureCallStream } from './calls.js';
import type { Calls } from './calls-worker.js';

async function withCalls(measure: (calls: Remote<Calls>) => Promise<Measurement>): Promise<Measurement> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL('./calls-worker.js', import.meta.url), {
    workerData: { port: port2 },
    transferList: [port2],
  });
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
  await Promise.race([once(worker, 'message'), failed]); // a call made before comlink listens would be lost
  // A Node port is an EventTarget too, which is all that comlink needs.
  const calls = wrap<Calls>(port1);
  try {
    return await Promise.race([measure(calls), failed]);
  } finally {
    await worker.terminate();
    port1.close();
  }
}

function pingPong(parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  return withCalls(({ echo }) =>
    measureCalls(parameters, async (sequence) => (await echo(makeTick(sequence, symbols))).sequence),
  );
}

function stream(parameters: Parameters): Promise<Measurement> {
  return withCalls(({ take }) => measureCallStream(parameters, take));
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong, 'one-to-one': stream, 'one-to-one-batch': stream };
