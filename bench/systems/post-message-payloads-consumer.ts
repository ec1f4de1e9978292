import { parentPort } from 'node:worker_threads';
import { type PayloadEvent, PayloadTally } from '../payloads.js';
import { Acknowledger } from '../window.js';
import type { FromPayloadsConsumer } from './post-message-payloads.js';
import { WINDOW } from './post-message.js';

if (parentPort === null) throw new Error('post-message-payloads-consumer runs in a worker thread only');
const port = parentPort;
const tally = new PayloadTally();
const reply = (message: FromPayloadsConsumer): void => {
  port.postMessage(message);
};
const acknowledger = new Acknowledger(WINDOW, () => {
  reply({ type: 'ACK' });
});

port.on('message', (event: PayloadEvent | { type: 'END' }) => {
  if (event.type === 'END') {
    acknowledger.reset();
    reply({ type: 'RESULT', tally: tally.close() });
    return;
  }
  tally.take(event);
  acknowledger.add(1);
});
