/** Threads that are lost, as whoever waits for the next delivery sees it. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setEnvironmentData, type Worker } from 'node:worker_threads';
import { createBus, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { epochNow, measureLosses, Time, TIMES, wayOf } from '../scenarios/kill-recovery.js';
import { catalog } from './lanebus-kills-catalog.js';
import type * as consumer from './lanebus-kills-consumer.js';

async function killRecovery(parameters: Parameters): Promise<Measurement> {
  const { spares, timeoutMs } = parameters;
  const source = new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
  const times = new Float64Array(source);
  setEnvironmentData(TIMES, source);
  const living = new Set<Worker>();
  process.on('worker', (worker) => {
    living.add(worker);
    worker.once('exit', () => living.delete(worker));
  });
  const bus = createBus(catalog, { threads: 1, spares, logger: false, timeoutMs, graceMs: 0 });
  const script = new URL('./lanebus-kills-consumer.js', import.meta.url);
  const jobs = bus.subscribe('JOB', workerHandlers<typeof consumer>(script).onJob);
  await bus.start();

  const isAtRest = (): boolean => {
    const { threads, spares: warm } = bus.metrics();
    return threads[1].state === 'running' && warm === spares && jobs.metrics().pending === 0;
  };
  const ways = {
    /** @returns When it was gone. */
    async exit(): Promise<number> {
      const { threadId } = bus.metrics().threads[1];
      const victim = [...living].find((worker) => worker.threadId === threadId);
      if (victim === undefined) throw new Error('nothing runs');
      const exited = once(victim, 'exit').then(epochNow);
      void victim.terminate();
      await bus.publish({ type: 'JOB', hangs: 0 });
      return exited;
    },
    /** @returns When its time was up. */
    async deadline(): Promise<number> {
      await bus.publish({ type: 'JOB', hangs: 1 });
      await bus.publish({ type: 'JOB', hangs: 0 });
      while (times[Time.begun] === 0) await sleep(1);
      return times[Time.begun] + timeoutMs;
    },
  };

  try {
    return await measureLosses(parameters, times, {
      isAtRest,
      async lose() {
        const lostAt = await ways[wayOf(parameters)]();
        await bus.drain();
        return lostAt;
      },
    });
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'kill-recovery': killRecovery };
