/** A handler's work: arithmetic that nothing can shorten, in a number of steps that this machine does in the wanted time. */

/** Each step needs the one before, and the caller uses the last: no compiler leaves one out. */
export function burn(steps: number): number {
  let state = 1;
  for (let step = 0; step < steps; step++) state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return state;
}

const TRIAL_STEPS = 50_000;
const TRIALS = 400;

/**
 * Steps of `burn` that take so many microseconds of CPU. Not time on the wall, which passes by itself while others have the
 * core. The fastest trial counts, for a thread that others interrupt is only ever slower.
 */
export function stepsOf(micros: number): number {
  if (micros === 0) return 0;
  let bestMs = Infinity;
  for (let trial = 0; trial < TRIALS; trial++) {
    const startedAt = performance.now();
    burn(TRIAL_STEPS);
    bestMs = Math.min(bestMs, performance.now() - startedAt);
  }
  return Math.round((micros * TRIAL_STEPS) / (bestMs * 1_000));
}
