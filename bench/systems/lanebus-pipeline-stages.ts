import type { HandlerFunction } from 'lanebus';
import { derive } from '../scenarios/pipeline-3.js';
import { TickTally } from '../ticks.js';
import type { PipelineCatalog } from './lanebus-pipeline-catalog.js';

const tally = new TickTally();

export const first: HandlerFunction<PipelineCatalog, 'TICK' | 'END'> = (event, context) => {
  if (event.type === 'TICK') void context.publish(derive('TICK_2', event));
  else void context.publish({ type: 'END_2' });
};

export const second: HandlerFunction<PipelineCatalog, 'TICK_2' | 'END_2'> = (event, context) => {
  if (event.type === 'TICK_2') void context.publish(derive('TICK_3', event));
  else void context.publish({ type: 'END_3' });
};

export const last: HandlerFunction<PipelineCatalog, 'TICK_3' | 'END_3'> = (event, context) => {
  if (event.type === 'TICK_3') tally.take(event);
  else void context.publish({ type: 'RESULT', number: 0, ...tally.close() });
};
