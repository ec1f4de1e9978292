/** A handler's work: arithmetic that nothing can shorten, in a number of steps that this machine does in the wanted time. */

/** Each step needs the one before, and the caller uses the last: no compiler leaves one out. */
export function burn(steps: number): number {
  let state = 1;
  for (let step = 0; step < steps; step++) state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  return state;
}

const TRIAL_STEPS = 50_000;
const TRIALS = 400;

let stepMicros: number | undefined;

/**
 * Steps of `burn` that take so many microseconds of CPU, as measured once in this process: all systems of a run have the
 * same work. The fastest trial counts, for a thread that others interrupt is only ever slower.
 */
export function stepsOf(micros: number): number {
  if (micros === 0) return 0;
  stepMicros ??= fastestTrialMs() * (1000 / TRIAL_STEPS);
  return Math.round(micros / stepMicros);
}

function fastestTrialMs(): number {
  const result = burn(TRIAL_STEPS);
  let best = Infinity;
  for (let trial = 0; trial < TRIALS; trial++) {
    const startedAt = performance.now();
    if (burn(TRIAL_STEPS) !== result) throw new Error('the same work has had two results');
    best = Math.min(best, performance.now() - startedAt);
  }
  return best;
}
