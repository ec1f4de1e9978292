import type { HandlerFunction } from 'lanebus';
import { LoadLog } from '../scenarios/open-load.js';
import type { OpenLoadCatalog } from './lanebus-open-load-catalog.js';

const log = new LoadLog();

export const onEvent: HandlerFunction<OpenLoadCatalog, 'TICK' | 'END'> = (event, context) => {
  if (event.type === 'TICK') log.take(event);
  else void context.publish({ type: 'RESULT', result: log.close() });
};
