import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { FailureOptions } from '../shared/api.js';
import type { Catalog } from '../shared/catalog.js';
import { LOG_LEVELS, type LogLevel, type LoggerOptions } from '../shared/logger.js';
import type { Backend } from './backends.js';
import type { DeadLetterStore } from './dead-letter-store.js';
import {
  FAILURE_DEFAULTS,
  failureShape,
  type ResolvedFailureOptions,
  resolveFailureOptions,
} from './failure-options.js';
import { lanesSchema, resolveLanes, type LaneOptions, type ResolvedLane } from './lane-options.js';
import { duration, findProblems, integer, MAX_TIMER_MS, orFalse, section, throwProblems } from './option-checks.js';
import { type Problem, withoutUndefined } from './option-checks.js';

export type { LaneOptions, ResolvedLane } from './lane-options.js';

/** The options of `createBus`. Every one may be left out. Times are in milliseconds, sizes in bytes. */
export interface BusOptions extends FailureOptions {
  /**
   * What runs the handlers. `'parallel'`, the default: a pool of threads. `'inline'`: the calling thread runs all of them,
   * worker handlers too, under the same contract; it cannot stop a handler that does not come back, only tell of it. Or a
   * backend of your own, which gets the other options.
   */
  readonly backend?: 'parallel' | 'inline' | Backend | undefined;
  /** Pool threads, 1–1024; with the inline backend only what a subscription may ask for. Default: the cores available to the process less one, at least 1. */
  readonly threads?: number | undefined;
  /** Lanes by name, merged with the default ones: control, execution, signal, market, log. `false` switches one off. */
  readonly lanes?: Readonly<Record<string, LaneOptions | false>> | undefined;
  /** Time a delivery may take, from the handler's start, 0–2,147,483,647 ms; 0 = no limit. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Time from the abort of `context.signal` to the end of the thread, 0–2,147,483,647 ms. Default 1,000. */
  readonly graceMs?: number | undefined;
  /** How long a take-over waits for the exit of a killed thread before it goes ahead without, 0–2,147,483,647 ms. Default 1,000. */
  readonly exitWaitMs?: number | undefined;
  /** Threads that wait, started and with every handler module imported, to take over from one that dies, 0–64. Default 1. */
  readonly spares?: number | undefined;
  /** How often the watchdog looks at the threads' progress, 1–1,000 ms. Default 10. */
  readonly watchdogIntervalMs?: number | undefined;
  /** After how many deaths of a thread over the same event that event is poison, 1–1,000,000. Default 2. */
  readonly maxCrashes?: number | undefined;
  /** Deliveries that are kept in `bus.deadLetters`, 0–1,000,000; with more, the oldest go. Default 1,000. */
  readonly maxDeadLetters?: number | undefined;
  /** Where they are kept instead: see `lanebus/dead-letters-lmdb`. `maxDeadLetters` is then for those that it cannot take. */
  readonly deadLetterStore?: DeadLetterStore | undefined;
  /** Pause of a thread after a failure of the bus itself, not of a handler, before it goes on, 0–2,147,483,647 ms; 0 = none. Default 1,000. */
  readonly errorBackoffMs?: number | undefined;
  /** Time a pool thread has to start and to import its handlers, 0–2,147,483,647 ms; 0 = no limit. Default 30,000. */
  readonly startTimeoutMs?: number | undefined;
  /** Limit of `drain()`, 0–2,147,483,647 ms; 0 = no limit, the default. */
  readonly drainTimeoutMs?: number | undefined;
  /** Limit of `stop()`, after which what is pending is discarded, 0–2,147,483,647 ms; 0 = no limit. Default 30,000. */
  readonly stopTimeoutMs?: number | undefined;
  /** Bounds of each publishing thread's table of symbols. */
  readonly symbols?: SymbolOptions | undefined;
  /** The turn that a waiting lane gets while more urgent ones are busy; `false` = none, strict priority, the default. */
  readonly starvation?: StarvationOptions | false | undefined;
  /** Microseconds a thread looks for events before it parks, 0–10,000. Default `'auto'`: 0 when threads and main outnumber the cores, else 50. */
  readonly spinMicros?: number | 'auto' | undefined;
  /** `false` = no logging. Default: level `'info'` to standard output. */
  readonly logger?: LogOptions | false | undefined;
  /** How often the metrics are logged, 0–2,147,483,647 ms; 0 = never. Default 60,000. */
  readonly metricsLogIntervalMs?: number | undefined;
  /** Memory limits of each pool thread, in MiB, as in `worker_threads`. */
  readonly resourceLimits?: ThreadResourceLimits | undefined;
  /** Node flags of the pool threads, such as `['--import', 'tsx']`. Default: the process's own. */
  readonly execArgv?: readonly string[] | undefined;
  /** Environment of the pool threads. Default: a copy of the process's own. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** Bounds of each publishing thread's table of symbols, which never forgets one. */
export interface SymbolOptions {
  /** Different symbols that a thread may publish, 1–16,777,216. Default 65,536. */
  readonly max?: number | undefined;
  /** Bytes of all their texts, 1 KiB–1 GiB. Default 4 MiB. */
  readonly maxBytes?: number | undefined;
}

/** What is logged, and where to: pino's lines, one JSON object each. */
export interface LogOptions {
  /** The least that is logged. Default `'info'`. */
  readonly level?: LogLevel | undefined;
  /** 1 = standard output, 2 = standard error, or the path of a file that lines are appended to. Default 1. */
  readonly destination?: 1 | 2 | string | undefined;
}

/** When a waiting lane has a turn though more urgent ones are busy. At least one of the two. */
export interface StarvationOptions {
  /** A waiting lane has its turn after this many events of more urgent lanes, 1–2,147,483,647. Default: without limit. */
  readonly events?: number | undefined;
  /** A waiting lane has its turn after this many milliseconds, 0.001–2,147,483,647. Default: without limit. */
  readonly ms?: number | undefined;
}

/** Memory limits of each pool thread, as in `worker_threads`: one that reaches its heap's limit ends, and is replaced. */
export interface ThreadResourceLimits {
  /** Heap for what lives long, above 0 and up to 1,048,576 MiB. Default: Node's own. */
  readonly maxOldGenerationSizeMb?: number | undefined;
  /** Heap for what is new, above 0 and up to 1,048,576 MiB. Default: Node's own. */
  readonly maxYoungGenerationSizeMb?: number | undefined;
  /** Stack, above 0 and up to 1,048,576 MiB. Default: Node's own, 4. */
  readonly stackSizeMb?: number | undefined;
  /** Room for compiled code, above 0 and up to 1,048,576 MiB. Default: Node's own. */
  readonly codeRangeSizeMb?: number | undefined;
}

/** The options with every default filled in. */
export interface ResolvedOptions extends ResolvedFailureOptions {
  readonly backend: 'parallel' | 'inline';
  /** Threads that a subscription may ask for. */
  readonly threads: number;
  /** Those that there are: none with the inline backend. */
  readonly poolThreads: number;
  /** Most urgent first. */
  readonly lanes: readonly ResolvedLane[];
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly exitWaitMs: number;
  readonly spares: number;
  readonly watchdogIntervalMs: number;
  readonly maxCrashes: number;
  readonly maxDeadLetters: number;
  readonly deadLetterStore: DeadLetterStore | undefined;
  readonly errorBackoffMs: number;
  readonly startTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly symbols: { readonly max: number; readonly maxBytes: number };
  /** A bound that was not given is Infinity. */
  readonly starvation: false | { readonly events: number; readonly ms: number };
  readonly spinMicros: number;
  readonly logger: LoggerOptions | false;
  readonly metricsLogIntervalMs: number;
  readonly resourceLimits: { readonly [K in keyof ThreadResourceLimits]?: number };
  readonly execArgv: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>> | undefined;
}

const DEFAULTS = {
  backend: 'parallel',
  timeoutMs: 10_000,
  graceMs: 1_000,
  exitWaitMs: 1_000,
  spares: 1,
  watchdogIntervalMs: 10,
  maxCrashes: 2,
  maxDeadLetters: 1_000,
  errorBackoffMs: 1_000,
  startTimeoutMs: 30_000,
  drainTimeoutMs: 0,
  stopTimeoutMs: 30_000,
  symbols: { max: 65_536, maxBytes: 4 * 1024 * 1024 },
  starvation: false,
  spinMicros: 'auto',
  logger: { level: 'info', destination: 1 },
  metricsLogIntervalMs: 60_000,
} as const satisfies BusOptions;

/** What `'auto'` spins when every thread has a core of its own; spinning threads without one only keep each other from it. */
const AUTO_SPIN_MICROS = 50;

const NO_LIMIT = ' (0 = no limit)';
const timeoutMs = duration(0, MAX_TIMER_MS, NO_LIMIT);
const graceMs = duration();
const memoryRule = { error: 'a number of MiB above 0 and up to 1,048,576' };
const memory = z.number(memoryRule).gt(0, memoryRule).max(1_048_576, memoryRule);

const backendRule = { error: "'parallel', 'inline', or an object with createBus(catalog, options)" };

export const busSchema = section({
  backend: z.union(
    [z.enum(['parallel', 'inline'], backendRule), z.custom<Backend>(isBackend, backendRule)],
    backendRule,
  ),
  threads: integer('threads', 1, 1024),
  lanes: lanesSchema,
  timeoutMs,
  graceMs,
  exitWaitMs: duration(),
  spares: integer('threads', 0, 64),
  watchdogIntervalMs: duration(1, 1_000),
  maxCrashes: integer('crashes', 1, 1_000_000),
  maxDeadLetters: integer('letters', 0, 1_000_000),
  deadLetterStore: z.custom<DeadLetterStore>(isStore, { error: 'a store, such as lmdbDeadLetters() makes' }),
  ...failureShape,
  errorBackoffMs: duration(),
  startTimeoutMs: timeoutMs,
  drainTimeoutMs: timeoutMs,
  stopTimeoutMs: timeoutMs,
  symbols: section({
    max: integer('symbols', 1, 16_777_216),
    maxBytes: integer('bytes', 1024, 1024 ** 3),
  }),
  starvation: orFalse(
    section({ events: integer('events', 1, 2_147_483_647), ms: duration(0.001) }).refine(
      ({ events, ms }) => events !== undefined || ms !== undefined,
      { error: 'events, ms, or both' },
    ),
    'false, or an object of: events, ms',
  ),
  spinMicros: z.union([z.literal('auto'), integer('microseconds', 0, 10_000)], {
    error: "'auto', or an integer of microseconds from 0 to 10,000",
  }),
  logger: orFalse(
    section({
      level: z.enum(LOG_LEVELS, { error: LOG_LEVELS.map((level) => `'${level}'`).join(' or ') }),
      destination: z.custom<1 | 2 | string>(isDestination, {
        error: '1 (standard output), 2 (standard error) or the path of a file',
      }),
    }),
    'false, or an object of: level, destination',
  ),
  metricsLogIntervalMs: duration(0, MAX_TIMER_MS, ' (0 = never)'),
  resourceLimits: section({
    maxOldGenerationSizeMb: memory,
    maxYoungGenerationSizeMb: memory,
    stackSizeMb: memory,
    codeRangeSizeMb: memory,
  }),
  execArgv: z.array(z.string({ error: 'a string' }), { error: 'an array of strings' }),
  env: z.record(z.string(), z.string({ error: 'a string' }), { error: 'an object from names to strings' }),
}) satisfies z.ZodType<BusOptions>;

const timeoutSchema = section({ timeoutMs });

/**
 * The options of `createBus`, checked whole and filled.
 *
 * Throws ERR_LANEBUS_OPTIONS, whose message has one line for each problem.
 */
export function resolveOptions(options: unknown, catalog: Catalog): ResolvedOptions {
  const value = options === undefined ? {} : options;
  const { problems, lanes } = checkOptions(value, catalog);
  throwProblems(problems, 'createBus');

  const given = busSchema.parse(value);
  const cores = availableParallelism();
  const threads = given.threads ?? Math.max(1, cores - 1);
  const backend = given.backend === 'inline' ? 'inline' : DEFAULTS.backend; // one of your own is asked before
  const spinMicros = given.spinMicros ?? DEFAULTS.spinMicros;
  const starvation = given.starvation ?? DEFAULTS.starvation;
  const logger = given.logger ?? DEFAULTS.logger;
  return {
    backend,
    threads,
    poolThreads: backend === 'inline' ? 0 : threads,
    lanes,
    timeoutMs: given.timeoutMs ?? DEFAULTS.timeoutMs,
    graceMs: given.graceMs ?? DEFAULTS.graceMs,
    exitWaitMs: given.exitWaitMs ?? DEFAULTS.exitWaitMs,
    spares: backend === 'inline' ? 0 : (given.spares ?? DEFAULTS.spares),
    watchdogIntervalMs: given.watchdogIntervalMs ?? DEFAULTS.watchdogIntervalMs,
    maxCrashes: given.maxCrashes ?? DEFAULTS.maxCrashes,
    maxDeadLetters: given.maxDeadLetters ?? DEFAULTS.maxDeadLetters,
    deadLetterStore: given.deadLetterStore,
    ...resolveFailureOptions(given, FAILURE_DEFAULTS),
    errorBackoffMs: given.errorBackoffMs ?? DEFAULTS.errorBackoffMs,
    startTimeoutMs: given.startTimeoutMs ?? DEFAULTS.startTimeoutMs,
    drainTimeoutMs: given.drainTimeoutMs ?? DEFAULTS.drainTimeoutMs,
    stopTimeoutMs: given.stopTimeoutMs ?? DEFAULTS.stopTimeoutMs,
    symbols: {
      max: given.symbols?.max ?? DEFAULTS.symbols.max,
      maxBytes: given.symbols?.maxBytes ?? DEFAULTS.symbols.maxBytes,
    },
    starvation: starvation && { events: starvation.events ?? Infinity, ms: starvation.ms ?? Infinity },
    spinMicros: spinMicros !== 'auto' ? spinMicros : threads + 1 > cores ? 0 : AUTO_SPIN_MICROS,
    logger: logger && {
      level: logger.level ?? DEFAULTS.logger.level,
      destination: logger.destination ?? DEFAULTS.logger.destination,
    },
    metricsLogIntervalMs: given.metricsLogIntervalMs ?? DEFAULTS.metricsLogIntervalMs,
    resourceLimits: withoutUndefined(given.resourceLimits ?? {}),
    execArgv: given.execArgv,
    env: given.env,
  };
}

/** What breaks a rule, and the lanes that follow where nothing does. */
export function checkOptions(
  value: unknown,
  catalog: Catalog,
): { readonly problems: readonly Problem[]; readonly lanes: readonly ResolvedLane[] } {
  const problems = findProblems(busSchema, value);
  if (!lanesAreSound(problems)) return { problems, lanes: [] };
  return { lanes: resolveLanes((value as BusOptions).lanes ?? {}, catalog, problems), problems };
}

/** The `timeoutMs` of `drain` or `stop`; 0 = no limit. Throws ERR_LANEBUS_OPTIONS. */
export function resolveTimeout(options: unknown, what: 'drain' | 'stop', defaultMs: number): number {
  const value = options === undefined ? {} : options;
  throwProblems(findProblems(timeoutSchema, value), what);
  return timeoutSchema.parse(value).timeoutMs ?? defaultMs;
}

/** The rules between lanes are looked at only when each lane's own hold: they would repeat the same problems. */
function lanesAreSound(problems: readonly Problem[]): boolean {
  return problems.every(({ path }) => path.length > 0 && path[0] !== 'lanes');
}

function isDestination(value: unknown): boolean {
  return value === 1 || value === 2 || (typeof value === 'string' && value.length > 0);
}

export function isBackend(value: unknown): value is Backend {
  return typeof (value as Partial<Backend> | null)?.createBus === 'function';
}

function isStore(value: unknown): boolean {
  const { open, put, letters } = (value ?? {}) as Partial<Record<keyof DeadLetterStore, unknown>>;
  return [open, put, letters].every((method) => typeof method === 'function');
}
