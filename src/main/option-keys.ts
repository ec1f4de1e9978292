/** The keys by which a bus is configured, and the option that each sets: the only list of them. */
import { z } from 'zod';
import { MAX_CAPACITY_BYTES } from '../shared/layout.js';
import { DEFAULT_LANE_NAMES } from './lane-options.js';
import { integer } from './option-checks.js';

export const ROOT = 'pubsub';
/** Stands in a key, and in its option, for the name of a lane. */
export const LANE = '<lane>';

/** What its values are, and so how a text is read and which getter of a configuration is asked. */
export type Kind = 'integer' | 'number' | 'number or text' | 'boolean' | 'text' | 'json';

export interface Key {
  /** As it is written, such as `pubsub.lanes.<lane>.capacity_bytes`. */
  readonly name: string;
  /** Path of the option, such as `lanes.<lane>.capacityBytes`; the section that a switch switches. */
  readonly option: string;
  /** `'switch'`: false makes the whole section `false`. `'queue'`: what no lane says of itself. */
  readonly sets: 'option' | 'switch' | 'queue';
  readonly kind: Kind;
  /** Milliseconds of its unit, where that is another than the option's. */
  readonly unit?: { readonly name: 'seconds'; readonly size: number };
  /** In its own unit, where it is not the default of the option. */
  readonly fallback?: number | string;
  /** What is accepted, where that is not what the option accepts. */
  readonly check?: z.ZodType;
}

/** A header and six numbers. */
export const TYPICAL_RECORD_BYTES = 64;

const SECONDS = { name: 'seconds', size: 1_000 } as const;
const onOrOff = z.boolean({ error: 'true or false' });
const events = integer('events', 0, MAX_CAPACITY_BYTES / TYPICAL_RECORD_BYTES, ' (0 = unlimited)');
const backend = z.enum(['parallel', 'inline'], { error: "'parallel' or 'inline'" });

/** A key with a name of its own, which the bus's predecessor had. */
function renamed(name: string, option: string, kind: Kind, more: Partial<Key> & { fallback: number }): Key {
  return { name: `${ROOT}.${name}`, option, sets: 'option', kind, ...more };
}

/** A key that is named as its option is. */
function named(option: string, kind: Kind, more: Partial<Key> = {}): Key {
  return { name: `${ROOT}.${snakeCase(option)}`, option, sets: 'option', kind, ...more };
}

function switchOf(section: string): Key {
  return { name: `${ROOT}.${section}.enabled`, option: section, sets: 'switch', kind: 'boolean', check: onOrOff };
}

export const KEYS: readonly Key[] = [
  renamed('queue_maxsize', 'lanes', 'integer', { sets: 'queue', fallback: 0, check: events }),
  renamed('handler_timeout_seconds', 'timeoutMs', 'number', { unit: SECONDS, fallback: 10 }),
  renamed('metrics_log_interval_s', 'metricsLogIntervalMs', 'number', { unit: SECONDS, fallback: 60 }),
  renamed('handler_max_failures', 'maxFailures', 'integer', { fallback: 5 }),
  renamed('error_backoff_seconds', 'errorBackoffMs', 'number', { unit: SECONDS, fallback: 1 }),
  named('backend', 'text', { check: backend }),
  named('threads', 'integer'),
  switchOf(`lanes.${LANE}`),
  named(`lanes.${LANE}.maxPriority`, 'number or text'),
  named(`lanes.${LANE}.capacityBytes`, 'integer'),
  named(`lanes.${LANE}.maxRecordBytes`, 'integer'),
  named(`lanes.${LANE}.whenFull`, 'text'),
  named(`lanes.${LANE}.timeoutMs`, 'number'),
  named(`lanes.${LANE}.spillWatermarkBytes`, 'integer'),
  named(`lanes.${LANE}.highWatermark`, 'number'),
  named(`lanes.${LANE}.urgent`, 'boolean'),
  named('graceMs', 'number'),
  named('exitWaitMs', 'number'),
  named('spares', 'integer'),
  named('watchdogIntervalMs', 'number'),
  named('maxCrashes', 'integer'),
  named('maxDeadLetters', 'integer'),
  named('retry.attempts', 'integer'),
  named('retry.backoffMs', 'number'),
  named('retry.factor', 'number'),
  named('retry.maxBackoffMs', 'number'),
  named('retry.jitter', 'number'),
  named('retry.maxPending', 'integer'),
  named('retry.keepOrder', 'boolean'),
  named('onMaxFailures', 'text', { fallback: 'unsubscribe' }),
  named('coolDownMs', 'number'),
  named('maxCoolDownMs', 'number'),
  named('startTimeoutMs', 'number'),
  named('drainTimeoutMs', 'number'),
  named('stopTimeoutMs', 'number'),
  named('symbols.max', 'integer'),
  named('symbols.maxBytes', 'integer'),
  switchOf('starvation'),
  named('starvation.events', 'integer'),
  named('starvation.ms', 'number'),
  named('spinMicros', 'number or text'),
  switchOf('logger'),
  named('logger.level', 'text'),
  named('logger.destination', 'number or text'),
  named('resourceLimits.maxOldGenerationSizeMb', 'number'),
  named('resourceLimits.maxYoungGenerationSizeMb', 'number'),
  named('resourceLimits.stackSizeMb', 'number'),
  named('resourceLimits.codeRangeSizeMb', 'number'),
  named('execArgv', 'json'),
  named('env', 'json'),
];

/** Options that only code can say. */
export const OPTIONS_WITHOUT_KEY: readonly string[] = ['deadLetterStore', 'retry.retryIf'];

/** A key with the lane that it is for, if it is for one. */
export interface KeyOfLane {
  readonly key: Key;
  readonly lane: string | undefined;
}

/** What a name says: `pubsub.lanes.market.urgent`; undefined if there is no such key. */
export function keyNamed(name: string): KeyOfLane | undefined {
  const segments = name.split('.');
  const key = KEYS.find((one) => matches(one.name.split('.'), segments, segments.length));
  if (key === undefined) return undefined;
  const at = key.name.split('.').indexOf(LANE);
  return { key, lane: at < 0 ? undefined : segments[at] };
}

/** What may follow a name that is the beginning of keys: `level` and more after `pubsub.logger`. */
export function namesBelow(name: string): readonly string[] {
  const segments = name.split('.');
  const below = KEYS.map((key) => key.name.split('.'))
    .filter((known) => known.length > segments.length && matches(known, segments))
    .map((known) => known[segments.length]);
  return [...new Set(below)];
}

function matches(known: readonly string[], given: readonly string[], length = known.length): boolean {
  return known.length === length && given.every((segment, at) => known[at] === segment || known[at] === LANE);
}

export function nameOf({ key, lane }: KeyOfLane): string {
  return inLane(key.name, lane);
}

export function pathOf({ key, lane }: KeyOfLane): readonly string[] {
  return key.option.split('.').map((segment) => inLane(segment, lane));
}

/** Every key, those of lanes once for each of these and the default ones. */
export function keysFor(lanes: Iterable<string>): readonly KeyOfLane[] {
  const all = [...new Set([...DEFAULT_LANE_NAMES, ...lanes])];
  return KEYS.flatMap((key): KeyOfLane[] =>
    key.name.includes(LANE) ? all.map((lane) => ({ key, lane })) : [{ key, lane: undefined }],
  );
}

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function inLane(text: string, lane: string | undefined): string {
  return lane === undefined ? text : text.replace(LANE, () => lane);
}

/** A number as JSON writes it. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** The value that a text says. One that says none of its kind stays what it is, and is refused by what its option accepts. */
export function fromText(text: string, kind: Kind): unknown {
  switch (kind) {
    case 'integer':
    case 'number':
    case 'number or text': {
      const number = NUMBER.test(text) ? Number(text) : NaN;
      return Number.isFinite(number) ? number : text;
    }
    case 'boolean':
      return text === 'true' || (text === 'false' ? false : text);
    case 'text':
      return text;
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return text;
      }
  }
}

/** A value of a key in the unit of its option. What is no number stays as it is. */
export function inOptionUnit({ kind, unit }: Key, value: unknown): unknown {
  // JSON has no word of its own for it, and only a priority may be Infinity.
  if (value === 'Infinity' && kind === 'number or text') return Infinity;
  if (unit === undefined || typeof value !== 'number') return value;
  // 15 digits, which every number keeps: 1.001 s are 1,001 ms, not 1,000.9999999999999.
  return Number((value * unit.size).toPrecision(15));
}
