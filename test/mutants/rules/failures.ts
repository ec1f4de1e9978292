import type { Mutant } from '../mutant.js';

const ATTEMPTS =
  'With `retry` a delivery that fails is tried again, up to `attempts` tries in all, which `context.attempt` numbers.';
const BACKOFF = 'The wait after the k-th failure is `backoffMs` × `factor`^(k−1), at most `maxBackoffMs`.';
const KEEPS_ORDER = 'With `keepOrder` the later events of its key wait behind it, in order, and other keys go on.';
const MAX_FAILURES =
  '`maxFailures` failures in a row end the subscription, with the notice `subscriptionDisabled`; what is left is discarded.';
const COOL_DOWN =
  'If the delivery that is let through fails, the next cool-down is twice as long, up to `maxCoolDownMs`.';
const POLICY = 'main/retry-policy.js';
const DESK = 'main/failure-desk.js';
const CIRCUIT = 'shared/circuit.js';

export const failures: readonly Mutant[] = [
  {
    id: 'one-try-too-many',
    rule: ATTEMPTS,
    file: DESK,
    text: 'failures >= retry.attempts',
    becomes: 'failures > retry.attempts',
  },
  {
    id: 'every-try-is-the-first',
    rule: ATTEMPTS,
    file: DESK,
    text: 'attempt: attempt + 1, publisher',
    becomes: 'attempt: 1, publisher',
  },
  {
    id: 'backoff-grows-at-once',
    rule: BACKOFF,
    file: POLICY,
    text: 'factor ** (failures - 1)',
    becomes: 'factor ** failures',
  },
  {
    id: 'backoff-does-not-grow',
    rule: BACKOFF,
    file: POLICY,
    text: 'factor ** (failures - 1)',
    becomes: '1',
  },
  {
    id: 'backoff-without-bound',
    rule: BACKOFF,
    file: POLICY,
    text: 'Math.min(maxBackoffMs, backoffMs',
    becomes: 'Math.max(0, backoffMs',
  },
  {
    id: 'timed-out-is-tried-again',
    rule: 'A delivery that has timed out is not tried again.',
    file: DESK,
    text: "if (reason === 'undecodable' || reason === 'timedOut')",
    becomes: "if (reason === 'undecodable')",
  },
  {
    id: 'final-is-tried-again',
    rule: 'A `NonRetryableError`, or whatever has `retryable: false`, is not tried again.',
    file: DESK,
    text: "reason === 'final' || ",
    becomes: '',
  },
  {
    id: 'nobody-asks-retryIf',
    rule: "`retryIf(error, attempts)`, on the bus's own thread, decides whether there is another try.",
    file: DESK,
    text: 'if (retry.retryIf !== undefined && ',
    becomes: 'if (false && ',
  },
  {
    id: 'one-pending-too-many',
    rule: 'At most `maxPending` deliveries are between two tries; one more is a dead letter at once, with the reason `retryOverflow`.',
    file: DESK,
    text: 'record.waiting >= record.options.retry.maxPending',
    becomes: 'record.waiting > record.options.retry.maxPending',
  },
  {
    id: 'key-does-not-wait',
    rule: KEEPS_ORDER,
    file: 'shared/dispatch.js',
    text: "? 'held' : undefined",
    becomes: '? undefined : undefined',
  },
  {
    id: 'other-keys-wait-too',
    rule: KEEPS_ORDER,
    file: 'shared/dispatch.js',
    text: 'subscription.held.has(reader.holds[type](memory, at + HEADER_BYTES))',
    becomes: 'true',
  },
  {
    id: 'one-failure-too-many',
    rule: MAX_FAILURES,
    file: CIRCUIT,
    text: 'failures >= this.#maxFailures',
    becomes: 'failures > this.#maxFailures',
  },
  {
    id: 'disabled-goes-on',
    rule: MAX_FAILURES,
    file: 'main/breakers.js',
    text: 'this.#disable(record);',
    becomes: '',
  },
  {
    id: 'success-changes-nothing',
    rule: 'A success sets the count of failures to zero.',
    file: CIRCUIT,
    text: 'if (word === 0 || (state !== CLOSED &&',
    becomes: 'if (word === 0 || (true &&',
  },
  {
    id: 'failed-probe-opens-nothing',
    rule: COOL_DOWN,
    file: CIRCUIT,
    text: 'state === PROBING && isProbe;',
    becomes: 'false;',
  },
  {
    id: 'cool-down-does-not-grow',
    rule: COOL_DOWN,
    file: 'main/breakers.js',
    text: 'options.coolDownMs * GROWTH ** probes)',
    becomes: 'options.coolDownMs)',
  },
  {
    id: 'cool-down-without-bound',
    rule: COOL_DOWN,
    file: 'main/breakers.js',
    text: 'Math.min(options.maxCoolDownMs, ',
    becomes: 'Math.max(0, ',
  },
  {
    id: 'resume-leaves-it-open',
    rule: '`bus.resume(subscription)` closes a circuit by hand.',
    file: 'main/breakers.js',
    text: 'record.circuit.close();',
    becomes: '',
  },
];
