import { parentPort } from 'node:worker_threads';
import { LoadLog } from '../scenarios/open-load.js';
import type { Tick } from '../ticks.js';
import { Acknowledger } from '../window.js';
import type { FromLoadConsumer } from './post-message-open-load.js';
import { WINDOW } from './post-message.js';

if (parentPort === null) throw new Error('post-message-open-load-consumer runs in a worker thread only');
const port = parentPort;
const log = new LoadLog();

const reply = (message: FromLoadConsumer): void => {
  port.postMessage(message);
};
const acknowledger = new Acknowledger(WINDOW, () => {
  reply({ type: 'ACK' });
});

port.on('message', (event: Tick | { type: 'END' }) => {
  if (event.type === 'END') {
    acknowledger.reset();
    reply({ type: 'RESULT', result: log.close() });
    return;
  }
  log.take(event);
  acknowledger.add(1);
});
