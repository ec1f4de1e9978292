/** The floor: one word there and one back, and nothing else. Both sides either sleep until they are woken, or never sleep. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { RoundTrips, toMeasurement } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import type { AtomicsData } from './atomics-ping-pong-worker.js';

/** Indexes of words a cache line apart, so that no side writes where the other one's word is. */
export const Word = { ping: 0, pong: 16, length: 32 } as const;
/** No number of a ping. */
export const NONE = -1;
export const END = -2;

async function pingPong(parameters: Parameters): Promise<Measurement> {
  const words = new Int32Array(new SharedArrayBuffer(Word.length * Int32Array.BYTES_PER_ELEMENT)).fill(NONE);
  const parks = parameters.parks === 1;
  const data: AtomicsData = { words, parks };
  const worker = new Worker(new URL('./atomics-ping-pong-worker.js', import.meta.url), { workerData: data });
  await once(worker, 'message');
  const trips = new RoundTrips(parameters);
  let last = NONE;
  for (let sequence = trips.next(); sequence !== undefined; sequence = trips.next()) {
    tell(words, Word.ping, sequence, parks);
    last = awaitChange(words, Word.pong, last, parks);
    trips.take(last);
  }
  tell(words, Word.ping, END, parks);
  await once(worker, 'exit');
  return toMeasurement(trips.result, parameters);
}

export function tell(words: Int32Array, index: number, value: number, parks: boolean): void {
  Atomics.store(words, index, value);
  if (parks) Atomics.notify(words, index);
}

/** @returns What is there instead of the last value. */
export function awaitChange(words: Int32Array, index: number, last: number, parks: boolean): number {
  let value = Atomics.load(words, index);
  while (value === last) {
    if (parks) Atomics.wait(words, index, last);
    value = Atomics.load(words, index);
  }
  return value;
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong };
