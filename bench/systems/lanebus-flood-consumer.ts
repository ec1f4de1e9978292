import { getEnvironmentData } from 'node:worker_threads';
import type { EventOf } from 'lanebus';
import { epochNow, MAX_SAMPLES, SAMPLES_F64, TIMES } from '../scenarios/flood.js';
import type { catalog } from './lanebus-flood-catalog.js';

type Tick = EventOf<typeof catalog, 'TICK'>;
const times = new Float64Array(getEnvironmentData(TIMES) as SharedArrayBuffer);

function take(subscription: number, { at, phase }: Tick): void {
  if (at === 0) return; // not timed
  const start = (subscription * 2 + phase) * SAMPLES_F64;
  const count = times[start];
  if (count < MAX_SAMPLES) times[start + 1 + count] = epochNow() - at;
  times[start] = count + 1;
}

export function onTick(event: Tick): void {
  take(0, event);
}

export function onTickToo(event: Tick): void {
  take(1, event);
}

export function failOnTick({ phase }: Tick): void {
  if (phase === 1) throw new Error('it fails, as it is to');
}
