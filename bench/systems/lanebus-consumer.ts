import type { HandlerFunction } from 'lanebus';
import { TickTally } from '../ticks.js';
import type { BenchCatalog } from './lanebus-catalog.js';

const tally = new TickTally();

export const onEvent: HandlerFunction<BenchCatalog, 'TICK' | 'END'> = (event, context) => {
  if (event.type === 'TICK') tally.take(event);
  else void context.publish({ type: 'RESULT', ...tally.close() });
};
