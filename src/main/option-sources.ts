/** Where a bus's configuration comes from: the environment, a JSON file, or an object that is asked for each key. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { closest } from 'fastest-levenshtein';
import { asError, ErrorCode, LanebusError } from '../shared/errors.js';
import { formatValue } from './option-checks.js';
import { fromText, inOptionUnit, keyNamed, type KeyOfLane, KEYS, keysFor, LANE } from './option-keys.js';
import { nameOf, namesBelow, pathOf, ROOT } from './option-keys.js';

/**
 * Where `busOptionsFrom` finds values: what `environment`, `jsonFile` or `fromGetters` makes, a Map, or any object that can
 * be asked for a key. A text is read as the kind of value that its key has; undefined and null mean that there is none.
 */
export type ConfigurationSource = ListedSource | KeyedSource;

/** An object that can be asked for a key, such as a Map or a configuration manager. */
export interface KeyedSource {
  /** The value of a key such as `pubsub.threads`; undefined or null if there is none. What it throws is a problem of that key. */
  get(key: string): unknown;
}

/**
 * A configuration manager that has a getter for each kind of value, in either spelling. Each is asked with a default, so
 * that it need not throw for a key that it lacks.
 */
export interface Getters {
  /** A whole number; the default where there is none. */
  get_int?(key: string, defaultValue: number): unknown;
  /** Any number; the default where there is none. */
  get_float?(key: string, defaultValue: number): unknown;
  /** As `get_int`, which counts if there are both. */
  getInt?(key: string, defaultValue: number): unknown;
  /** As `get_float`, which counts if there are both. */
  getFloat?(key: string, defaultValue: number): unknown;
  /** Whatever is no number; undefined where there is nothing. */
  get?(key: string, defaultValue?: undefined): unknown;
}

/** One value of one source. */
export interface Setting extends KeyOfLane {
  readonly name: string;
  readonly path: readonly string[];
  /** As the source has it. */
  readonly given: unknown;
  /** In the unit of its option, read if it was a text. */
  readonly value: unknown;
  readonly from: string;
}

export interface Reading {
  readonly settings: readonly Setting[];
  /** What cannot be read, one line each. */
  readonly problems: readonly string[];
}

/** A source that knows all that it has, so that a name in it which is no key's is found. */
export class ListedSource {
  /** @internal */
  readonly read: () => Reading;

  /** @internal */
  constructor(read: () => Reading) {
    this.read = read;
  }
}

/**
 * The environment: `LANEBUS_` and a key in capitals without its `pubsub.`, with `_` for each `.`, such as
 * `LANEBUS_HANDLER_TIMEOUT_SECONDS` and `LANEBUS_LANES_MARKET_WHEN_FULL`. Names of lanes are taken in lower case. Read by
 * `busOptionsFrom`.
 *
 * @param prefix Every variable that begins so must be a key's.
 * @param variables Default: `process.env`.
 * @throws ERR_LANEBUS_OPTIONS for a prefix that is no beginning of a variable's name
 */
export function environment(
  prefix = 'LANEBUS_',
  variables: Readonly<Record<string, string | undefined>> = process.env,
): ConfigurationSource {
  if (!/^[A-Za-z_]\w*$/.test(prefix)) {
    const expected = 'expected the beginning of names, a letter or _, then letters, digits or _';
    throw new LanebusError(ErrorCode.OPTIONS, `environment: prefix is ${formatValue(prefix)}; ${expected}`);
  }
  return new ListedSource(() => {
    const settings: Setting[] = [];
    const problems: string[] = [];
    for (const [variable, text] of Object.entries(variables)) {
      if (!variable.startsWith(prefix) || text === undefined) continue;
      const from = `environment variable ${variable}`;
      const found = keyOfVariable(variable.slice(prefix.length));
      if (found !== undefined) settings.push(settingOf(found, text, from, true));
      else problems.push(`${from}: got ${formatValue(text)}; expected ${knownVariable(variable, prefix)}`);
    }
    return { settings, problems };
  });
}

/**
 * A JSON file of keys, nested (`{ "pubsub": { "threads": 2 } }`), dotted (`{ "pubsub.threads": 2 }`) or both. Whatever is
 * not below `pubsub` is left alone. Read by `busOptionsFrom`, at once and in UTF-8; one that cannot be read is a problem.
 *
 * @param path Relative to the working directory, or a `file:` URL.
 * @throws ERR_LANEBUS_OPTIONS for what is no path.
 */
export function jsonFile(path: string | URL): ConfigurationSource {
  const name: unknown = path instanceof URL && path.protocol === 'file:' ? fileURLToPath(path) : path;
  if (typeof name !== 'string' || name === '') {
    const message = `jsonFile: path is ${formatValue(path)}; expected the path of a file, or its file: URL`;
    throw new LanebusError(ErrorCode.OPTIONS, message);
  }
  return new ListedSource(() => {
    const from = `file ${name}`;
    let root: unknown;
    try {
      root = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(name)));
    } catch (error) {
      return { settings: [], problems: [`${from}: ${oneLine(error)}; expected a file of JSON`] };
    }
    if (!isPlain(root)) {
      return { settings: [], problems: [`${from}: got ${formatValue(root)}; expected an object of keys`] };
    }
    const settings = new Map<string, Setting>();
    const problems: string[] = [];
    for (const [key, value] of leavesOf(root)) {
      const found = keyNamed(key);
      const before = settings.get(key);
      if (found === undefined) {
        problems.push(`${key}: got ${formatValue(value)} from ${from}; expected ${knownKey(key)}`);
      } else if (before !== undefined) {
        const both = `${formatValue(before.given)} and ${formatValue(value)}`;
        problems.push(`${key}: got ${both} from ${from}; expected one value, nested or dotted`);
      } else settings.set(key, settingOf(found, value, from, false));
    }
    return { settings: [...settings.values()], problems };
  });
}

/**
 * A configuration manager with `get_int(key, default)` and `get_float(key, default)`, or `getInt` and `getFloat`, and
 * perhaps `get(key)`: whole numbers come from the first, other numbers from the second, everything else from `get`. Without
 * `get` there are only numbers. A number that a manager lacks is told by asking twice, with two defaults.
 *
 * @throws ERR_LANEBUS_OPTIONS for an object that has none of them.
 */
export function fromGetters(getters: Getters): ConfigurationSource {
  const given = ((getters as Getters | null | undefined) ?? {}) as Readonly<
    Partial<Record<keyof Getters, (key: string, defaultValue?: number) => unknown>>
  >;
  const names = ['get_int', 'getInt', 'get_float', 'getFloat', 'get'] as const;
  const firstOf = (...wanted: (keyof Getters)[]) => wanted.find((name) => typeof given[name] === 'function');
  if (firstOf(...names) === undefined) {
    const message = `fromGetters: got ${formatValue(getters)}; expected an object with some of: ${names.join(', ')}`;
    throw new LanebusError(ErrorCode.OPTIONS, message);
  }
  const float = firstOf('get_float', 'getFloat');
  // A whole number may be had as any number, but 0.5 seconds as a whole number would be 0: no limit.
  const getterOf = { integer: firstOf('get_int', 'getInt') ?? float, number: float };
  return {
    get(key) {
      const kind = keyNamed(key)?.key.kind;
      const getter = kind === 'integer' || kind === 'number' ? getterOf[kind] : undefined;
      if (getter === undefined) return given.get?.(key, undefined);
      const value = given[getter]?.(key, 0);
      return value === 0 && given[getter]?.(key, 1) === 1 ? undefined : value;
    },
  };
}

/** What a source has. @param lanes Those that other sources speak of: one that cannot list its keys is asked for these. */
export function readSource(source: ConfigurationSource, lanes: readonly string[]): Reading {
  if (source instanceof ListedSource) return source.read();
  if (typeof (source as typeof source | null | undefined)?.get !== 'function') {
    const expected = 'environment(), jsonFile(path), fromGetters(manager), or an object with get(key)';
    return { settings: [], problems: [`source: got ${formatValue(source)}; expected ${expected}`] };
  }
  const settings: Setting[] = [];
  let asked = `${ROOT}.lanes`;
  try {
    const own = source.get(asked);
    for (const of of keysFor([...lanes, ...lanesIn(own)])) {
      asked = nameOf(of);
      const value = source.get(asked);
      if (value !== undefined && value !== null) settings.push(settingOf(of, value, 'configuration', true));
    }
  } catch (error) {
    const thrown = `${asked}: configuration has thrown "${oneLine(error)}"; expected a value, or undefined`;
    return { settings, problems: [thrown] };
  }
  return { settings, problems: [] };
}

/** Names of lanes: of an object whose entries they are, or in an array; as a value or as JSON in a text. */
function lanesIn(answer: unknown): readonly string[] {
  const value = typeof answer === 'string' ? fromText(answer, 'json') : answer;
  if (Array.isArray(value)) return value.map(String);
  return typeof value === 'object' && value !== null ? Object.keys(value) : [];
}

function settingOf(of: KeyOfLane, given: unknown, from: string, readsTexts: boolean): Setting {
  const read = readsTexts && typeof given === 'string' ? fromText(given, of.key.kind) : given;
  return { ...of, name: nameOf(of), path: pathOf(of), given, value: inOptionUnit(of.key, read), from };
}

function variableOf(name: string): string {
  return name
    .slice(ROOT.length + 1)
    .replaceAll('.', '_')
    .toUpperCase();
}

/** @param rest A variable's name, without the prefix. */
function keyOfVariable(rest: string): KeyOfLane | undefined {
  for (const key of KEYS) {
    const [before, after] = variableOf(key.name).split(LANE.toUpperCase()) as [string, string?];
    if (after === undefined) {
      if (rest === before) return { key, lane: undefined };
    } else if (rest.startsWith(before) && rest.endsWith(after) && rest.length > before.length + after.length) {
      return { key, lane: rest.slice(before.length, -after.length).toLowerCase() };
    }
  }
  return undefined;
}

function knownVariable(variable: string, prefix: string): string {
  const lane = /^LANES_([^_]+)_/.exec(variable.slice(prefix.length))?.[1].toLowerCase();
  const known = namesWith(lane).map((name) => prefix + variableOf(name));
  return `a known variable, the nearest is ${closest(variable, known)}`;
}

function knownKey(name: string): string {
  const below = namesBelow(name);
  if (below.length > 0) return `an object of: ${below.join(', ')}`;
  const keys = namesWith(/^pubsub\.lanes\.([^.]+)\./.exec(name)?.[1]);
  const sections = keys.map((key) => key.slice(0, key.lastIndexOf('.'))).filter((section) => section !== ROOT);
  return `a known key, the nearest is "${closest(name, [...keys, ...sections])}"`;
}

/** All keys, also for the lane that a name speaks of which is none. */
function namesWith(lane: string | undefined): readonly string[] {
  return keysFor(lane === undefined ? [] : [lane]).map(nameOf);
}

/** The values below `pubsub`, by dotted name. */
function* leavesOf(object: object, above = ''): Generator<[name: string, value: unknown]> {
  for (const [own, value] of Object.entries(object) as [string, unknown][]) {
    const name = above === '' ? own : `${above}.${own}`;
    if (name !== ROOT && !name.startsWith(`${ROOT}.`)) continue;
    if (isPlain(value) && namesBelow(name).length > 0) yield* leavesOf(value, name);
    else yield [name, value];
  }
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function oneLine(error: unknown): string {
  return asError(error).message.replace(/\s+/g, ' ');
}
