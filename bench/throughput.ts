/** How many events a second a system carries: one stream after another through it, each checked before it counts. */
import type { Measurement, Parameters } from './scenario.js';
import { median } from './statistics.js';

/** Two streams in a row of about the same speed: what was to be compiled is. */
const STEADY_WITHIN = 0.05;
const MAX_WARMUPS = 8;

/** What differs from system to system. `T` is what the consumers tell of a stream. */
export interface Streaming<T> {
  /** Sends so many events, the same ones each time; resolves when the consumers have told what they saw. */
  run(events: number): Promise<T>;
  /** Throws when that is not exactly what was sent. It is not timed. */
  check(seen: T, events: number): void;
}

/**
 * Warms up with streams of `warmup` events until they are steady, then measures `slices` streams of `events` events.
 * @returns The median of the slices, in events a second; all of them are in the details.
 */
export async function measureThroughput<T>(parameters: Parameters, streaming: Streaming<T>): Promise<Measurement> {
  const { warmup, events, slices } = parameters;
  const rateOf = async (count: number): Promise<number> => {
    const startedAt = performance.now();
    const seen = await streaming.run(count);
    const seconds = (performance.now() - startedAt) / 1000;
    streaming.check(seen, count);
    return count / seconds;
  };

  let warmups = 1;
  let last = await rateOf(warmup);
  for (let isSteady = false; !isSteady && warmups < MAX_WARMUPS; warmups++) {
    const rate = await rateOf(warmup);
    isSteady = Math.abs(rate - last) <= STEADY_WITHIN * last;
    last = rate;
  }
  const rates: number[] = [];
  for (let slice = 0; slice < slices; slice++) rates.push(await rateOf(events));
  return { value: median(rates), details: { warmups, slices: rates } };
}

/** What `measureThroughput` has sent in all, for a ledger to be compared with. */
export function eventsSent({ warmup, events, slices }: Parameters, { details }: Measurement) {
  const warmups = Number(details?.warmups);
  return { streams: warmups + slices, events: warmups * warmup + slices * events };
}
