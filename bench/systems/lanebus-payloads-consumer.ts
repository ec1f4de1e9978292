import type { HandlerFunction } from 'lanebus';
import { PayloadTally } from '../payloads.js';
import type { PayloadsCatalog } from './lanebus-payloads-catalog.js';

const tally = new PayloadTally();

export const onEvent: HandlerFunction<PayloadsCatalog, 'TICK' | 'DEPTH' | 'NOTE' | 'ORDER' | 'END'> = (
  event,
  context,
) => {
  if (event.type === 'END') void context.publish({ type: 'RESULT', ...tally.close() });
  else tally.take(event);
};
