import type { WorkerHandler } from '../shared/api.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';

/** References to the functions that a module exports. */
export type WorkerHandlers<M> = {
  readonly [K in keyof M as M[K] extends (...args: never[]) => unknown ? K : never]: WorkerHandler<M[K]>;
};

/**
 * References to the handlers that a module exports, to be run in the pool:
 * `workerHandlers<typeof import('./book.js')>(new URL('./book.js', import.meta.url)).onTick`. The module is imported in
 * pool threads only; `start` checks that it exists and has the export.
 * @param module URL of the module.
 * @throws ERR_LANEBUS_OPTIONS when it is not a URL
 */
export function workerHandlers<M>(module: URL | string): WorkerHandlers<M> {
  const href = URL.canParse(String(module)) ? new URL(module).href : undefined;
  if (href === undefined) {
    throw new LanebusError(
      ErrorCode.OPTIONS,
      `handler module ${JSON.stringify(String(module))}: expected a URL, such as new URL('./book.js', import.meta.url)`,
    );
  }
  return new Proxy({} as WorkerHandlers<M>, {
    get: (_, exportName): WorkerHandler | undefined =>
      // A promise resolved with the proxy would take it for a thenable.
      typeof exportName === 'string' && exportName !== 'then' ? Object.freeze({ module: href, exportName }) : undefined,
  });
}

export function isWorkerHandler(handler: unknown): handler is WorkerHandler {
  const { module, exportName } = (handler ?? {}) as Partial<WorkerHandler>;
  return typeof module === 'string' && typeof exportName === 'string';
}
