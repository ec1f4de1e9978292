import type { HandlerFunction } from 'lanebus';
import { KeyedWork } from '../scenarios/fan-out-keyed.js';
import { symbolsOf } from '../ticks.js';
import type { KeyedCatalog } from './lanebus-keyed-catalog.js';
import { parametersOf } from './module-parameters.js';

const parameters = parametersOf(import.meta.url);
const work = new KeyedWork(parameters.workSteps, symbolsOf(parameters));

export const onEvent: HandlerFunction<KeyedCatalog, 'TICK' | 'END'> = (event, context) => {
  if (event.type === 'TICK') work.take(event);
  else void context.publish({ type: 'RESULT', key: event.key, ...work.close(event.key) });
};
