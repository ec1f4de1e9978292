import type { HandlerFunction } from 'lanebus';
import { HaltLog } from '../scenarios/halt-overtakes.js';
import { TickTally } from '../ticks.js';
import { burn } from '../work.js';
import type { HaltsCatalog } from './lanebus-halts-catalog.js';
import { parametersOf } from './module-parameters.js';

const parameters = parametersOf(import.meta.url);
const tally = new TickTally();
const log = new HaltLog(parameters);
const worked = burn(parameters.workSteps);

export const onTick: HandlerFunction<HaltsCatalog, 'TICK' | 'END'> = (event, context) => {
  if (event.type === 'TICK') {
    tally.take(event);
    if (burn(parameters.workSteps) !== worked) throw new Error('the work was not done');
  } else void context.publish({ type: 'RESULT', halts: log.result, tally: tally.close() });
};

export const onHalt: HandlerFunction<HaltsCatalog, 'HALT'> = (halt) => {
  log.take(halt, tally.count);
};
