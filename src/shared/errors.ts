import type { FailureRecord } from './api.js';

/** Every failure that Lanebus reports has one of these codes; they are part of the interface and do not change. */
export const ErrorCode = {
  /** The catalog given to `defineEvents` breaks a rule. */
  CATALOG: 'ERR_LANEBUS_CATALOG',
  /** The options given to `createBus`, `subscribe`, `drain` or `stop`, or the configuration they come from, break a rule. */
  OPTIONS: 'ERR_LANEBUS_OPTIONS',
  /** The event's type is not in the catalog. */
  UNKNOWN_TYPE: 'ERR_LANEBUS_UNKNOWN_TYPE',
  /** The event's payload does not fit its type: a field is missing, extra, or has a value that it cannot hold. */
  INVALID_EVENT: 'ERR_LANEBUS_INVALID_EVENT',
  /** The record is larger than its lane accepts. */
  RECORD_TOO_LARGE: 'ERR_LANEBUS_RECORD_TOO_LARGE',
  /** The publishing thread's symbol table has reached its bound. */
  SYMBOL_TABLE_FULL: 'ERR_LANEBUS_SYMBOL_TABLE_FULL',
  /** The lane had no room, and its policy is to refuse (or the wait for room took too long). */
  LANE_FULL: 'ERR_LANEBUS_LANE_FULL',
  /** Handlers wait for room in each other's full lanes: what one of them publishes is refused, so that the rest go on. */
  DEADLOCK: 'ERR_LANEBUS_DEADLOCK',
  /** The bus does not run yet: the call needs a `start` that has resolved. */
  NOT_STARTED: 'ERR_LANEBUS_NOT_STARTED',
  /** `start` was called a second time. */
  ALREADY_STARTED: 'ERR_LANEBUS_ALREADY_STARTED',
  /** The bus was stopped: it takes nothing more, and whoever waited for it is released with this. */
  STOPPED: 'ERR_LANEBUS_STOPPED',
  /** The same handler is subscribed to this type already. */
  DUPLICATE_HANDLER: 'ERR_LANEBUS_DUPLICATE_HANDLER',
  /** A handler module does not exist. */
  MODULE_NOT_FOUND: 'ERR_LANEBUS_MODULE_NOT_FOUND',
  /** A handler module throws on import, or is TypeScript that this Node cannot load. */
  MODULE_FAILED: 'ERR_LANEBUS_MODULE_FAILED',
  /** A handler module lacks the export, or it is no function. */
  EXPORT_NOT_FOUND: 'ERR_LANEBUS_EXPORT_NOT_FOUND',
  /** A handler module's `setup` or `restore` has failed, or has not ended within `startTimeoutMs`. */
  SETUP_FAILED: 'ERR_LANEBUS_SETUP_FAILED',
  /** Shared memory that is not a Lanebus block, or one of another version. */
  FOREIGN_BLOCK: 'ERR_LANEBUS_FOREIGN_BLOCK',
  /** A store of dead letters cannot be used: it is none, of another version, or another process has it open. */
  DEAD_LETTER_STORE: 'ERR_LANEBUS_DEAD_LETTER_STORE',
  /** A pool thread ended, or did not answer, while the bus needed an answer from it. */
  THREAD_LOST: 'ERR_LANEBUS_THREAD_LOST',
} as const;

/** One of the codes. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The one class of error that Lanebus throws or rejects with. Tell failures apart by `code`. */
export class LanebusError extends Error {
  /** What went wrong, for programs; the message is for people. */
  readonly code: ErrorCode;

  /** @param options `cause`: the error behind it. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LanebusError';
    this.code = code;
  }
}

/** How an error crosses a thread boundary: structured clone would drop `code`. */
export type ErrorRecord = FailureRecord;

/** A failure that another try would not change: the delivery goes to the dead letters at once. `retryable: false` says the same. */
export class NonRetryableError extends Error {
  /** What tells the bus; any thrown object may have it. */
  readonly retryable = false;

  /** @param options `cause`: the error behind it. */
  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NonRetryableError';
  }
}

/** Whether what was thrown says that another try would not change it. Never throws. */
export function isFinal(thrown: unknown): boolean {
  try {
    return (thrown as { retryable?: unknown } | null | undefined)?.retryable === false;
  } catch {
    return false;
  }
}

/** What was thrown, as an Error: a caller may throw anything. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** Never throws: what a handler has thrown may be anything, a Proxy or an object whose getters throw among it. */
export function toErrorRecord(thrown: unknown): ErrorRecord {
  try {
    if (!(thrown instanceof Error)) return { name: 'Error', message: String(thrown) };
    const { name, code, message, stack } = thrown as Partial<Record<keyof ErrorRecord, unknown>>;
    return {
      name: String(name),
      code: typeof code === 'string' ? code : undefined,
      message: String(message),
      stack: typeof stack === 'string' ? stack : undefined,
    };
  } catch {
    return { name: 'Error', message: 'what was thrown cannot be read' };
  }
}

export function fromErrorRecord(record: ErrorRecord): Error {
  const known = Object.values(ErrorCode).find((code) => code === record.code);
  const error = known === undefined ? new Error(record.message) : new LanebusError(known, record.message);
  error.name = record.name;
  if (record.stack !== undefined) error.stack = record.stack;
  return error;
}
