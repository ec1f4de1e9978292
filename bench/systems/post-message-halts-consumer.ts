import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { Parameters } from '../scenario.js';
import { HaltLog } from '../scenarios/halt-overtakes.js';
import { TickTally } from '../ticks.js';
import { burn } from '../work.js';
import type { FromHaltsConsumer, ToHaltsConsumer } from './post-message-halts.js';
import { WINDOW } from './post-message.js';

export interface HaltsData {
  readonly parameters: Parameters;
  readonly port: MessagePort;
}

if (parentPort === null) throw new Error('post-message-halts-consumer runs in a worker thread only');
const parent = parentPort;
const { parameters, port } = workerData as HaltsData;
const tally = new TickTally();
const log = new HaltLog(parameters);
const worked = burn(parameters.workSteps);

const reply = (message: FromHaltsConsumer): void => {
  parent.postMessage(message);
};

let openPorts = 2;

const take = (event: ToHaltsConsumer): void => {
  switch (event.type) {
    case 'TICK':
      tally.take(event);
      if (burn(parameters.workSteps) !== worked) throw new Error('the work was not done');
      if (tally.count % WINDOW.ackEvery === 0) reply({ type: 'ACK' });
      break;
    case 'HALT':
      log.take(event, tally.count);
      break;
    case 'END':
      if (--openPorts === 0) reply({ type: 'RESULT', halts: log.result, tally: tally.close() });
      break;
  }
};

parent.on('message', take);
port.on('message', take);
parent.postMessage('ready');
