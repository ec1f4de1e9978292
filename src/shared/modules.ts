/**
 * Handler modules as a thread finds them: the handler, and what a module may export beside it for its life on the
 * thread. Each is imported once, however many of its exports are used.
 */
import { existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
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
  // A module that the handler imports may be missing too, without an address if it is a package or is required.
  const isHandler = url === module || (url === undefined && !existsSync(new URL(module)));
  if ((code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && isHandler) {
    return new LanebusError(ErrorCode.MODULE_NOT_FOUND, `handler module ${module} does not exist`, { cause: error });
  }
  const name = error instanceof Error ? error.name : 'Error';
  const problem = typeScriptProblem(module, code, text) ?? `failed on import: ${name}: ${oneLine(text)}`;
  return new LanebusError(ErrorCode.MODULE_FAILED, `handler module ${module} ${problem}`, { cause: error });
}

const WITH_TSX = 'start Node with "--import" and a file that registers tsx (README, "TypeScript handler files")';

/** What to say of TypeScript that this Node does not load; undefined for any other failure. */
function typeScriptProblem(module: string, code: string | undefined, text: string): string | undefined {
  // No error but this one names its file, which need not be the handler's own.
  const file = code === 'ERR_UNKNOWN_FILE_EXTENSION' ? /"\.[cm]?ts" for (.+)$/.exec(text)?.[1] : undefined;
  if (file !== undefined) {
    const what = pathToFileURL(file).href === module ? 'is TypeScript' : `imports TypeScript (${file})`;
    return `${what}, which Node ${process.version} does not load by itself: compile it, ${WITH_TSX}, or use Node 22.18 or later`;
  }
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX' || code === 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING') {
    return `is, or imports, TypeScript of which Node can not just strip the types (${oneLine(text)}): compile it, or ${WITH_TSX}`;
  }
  return undefined;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ');
}
