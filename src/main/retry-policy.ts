/**
 * When a failed delivery is tried again. The wait grows with each failure, up to a bound; jitter takes a random share of it
 * away, so that what failed together does not come back together. M. Brooker, Exponential Backoff And Jitter, AWS
 * Architecture Blog, 2015: `jitter: 1` is its "full jitter", 0.5 its "equal jitter".
 */
import type { RetryTest } from '../shared/api.js';

export interface RetryPolicy {
  /** Of all tries, the first among them. */
  readonly attempts: number;
  readonly backoffMs: number;
  readonly factor: number;
  readonly maxBackoffMs: number;
  /** From 0 to 1. */
  readonly jitter: number;
  readonly retryIf: RetryTest | undefined;
  readonly maxPending: number;
  readonly keepOrder: boolean;
}

/** The wait after so many failures, in ms. @param random From 0 to 1. */
export function backoffOf(
  { backoffMs, factor, maxBackoffMs, jitter }: Pick<RetryPolicy, 'backoffMs' | 'factor' | 'maxBackoffMs' | 'jitter'>,
  failures: number,
  random: number,
): number {
  const whole = Math.min(maxBackoffMs, backoffMs * factor ** (failures - 1));
  return whole * (1 - jitter * random);
}
