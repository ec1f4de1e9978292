/** Events of one kind of payload by `worker.postMessage`, each by itself; in a stream with the window of one-to-one. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type PayloadConnection, payloadScenarios } from '../payload-scenarios.js';
import { makeEvent, payloadChecker } from '../payloads.js';
import type { Measurement, Parameters } from '../scenario.js';
import { kindOf } from '../scenarios/payloads.js';
import { symbolsOf, type Tally } from '../ticks.js';
import { Window } from '../window.js';
import { WINDOW } from './post-message.js';

export type FromPayloadsConsumer = { type: 'ACK' } | { type: 'RESULT'; tally: Tally };

function connect(parameters: Parameters): PayloadConnection {
  const { drop = -1 } = parameters;
  const kind = kindOf(parameters);
  const symbols = symbolsOf(parameters);
  const worker = new Worker(new URL('./post-message-payloads-consumer.js', import.meta.url));
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
  const window = new Window(WINDOW);
  let onResult: ((tally: Tally) => void) | undefined;
  worker.on('message', (message: FromPayloadsConsumer) => {
    if (message.type === 'RESULT') {
      onResult?.(message.tally);
    } else {
      window.acknowledge();
    }
  });

  const end = async (): Promise<Tally> => {
    const result = new Promise<Tally>((resolve) => {
      onResult = resolve;
    });
    worker.postMessage({ type: 'END' });
    const tally = await Promise.race([result, failed]);
    window.reset();
    return tally;
  };
  const send = (count: number): void => {
    for (let at = 0; at < count; at++) {
      if (at !== drop) worker.postMessage(makeEvent(kind, at, symbols));
    }
  };

  const run = async (count: number): Promise<Tally> => {
    for (let at = 0; at < count; at++) {
      if (at === drop) continue;
      worker.postMessage(makeEvent(kind, at, symbols));
      const room = window.add(1);
      if (room !== undefined) await room;
    }
    return end();
  };

  const around = async (measure: () => Promise<Measurement>): Promise<Measurement> => {
    try {
      return await measure();
    } finally {
      await worker.terminate();
    }
  };
  return { around, send, run, end, check: payloadChecker(kind, symbols) };
}

export const scenarios = payloadScenarios(connect);
