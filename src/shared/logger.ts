import { destination, pino, stdSerializers, type Logger as PinoLogger } from 'pino';
import { ErrorCode, LanebusError } from './errors.js';

/** The least that is logged; `'silent'` = nothing. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export const LOG_LEVELS = [
  'trace',
  'debug',
  'info',
  'warn',
  'error',
  'fatal',
  'silent',
] as const satisfies readonly LogLevel[];

/** Plain data, so that it crosses to pool threads, where each opens a destination of its own. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** 1 = standard output, 2 = standard error, or the path of a file that lines are appended to. */
  readonly destination: 1 | 2 | string;
}

export type Logger = PinoLogger;

/** A text or bytes field of an event may have megabytes; a log line shows this much of it. */
const SHOWN_CHARS = 200;
const SHOWN_BYTES = 32;
/** What a destination that fails (a full disk) may hold back in memory; later lines are lost, after a warning. */
const MAX_HELD_BYTES = 16 * 1024 * 1024;

/**
 * A pino logger whose lines carry `bindings`; `false` makes one that writes nothing.
 *
 * It writes synchronously: pino's default destination lost two of three lines when a pool thread was killed. An error
 * belongs in the field `err`, which keeps its stack, an event in the field `event`. Throws ERR_LANEBUS_OPTIONS when
 * the file cannot be opened.
 */
export function createLogger(options: LoggerOptions | false, bindings: object): Logger {
  if (options === false || options.level === 'silent') return pino({ level: 'silent' });
  return pino(
    { level: options.level, base: { ...bindings }, serializers: { err: stdSerializers.err, event: toLoggable } },
    openDestination(options.destination),
  );
}

function openDestination(dest: LoggerOptions['destination']) {
  let stream: ReturnType<typeof destination>;
  try {
    stream = destination({ dest, sync: true, maxLength: MAX_HELD_BYTES });
  } catch (cause) {
    const message = `logger.destination: got '${dest}'; expected a file that can be appended to (${String(cause)})`;
    throw new LanebusError(ErrorCode.OPTIONS, message, { cause });
  }
  let warned = false;
  // Without a listener a full disk would end the thread. EPIPE (`… | head`) means that nobody reads: pino falls silent.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (warned || error.code === 'EPIPE') return;
    warned = true;
    process.emitWarning(`log lines cannot be written to ${dest}: ${error.message}`, 'LanebusWarning');
  });
  return stream;
}

/** An event as one line shows it: bigints as decimal texts (a JSON number loses digits above 2^53), long values cut. */
function toLoggable(event: unknown): unknown {
  if (typeof event !== 'object' || event === null) return event;
  return Object.fromEntries(Object.entries(event).map(([field, value]) => [field, shorten(value)]));
}

function shorten(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'string' && value.length > SHOWN_CHARS) {
    return `${value.slice(0, SHOWN_CHARS)}… (${value.length} characters)`;
  }
  if (value instanceof Uint8Array) {
    const shown = Buffer.from(value.subarray(0, SHOWN_BYTES)).toString('hex');
    return value.length > SHOWN_BYTES ? `${shown}… (${value.length} bytes)` : shown;
  }
  return value;
}
