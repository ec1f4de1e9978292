import type { BackendCapabilities } from '../../main/index.js';
import { caseOf, type ConformanceCase, type Draft } from './case.js';
import { backpressure } from './cases/backpressure.js';
import { deadLetters } from './cases/dead-letters.js';
import { deaths } from './cases/deaths.js';
import { delivery } from './cases/delivery.js';
import { events } from './cases/events.js';
import { failures } from './cases/failures.js';
import { lifecycle } from './cases/lifecycle.js';
import { observability } from './cases/observability.js';
import { options } from './cases/options.js';
import { order } from './cases/order.js';
import { state } from './cases/state.js';
import { subscriptions } from './cases/subscriptions.js';
import { timeouts } from './cases/timeouts.js';

const drafts: readonly Draft[] = [
  ...events,
  ...subscriptions,
  ...delivery,
  ...order,
  ...backpressure,
  ...timeouts,
  ...deaths,
  ...failures,
  ...deadLetters,
  ...state,
  ...lifecycle,
  ...options,
  ...observability,
];

/**
 * What a backend with these capabilities is held to, in the order of docs/contract.md. A case that needs a capability which
 * the backend lacks is its counter-case here: what happens instead.
 */
export function conformanceCases(capabilities: BackendCapabilities): readonly ConformanceCase[] {
  return drafts.map((draft) => caseOf(draft, capabilities));
}
