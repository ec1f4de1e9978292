/** A round trip as a request over NATS core, from this thread to a worker, each with a connection of its own. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { connect } from '@nats-io/transport-node';
import { measureCalls } from '../round-trips.js';
import type { Measurement, Outcome, Parameters, SystemScenarios } from '../scenario.js';
import { makeTick, symbolsOf, type Tick } from '../ticks.js';
import { startNats } from './nats-server.js';

export const SUBJECT = 'tick';

async function pingPong(parameters: Parameters): Promise<Outcome> {
  const server = await startNats();
  if ('absent' in server) return server;
  const { port } = server;
  try {
    return await requestAll(port, parameters);
  } finally {
    await server.stop();
  }
}

async function requestAll(port: number, parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const worker = new Worker(new URL('./nats-ping-pong-worker.js', import.meta.url), { workerData: port });
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
  await Promise.race([once(worker, 'message'), failed]);
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  try {
    const measured = measureCalls(parameters, async (sequence) => {
      const answer = await connection.request(SUBJECT, JSON.stringify(makeTick(sequence, symbols)));
      return answer.json<Tick>().sequence;
    });
    return await Promise.race([measured, failed]);
  } finally {
    await connection.close();
    await worker.terminate();
  }
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong };
