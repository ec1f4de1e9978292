/** Emittery: an EventEmitter whose listeners run in a microtask, and whose `emit` is a promise. */
import Emittery from 'emittery';
import type { Tick } from '../ticks.js';
import { sameThreadScenarios } from './same-thread.js';

export const scenarios = sameThreadScenarios((consumers) => {
  const emitter = new Emittery<{ tick: Tick }>();
  for (const take of consumers) emitter.on('tick', take);
  return (tick) => emitter.emit('tick', tick);
});
