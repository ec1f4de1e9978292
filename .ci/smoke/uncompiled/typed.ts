import type { HandlerFunction } from 'lanebus';
import type { catalog } from './catalog.ts';

export const onJob: HandlerFunction<typeof catalog, 'JOB'> = ({ n }, context) =>
  context.publish({ type: 'DONE', n: n + 1 });
