/** A task of Piscina's that hangs and is aborted, which terminates its thread, and the next one on the same pool of one thread. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setEnvironmentData } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { epochNow, measureLosses, Time, TIMES } from '../scenarios/kill-recovery.js';

async function killRecovery(parameters: Parameters): Promise<Measurement> {
  const source = new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
  const times = new Float64Array(source);
  setEnvironmentData(TIMES, source);
  const pool = new Piscina<boolean, undefined>({
    filename: fileURLToPath(new URL('./piscina-kills-task.js', import.meta.url)),
    minThreads: 1,
    maxThreads: 1,
  });
  pool.on('error', () => undefined); // of a thread that is terminated; whoever awaits the task is told
  try {
    return await measureLosses(parameters, times, {
      isAtRest: () => pool.queueSize === 0,
      async lose() {
        const controller = new AbortController();
        const hanging = pool.run(true, { signal: controller.signal }).catch((error: unknown) => error);
        while (times[Time.begun] === 0) await sleep(1);
        const lostAt = epochNow();
        controller.abort();
        await Promise.all([hanging, pool.run(false)]);
        return lostAt;
      },
    });
  } finally {
    await pool.destroy();
  }
}

export const scenarios: SystemScenarios = { 'kill-recovery': killRecovery };
