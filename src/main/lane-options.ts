import { z } from 'zod';
import type { WhenFull } from '../shared/admission.js';
import type { Catalog } from '../shared/catalog.js';
import { HEADER_BYTES, MAX_CAPACITY_BYTES, MAX_LANES, MAX_EVENT_BYTES } from '../shared/layout.js';
import { didYouMean, duration, grouped, integer, orFalse, problem, section, type Problem } from './option-checks.js';

/** The options of one lane. Each default lane has its own priority and capacity; all else is as said here. */
export interface LaneOptions {
  /** The least urgent priority that the lane carries: an integer, or `Infinity` for all that is left. No two lanes share one. No default: a new lane needs its own. */
  readonly maxPriority?: number | undefined;
  /** Room of the ring in bytes, for each publishing thread: a power of two from 1 KiB to 1 GiB. Default 1 MiB. */
  readonly capacityBytes?: number | undefined;
  /** The largest record, its header included, 24–8,323,064 bytes, at most half of the capacity. Default: an eighth of the capacity. */
  readonly maxRecordBytes?: number | undefined;
  /** What happens to an event that it has no room for. Default `'block'`. */
  readonly whenFull?: WhenFull | undefined;
  /** With `'block'`: how long a publisher waits for room, 0–2,147,483,647 ms; 0 = without limit, the default. */
  readonly timeoutMs?: number | undefined;
  /** With `'spill'`: a warning is logged when the overflow holds more bytes than this, 1–1,099,511,627,776. Default: 16 times the capacity. */
  readonly spillWatermarkBytes?: number | undefined;
  /** Share of the capacity, above 0 and up to 1, from which on the notice `laneHighWatermark` is given. Default 0.8. */
  readonly highWatermark?: number | undefined;
  /** Whether an event of this lane is looked for after every single event. Default true for lanes with `maxPriority` below 30, else false. */
  readonly urgent?: boolean | undefined;
}

/** A lane with all its options filled. */
export interface ResolvedLane {
  readonly name: string;
  /** The lane carries the types with `minPriority <= priority <= maxPriority`. The most urgent lane starts at -Infinity. */
  readonly minPriority: number;
  readonly maxPriority: number;
  readonly capacityBytes: number;
  /** A multiple of 8. */
  readonly maxRecordBytes: number;
  readonly whenFull: WhenFull;
  readonly timeoutMs: number;
  readonly spillWatermarkBytes: number;
  readonly highWatermark: number;
  readonly urgent: boolean;
}

const KIB = 1024;
const MIB = 1024 * KIB;
/** Smaller rings work but cost more than they save: both sides wait on the gating line at every turn. */
export const MIN_CAPACITY_BYTES = KIB;
const RECORD_ALIGNMENT_BYTES = 8;
const MAX_SPILL_WATERMARK_BYTES = 2 ** 40;

const DEFAULT_LANES: Readonly<Partial<Record<string, { maxPriority: number; capacityBytes: number }>>> = {
  control: { maxPriority: 9, capacityBytes: 256 * KIB },
  execution: { maxPriority: 19, capacityBytes: MIB },
  signal: { maxPriority: 29, capacityBytes: MIB },
  market: { maxPriority: 89, capacityBytes: 4 * MIB },
  log: { maxPriority: Infinity, capacityBytes: MIB },
};

export const DEFAULT_LANE_NAMES: readonly string[] = Object.keys(DEFAULT_LANES);

const DEFAULTS = {
  capacityBytes: MIB,
  recordsInCapacity: 8,
  whenFull: 'block',
  timeoutMs: 0,
  spillInCapacities: 16,
  highWatermark: 0.8,
  urgentBelowPriority: 30,
} as const;

const POLICIES = ['block', 'reject', 'dropNewest', 'spill'] as const satisfies readonly WhenFull[];

const shareRule = { error: 'a share above 0 and up to 1' };

const lane = section({
  maxPriority: z.custom<number>((value) => value === Infinity || Number.isSafeInteger(value), {
    error: 'a priority: an integer, or Infinity',
  }),
  capacityBytes: z.custom<number>(isCapacity, { error: ({ input }) => capacityRule(input) }),
  maxRecordBytes: integer('bytes', HEADER_BYTES + RECORD_ALIGNMENT_BYTES, MAX_EVENT_BYTES),
  whenFull: z.enum(POLICIES, { error: POLICIES.map((policy) => `'${policy}'`).join(' or ') }),
  timeoutMs: duration(0, undefined, ' (0 = no limit)'),
  spillWatermarkBytes: integer('bytes', 1, MAX_SPILL_WATERMARK_BYTES),
  highWatermark: z.number(shareRule).gt(0, shareRule).max(1, shareRule),
  urgent: z.boolean({ error: 'true or false' }),
});

export const lanesSchema = z.record(
  z.string().regex(/^[A-Za-z][\w-]{0,63}$/, { error: 'a lane name: a letter, then up to 63 letters, digits, _ or -' }),
  orFalse(lane, 'the options of a lane, or false to switch a default lane off'),
  { error: 'an object from lane names to their options' },
);

/** The default lanes with the user's merged in by name, most urgent first; what breaks a rule is added to `problems`. */
export function resolveLanes(
  given: z.infer<typeof lanesSchema>,
  catalog: Catalog,
  problems: Problem[],
): readonly ResolvedLane[] {
  const names = new Set([...Object.keys(DEFAULT_LANES), ...Object.keys(given)]);
  const placed: { name: string; maxPriority: number; options: LaneOptions }[] = [];
  for (const name of names) {
    const options: LaneOptions | false = Object.hasOwn(given, name) ? given[name] : {};
    const known = Object.hasOwn(DEFAULT_LANES, name);
    const maxPriority = options === false ? undefined : (options.maxPriority ?? DEFAULT_LANES[name]?.maxPriority);
    if (options === false) {
      if (!known) problems.push(problem(['lanes', name], false, `the options of a lane${nearestDefault(name)}`));
    } else if (maxPriority === undefined) {
      const expected = `an integer, or Infinity: a lane that is not a default one needs its own${nearestDefault(name)}`;
      problems.push(problem(['lanes', name, 'maxPriority'], undefined, expected));
    } else placed.push({ name, maxPriority, options });
  }

  placed.sort((a, b) => (a.maxPriority < b.maxPriority ? -1 : a.maxPriority > b.maxPriority ? 1 : 0));
  placed.forEach(({ name, maxPriority }, at) => {
    if (at === 0 || placed[at - 1].maxPriority !== maxPriority) return;
    const expected = `a priority that no other lane has, "${placed[at - 1].name}" has it`;
    problems.push(problem(['lanes', name, 'maxPriority'], maxPriority, expected));
  });
  if (placed.at(-1)?.maxPriority !== Infinity) {
    const highest = Object.fromEntries(placed.map(({ name, maxPriority }) => [name, maxPriority]));
    problems.push(problem(['lanes'], highest, 'one lane with maxPriority Infinity, for the least urgent types'));
  }
  if (placed.length > MAX_LANES) problems.push(problem(['lanes'], placed.length, `at most ${MAX_LANES} lanes`));
  return placed.map(({ name, maxPriority, options }, at) =>
    resolveLane(name, at === 0 ? -Infinity : placed[at - 1].maxPriority + 1, maxPriority, options, catalog, problems),
  );
}

function resolveLane(
  name: string,
  minPriority: number,
  maxPriority: number,
  options: LaneOptions,
  catalog: Catalog,
  problems: Problem[],
): ResolvedLane {
  const report = (option: keyof LaneOptions, value: unknown, expected: string): void => {
    problems.push(problem(['lanes', name, option], value, expected));
  };
  const capacityBytes = options.capacityBytes ?? DEFAULT_LANES[name]?.capacityBytes ?? DEFAULTS.capacityBytes;
  const givenRecordBytes =
    options.maxRecordBytes ?? Math.min(capacityBytes / DEFAULTS.recordsInCapacity, MAX_EVENT_BYTES);
  const maxRecordBytes = givenRecordBytes - (givenRecordBytes % RECORD_ALIGNMENT_BYTES);
  const whenFull = options.whenFull ?? DEFAULTS.whenFull;

  if (maxRecordBytes > capacityBytes / 2) {
    const limit = `${grouped(capacityBytes / 2)} bytes, half of the lane's capacity`;
    report('maxRecordBytes', options.maxRecordBytes, `at most ${limit}`);
  }
  const largest = catalog.types
    .filter(({ priority }) => minPriority <= priority && priority <= maxPriority)
    .reduce((most, type) => (type.fixedBytes > most.fixedBytes ? type : most), { name: '', fixedBytes: 0 });
  const neededBytes = largest.fixedBytes + HEADER_BYTES;
  if (largest.fixedBytes > 0 && neededBytes > maxRecordBytes) {
    const floor = `at least ${grouped(neededBytes)} bytes, which type "${largest.name}" needs for its fixed part and header`;
    report('maxRecordBytes', givenRecordBytes, floor);
  }
  if (options.timeoutMs !== undefined && whenFull !== 'block') {
    report('timeoutMs', options.timeoutMs, `none: nothing waits with whenFull '${whenFull}', only with 'block'`);
  }
  if (options.spillWatermarkBytes !== undefined && whenFull !== 'spill') {
    report('spillWatermarkBytes', options.spillWatermarkBytes, `none: only whenFull 'spill' has an overflow`);
  }

  return {
    name,
    minPriority,
    maxPriority,
    capacityBytes,
    maxRecordBytes,
    whenFull,
    timeoutMs: options.timeoutMs ?? DEFAULTS.timeoutMs,
    spillWatermarkBytes: options.spillWatermarkBytes ?? capacityBytes * DEFAULTS.spillInCapacities,
    highWatermark: options.highWatermark ?? DEFAULTS.highWatermark,
    urgent: options.urgent ?? maxPriority < DEFAULTS.urgentBelowPriority,
  };
}

function nearestDefault(name: string): string {
  return didYouMean(name, DEFAULT_LANE_NAMES);
}

function isCapacity(value: unknown): boolean {
  return (
    typeof value === 'number' &&
    value >= MIN_CAPACITY_BYTES &&
    value <= MAX_CAPACITY_BYTES &&
    Number.isInteger(Math.log2(value))
  );
}

function capacityRule(given: unknown): string {
  const rule = `a power of two of bytes from ${grouped(MIN_CAPACITY_BYTES)} to ${grouped(MAX_CAPACITY_BYTES)}`;
  if (typeof given !== 'number' || Number.isNaN(given)) return rule;
  if (given < MIN_CAPACITY_BYTES || given > MAX_CAPACITY_BYTES) return rule;
  const below = 2 ** Math.floor(Math.log2(given));
  return `${rule}, the nearest are ${grouped(below)} and ${grouped(below * 2)}`;
}
