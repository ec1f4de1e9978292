import { parentPort } from 'node:worker_threads';
import { LoadLog } from '../scenarios/open-load.js';
import type { Tick } from '../ticks.js';
import type { FromLoadConsumer } from './post-message-open-load.js';
import { ACK_EVERY } from './post-message.js';

if (parentPort === null) throw new Error('post-message-open-load-consumer runs in a worker thread only');
const port = parentPort;
const log = new LoadLog();
let untilAck = ACK_EVERY;

const reply = (message: FromLoadConsumer): void => {
  port.postMessage(message);
};

port.on('message', (event: Tick | { type: 'END' }) => {
  if (event.type === 'END') {
    untilAck = ACK_EVERY;
    reply({ type: 'RESULT', result: log.close() });
    return;
  }
  log.take(event);
  if (--untilAck === 0) {
    untilAck = ACK_EVERY;
    reply({ type: 'ACK' });
  }
});
