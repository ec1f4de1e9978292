/** Options of what happens to a subscription that fails: of one, or of the bus for all that do not say otherwise. */
import { z } from 'zod';
import type { FailureOptions, OnMaxFailures, RetryOptions } from '../shared/api.js';
import { MAX_FAILURES } from '../shared/circuit.js';
import { duration, integer, section, withoutUndefined } from './option-checks.js';
import type { RetryPolicy } from './retry-policy.js';

/** The options with every default filled in. */
export interface ResolvedFailureOptions {
  readonly retry: RetryPolicy;
  /** 0 = never. */
  readonly maxFailures: number;
  readonly onMaxFailures: OnMaxFailures;
  readonly coolDownMs: number;
  readonly maxCoolDownMs: number;
}

const factorRule = { error: 'a number from 1 to 100' };
const jitterRule = { error: 'a number from 0 to 1' };

export const failureShape = {
  retry: section({
    attempts: integer('tries', 1, 1_000_000),
    backoffMs: duration(),
    factor: z.number(factorRule).min(1, factorRule).max(100, factorRule),
    maxBackoffMs: duration(),
    jitter: z.number(jitterRule).min(0, jitterRule).max(1, jitterRule),
    retryIf: z.custom<NonNullable<RetryOptions['retryIf']>>((value) => typeof value === 'function', {
      error: "a function, which runs on the bus's own thread",
    }),
    maxPending: integer('deliveries', 1, 100_000_000),
    keepOrder: z.boolean({ error: 'true or false' }),
  }),
  maxFailures: integer('failures', 0, MAX_FAILURES, ' (0 = never)'),
  onMaxFailures: z.enum(['unsubscribe', 'pause'], { error: "'unsubscribe' or 'pause'" }),
  coolDownMs: duration(1),
  maxCoolDownMs: duration(1),
} as const;

const RETRY: RetryPolicy = {
  attempts: 3,
  backoffMs: 100,
  factor: 2,
  maxBackoffMs: 30_000,
  jitter: 0,
  retryIf: undefined,
  maxPending: 10_000,
  keepOrder: false,
};

export const FAILURE_DEFAULTS: ResolvedFailureOptions = {
  retry: { ...RETRY, attempts: 1 },
  maxFailures: 0,
  onMaxFailures: 'unsubscribe',
  coolDownMs: 30_000,
  maxCoolDownMs: 600_000,
};

/** @param defaults For what was not given; a `retry` that was given is filled from the defaults of its own. */
export function resolveFailureOptions(given: FailureOptions, defaults: ResolvedFailureOptions): ResolvedFailureOptions {
  const { retry, maxFailures, onMaxFailures, coolDownMs, maxCoolDownMs } = given;
  const coolDown = coolDownMs ?? defaults.coolDownMs;
  return {
    retry: retry === undefined ? defaults.retry : { ...RETRY, ...withoutUndefined(retry) },
    maxFailures: maxFailures ?? defaults.maxFailures,
    onMaxFailures: onMaxFailures ?? defaults.onMaxFailures,
    coolDownMs: coolDown,
    maxCoolDownMs: Math.max(coolDown, maxCoolDownMs ?? defaults.maxCoolDownMs),
  };
}
