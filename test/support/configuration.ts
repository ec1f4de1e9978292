/** Sources of configuration for tests, and what a user can get wrong in each, with the whole of what is said about it. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConfigurationSource, environment, jsonFile } from 'lanebus';

/** For the files; whoever imports this module removes it. */
export const folder = mkdtempSync(join(tmpdir(), 'lanebus-configuration-'));

let files = 0;
export function fileOf(content: string | Buffer | object): string {
  const path = join(folder, `${++files}.json`);
  writeFileSync(path, typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content));
  return path;
}

export const json = (content: object): ConfigurationSource => jsonFile(fileOf(content));
export const env = (variables: Record<string, string>): ConfigurationSource => environment(undefined, variables);
export const map = (values: object): ConfigurationSource => new Map<string, unknown>(Object.entries(values));

const MS = 'a number of ms from 0 to 2,147,483,647';
const SECONDS = 'a number of seconds from 0 to 2,147,483.647';
const THREADS = 'an integer of threads from 1 to 1,024';
const EVENTS = 'an integer of events from 0 to 16,777,216 (0 = unlimited)';
const STRINGS = 'an array of strings';
const TRUTH = 'true or false';
const LANE_KEYS =
  'enabled, max_priority, capacity_bytes, max_record_bytes, when_full, timeout_ms, spill_watermark_bytes, high_watermark, urgent';
const ALL_KEYS =
  'queue_maxsize, handler_timeout_seconds, metrics_log_interval_s, handler_max_failures, error_backoff_seconds, ' +
  'backend, threads, lanes, grace_ms, exit_wait_ms, spares, watchdog_interval_ms, max_crashes, max_dead_letters, retry, ' +
  'on_max_failures, cool_down_ms, max_cool_down_ms, start_timeout_ms, drain_timeout_ms, stop_timeout_ms, symbols, ' +
  'starvation, spin_micros, logger, resource_limits, exec_argv, env';
const SOURCES = 'environment(), jsonFile(path), fromGetters(manager), or an object with get(key)';

interface Bad {
  readonly what: string;
  readonly sources: readonly ConfigurationSource[];
  readonly lines: readonly string[];
}

/** A variable with a bad value, as the value is shown. */
function variable(what: string, key: string, text: string, expected: string, inside = '', shown = `'${text}'`): Bad {
  const name = `LANEBUS_${key.toUpperCase().replaceAll('.', '_')}`;
  const line = `pubsub.${key}${inside}: got ${shown} from environment variable ${name}; expected ${expected}`;
  return { what, sources: [env({ [name]: text })], lines: [line] };
}

function unknownVariable(what: string, name: string, nearest: string): Bad {
  const line = `environment variable ${name}: got '2'; expected a known variable, the nearest is ${nearest}`;
  return { what, sources: [env({ [name]: '2' })], lines: [line] };
}

/** A value of a configuration; the line is about the last of the keys. */
function value(what: string, values: object, shown: string, expected: string, inside = ''): Bad {
  const line = `${Object.keys(values).at(-1)}${inside}: got ${shown} from configuration; expected ${expected}`;
  return { what, sources: [map(values)], lines: [line] };
}

/** A file, which stands as FILE in the lines. */
function file(what: string, content: string | Buffer | object, ...lines: string[]): Bad {
  const path = fileOf(content);
  return { what, sources: [jsonFile(path)], lines: lines.map((line) => line.replace('FILE', `file ${path}`)) };
}

function parsingError(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    return (error as Error).message.replace(/\s+/g, ' ');
  }
  throw new Error('this is JSON');
}

const missing = join(folder, 'missing.json');
const malformed = '{ "pubsub": {\n"threads": 2,\n} }';
const several = file('', { pubsub: { threads: 0, handler_timeout_seconds: -2, retri: 1 } }, 'FILE');

export const REFUSALS: readonly Bad[] = [
  variable('a unit in a text', 'handler_timeout_seconds', '10s', `${SECONDS} (0 = no limit)`),
  variable('a separator in a number', 'threads', '1_0', THREADS),
  variable('a number in another base', 'threads', '0x10', THREADS),
  variable('a space before a number', 'threads', ' 2', THREADS),
  variable('a number with a leading zero', 'threads', '02', THREADS),
  variable('an empty variable', 'threads', '', THREADS),
  variable('a fraction of a thread', 'threads', '1.5', THREADS),
  variable('a number beyond all numbers', 'grace_ms', '1e999', MS),
  variable('Infinity for what ends', 'grace_ms', 'Infinity', MS),
  variable('a negative time in seconds', 'error_backoff_seconds', '-0.5', SECONDS),
  value('seconds for months', { 'pubsub.metrics_log_interval_s': 2_147_484 }, '2147484', `${SECONDS} (0 = never)`),
  value('a negative time in milliseconds', { 'pubsub.retry.backoff_ms': -1 }, '-1', MS),
  variable('a word that switches nothing', 'logger.enabled', 'no', TRUTH),
  value('a number that switches nothing', { 'pubsub.lanes.market.enabled': 1 }, '1', TRUTH),
  variable('a truth in capitals', 'retry.keep_order', 'TRUE', TRUTH),
  variable('a negative queue', 'queue_maxsize', '-1', EVENTS),
  value('a queue longer than any lane', { 'pubsub.queue_maxsize': 16_777_217 }, '16777217', EVENTS),
  variable('a backend that is none', 'backend', 'threads', "'parallel' or 'inline'"),
  value(
    'a backend of code',
    { 'pubsub.backend': { createBus: null } },
    '{ createBus: null }',
    "'parallel' or 'inline'",
  ),
  variable(
    'an unknown level',
    'logger.level',
    'loud',
    "'trace' or 'debug' or 'info' or 'warn' or 'error' or 'fatal' or 'silent'",
  ),
  variable(
    'a third stream',
    'logger.destination',
    '3',
    '1 (standard output), 2 (standard error) or the path of a file',
  ),
  variable(
    'an unknown policy of a lane',
    'lanes.market.when_full',
    'drop',
    "'block' or 'reject' or 'dropNewest' or 'spill'",
  ),
  value(
    'a capacity that is no power of two',
    { 'pubsub.lanes.market.capacity_bytes': '1000000' },
    "'1000000'",
    'a power of two of bytes from 1,024 to 1,073,741,824, the nearest are 524,288 and 1,048,576',
  ),
  variable(
    'a limit where nothing waits',
    'lanes.market.timeout_ms',
    '5',
    "none: nothing waits with when_full 'spill', only with 'block'",
  ),
  value(
    'a watermark where nothing spills',
    { 'pubsub.queue_maxsize': 5, 'pubsub.lanes.log.spill_watermark_bytes': 5 },
    '5',
    "none: only when_full 'spill' has an overflow",
  ),
  value(
    'two lanes of one priority',
    { 'pubsub.lanes.signal.max_priority': 19 },
    '19',
    'a priority that no other lane has, "execution" has it',
  ),
  {
    what: 'no lane for the least urgent',
    sources: [env({ LANEBUS_LANES_LOG_ENABLED: 'false' })],
    lines: [
      'pubsub.lanes: got { control: 9, execution: 19, signal: 29, market: 89 }; ' +
        'expected one lane with max_priority Infinity, for the least urgent types',
    ],
  },
  variable(
    'a lane switched off that is none',
    'lanes.logs.enabled',
    'false',
    'the options of a lane; did you mean "log"?',
  ),
  value('turns without a bound', { 'pubsub.starvation.enabled': true }, 'true', 'events, ms, or both'),
  variable('a list that is not written as one', 'exec_argv', '--import tsx', STRINGS),
  variable('a number in a list', 'exec_argv', '["--import",5]', 'a string', '[1]', '5'),
  value('a number in an object', { 'pubsub.env': { PORT: 80 } }, '80', 'a string', '.PORT'),
  value('a promise of a value', { 'pubsub.threads': Promise.resolve(2) }, 'Promise { 2 }', THREADS),
  unknownVariable('a misspelt variable', 'LANEBUS_THREDS', 'LANEBUS_THREADS'),
  unknownVariable('a variable with the root of the keys', 'LANEBUS_PUBSUB_THREADS', 'LANEBUS_THREADS'),
  unknownVariable(
    'a misspelt variable of a lane',
    'LANEBUS_LANES_ORDERS_CAPACITY',
    'LANEBUS_LANES_ORDERS_CAPACITY_BYTES',
  ),
  file(
    'a misspelt key',
    { 'pubsub.thread': 2 },
    'pubsub.thread: got 2 from FILE; expected a known key, the nearest is "pubsub.threads"',
  ),
  file(
    'a misspelt section',
    { pubsub: { retries: { attempts: 2 } } },
    'pubsub.retries: got { attempts: 2 } from FILE; expected a known key, the nearest is "pubsub.retry"',
  ),
  file(
    'a misspelt key of a lane',
    { pubsub: { lanes: { orders: { max_priority: 15, capacity: 5 } } } },
    'pubsub.lanes.orders.capacity: got 5 from FILE; expected a known key, the nearest is "pubsub.lanes.orders.capacity_bytes"',
  ),
  file(
    'a lane that is a value',
    { pubsub: { lanes: { market: false } } },
    `pubsub.lanes.market: got false from FILE; expected an object of: ${LANE_KEYS}`,
  ),
  file(
    'a section that is a value',
    { pubsub: { logger: 'warn' } },
    `pubsub.logger: got 'warn' from FILE; expected an object of: enabled, level, destination`,
  ),
  file('a root that is a value', { pubsub: 5 }, `pubsub: got 5 from FILE; expected an object of: ${ALL_KEYS}`),
  file(
    'a misspelt lane',
    { pubsub: { lanes: { markt: { urgent: true } } } },
    'pubsub.lanes.markt.max_priority: got undefined, with pubsub.lanes.markt.urgent from FILE; expected an integer, ' +
      'or Infinity: a lane that is not a default one needs its own; did you mean "market"?',
  ),
  file(
    'a lane with no name of one',
    { pubsub: { lanes: { '1st': { max_priority: 15 } } } },
    "pubsub.lanes.1st: got '1st', with pubsub.lanes.1st.max_priority from FILE; expected a lane name: a letter, then up " +
      'to 63 letters, digits, _ or -',
  ),
  file(
    'a key said twice in a file',
    { pubsub: { threads: 2 }, 'pubsub.threads': 3 },
    'pubsub.threads: got 2 and 3 from FILE; expected one value, nested or dotted',
  ),
  file(
    'texts and null where JSON has values',
    { pubsub: { threads: '2', lanes: { market: { urgent: 'true' } }, grace_ms: null } },
    `pubsub.threads: got '2' from FILE; expected ${THREADS}`,
    `pubsub.lanes.market.urgent: got 'true' from FILE; expected ${TRUTH}`,
    `pubsub.grace_ms: got null from FILE; expected ${MS}`,
  ),
  file('a file of a list', [1], 'FILE: got [ 1 ]; expected an object of keys'),
  file('a file that is no JSON', malformed, `FILE: ${parsingError(malformed)}; expected a file of JSON`),
  file(
    'a file that is no text',
    Buffer.from([0x7b, 0xff, 0x7d]),
    'FILE: The encoded data was not valid for encoding utf-8; expected a file of JSON',
  ),
  {
    what: 'a file that is missing',
    sources: [jsonFile(missing)],
    lines: [`file ${missing}: ENOENT: no such file or directory, open '${missing}'; expected a file of JSON`],
  },
  {
    what: 'a source that is none',
    sources: [map({}), undefined as never],
    lines: [`source: got undefined; expected ${SOURCES}`],
  },
  {
    what: 'a manager that was not adapted',
    sources: [{ get_int: 5 } as never],
    lines: [`source: got { get_int: 5 }; expected ${SOURCES}`],
  },
  {
    what: 'a source that throws',
    sources: [
      {
        get(key) {
          if (key === 'pubsub.spares') throw new Error('not\nconnected');
        },
      },
    ],
    lines: ['pubsub.spares: configuration has thrown "not connected"; expected a value, or undefined'],
  },
  {
    what: 'everything at once, in one error',
    sources: [
      env({ LANEBUS_SPARES: 'one', LANEBUS_THRED: '1' }),
      ...several.sources,
      jsonFile(missing),
      map({ 'pubsub.max_crashes': 0, 'pubsub.backend': 'none', 'pubsub.lanes.log.enabled': 'off' }),
    ],
    lines: [
      "environment variable LANEBUS_THRED: got '1'; expected a known variable, the nearest is LANEBUS_THREADS",
      `pubsub.retri: got 1 from ${several.lines[0]}; expected a known key, the nearest is "pubsub.retry"`,
      `file ${missing}: ENOENT: no such file or directory, open '${missing}'; expected a file of JSON`,
      "pubsub.backend: got 'none' from configuration; expected 'parallel' or 'inline'",
      "pubsub.lanes.log.enabled: got 'off' from configuration; expected true or false",
      `pubsub.threads: got 0 from ${several.lines[0]}; expected ${THREADS}`,
      `pubsub.handler_timeout_seconds: got -2 from ${several.lines[0]}; expected ${SECONDS} (0 = no limit)`,
      "pubsub.spares: got 'one' from environment variable LANEBUS_SPARES; expected an integer of threads from 0 to 64",
      'pubsub.max_crashes: got 0 from configuration; expected an integer of crashes from 1 to 1,000,000',
    ],
  },
];
