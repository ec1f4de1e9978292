/** `bus.once`: the next event of a type, as a promise. */
import type { SubscribeOptions } from '../shared/api.js';
import type { Catalog, EventOf, TypeOf } from '../shared/catalog.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import { handOverShape, type Subscribe, watch } from './event-stream.js';
import { findProblems, section, throwProblems } from './option-checks.js';

const onceSchema = section(handOverShape);

/**
 * Subscribes for one event. An event and an abort in the same turn: whichever came first counts.
 *
 * Rejects with ERR_LANEBUS_OPTIONS, with what `subscribe` throws, with the signal's reason, with ERR_LANEBUS_STOPPED when
 * the subscription ends without an event, and with the error of its `ready`.
 */
export async function once<C extends Catalog, T extends TypeOf<C>>(
  subscribe: Subscribe<C, T>,
  options: Pick<SubscribeOptions<C, T>, 'name' | 'signal' | 'filter'> = {},
): Promise<EventOf<C, T>> {
  throwProblems(findProblems(onceSchema, options), 'once');
  const { signal, name = 'once', ...passed } = options;
  signal?.throwIfAborted();
  let onAbort = (): void => undefined;
  try {
    return await new Promise((resolve, reject) => {
      const fail: (error: unknown) => void = reject;
      const subscription = subscribe(
        (event) => {
          // Aborted by the filter of this very event: nobody gets it, so its delivery must not end processed.
          signal?.throwIfAborted();
          resolve(event);
        },
        { ...passed, name, once: true },
      );
      onAbort = (): void => {
        fail(signal?.reason);
        subscription.unsubscribe();
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const onEnd = (): void => {
        fail(endedError(subscription.types));
      };
      watch(subscription, onEnd, fail);
    });
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

function endedError(types: readonly string[]): LanebusError {
  return new LanebusError(
    ErrorCode.STOPPED,
    `once "${types.join(', ')}": the bus has been stopped before an event came; a stopped bus is not started again`,
  );
}
