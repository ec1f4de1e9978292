/** A HALT among the ticks that are posted to a worker, or on a port of its own to it. The ticks have a window, as in one-to-one. */
import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { flood, type Halt, type HaltResult, toMeasurement } from '../scenarios/halt-overtakes.js';
import { makeTick, symbolsOf, type Tally, type Tick } from '../ticks.js';
import { Window } from '../window.js';
import { WINDOW } from './post-message.js';
import type { HaltsData } from './post-message-halts-consumer.js';

/** END comes on both ports. */
export type ToHaltsConsumer = Tick | Halt | { type: 'END' };
export type FromHaltsConsumer = { type: 'ACK' } | { type: 'RESULT'; halts: HaltResult; tally: Tally };

function post(port: Worker | MessagePort, event: ToHaltsConsumer): void {
  port.postMessage(event);
}

async function haltOvertakes(parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const { port1, port2 } = new MessageChannel();
  const workerData: HaltsData = { parameters, port: port2 };
  const script = new URL('./post-message-halts-consumer.js', import.meta.url);
  const worker = new Worker(script, { workerData, transferList: [port2] });
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
  await Promise.race([once(worker, 'message'), failed]);
  const window = new Window(WINDOW);
  const result = new Promise<{ halts: HaltResult; tally: Tally }>((resolve) => {
    worker.on('message', (message: FromHaltsConsumer) => {
      if (message.type === 'RESULT') {
        resolve(message);
      } else {
        window.acknowledge();
      }
    });
  });
  const sendAll = async (): Promise<Measurement> => {
    const sent = await flood(parameters, {
      tick(at) {
        post(worker, makeTick(at, symbols));
        return window.add(1);
      },
      halt(halt) {
        post(parameters.ownPort === 1 ? port1 : worker, halt);
      },
    });
    post(worker, { type: 'END' });
    post(port1, { type: 'END' });
    const { halts, tally } = await result;
    return toMeasurement(halts, tally, sent, parameters);
  };
  try {
    return await Promise.race([sendAll(), failed]);
  } finally {
    await worker.terminate();
    port1.close();
  }
}

export const scenarios: SystemScenarios = { 'halt-overtakes': haltOvertakes };
