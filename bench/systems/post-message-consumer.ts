import { parentPort } from 'node:worker_threads';
import { TickTally } from '../ticks.js';
import { ACK_EVERY, type FromConsumer, type ToConsumer } from './post-message.js';

if (parentPort === null) throw new Error('post-message-consumer runs in a worker thread only');
const port = parentPort;
const tally = new TickTally();
let untilAck = ACK_EVERY;

const reply = (message: FromConsumer): void => {
  port.postMessage(message);
};

port.on('message', (message: ToConsumer) => {
  if (message.type === 'END') {
    untilAck = ACK_EVERY;
    reply({ type: 'RESULT', tally: tally.close() });
    return;
  }
  tally.take(message);
  if (--untilAck === 0) {
    untilAck = ACK_EVERY;
    reply({ type: 'ACK' });
  }
});
