import { z } from 'zod';
import type { FilterFunction, WorkerHandler } from '../shared/api.js';
import type { EventType } from '../shared/catalog.js';
import { MAX_BUFFERS_BYTES, MAX_KEYS } from '../shared/conflation-block.js';
import type { Division } from '../shared/division.js';
import { filterProblems, type FilterSpec, normaliseFilter } from '../shared/filters.js';
import { CAUSE_BYTES, HEADER_BYTES } from '../shared/layout.js';
import { listNames } from '../shared/refusal.js';
import { failureShape, type ResolvedFailureOptions, resolveFailureOptions } from './failure-options.js';
import { duration, findProblems, grouped, integer, MAX_TIMER_MS, problem, section } from './option-checks.js';
import { didYouMean, type Problem, throwProblems, withoutUndefined } from './option-checks.js';
import type { ResolvedOptions } from './options.js';
import type { RetryPolicy } from './retry-policy.js';
import { isWorkerHandler } from './worker-handlers.js';

/** The options of one subscription, with the bus's own for those that were not given. */
export interface ResolvedSubscribeOptions extends ResolvedFailureOptions {
  readonly name: string | undefined;
  readonly timeoutMs: number;
  readonly graceMs: number;
  readonly signal: AbortSignal | undefined;
  readonly threads: number;
  readonly concurrency: number;
  readonly mode: Division['mode'];
  /** Names of the key fields by type index, where keys are kept in order or conflated. */
  readonly keys: Division['keys'];
  /** The same, where a key's later events wait for one that is tried again. */
  readonly holds: Division['holds'];
  readonly maxKeys: number;
  readonly filter: FilterSpec | undefined;
  readonly predicate: FilterFunction | WorkerHandler | undefined;
  readonly once: boolean;
  /** Undefined = no checkpoints. */
  readonly checkpointEvery: number | undefined;
  readonly maxCheckpointBytes: number;
}

const MAX_CONCURRENCY = 1024;
const DEFAULTS = {
  threads: 1,
  concurrency: 1,
  order: 'key',
  lag: 'block',
  maxKeys: 16_384,
  once: false,
  maxCheckpointBytes: 64 * 1024 * 1024,
} as const;
/** Buffers of one conflated key. */
const BUFFERS = 3;

const noLimit = duration(0, MAX_TIMER_MS, ' (0 = no limit)');
const text = z.string({ error: 'a text that is not empty' }).min(1, { error: 'a text that is not empty' });
const keyRule = { error: "a field's name, or an object from types to names of fields" };

const schema = section({
  name: text,
  timeoutMs: noLimit,
  graceMs: duration(),
  signal: z.instanceof(AbortSignal, { error: 'an AbortSignal' }),
  threads: integer('threads', 1, 1024),
  concurrency: integer('deliveries', 1, MAX_CONCURRENCY),
  order: z.enum(['key', 'none'], { error: "'key' or 'none'" }),
  key: z.union([z.string(keyRule), z.record(z.string(), z.string(keyRule).optional(), keyRule)], keyRule),
  lag: z.enum(['block', 'conflate'], { error: "'block' or 'conflate'" }),
  maxKeys: integer('keys', 1, MAX_KEYS),
  filter: z.custom<object>((value) => (typeof value === 'object' && value !== null) || typeof value === 'function', {
    error: 'an object of conditions by field, a function, or a reference made by workerHandlers',
  }),
  once: z.boolean({ error: 'true or false' }),
  checkpointEvery: integer('deliveries', 1, 2_147_483_647),
  maxCheckpointBytes: integer('bytes', 1_024, 1_073_741_824),
  ...failureShape,
});
type Given = z.infer<typeof schema>;

/** What the options are for. */
export interface Subscriber {
  readonly types: readonly EventType[];
  /** Whether the handler runs on the bus's own thread. */
  readonly isFunction: boolean;
}

/**
 * The options of `subscribe`, checked whole and filled from the bus's own.
 *
 * Throws ERR_LANEBUS_OPTIONS, whose message has one line for each problem.
 */
export function resolveSubscribeOptions(
  options: unknown,
  defaults: ResolvedOptions,
  subscriber: Subscriber,
): ResolvedSubscribeOptions {
  const value = options === undefined ? {} : options;
  throwProblems(findProblems(schema, value), 'subscribe');
  const given = schema.parse(value);
  const { threads: asked, concurrency, order, lag } = { ...DEFAULTS, ...withoutUndefined(given) };
  const isOneAtATime = (threads: number): boolean => threads === 1 && concurrency === 1;
  const threads = Math.min(asked, Math.max(1, defaults.poolThreads)); // without a pool, the bus's own does it all
  const failure = resolveFailureOptions(given, {
    ...defaults,
    retry: inheritedRetry(given, defaults.retry, subscriber),
  });
  const why =
    lag === 'conflate'
      ? "with lag: 'conflate'"
      : !isOneAtATime(asked) && order === 'key'
        ? 'with threads or concurrency above 1'
        : undefined;
  const holds = failure.retry.keepOrder && failure.retry.attempts > 1;
  const problems = [
    ...divisionProblems(given, defaults, subscriber),
    ...filterMisfits(given.filter, subscriber),
    ...keyProblems(given.key, subscriber.types, why ?? (holds ? 'with retry.keepOrder' : undefined)),
    ...retryProblems(given, failure),
    ...checkpointProblems(given, subscriber),
    ...(lag === 'conflate' ? conflationProblems(given, subscriber.types) : []),
  ];
  throwProblems(problems, 'subscribe');

  const { filter } = given;
  const keys = Object.fromEntries(subscriber.types.map((type) => [type.index, keyOf(given.key, type) ?? '']));
  const isPredicate = typeof filter === 'function' || isWorkerHandler(filter);
  return {
    name: given.name,
    timeoutMs: given.timeoutMs ?? defaults.timeoutMs,
    graceMs: given.graceMs ?? defaults.graceMs,
    signal: given.signal,
    threads,
    concurrency,
    mode:
      lag === 'conflate'
        ? 'conflated'
        : isOneAtATime(threads) || (concurrency === 1 && order === 'key')
          ? 'ordered'
          : 'claimed',
    keys: why === undefined ? undefined : keys,
    holds: holds ? keys : undefined,
    maxKeys: given.maxKeys ?? DEFAULTS.maxKeys,
    filter: filter === undefined || isPredicate ? undefined : normaliseFilter(filter),
    predicate: isPredicate ? (filter as FilterFunction | WorkerHandler) : undefined,
    once: given.once ?? DEFAULTS.once,
    checkpointEvery: given.checkpointEvery,
    maxCheckpointBytes: given.maxCheckpointBytes ?? DEFAULTS.maxCheckpointBytes,
    ...failure,
  };
}

/** The bus's own policy, as far as it goes with what was given: nobody has asked for it here. */
function inheritedRetry(
  { lag, once = false, order, checkpointEvery, key }: Given,
  retry: RetryPolicy,
  { types }: Subscriber,
): RetryPolicy {
  if (lag === 'conflate' || once) return { ...retry, attempts: 1 };
  const isKeyed = types.every((type) => keyOf(key, type) !== undefined);
  const keepsOrder = retry.keepOrder && isKeyed && order !== 'none' && checkpointEvery === undefined;
  return { ...retry, keepOrder: keepsOrder };
}

function retryProblems(
  { lag, once = false, order, checkpointEvery }: Given,
  { retry }: ResolvedFailureOptions,
): Problem[] {
  if (retry.attempts === 1) return [];
  const found: Problem[] = [];
  const refuse = (name: 'attempts' | 'keepOrder', expected: string): void => {
    found.push(problem(['retry', name], retry[name], expected));
  };
  if (lag === 'conflate') refuse('attempts', "1 with lag: 'conflate': the newest event of a key is its next try");
  if (once) refuse('attempts', '1 with once');
  if (!retry.keepOrder) return found;
  if (order === 'none') refuse('keepOrder', "false with order: 'none'");
  if (checkpointEvery !== undefined) refuse('keepOrder', 'false with checkpointEvery');
  return found;
}

function divisionProblems(given: Given, bus: ResolvedOptions, { isFunction }: Subscriber): Problem[] {
  const { threads = 1, concurrency = 1, order, lag, maxKeys, once = false } = given;
  const found: Problem[] = [];
  if (isFunction && threads > 1) {
    found.push(
      problem(['threads'], threads, "1: a function runs on the bus's own thread; workerHandlers run in the pool"),
    );
  } else if (threads > bus.threads) {
    found.push(problem(['threads'], threads, `an integer from 1 to ${bus.threads}, the threads of the bus`));
  }
  if (lag === 'conflate') {
    if (concurrency > 1) found.push(problem(['concurrency'], concurrency, "1 with lag: 'conflate'"));
    if (order === 'none') found.push(problem(['order'], order, "'key' with lag: 'conflate'"));
  } else if (maxKeys !== undefined) {
    found.push(problem(['maxKeys'], maxKeys, "nothing, unless with lag: 'conflate'"));
  }
  if (once && threads * concurrency > 1)
    found.push(problem(['once'], once, 'false with threads or concurrency above 1'));
  return found;
}

/** A checkpoint is of a moment when nothing is in flight, and what follows it must be repeatable in the same order. */
function checkpointProblems(given: Given, { isFunction }: Subscriber): Problem[] {
  const { checkpointEvery, maxCheckpointBytes, concurrency = 1, order, lag, once = false } = given;
  if (checkpointEvery === undefined) {
    if (maxCheckpointBytes === undefined) return [];
    return [problem(['maxCheckpointBytes'], maxCheckpointBytes, 'nothing, unless with checkpointEvery')];
  }
  if (isFunction) {
    const why = "nothing: a function's state is on the bus's own thread, which is not replaced";
    return [problem(['checkpointEvery'], checkpointEvery, why)];
  }
  const found: Problem[] = [];
  if (concurrency > 1) found.push(problem(['concurrency'], concurrency, '1 with checkpointEvery'));
  if (order === 'none') found.push(problem(['order'], order, "'key' with checkpointEvery"));
  if (lag === 'conflate') found.push(problem(['lag'], lag, "'block' with checkpointEvery"));
  if (once) found.push(problem(['once'], once, 'false with checkpointEvery'));
  return found;
}

/** @param why The types need keys; undefined if they do not. */
function keyProblems(key: Given['key'], types: readonly EventType[], why: string | undefined): Problem[] {
  const found: Problem[] = [];
  const path = (type: EventType): string[] => (typeof key === 'object' ? ['key', type.name] : ['key']);
  for (const name of Object.keys(typeof key === 'object' ? key : {})) {
    const names = types.map((type) => type.name);
    if (names.includes(name)) continue;
    found.push(
      problem(['key', name], name, `a type of the subscription (${listNames(names)})${didYouMean(name, names)}`),
    );
  }
  for (const type of types) {
    const usable = type.fields.filter(({ kind, optional }) => !optional && kind !== 'any' && kind !== 'bytes');
    const names = usable.map(({ name }) => name);
    const field = keyOf(key, type);
    const accepted = `a required field of type "${type.name}" that is neither any() nor bytes() (${listNames(names) || 'it has none'})`;
    if (field !== undefined) {
      if (!names.includes(field)) found.push(problem(path(type), field, accepted + didYouMean(field, names)));
    } else if (why !== undefined) {
      const else_ = why.startsWith('with threads') ? "; or order: 'none'" : '';
      found.push(problem(path(type), undefined, `${why}, ${accepted}, as the catalog has no key for it${else_}`));
    }
  }
  return found;
}

function keyOf(key: Given['key'], type: EventType): string | undefined {
  if (typeof key !== 'object') return key ?? type.key;
  return (Object.hasOwn(key, type.name) ? key[type.name] : undefined) ?? type.key;
}

function conflationProblems({ lag, maxKeys = DEFAULTS.maxKeys }: Given, types: readonly EventType[]): Problem[] {
  const variable = types.filter(({ fixedWidth }) => !fixedWidth).map(({ name }) => `"${name}"`);
  if (variable.length > 0) {
    const which = variable.length === 1 ? `${variable[0]} has` : `${variable.join(', ')} have`;
    return [problem(['lag'], lag, `'block' for ${which} a field of variable width (text, bytes, any)`)];
  }
  const recordBytes = Math.max(...types.map(({ fixedBytes }) => HEADER_BYTES + fixedBytes + CAUSE_BYTES));
  const most = Math.floor(MAX_BUFFERS_BYTES / (BUFFERS * (recordBytes + 8)));
  if (maxKeys <= most) return [];
  return [problem(['maxKeys'], maxKeys, `at most ${grouped(most)}, for records of ${recordBytes} bytes`)];
}

function filterMisfits(filter: Given['filter'], { types, isFunction }: Subscriber): Problem[] {
  if (filter === undefined) return [];
  if (isWorkerHandler(filter)) {
    return isFunction
      ? [problem(['filter'], filter, 'a function or an object of conditions, as the handler is a function')]
      : [];
  }
  if (typeof filter === 'function') {
    return isFunction
      ? []
      : [
          problem(
            ['filter'],
            filter,
            'a reference made by workerHandlers or an object of conditions, as the handler is one',
          ),
        ];
  }
  return filterProblems(filter, types).map(({ path, value, expected }) =>
    problem(['filter', ...path], value, expected),
  );
}
