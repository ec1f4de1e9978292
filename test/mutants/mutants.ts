import type { Mutant } from './mutant.js';
import { backpressure } from './rules/backpressure.js';
import { deadLetters } from './rules/dead-letters.js';
import { deaths } from './rules/deaths.js';
import { delivery } from './rules/delivery.js';
import { events } from './rules/events.js';
import { failures } from './rules/failures.js';
import { lifecycle } from './rules/lifecycle.js';
import { observability } from './rules/observability.js';
import { order } from './rules/order.js';
import { subscriptions } from './rules/subscriptions.js';
import { timeouts } from './rules/timeouts.js';

/** In the order of docs/contract.md. */
export const mutants: readonly Mutant[] = [
  ...events,
  ...subscriptions,
  ...delivery,
  ...order,
  ...backpressure,
  ...timeouts,
  ...deaths,
  ...failures,
  ...deadLetters,
  ...lifecycle,
  ...observability,
];

/** Mutants that the suite does not find, and why no case of it can. */
export const survivors: Readonly<Record<string, string>> = {
  'other-keys-wait-too':
    'a delivery that is held for a key of which main has nothing is sent back to its thread at once: a detour, and nothing else',
};
