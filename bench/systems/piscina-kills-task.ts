import { getEnvironmentData } from 'node:worker_threads';
import { epochNow, Time, TIMES } from '../scenarios/kill-recovery.js';

const times = new Float64Array(getEnvironmentData(TIMES) as SharedArrayBuffer);

export default function run(hangs: boolean): void {
  times[hangs ? Time.begun : Time.delivered] = epochNow();
  if (hangs) for (;;);
}
