/** What a bus can be run by. A backend is told apart by what it can do; all keep one contract. */
import type { EventBus } from '../shared/api.js';
import type { Catalog } from '../shared/catalog.js';
import { LaneBus } from './bus.js';
import { type BusOptions, isBackend, resolveOptions } from './options.js';

/** What not every backend can do: elsewhere the contract holds for all. */
export interface BackendCapabilities {
  /** Whether worker handlers of different subscriptions, or of one with `threads` above 1, run at the same time. */
  readonly parallelHandlers: boolean;
  /** Whether a handler that never gives its thread back is ended after its time, while all else goes on. */
  readonly endsHungHandlers: boolean;
  /** Whether a worker handler that ends its thread (`process.exit`, out of memory, an uncaught error) costs that thread only. */
  readonly survivesCrashes: boolean;
}

/** A way to run a bus, for the option `backend` of `createBus`. */
export interface Backend {
  /** What messages and logs call it. */
  readonly name: string;
  /** What it can do beyond what the contract asks of all. */
  readonly capabilities: BackendCapabilities;
  /**
   * Makes a bus; nothing runs before its `start`.
   * @param options Those of `createBus`, without `backend`.
   * @throws ERR_LANEBUS_OPTIONS
   */
  createBus<C extends Catalog>(catalog: C, options: BusOptions): EventBus<C>;
}

/** The backends that come with Lanebus, by name. */
export const backends: {
  /** Worker handlers run in a pool of threads: the default. */
  readonly parallel: Backend;
  /** Everything runs on the bus's own thread; handler modules are imported there. */
  readonly inline: Backend;
} = {
  parallel: laneBackend('parallel', true),
  inline: laneBackend('inline', false),
};

/**
 * Makes a bus for a catalog's events. Nothing runs before `start`.
 * @param options See BusOptions; all have defaults.
 * @throws ERR_LANEBUS_OPTIONS with every problem of the options at once
 */
export function createBus<C extends Catalog>(catalog: C, options?: BusOptions): EventBus<C> {
  const { backend, ...others } = (options ?? {}) as Partial<BusOptions>;
  if (isBackend(backend)) return backend.createBus(catalog, others);
  return new LaneBus<C>(catalog, resolveOptions(options, catalog));
}

function laneBackend(name: 'parallel' | 'inline', hasPool: boolean): Backend {
  return {
    name,
    capabilities: { parallelHandlers: hasPool, endsHungHandlers: hasPool, survivesCrashes: hasPool },
    createBus: (catalog, options) => createBus(catalog, { ...options, backend: name }),
  };
}
