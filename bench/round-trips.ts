/** The side of a ping-pong that asks, the same for every system: what it sends next, and how long its answer took. */
import { LatencyRecorder } from './latency.js';
import type { Latency, Measurement, Parameters } from './scenario.js';

/** What a thread found; it crosses threads. */
export interface RoundTripsResult {
  readonly returned: number;
  /** Of those after the warm-up. */
  readonly latency: Latency;
  /** The first answer that was not to what was asked. */
  readonly problem: string | undefined;
}

export class RoundTrips {
  readonly #total: number;
  readonly #warmup: number;
  readonly #drop: number;
  readonly #recorder = new LatencyRecorder();
  #asked = 0;
  #returned = 0;
  #askedAt = 0;
  #problem: string | undefined;

  constructor({ warmup, events, drop = -1 }: Parameters) {
    this.#total = warmup + events;
    this.#warmup = warmup;
    this.#drop = drop;
  }

  /** The number to send now; undefined after the last one, or after a wrong answer. */
  next(): number | undefined {
    if (this.#asked === this.#drop) this.#asked++;
    if (this.#asked >= this.#total || this.#problem !== undefined) return undefined;
    this.#askedAt = performance.now();
    return this.#asked++;
  }

  /** The answer to the number that was sent last. */
  take(sequence: number): void {
    const ms = performance.now() - this.#askedAt;
    const asked = this.#asked - 1;
    if (sequence !== asked) this.#problem ??= `the answer to number ${asked} has number ${sequence}`;
    this.#returned++;
    if (asked >= this.#warmup) this.#recorder.record(ms);
  }

  get result(): RoundTripsResult {
    return { returned: this.#returned, latency: this.#recorder.latency, problem: this.#problem };
  }
}

/** Throws unless each number has come back, once and in its turn. */
export function toMeasurement(
  { returned, latency, problem }: RoundTripsResult,
  { warmup, events }: Parameters,
): Measurement {
  if (problem !== undefined) throw new Error(problem);
  if (returned !== warmup + events) throw new Error(`${returned} round trips, expected ${warmup + events}`);
  return { value: latency.p50, latency };
}

/** For a system whose answer is a promise. */
export async function measureCalls(
  parameters: Parameters,
  call: (sequence: number) => Promise<number>,
): Promise<Measurement> {
  const trips = new RoundTrips(parameters);
  for (let sequence = trips.next(); sequence !== undefined; sequence = trips.next()) trips.take(await call(sequence));
  return toMeasurement(trips.result, parameters);
}

/** For a system whose answer comes to a handler, which is to call `take` of what `start` was given. */
export function measureAnswers(
  parameters: Parameters,
  ask: (sequence: number) => void,
): { readonly measurement: Promise<Measurement>; take(sequence: number): void; start(): void } {
  const trips = new RoundTrips(parameters);
  let onEnd: (() => void) | undefined;
  const ended = new Promise<void>((resolve) => {
    onEnd = resolve;
  });
  const askNext = (): void => {
    const sequence = trips.next();
    if (sequence === undefined) onEnd?.();
    else ask(sequence);
  };
  return {
    measurement: ended.then(() => toMeasurement(trips.result, parameters)),
    take(sequence) {
      trips.take(sequence);
      askNext();
    },
    start: askNext,
  };
}
