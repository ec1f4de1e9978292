import type { HandlerFunction } from 'lanebus';
import type { catalog } from './app.mjs';

export const square: HandlerFunction<typeof catalog, 'NUMBER'> = ({ n }, context) =>
  context.publish({ type: 'SQUARE', n: n * n });
