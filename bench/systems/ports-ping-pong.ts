/** A round trip through what Node has: a worker's own port, a channel between two workers, or a BroadcastChannel. */
import { once } from 'node:events';
import { BroadcastChannel, MessageChannel, Worker } from 'node:worker_threads';
import { measureAnswers, type RoundTripsResult, toMeasurement } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { measureIdle } from '../scenarios/idle-cost.js';
import { PORT_WAYS, type PortWay } from '../scenarios/ping-pong.js';
import { makeTick, symbolsOf, type Tick } from '../ticks.js';
import type { AnswererData, AskerData } from './ports-ping-pong-worker.js';

const WORKER = new URL('./ports-ping-pong-worker.js', import.meta.url);

const ways: Record<PortWay, (parameters: Parameters) => Promise<Measurement>> = {
  async 'post-message'(parameters) {
    const worker = await startWorker({ side: 'answers', by: 'parent' });
    return measureWith([worker], tripsTo(worker, parameters));
  },

  async 'message-channel'(parameters) {
    const { port1, port2 } = new MessageChannel();
    const answers = await startWorker({ side: 'answers', by: port1 });
    const asks = await startWorker({ side: 'asks', port: port2, parameters });
    const found = once(asks, 'message').then(([result]) => toMeasurement(result as RoundTripsResult, parameters));
    asks.postMessage('start');
    return measureWith([answers, asks], found);
  },

  async 'broadcast-channel'(parameters) {
    const there = new BroadcastChannel('lanebus bench: there');
    const back = new BroadcastChannel('lanebus bench: back');
    const worker = await startWorker({ side: 'answers', by: 'broadcast' });
    const symbols = symbolsOf(parameters);
    const trips = measureAnswers(parameters, (sequence) => {
      there.postMessage(makeTick(sequence, symbols));
    });
    back.onmessage = (event) => {
      trips.take(((event as MessageEvent).data as Tick).sequence);
    };
    trips.start();
    try {
      return await measureWith([worker], trips.measurement);
    } finally {
      there.close();
      back.close();
    }
  },
};

function tripsTo(worker: Worker, parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const trips = measureAnswers(parameters, (sequence) => {
    worker.postMessage(makeTick(sequence, symbols));
  });
  worker.on('message', ({ sequence }: Tick) => {
    trips.take(sequence);
  });
  trips.start();
  return trips.measurement;
}

/** Resolves when it listens. */
async function startWorker(workerData: AnswererData | AskerData): Promise<Worker> {
  const ports =
    workerData.side === 'asks' ? [workerData.port] : typeof workerData.by === 'object' ? [workerData.by] : [];
  const worker = new Worker(WORKER, { workerData, transferList: ports });
  await once(worker, 'message');
  return worker;
}

/** Ends the workers when it is measured, or one of them has failed. */
async function measureWith(workers: readonly Worker[], measurement: Promise<Measurement>): Promise<Measurement> {
  const failed = new Promise<never>((_, reject) => {
    for (const worker of workers) worker.on('error', reject);
  });
  try {
    return await Promise.race([measurement, failed]);
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function pingPong(parameters: Parameters): Promise<Measurement> {
  return ways[PORT_WAYS[parameters.way]](parameters);
}

async function idleCost(parameters: Parameters): Promise<Measurement> {
  const worker = await startWorker({ side: 'answers', by: 'parent' });
  return measureWith(
    [worker],
    measureIdle(parameters, () => tripsTo(worker, parameters)),
  );
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong, 'idle-cost': idleCost };
