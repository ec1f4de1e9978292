import { BroadcastChannel, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { RoundTrips } from '../round-trips.js';
import type { Parameters } from '../scenario.js';
import { makeTick, symbolsOf, type Tick } from '../ticks.js';

export interface AnswererData {
  readonly side: 'answers';
  readonly by: 'parent' | 'broadcast' | MessagePort;
}

export interface AskerData {
  readonly side: 'asks';
  readonly port: MessagePort;
  readonly parameters: Parameters;
}

if (parentPort === null) throw new Error('ports-ping-pong-worker runs in a worker thread only');
const parent = parentPort;
const data = workerData as AnswererData | AskerData;

function answer(port: MessagePort): void {
  port.on('message', (tick: Tick) => {
    port.postMessage(tick);
  });
}

function answerBroadcasts(): void {
  const there = new BroadcastChannel('lanebus bench: there');
  const back = new BroadcastChannel('lanebus bench: back');
  there.onmessage = (event) => {
    back.postMessage((event as MessageEvent).data);
  };
}

function ask({ port, parameters }: AskerData): void {
  const symbols = symbolsOf(parameters);
  const trips = new RoundTrips(parameters);
  const askNext = (): void => {
    const sequence = trips.next();
    if (sequence === undefined) parent.postMessage(trips.result);
    else port.postMessage(makeTick(sequence, symbols));
  };
  port.on('message', ({ sequence }: Tick) => {
    trips.take(sequence);
    askNext();
  });
  parent.once('message', askNext);
}

if (data.side === 'asks') ask(data);
else if (data.by === 'broadcast') answerBroadcasts();
else answer(data.by === 'parent' ? parent : data.by);
parent.postMessage('ready');
