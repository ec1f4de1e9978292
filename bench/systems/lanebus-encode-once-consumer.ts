import type { HandlerFunction } from 'lanebus';
import { TickTally } from '../ticks.js';
import { burn } from '../work.js';
import type { BenchCatalog } from './lanebus-catalog.js';
import { parametersOf } from './module-parameters.js';

const { workSteps } = parametersOf(import.meta.url);
const worked = burn(workSteps);
const tally = new TickTally();

export const onEvent: HandlerFunction<BenchCatalog, 'TICK' | 'END'> = (event, context) => {
  if (event.type === 'TICK') {
    tally.take(event);
    if (workSteps > 0 && burn(workSteps) !== worked) throw new Error('the work was not done');
  } else {
    void context.publish({ type: 'RESULT', number: 0, ...tally.close() });
  }
};
