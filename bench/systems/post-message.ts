/**
 * What a Node user has without Lanebus: one `worker.postMessage` for each tick.
 *
 * It gets the same back-pressure as any sound use of it: the consumer acknowledges every ACK_EVERY ticks, and the
 * producer stops at WINDOW unacknowledged ones. This window was its best of those from 2,000 to 500,000; without any, the
 * port's queue grows without bound and it is no faster.
 */
import { Worker } from 'node:worker_threads';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { measureThroughput } from '../throughput.js';
import { checkTally, makeTick, symbolsOf, type Tally, type Tick } from '../ticks.js';

export const ACK_EVERY = 2_000;
export const WINDOW = 5 * ACK_EVERY;

export type ToConsumer = Tick | { type: 'END' };
export type FromConsumer = { type: 'ACK' } | { type: 'RESULT'; tally: Tally };

async function oneToOne(parameters: Parameters): Promise<Measurement> {
  const { drop = -1 } = parameters;
  const symbols = symbolsOf(parameters);
  const worker = new Worker(new URL('./post-message-consumer.js', import.meta.url));
  let unacknowledged = 0;
  let onRoom: (() => void) | undefined;
  let onResult: ((tally: Tally) => void) | undefined;
  let onFailure: ((error: Error) => void) | undefined;
  const failed = new Promise<never>((_, reject) => {
    onFailure = reject;
  });
  worker.on('error', (error: Error) => onFailure?.(error));
  worker.on('message', (message: FromConsumer) => {
    if (message.type === 'RESULT') onResult?.(message.tally);
    else {
      unacknowledged -= ACK_EVERY;
      onRoom?.();
    }
  });

  const post = (message: ToConsumer): void => {
    worker.postMessage(message);
  };
  const run = async (events: number): Promise<Tally> => {
    const result = new Promise<Tally>((resolve) => {
      onResult = resolve;
    });
    unacknowledged = 0;
    for (let at = 0; at < events; at++) {
      if (at === drop) continue;
      post(makeTick(at, symbols));
      if (++unacknowledged >= WINDOW) {
        await new Promise<void>((resolve) => {
          onRoom = resolve;
        });
      }
    }
    post({ type: 'END' });
    return Promise.race([result, failed]);
  };

  try {
    return await measureThroughput(parameters, {
      run,
      check: (tally, events) => {
        checkTally(tally, events, symbols);
      },
    });
  } finally {
    await worker.terminate();
  }
}

export const scenarios: SystemScenarios = { 'one-to-one': oneToOne };
