/** `busOptionsFrom`: the options of a bus from values by key. */
import { defineEvents } from '../shared/catalog.js';
import { MAX_EVENT_BYTES } from '../shared/layout.js';
import { DEFAULT_LANE_NAMES, MIN_CAPACITY_BYTES } from './lane-options.js';
import { findProblems, formatPath, formatValue, type Problem, throwLines } from './option-checks.js';
import { inOptionUnit, KEYS, pathOf, ROOT, snakeCase, TYPICAL_RECORD_BYTES } from './option-keys.js';
import { type ConfigurationSource, ListedSource, readSource, type Setting } from './option-sources.js';
import { type BusOptions, busSchema, checkOptions, type LaneOptions } from './options.js';

/** Options while they are put together: what is wrong in them is found when all are there. */
type Draft = Record<string, unknown>;

/**
 * The options of a bus from configuration: from the environment, JSON files, configuration managers; see
 * docs/configuration.md for the keys. Spread them into those of `createBus`.
 *
 * Of a key that several sources have, the earlier one's value counts. A key that none has is at its default, and two of these
 * are not what `createBus` has: lanes spill, and `maxFailures` is 5. Reads the sources when called, and does not wait.
 *
 * @throws ERR_LANEBUS_OPTIONS with one line for each value that cannot be used, each name that is no key's, and each source
 * that cannot be read.
 */
export function busOptionsFrom(source: ConfigurationSource, ...more: readonly ConfigurationSource[]): BusOptions {
  const lines: string[] = [];
  const settings = settingsOf([source, ...more], lines);
  const sound = settings.filter((setting) => {
    const refusal = refusalOf(setting);
    if (refusal !== undefined) lines.push(refusal);
    return refusal === undefined;
  });
  const options = draftOf(sound);
  const queue = settings.find(({ key }) => key.sets === 'queue');
  if (queue === undefined || sound.includes(queue)) {
    boundLanes(options, queue?.value as number | undefined);
    const { problems } = checkOptions(options, defineEvents({}));
    lines.push(...problems.map((problem) => explain(problem, sound)));
  } else {
    // Without the bound that was meant for the lanes, the rules between their options would be beside the point.
    lines.push(...findProblems(busSchema, options).map((problem) => explain(problem, sound)));
  }
  throwLines(lines, 'the configuration');
  return options;
}

/** The values that count, by key. */
function settingsOf(sources: readonly ConfigurationSource[], lines: string[]): readonly Setting[] {
  // Those that list their keys come first: they tell of lanes for which the others are asked.
  const listed = sources.map((source) => (source instanceof ListedSource ? readSource(source, []) : undefined));
  const lanes = listed.flatMap((reading) => reading?.settings ?? []).flatMap(({ lane }) => lane ?? []);
  const readings = sources.map((source, at) => listed[at] ?? readSource(source, lanes));
  const settings = new Map<string, Setting>();
  for (const reading of readings) {
    lines.push(...reading.problems);
    for (const setting of reading.settings) if (!settings.has(setting.name)) settings.set(setting.name, setting);
  }
  return [...settings.values()];
}

function draftOf(settings: readonly Setting[]): Draft {
  const options: Draft = {};
  const given = new Set(settings.map(({ key }) => key));
  for (const key of KEYS) {
    if (key.sets !== 'option' || key.fallback === undefined || given.has(key)) continue;
    put(options, pathOf({ key, lane: undefined }), () => inOptionUnit(key, key.fallback));
  }
  for (const { key, path, value } of settings) if (key.sets === 'option') put(options, path, () => value);
  // A section that is off is off, whatever else is said of it.
  for (const { key, path, value } of settings) {
    if (key.sets === 'switch') put(options, path, (before) => (value === false ? false : (before ?? {})));
  }
  return options;
}

/** Each property is made as its own: a lane may be called like something that objects inherit. */
function put(target: Draft, [name, ...rest]: readonly string[], change: (before: unknown) => unknown): void {
  const before = Object.hasOwn(target, name) ? target[name] : undefined;
  const inner = rest.length === 0 ? change(before) : (before ?? {});
  Object.defineProperty(target, name, { value: inner, writable: true, enumerable: true, configurable: true });
  if (rest.length > 0) put(inner as Draft, rest, change);
}

/** What `pubsub.queue_maxsize` says of every lane that does not say otherwise itself. */
function boundLanes(options: Draft, maxSize = 0): void {
  const own = Object.keys((options.lanes as Draft | undefined) ?? {});
  const capacityBytes = 2 ** Math.ceil(Math.log2(Math.max(MIN_CAPACITY_BYTES, maxSize * TYPICAL_RECORD_BYTES)));
  // A lane for few events is to take large ones still.
  const bound = { capacityBytes, maxRecordBytes: Math.min(capacityBytes / 2, MAX_EVENT_BYTES) };
  for (const name of new Set([...DEFAULT_LANE_NAMES, ...own])) {
    put(options, ['lanes', name], (before) => {
      const lane = (before ?? {}) as LaneOptions | false;
      if (lane === false) return false;
      if (maxSize === 0) return { whenFull: 'spill', ...lane };
      return lane.capacityBytes === undefined ? { ...bound, ...lane } : lane;
    });
  }
}

/** The line of a value that its key does not accept, where that is for the key to say. */
function refusalOf(setting: Setting): string | undefined {
  if (setting.key.check === undefined) return undefined;
  return findProblems(setting.key.check, setting.value)
    .map(({ expected }) => lineOf(setting, expected))
    .at(0);
}

/** A problem of an option, as one of the key that has set it. */
function explain({ path, value, expected, expectedIn }: Problem, settings: readonly Setting[]): string {
  const inKeys = expected.replace(/(?<!')\b[a-z]+(?:[A-Z][a-z]+)+\b/g, snakeCase);
  const setting = settings.find(
    ({ key, path: own }) =>
      key.sets !== 'queue' && isPrefix(own, path) && (own.length === path.length || key.kind === 'json'),
  );
  if (setting === undefined) {
    // A lane that lacks something, or whose name is none: what else was said of it shows where it comes from.
    const cause = path.length > 1 ? settings.find((other) => isPrefix(path.slice(0, 2), other.path)) : undefined;
    const beside = cause === undefined ? '' : `, with ${cause.name} from ${cause.from}`;
    return `${keyAt(path)}: got ${formatValue(value)}${beside}; expected ${inKeys}`;
  }
  if (path.length > setting.path.length) {
    const inside = formatPath(path.slice(setting.path.length));
    const name = `${setting.name}${inside.startsWith('[') ? '' : '.'}${inside}`;
    return `${name}: got ${formatValue(value)} from ${setting.from}; expected ${inKeys}`;
  }
  const { unit } = setting.key;
  return lineOf(setting, unit && expectedIn ? expectedIn(unit.name, unit.size) : inKeys);
}

function lineOf({ name, given, from }: Setting, expected: string): string {
  return `${name}: got ${formatValue(given)} from ${from}; expected ${expected}`;
}

/** The key of an option that nothing has set. */
function keyAt(path: readonly PropertyKey[]): string {
  const names = path.map((name, at) => (at === 1 && path[0] === 'lanes' ? String(name) : snakeCase(String(name))));
  return [ROOT, ...names].join('.');
}

function isPrefix(beginning: readonly PropertyKey[], path: readonly PropertyKey[]): boolean {
  return beginning.length <= path.length && beginning.every((name, at) => name === path[at]);
}
