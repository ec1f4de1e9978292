/** fastq: a queue in memory whose worker is a function with a callback, one at a time. */
import fastq from 'fastq';
import type { Tick } from '../ticks.js';
import { sameThreadScenarios } from './same-thread.js';

export const scenarios = sameThreadScenarios((consumers) => {
  const queues = consumers.map((take) =>
    fastq<unknown, Tick>((tick, done) => {
      take(tick);
      done(null);
    }, 1),
  );
  return (tick) => {
    for (const queue of queues) queue.push(tick);
    return undefined;
  };
});
