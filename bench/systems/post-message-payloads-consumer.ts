import { parentPort } from 'node:worker_threads';
import { type PayloadEvent, PayloadTally } from '../payloads.js';
import { ACK_EVERY, type FromConsumer } from './post-message.js';

if (parentPort === null) throw new Error('post-message-payloads-consumer runs in a worker thread only');
const port = parentPort;
const tally = new PayloadTally();
let untilAck = ACK_EVERY;

const reply = (message: FromConsumer): void => {
  port.postMessage(message);
};

port.on('message', (event: PayloadEvent | { type: 'END' }) => {
  if (event.type === 'END') {
    untilAck = ACK_EVERY;
    reply({ type: 'RESULT', tally: tally.close() });
    return;
  }
  tally.take(event);
  if (--untilAck === 0) {
    untilAck = ACK_EVERY;
    reply({ type: 'ACK' });
  }
});
