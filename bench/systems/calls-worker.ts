/** What is called, by a pool as a task and by comlink as a method. */
import { parentPort, workerData } from 'node:worker_threads';
import { type Endpoint, expose } from 'comlink';
import { isEnd, type Message, tallyCargo } from '../producer.js';
import { type Tally, type Tick, TickTally } from '../ticks.js';

const tally = new TickTally();

/** Of a round trip. */
export function echo(tick: Tick): Tick {
  return tick;
}

/** Of a stream. */
export function take(message: Message): Tally | undefined {
  if (isEnd(message)) return tally.close();
  tallyCargo(tally, message);
  return undefined;
}

export interface Calls {
  readonly echo: typeof echo;
  readonly take: typeof take;
}

/** The port that comlink is to listen to; a pool's threads have other data. */
const { port } = (workerData ?? {}) as { readonly port?: Endpoint };
if (port !== undefined) {
  const calls: Calls = { echo, take };
  expose(calls, port);
  parentPort?.postMessage('ready');
}
