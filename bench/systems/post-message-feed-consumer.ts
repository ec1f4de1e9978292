import { parentPort, workerData } from 'node:worker_threads';
import { consumerOf } from '../feed.js';
import type { Parameters } from '../scenario.js';
import type { FromFeedConsumer, ToFeedConsumer } from './post-message-feed.js';
import { ACK_EVERY } from './post-message.js';

if (parentPort === null) throw new Error('post-message-feed-consumer runs in a worker thread only');
const port = parentPort;
const consumer = consumerOf(workerData as Parameters);
let untilAck = ACK_EVERY;

const reply = (message: FromFeedConsumer): void => {
  port.postMessage(message);
};

port.on('message', (event: ToFeedConsumer) => {
  if (event.type === 'END') {
    reply({ type: 'RESULT', day: consumer.close() });
    return;
  }
  consumer.take(event);
  if (--untilAck === 0) {
    untilAck = ACK_EVERY;
    reply({ type: 'ACK' });
  }
});
