import type { HandlerFunction } from 'lanebus';
import type { catalog } from './catalog.ts';

enum Step {
  One = 1,
}

export const onJob: HandlerFunction<typeof catalog, 'JOB'> = ({ n }, context) =>
  context.publish({ type: 'DONE', n: n + Step.One });
