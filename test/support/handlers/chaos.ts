// Handlers of the random graphs, some deliveries of which end their thread.
import { pbkdf2Sync } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { getEnvironmentData } from 'node:worker_threads';
import { failsAt, faultOf, type Way } from '../../chaos/faults.js';
import { type Context, deliver, type Stage } from '../graphs/deliver.js';
import type { GraphEvent } from '../graphs/events.js';
import { Journal, journalKey } from '../graphs/journal.js';
import { planGraph } from '../graphs/plan.js';

export { predicate } from '../graphs/events.js';

/** Some 0.3 s in which nothing can end the thread. */
const NATIVE_ROUNDS = 300_000;

const seed = Number(process.env.GRAPH_SEED);
let stage: Stage | undefined;

function openStage(): Stage {
  return {
    plan: planGraph(seed),
    journal: new Journal(getEnvironmentData(journalKey(seed)) as SharedArrayBuffer),
    meddle: ({ index }, { id }, { attempt }) => {
      const way = faultOf(seed, index, id, attempt);
      if (way !== undefined) return act(way);
      if (failsAt(seed, index, id, attempt)) throw new Error(`event ${id} fails on try ${attempt}, as planned`);
      return undefined;
    },
  };
}

function act(way: Way): Promise<void> | undefined {
  switch (way) {
    case 'exit':
      return process.exit(7);
    case 'loop':
      for (;;);
    // falls through: it does not come here
    case 'never':
      return new Promise(() => undefined);
    case 'memory': {
      const hoard: number[][] = [];
      for (;;) hoard.push(new Array<number>(100_000).fill(hoard.length));
    }
    // falls through: nor here
    case 'native':
      pbkdf2Sync('password', 'salt', NATIVE_ROUNDS, 64, 'sha512');
      return undefined;
    case 'loop later':
      return sleep(5).then(() => {
        for (;;);
      });
    case 'rejection':
      void Promise.reject(new Error('nobody looks, as planned'));
      return sleep(60_000);
    case 'timer':
      setTimeout(() => {
        throw new Error('thrown in a timer, as planned');
      }, 1);
      return sleep(60_000);
    case 'overflow': {
      const recurse = (): number => 1 + recurse();
      setTimeout(recurse, 1);
      return sleep(60_000);
    }
  }
}

type Handle = (event: GraphEvent, context: Context) => void | Promise<void>;

function handlerOf(index: number): Handle {
  return (event, context) => {
    stage ??= openStage();
    const subscription = stage.plan.subscriptions.find((one) => one.index === index);
    if (subscription === undefined) throw new Error(`graph ${seed} has no subscription ${index}`);
    return deliver(stage, subscription, event, context);
  };
}

export const handle1 = handlerOf(1);
export const handle2 = handlerOf(2);
export const handle3 = handlerOf(3);
export const handle4 = handlerOf(4);
export const handle5 = handlerOf(5);
export const handle6 = handlerOf(6);
export const handle7 = handlerOf(7);
export const handle8 = handlerOf(8);
export const handle9 = handlerOf(9);
