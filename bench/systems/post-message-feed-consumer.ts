import { parentPort, workerData } from 'node:worker_threads';
import { consumerOf } from '../feed.js';
import type { Parameters } from '../scenario.js';
import { Acknowledger } from '../window.js';
import type { FromFeedConsumer, ToFeedConsumer } from './post-message-feed.js';
import { WINDOW } from './post-message.js';

if (parentPort === null) throw new Error('post-message-feed-consumer runs in a worker thread only');
const port = parentPort;
const consumer = consumerOf(workerData as Parameters);

const reply = (message: FromFeedConsumer): void => {
  port.postMessage(message);
};
const acknowledger = new Acknowledger(WINDOW, () => {
  reply({ type: 'ACK' });
});

port.on('message', (event: ToFeedConsumer) => {
  if (event.type === 'END') {
    reply({ type: 'RESULT', day: consumer.close() });
    return;
  }
  consumer.take(event);
  acknowledger.add(1);
});
