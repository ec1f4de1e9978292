import { parentPort, workerData } from 'node:worker_threads';
import { awaitChange, END, NONE, tell, Word } from './atomics-ping-pong.js';

export interface AtomicsData {
  readonly words: Int32Array;
  readonly parks: boolean;
}

const { words, parks } = workerData as AtomicsData;
parentPort?.postMessage('ready');
let ping = awaitChange(words, Word.ping, NONE, parks);
while (ping !== END) {
  tell(words, Word.pong, ping, parks);
  ping = awaitChange(words, Word.ping, ping, parks);
}
