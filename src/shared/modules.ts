/**
 * Handler modules as a thread finds them: the handler, and what a module may export beside it for its life on the
 * thread. Each is imported once, however many of its exports are used.
 */
import type { SetupInfo, WorkerHandler } from '../shared/api.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import type { AnyHandler } from '../shared/subscription.js';

/** The functions with these names that a handler's module exports; undefined where it exports none. */
export interface Hooks {
  readonly setup: ((info: SetupInfo) => unknown) | undefined;
  readonly teardown: ((info: SetupInfo) => unknown) | undefined;
}

/** What a module with checkpoints exports. */
export interface StateHooks {
  readonly snapshot: () => unknown;
  readonly restore: (state: unknown) => unknown;
}

/**
 * Imports a handler's module and finds its export.
 * @throws MODULE_NOT_FOUND, MODULE_FAILED, EXPORT_NOT_FOUND
 */
export async function loadHandler({ module, exportName }: WorkerHandler): Promise<AnyHandler> {
  return required(module, await importModule(module), exportName) as AnyHandler;
}

/** @throws as `loadHandler`; EXPORT_NOT_FOUND also when an export with one of the names is no function. */
export async function loadHooks({ module }: WorkerHandler): Promise<Hooks> {
  const exports = await importModule(module);
  const hook = (name: keyof Hooks): unknown => (name in exports ? required(module, exports, name) : undefined);
  return { setup: hook('setup') as Hooks['setup'], teardown: hook('teardown') as Hooks['teardown'] };
}

/** @throws as `loadHandler` */
export async function loadStateHooks({ module }: WorkerHandler): Promise<StateHooks> {
  const exports = await importModule(module);
  const hook = (name: keyof StateHooks): unknown => required(module, exports, name, ' (checkpointEvery needs it)');
  return { snapshot: hook('snapshot') as StateHooks['snapshot'], restore: hook('restore') as StateHooks['restore'] };
}

async function importModule(module: string): Promise<Record<string, unknown>> {
  try {
    return (await import(module)) as Record<string, unknown>;
  } catch (error) {
    throw importError(module, error);
  }
}

/** @param why What needs the export, if that is not plain. */
function required(module: string, exports: Record<string, unknown>, exportName: string, why = ''): unknown {
  const found = exports[exportName];
  if (typeof found === 'function') return found;
  const functions = Object.keys(exports).filter((name) => typeof exports[name] === 'function');
  const kind =
    exportName in exports ? `is ${found === null ? 'null' : `a ${typeof found}`}, not a function` : 'does not exist';
  throw new LanebusError(
    ErrorCode.EXPORT_NOT_FOUND,
    `handler module ${module}: export "${exportName}" ${kind}${why}; exported functions: ${functions.join(', ') || 'none'}`,
  );
}
function importError(module: string, error: unknown): LanebusError {
  const { code, message, url } = error as { code?: string; message?: string; url?: string };
  const text = message ?? String(error);
  // A module that the handler imports may be missing too: only the handler's own address is "not found".
  const isHandler = url === module || (url === undefined && text.includes(new URL(module).pathname));
  if ((code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && isHandler) {
    return new LanebusError(ErrorCode.MODULE_NOT_FOUND, `handler module ${module} does not exist`, { cause: error });
  }
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION') {
    return new LanebusError(
      ErrorCode.MODULE_FAILED,
      `handler module ${module} is TypeScript, which Node ${process.version} cannot load by itself: ` +
        'compile it, use Node 22.18 or later, or start Node 22 with "--import tsx" (on Node 20 that does not reach threads)',
      { cause: error },
    );
  }
  const name = error instanceof Error ? error.name : 'Error';
  return new LanebusError(
    ErrorCode.MODULE_FAILED,
    `handler module ${module} failed on import: ${name}: ${oneLine(text)}`,
    {
      cause: error,
    },
  );
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
