import type { HandlerFunction } from 'lanebus';
import { TickTally } from '../ticks.js';
import type { BenchCatalog } from './lanebus-catalog.js';
import { parametersOf } from './module-parameters.js';

/** Each subscription has an instance of this module. */
const { number } = parametersOf(import.meta.url);
const tally = new TickTally();

export const onEvent: HandlerFunction<BenchCatalog, 'TICK' | 'END'> = (event, context) => {
  if (event.type === 'TICK') tally.take(event);
  else void context.publish({ type: 'RESULT', number, ...tally.close() });
};
