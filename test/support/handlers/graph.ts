// Handlers of the random graphs: one for each subscription, as a handler has one subscription for a type.
import { getEnvironmentData } from 'node:worker_threads';
import { type Context, deliver, type Stage } from '../graphs/deliver.js';
import { type GraphEvent, predicate } from '../graphs/events.js';
import { Journal, journalKey } from '../graphs/journal.js';
import { planGraph } from '../graphs/plan.js';

/** The graph that this thread's bus runs, and where it keeps its journal. */
function openStage(): Stage {
  const seed = Number(process.env.GRAPH_SEED);
  return { plan: planGraph(seed), journal: new Journal(getEnvironmentData(journalKey(seed)) as SharedArrayBuffer) };
}

let stage: Stage | undefined;

type Handle = (event: GraphEvent, context: Context) => void | Promise<void>;

function handlerOf(index: number): Handle {
  return (event, context) => {
    stage ??= openStage();
    const subscription = stage.plan.subscriptions.find((one) => one.index === index);
    if (subscription === undefined) throw new Error(`graph ${stage.plan.seed} has no subscription ${index}`);
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

export { predicate, type Context, type GraphEvent };
