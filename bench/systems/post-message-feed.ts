/** The feed by `worker.postMessage`, a row each, with the window of one-to-one. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { MboEvent } from '../../examples/market-data/catalog.js';
import { dayChecker, daysOf, readDay } from '../feed.js';
import type { Outcome, Parameters, SystemScenarios } from '../scenario.js';
import { measureThroughput } from '../throughput.js';
import { Window } from '../window.js';
import { WINDOW } from './post-message.js';

export type ToFeedConsumer = MboEvent | { type: 'END' };
export type FromFeedConsumer = { type: 'ACK' } | { type: 'RESULT'; day: object };

async function feed(parameters: Parameters): Promise<Outcome> {
  const { drop = -1 } = parameters;
  const rows = await readDay();
  if ('absent' in rows) return rows;
  const worker = new Worker(new URL('./post-message-feed-consumer.js', import.meta.url), { workerData: parameters });
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error));
  const window = new Window(WINDOW);
  let onDay: ((day: object) => void) | undefined;
  worker.on('message', (message: FromFeedConsumer) => {
    if (message.type === 'RESULT') {
      onDay?.(message.day);
    } else {
      window.acknowledge();
    }
  });
  const post = (event: ToFeedConsumer): void => {
    worker.postMessage(event);
  };

  const run = async (events: number): Promise<readonly object[]> => {
    const found: object[] = [];
    let sent = 0;
    window.reset();
    const days = daysOf(events, rows);
    const ended = new Promise<void>((resolve) => {
      onDay = (day) => {
        found.push(day);
        if (found.length === days.length) resolve();
      };
    });
    for (const count of days) {
      for (let row = 0; row < count; row++, sent++) {
        if (sent === drop) continue;
        post(rows[row]);
        const room = window.add(1);
        if (room !== undefined) await room;
      }
      post({ type: 'END' });
    }
    await Promise.race([ended, failed]);
    return found;
  };

  try {
    return await measureThroughput(parameters, { run, check: dayChecker(parameters, rows) });
  } finally {
    await worker.terminate();
  }
}

export const scenarios: SystemScenarios = { feed };
