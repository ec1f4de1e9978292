/** Events at a rate by `worker.postMessage`, each by itself. No window holds a rate back: what is not received in time waits in the port. */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { type LoadResult, measureOpenLoad } from '../scenarios/open-load.js';
import { Window } from '../window.js';
import { WINDOW } from './post-message.js';

/** A producer that never lets its event loop turn has no timers and no answers. */
const TURN_MS = 10;

export type FromLoadConsumer = { type: 'ACK' } | { type: 'RESULT'; result: LoadResult };

async function openLoad(parameters: Parameters): Promise<Measurement> {
  const worker = new Worker(new URL('./post-message-open-load-consumer.js', import.meta.url));
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
  const window = new Window(WINDOW);
  let turnedAt = performance.now();
  let onResult: ((result: LoadResult) => void) | undefined;
  worker.on('message', (message: FromLoadConsumer) => {
    if (message.type === 'RESULT') {
      onResult?.(message.result);
    } else {
      window.acknowledge();
    }
  });
  const measured = measureOpenLoad(parameters, {
    tryTick(tick) {
      worker.postMessage(tick);
      return window.add(1);
    },
    tick(tick) {
      worker.postMessage(tick);
      const now = performance.now();
      if (now - turnedAt < TURN_MS) return undefined;
      turnedAt = now;
      return turn();
    },
    async end() {
      const result = new Promise<LoadResult>((resolve) => {
        onResult = resolve;
      });
      worker.postMessage({ type: 'END' });
      const found = await result;
      window.reset();
      return found;
    },
  });
  try {
    return await Promise.race([measured, failed]);
  } finally {
    await worker.terminate();
  }
}

export const scenarios: SystemScenarios = { 'open-load': openLoad };
