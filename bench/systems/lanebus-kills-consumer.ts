import { getEnvironmentData } from 'node:worker_threads';
import type { EventOf } from 'lanebus';
import { epochNow, Time, TIMES } from '../scenarios/kill-recovery.js';
import type { catalog } from './lanebus-kills-catalog.js';

const times = new Float64Array(getEnvironmentData(TIMES) as SharedArrayBuffer);

export function onJob({ hangs }: EventOf<typeof catalog, 'JOB'>): void {
  times[hangs === 1 ? Time.begun : Time.delivered] = epochNow();
  if (hangs === 1) for (;;);
}
