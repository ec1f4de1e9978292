/** What is called, by Piscina as a task and by comlink as a method. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Endpoint, expose } from 'comlink';
import type { Tick } from '../ticks.js';

export default function echo(tick: Tick): Tick {
  return tick;
}

export type Echo = typeof echo;

/** The port that comlink is to listen to; Piscina's threads have other data. */
const { port } = (workerData ?? {}) as { readonly port?: Endpoint };
if (port !== undefined) {
  expose(echo, port);
  parentPort?.postMessage('ready');
}
