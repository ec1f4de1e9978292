/** Node's EventEmitter: a call of each listener, and no more. */
import { EventEmitter } from 'node:events';
import type { Tick } from '../ticks.js';
import { sameThreadScenarios } from './same-thread.js';

export const scenarios = sameThreadScenarios((consumers) => {
  const emitter = new EventEmitter<{ tick: [Tick] }>();
  for (const take of consumers) emitter.on('tick', take);
  return (tick) => {
    emitter.emit('tick', tick);
    return undefined;
  };
});
