import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { FAILURE_DEFAULTS } from '../../src/main/failure-options.js';
import { resolveOptions, resolveTimeout, type BusOptions, type ResolvedOptions } from '../../src/main/options.js';
import { defineEvents, type Catalog } from '../../src/shared/catalog.js';
import { ErrorCode, LanebusError } from '../../src/shared/errors.js';
import { f64, text } from '../../src/shared/fields.js';

/** WIDE: 20 numbers of 8 bytes, so its fixed part fits no 128-byte record. */
const wide = Object.fromEntries(Array.from({ length: 20 }, (_, at) => [`n${at}`, f64()]));
const catalog: Catalog = defineEvents({
  HALT: { priority: 1, payload: { reason: text() } },
  TICK: { priority: 30, payload: { price: f64() } },
  WIDE: { priority: 31, payload: wide },
});

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(LanebusError);
    expect((error as LanebusError).code).toBe(ErrorCode.OPTIONS);
    return (error as LanebusError).message;
  }
  return 'accepted';
}

const refusal = (options: unknown): string => messageOf(() => resolveOptions(options, catalog));

const CAPACITY_RULE = 'a power of two of bytes from 1,024 to 1,073,741,824';
const MS = 'a number of ms from 0 to 2,147,483,647';
const MS_OR_NONE = `${MS} (0 = no limit)`;
const BUS_NAMES =
  'backend, threads, lanes, timeoutMs, graceMs, exitWaitMs, spares, watchdogIntervalMs, maxCrashes, maxDeadLetters, deadLetterStore, retry, maxFailures, onMaxFailures, coolDownMs, maxCoolDownMs, errorBackoffMs, startTimeoutMs, drainTimeoutMs, ' +
  'stopTimeoutMs, symbols, starvation, spinMicros, logger, metricsLogIntervalMs, resourceLimits, execArgv, env';

const bad: [options: unknown, line: string][] = [
  [null, `options: got null; expected an object of: ${BUS_NAMES}`],
  [[], `options: got []; expected an object of: ${BUS_NAMES}`],
  ['fast', `options: got 'fast'; expected an object of: ${BUS_NAMES}`],
  [{ thread: 2 }, 'thread: got 2; expected a known option, the nearest is "threads"'],
  [{ 'grace-ms': 2 }, '["grace-ms"]: got 2; expected a known option, the nearest is "graceMs"'],
  [{ threads: 0 }, 'threads: got 0; expected an integer of threads from 1 to 1,024'],
  [{ threads: 1.5 }, 'threads: got 1.5; expected an integer of threads from 1 to 1,024'],
  [{ threads: 1025 }, 'threads: got 1025; expected an integer of threads from 1 to 1,024'],
  [{ threads: '2' }, `threads: got '2'; expected an integer of threads from 1 to 1,024`],
  [{ timeoutMs: -1 }, `timeoutMs: got -1; expected ${MS_OR_NONE}`],
  [{ timeoutMs: NaN }, `timeoutMs: got NaN; expected ${MS_OR_NONE}`],
  [{ timeoutMs: Infinity }, `timeoutMs: got Infinity; expected ${MS_OR_NONE}`],
  [{ timeoutMs: 2 ** 31 }, `timeoutMs: got 2147483648; expected ${MS_OR_NONE}`],
  [{ timeoutMs: 5n }, `timeoutMs: got 5n; expected ${MS_OR_NONE}`],
  [{ timeoutMs: new Error('two\nlines') }, `timeoutMs: got Error: two lines at`],
  [{ graceMs: -1 }, `graceMs: got -1; expected ${MS}`],
  [{ exitWaitMs: null }, `exitWaitMs: got null; expected ${MS}`],
  [{ watchdogIntervalMs: 0 }, 'watchdogIntervalMs: got 0; expected a number of ms from 1 to 1,000'],
  [{ watchdogIntervalMs: 1001 }, 'watchdogIntervalMs: got 1001; expected a number of ms from 1 to 1,000'],
  [{ maxCrashes: 0 }, 'maxCrashes: got 0; expected an integer of crashes from 1 to 1,000,000'],
  [{ startTimeoutMs: -1 }, `startTimeoutMs: got -1; expected ${MS_OR_NONE}`],
  [{ drainTimeoutMs: -1 }, `drainTimeoutMs: got -1; expected ${MS_OR_NONE}`],
  [{ stopTimeoutMs: -1 }, `stopTimeoutMs: got -1; expected ${MS_OR_NONE}`],
  [{ metricsLogIntervalMs: -1 }, `metricsLogIntervalMs: got -1; expected ${MS} (0 = never)`],
  [{ symbols: 5 }, 'symbols: got 5; expected an object of: max, maxBytes'],
  [{ symbols: { max: 0 } }, 'symbols.max: got 0; expected an integer of symbols from 1 to 16,777,216'],
  [{ symbols: { maxBytes: 1 } }, 'symbols.maxBytes: got 1; expected an integer of bytes from 1,024 to 1,073,741,824'],
  [{ symbols: { maximum: 5 } }, 'symbols.maximum: got 5; expected a known option, the nearest is "max"'],
  [{ starvation: true }, 'starvation: got true; expected false, or an object of: events, ms'],
  [{ starvation: {} }, 'starvation: got {}; expected events, ms, or both'],
  [{ starvation: { events: 0 } }, 'starvation.events: got 0; expected an integer of events from 1 to 2,147,483,647'],
  [
    { starvation: { events: 2.5 } },
    'starvation.events: got 2.5; expected an integer of events from 1 to 2,147,483,647',
  ],
  [{ starvation: { ms: 0 } }, 'starvation.ms: got 0; expected a number of ms from 0.001 to 2,147,483,647'],
  [{ spinMicros: -1 }, 'spinMicros: got -1; expected an integer of microseconds from 0 to 10,000'],
  [{ spinMicros: 'max' }, `spinMicros: got 'max'; expected 'auto', or an integer of microseconds from 0 to 10,000`],
  [{ logger: true }, 'logger: got true; expected false, or an object of: level, destination'],
  [
    { logger: { level: 'loud' } },
    `logger.level: got 'loud'; expected 'trace' or 'debug' or 'info' or 'warn' or 'error' or 'fatal' or 'silent'`,
  ],
  [
    { logger: { destination: 3 } },
    'logger.destination: got 3; expected 1 (standard output), 2 (standard error) or the path of a file',
  ],
  [
    { logger: { destination: '' } },
    `logger.destination: got ''; expected 1 (standard output), 2 (standard error) or the path of a file`,
  ],
  [{ logger: { levels: 'info' } }, `logger.levels: got 'info'; expected a known option, the nearest is "level"`],
  [
    { resourceLimits: { stackSizeMb: 0 } },
    'resourceLimits.stackSizeMb: got 0; expected a number of MiB above 0 and up to 1,048,576',
  ],
  [{ execArgv: '--import' }, `execArgv: got '--import'; expected an array of strings`],
  [{ execArgv: ['--import', 5] }, 'execArgv[1]: got 5; expected a string'],
  [{ env: [] }, 'env: got []; expected an object from names to strings'],
  [{ env: { PORT: 80 } }, 'env.PORT: got 80; expected a string'],
  [{ lanes: 5 }, 'lanes: got 5; expected an object from lane names to their options'],
  [
    { lanes: { '1st': {} } },
    `lanes["1st"]: got '1st'; expected a lane name: a letter, then up to 63 letters, digits, _ or -`,
  ],
  [
    { lanes: { market: true } },
    'lanes.market: got true; expected the options of a lane, or false to switch a default lane off',
  ],
  [{ lanes: { market: { capacityBytes: -4096 } } }, `lanes.market.capacityBytes: got -4096; expected ${CAPACITY_RULE}`],
  [{ lanes: { market: { capacityBytes: 512 } } }, `lanes.market.capacityBytes: got 512; expected ${CAPACITY_RULE}`],
  [
    { lanes: { market: { capacityBytes: 2 ** 31 } } },
    `lanes.market.capacityBytes: got 2147483648; expected ${CAPACITY_RULE}`,
  ],
  [
    { lanes: { market: { capacityBytes: 1_000_000 } } },
    `lanes.market.capacityBytes: got 1000000; expected ${CAPACITY_RULE}, the nearest are 524,288 and 1,048,576`,
  ],
  [{ lanes: { market: { capacityBytes: '4M' } } }, `lanes.market.capacityBytes: got '4M'; expected ${CAPACITY_RULE}`],
  [
    { lanes: { market: { maxRecordBytes: 16 } } },
    'lanes.market.maxRecordBytes: got 16; expected an integer of bytes from 24 to 8,323,064',
  ],
  [
    { lanes: { log: { capacityBytes: 1024, maxRecordBytes: 520 } } },
    `lanes.log.maxRecordBytes: got 520; expected at most 512 bytes, half of the lane's capacity`,
  ],
  [
    { lanes: { market: { capacityBytes: 1024 } } },
    'lanes.market.maxRecordBytes: got 128; expected at least 176 bytes, which type "WIDE" needs for its fixed part and header',
  ],
  [
    { lanes: { market: { maxRecordBytes: 175 } } },
    'lanes.market.maxRecordBytes: got 175; expected at least 176 bytes, which type "WIDE" needs for its fixed part and header',
  ],
  [
    { lanes: { market: { whenFull: 'drop' } } },
    `lanes.market.whenFull: got 'drop'; expected 'block' or 'reject' or 'dropNewest' or 'spill'`,
  ],
  [{ lanes: { market: { timeoutMs: -1 } } }, `lanes.market.timeoutMs: got -1; expected ${MS_OR_NONE}`],
  [
    { lanes: { market: { whenFull: 'reject', timeoutMs: 5 } } },
    `lanes.market.timeoutMs: got 5; expected none: nothing waits with whenFull 'reject', only with 'block'`,
  ],
  [
    { lanes: { market: { whenFull: 'spill', spillWatermarkBytes: 0 } } },
    'lanes.market.spillWatermarkBytes: got 0; expected an integer of bytes from 1 to 1,099,511,627,776',
  ],
  [
    { lanes: { market: { spillWatermarkBytes: 9 } } },
    `lanes.market.spillWatermarkBytes: got 9; expected none: only whenFull 'spill' has an overflow`,
  ],
  [{ lanes: { market: { urgent: 1 } } }, 'lanes.market.urgent: got 1; expected true or false'],
  [
    { lanes: { market: { capacity: 4096 } } },
    'lanes.market.capacity: got 4096; expected a known option, the nearest is "capacityBytes"',
  ],
  [
    { lanes: { market: { maxPriority: 30.5 } } },
    'lanes.market.maxPriority: got 30.5; expected a priority: an integer, or Infinity',
  ],
  [
    { lanes: { fast: { maxPriority: 9 } } },
    'lanes.fast.maxPriority: got 9; expected a priority that no other lane has, "control" has it',
  ],
  [
    { lanes: { rest: { maxPriority: Infinity } } },
    'lanes.rest.maxPriority: got Infinity; expected a priority that no other lane has, "log" has it',
  ],
  [
    { lanes: { bulk: {} } },
    'lanes.bulk.maxPriority: got undefined; expected an integer, or Infinity: a lane that is not a default one needs its own',
  ],
  [
    { lanes: { markets: {} } },
    'lanes.markets.maxPriority: got undefined; expected an integer, or Infinity: ' +
      'a lane that is not a default one needs its own; did you mean "market"?',
  ],
  [{ lanes: { singal: false } }, 'lanes.singal: got false; expected the options of a lane; did you mean "signal"?'],
  [
    { lanes: { log: false } },
    'lanes: got { control: 9, execution: 19, signal: 29, market: 89 }; ' +
      'expected one lane with maxPriority Infinity, for the least urgent types',
  ],
  [
    { lanes: Object.fromEntries(Array.from({ length: 25 }, (_, at) => [`lane${at}`, { maxPriority: 100 + at }])) },
    'lanes: got 30; expected at most 25 lanes',
  ],
];

describe('resolveOptions', () => {
  it.each(bad.map(([options, line]) => ({ options, line })))('refuses $line', ({ options, line }) => {
    const [head, ...lines] = refusal(options).split('\n');
    expect(head).toBe('1 problem in the options of createBus');
    expect(lines).toHaveLength(1);
    if (line.endsWith(' at')) expect(lines[0]).toContain(line);
    else expect(lines[0]).toBe(line);
  });

  it('names all problems of all levels in one error', () => {
    const options = {
      threads: 0,
      timeoutMs: '1s',
      tiemoutMs: 5,
      symbols: { max: 0, maxBites: 4 },
      logger: { level: 'loud', color: true },
      lanes: { market: { capacityBytes: 5000, size: 1 }, control: { whenFull: 'wait' } },
    };
    expect(refusal(options).split('\n')).toStrictEqual([
      '10 problems in the options of createBus',
      'threads: got 0; expected an integer of threads from 1 to 1,024',
      `lanes.market.capacityBytes: got 5000; expected ${CAPACITY_RULE}, the nearest are 4,096 and 8,192`,
      'lanes.market.size: got 1; expected a known option, the nearest is "urgent"',
      `lanes.control.whenFull: got 'wait'; expected 'block' or 'reject' or 'dropNewest' or 'spill'`,
      `timeoutMs: got '1s'; expected ${MS_OR_NONE}`,
      'symbols.max: got 0; expected an integer of symbols from 1 to 16,777,216',
      'symbols.maxBites: got 4; expected a known option, the nearest is "maxBytes"',
      `logger.level: got 'loud'; expected 'trace' or 'debug' or 'info' or 'warn' or 'error' or 'fatal' or 'silent'`,
      'logger.color: got true; expected a known option, the nearest is "level"',
      'tiemoutMs: got 5; expected a known option, the nearest is "timeoutMs"',
    ]);
  });

  it('names the problems between lanes beside those of other options', () => {
    expect(refusal({ threads: -1, lanes: { log: false, fast: { maxPriority: 9 } } }).split('\n')).toStrictEqual([
      '3 problems in the options of createBus',
      'threads: got -1; expected an integer of threads from 1 to 1,024',
      'lanes.fast.maxPriority: got 9; expected a priority that no other lane has, "control" has it',
      'lanes: got { control: 9, fast: 9, execution: 19, signal: 29, market: 89 }; ' +
        'expected one lane with maxPriority Infinity, for the least urgent types',
    ]);
  });

  it('fills every option when none is given', () => {
    const cores = availableParallelism();
    const expected: Omit<ResolvedOptions, 'lanes'> = {
      backend: 'parallel',
      threads: Math.max(1, cores - 1),
      poolThreads: Math.max(1, cores - 1),
      timeoutMs: 10_000,
      graceMs: 1_000,
      exitWaitMs: 1_000,
      spares: 1,
      watchdogIntervalMs: 10,
      maxCrashes: 2,
      maxDeadLetters: 1_000,
      deadLetterStore: undefined,
      ...FAILURE_DEFAULTS,
      errorBackoffMs: 1_000,
      startTimeoutMs: 30_000,
      drainTimeoutMs: 0,
      stopTimeoutMs: 30_000,
      symbols: { max: 65_536, maxBytes: 4_194_304 },
      starvation: false,
      spinMicros: cores === 1 ? 0 : 50,
      logger: { level: 'info', destination: 1 },
      metricsLogIntervalMs: 60_000,
      resourceLimits: {},
      execArgv: undefined,
      env: undefined,
    };
    const { lanes, ...rest } = resolveOptions(undefined, catalog);
    expect(rest).toStrictEqual(expected);
    expect(lanes.map((lane) => lane.name)).toStrictEqual(['control', 'execution', 'signal', 'market', 'log']);
    expect(resolveOptions({}, catalog)).toStrictEqual({ ...rest, lanes });
  });

  it('orders the default lanes by urgency and leaves no priority between them out', () => {
    const rows = resolveOptions({}, catalog).lanes.map((lane) => Object.values(lane).join(' '));
    expect(rows).toStrictEqual([
      'control -Infinity 9 262144 32768 block 0 4194304 0.8 true',
      'execution 10 19 1048576 131072 block 0 16777216 0.8 true',
      'signal 20 29 1048576 131072 block 0 16777216 0.8 true',
      'market 30 89 4194304 524288 block 0 67108864 0.8 false',
      'log 90 Infinity 1048576 131072 block 0 16777216 0.8 false',
    ]);
  });

  it('gives the priorities of a lane that is switched off to the next less urgent lane', () => {
    const { lanes } = resolveOptions({ lanes: { signal: false } }, catalog);
    expect(lanes.map(({ name, minPriority, maxPriority }) => [name, minPriority, maxPriority])).toStrictEqual([
      ['control', -Infinity, 9],
      ['execution', 10, 19],
      ['market', 20, 89],
      ['log', 90, Infinity],
    ]);
  });

  it('places new and moved lanes by their maxPriority', () => {
    const options: BusOptions = {
      lanes: { log: false, market: { maxPriority: Infinity }, quotes: { maxPriority: 35, capacityBytes: 8192 } },
    };
    const { lanes } = resolveOptions(options, catalog);
    expect(lanes.map(({ name, minPriority, maxPriority }) => [name, minPriority, maxPriority])).toStrictEqual([
      ['control', -Infinity, 9],
      ['execution', 10, 19],
      ['signal', 20, 29],
      ['quotes', 30, 35],
      ['market', 36, Infinity],
    ]);
    expect(lanes[3]).toMatchObject({ capacityBytes: 8192, maxRecordBytes: 1024, urgent: false });
  });

  it('keeps what a lane was given and derives the rest from it', () => {
    const market = { capacityBytes: 65_536, maxRecordBytes: 1001, whenFull: 'spill', urgent: true } as const;
    const { lanes } = resolveOptions({ lanes: { market } }, catalog);
    expect(lanes.find(({ name }) => name === 'market')).toStrictEqual({
      name: 'market',
      minPriority: 30,
      maxPriority: 89,
      capacityBytes: 65_536,
      maxRecordBytes: 1000,
      whenFull: 'spill',
      timeoutMs: 0,
      spillWatermarkBytes: 1_048_576,
      highWatermark: 0.8,
      urgent: true,
    });
  });

  it('bounds the default record of a huge lane by what a record header can say', () => {
    const { lanes } = resolveOptions({ lanes: { market: { capacityBytes: 2 ** 30 } } }, catalog);
    expect(lanes[3].maxRecordBytes).toBe(8_323_064);
  });

  it('takes an option that is undefined as not given', () => {
    const options: BusOptions = {
      threads: undefined,
      logger: { level: undefined },
      resourceLimits: { stackSizeMb: undefined },
    };
    const resolved = resolveOptions(options, catalog);
    expect(resolved).toStrictEqual(resolveOptions({}, catalog));
  });

  it('keeps what was given', () => {
    const options = {
      threads: 3,
      timeoutMs: 0,
      graceMs: 0,
      exitWaitMs: 5,
      watchdogIntervalMs: 1,
      maxCrashes: 1,
      startTimeoutMs: 0,
      drainTimeoutMs: 7,
      stopTimeoutMs: 8.5,
      symbols: { max: 1, maxBytes: 1024 },
      spinMicros: 10_000,
      logger: { level: 'debug', destination: 2 },
      metricsLogIntervalMs: 0,
      resourceLimits: { maxOldGenerationSizeMb: 64, stackSizeMb: 0.5 },
      execArgv: ['--import', 'tsx'],
      env: { MODE: 'test' },
    } as const satisfies BusOptions;
    expect(resolveOptions(options, catalog)).toMatchObject(options);
  });

  it('bounds starvation by events, by time or by both', () => {
    const starvation = (given: BusOptions['starvation']) => resolveOptions({ starvation: given }, catalog).starvation;
    expect(starvation({ events: 100 })).toStrictEqual({ events: 100, ms: Infinity });
    expect(starvation({ ms: 5 })).toStrictEqual({ events: Infinity, ms: 5 });
    expect(starvation({ events: 1, ms: 0.5 })).toStrictEqual({ events: 1, ms: 0.5 });
    expect(starvation(false)).toBe(false);
  });

  it('does not spin when the threads and main outnumber the cores', () => {
    expect(resolveOptions({ threads: availableParallelism() }, catalog).spinMicros).toBe(0);
    expect(resolveOptions({ threads: availableParallelism(), spinMicros: 20 }, catalog).spinMicros).toBe(20);
  });

  it('fills the half of the logger that was left out', () => {
    expect(resolveOptions({ logger: false }, catalog).logger).toBe(false);
    expect(resolveOptions({ logger: {} }, catalog).logger).toStrictEqual({ level: 'info', destination: 1 });
    expect(resolveOptions({ logger: { destination: 'bus.log' } }, catalog).logger).toStrictEqual({
      level: 'info',
      destination: 'bus.log',
    });
  });
});

describe('resolveTimeout', () => {
  it('takes the default when none is given', () => {
    expect(resolveTimeout(undefined, 'drain', 7)).toBe(7);
    expect(resolveTimeout({ timeoutMs: undefined }, 'drain', 7)).toBe(7);
    expect(resolveTimeout({ timeoutMs: 0 }, 'drain', 7)).toBe(0);
  });

  it('names the call that was given a bad timeout', () => {
    expect(messageOf(() => resolveTimeout({ timeoutMs: -5 }, 'stop', 7))).toBe(
      `1 problem in the options of stop\ntimeoutMs: got -5; expected ${MS_OR_NONE}`,
    );
    expect(messageOf(() => resolveTimeout({ ms: 5 }, 'drain', 7))).toBe(
      '1 problem in the options of drain\nms: got 5; expected a known option, the nearest is "timeoutMs"',
    );
  });
});
