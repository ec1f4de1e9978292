// Options by key: from the environment, a JSON file, a configuration manager; what is wrong is told in the words of its source.
import { readFileSync, rmSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import {
  type BusOptions,
  busOptionsFrom,
  type ConfigurationSource,
  createBus,
  defineEvents,
  environment,
  f64,
  fromGetters,
  jsonFile,
  LanebusError,
} from 'lanebus';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Key, KEYS, OPTIONS_WITHOUT_KEY } from '../../src/main/option-keys.js';
import { busSchema } from '../../src/main/options.js';
import { env, fileOf, folder, json, map, REFUSALS } from '../support/configuration.js';
import { parsePage, rowsOf, tableOf } from '../support/documents/markdown.js';
import { latch } from './buses.js';

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A header and six numbers: 64 bytes, what `pubsub.queue_maxsize` calls typical. */
const catalog = defineEvents({
  TICK: { priority: 30, payload: { n: f64(), bid: f64(), ask: f64(), bidSize: f64(), askSize: f64(), last: f64() } },
});
const tick = (n: number) => ({ type: 'TICK', n, bid: 1, ask: 2, bidSize: 3, askSize: 4, last: 5 }) as const;

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(LanebusError);
    expect((error as LanebusError).code).toBe('ERR_LANEBUS_OPTIONS');
    return (error as LanebusError).message;
  }
  throw new Error('nothing was refused');
}

const LANES = ['control', 'execution', 'signal', 'market', 'log'];
const forAll = <T>(lane: T, lanes = LANES): Record<string, T> => Object.fromEntries(lanes.map((name) => [name, lane]));
const DEFAULTS = {
  lanes: forAll({ whenFull: 'spill' }),
  timeoutMs: 10_000,
  metricsLogIntervalMs: 60_000,
  maxFailures: 5,
  onMaxFailures: 'unsubscribe',
  errorBackoffMs: 1_000,
};

describe('what the keys set', () => {
  it('is as in the system before this one when nothing is given', () => {
    for (const empty of [map({}), env({}), json({}), json({ pubsub: {} }), fromGetters({ get: () => null })]) {
      expect(busOptionsFrom(empty)).toEqual(DEFAULTS);
    }
  });

  /** A value for every key as JSON has it, the text that says the same, and the option's value. */
  const samples: Record<string, readonly [value: unknown, text: string, option?: unknown]> = {
    'pubsub.handler_timeout_seconds': [1.001, '1.001', 1_001],
    'pubsub.metrics_log_interval_s': [0, '0', 0],
    'pubsub.handler_max_failures': [7, '7'],
    'pubsub.error_backoff_seconds': [0.25, '2.5e-1', 250],
    'pubsub.backend': ['inline', 'inline'],
    'pubsub.threads': [3, '3'],
    'pubsub.lanes.market.enabled': [false, 'false'],
    'pubsub.lanes.log.max_priority': ['Infinity', 'Infinity', Infinity],
    'pubsub.lanes.market.capacity_bytes': [2_048, '2048'],
    'pubsub.lanes.market.max_record_bytes': [512, '512'],
    'pubsub.lanes.market.when_full': ['reject', 'reject'],
    'pubsub.lanes.control.timeout_ms': [1.5, '1.5'],
    'pubsub.lanes.market.spill_watermark_bytes': [4_096, '4096'],
    'pubsub.lanes.market.high_watermark': [0.5, '0.5'],
    'pubsub.lanes.market.urgent': [true, 'true'],
    'pubsub.grace_ms': [50, '50'],
    'pubsub.exit_wait_ms': [60, '60'],
    'pubsub.spares': [0, '0'],
    'pubsub.watchdog_interval_ms': [5, '5'],
    'pubsub.max_crashes': [4, '4'],
    'pubsub.max_dead_letters': [0, '0'],
    'pubsub.retry.attempts': [8, '8'],
    'pubsub.retry.backoff_ms': [9, '9'],
    'pubsub.retry.factor': [1.5, '1.5'],
    'pubsub.retry.max_backoff_ms': [11, '11'],
    'pubsub.retry.jitter': [0.1, '0.1'],
    'pubsub.retry.max_pending': [12, '12'],
    'pubsub.retry.keep_order': [true, 'true'],
    'pubsub.on_max_failures': ['pause', 'pause'],
    'pubsub.cool_down_ms': [13, '13'],
    'pubsub.max_cool_down_ms': [14, '14'],
    'pubsub.start_timeout_ms': [15, '15'],
    'pubsub.drain_timeout_ms': [16, '16'],
    'pubsub.stop_timeout_ms': [17, '17'],
    'pubsub.symbols.max': [18, '18'],
    'pubsub.symbols.max_bytes': [2_000, '2000'],
    'pubsub.starvation.enabled': [false, 'false'],
    'pubsub.starvation.events': [19, '19'],
    'pubsub.starvation.ms': [20, '20'],
    'pubsub.spin_micros': [21, '21'],
    'pubsub.logger.enabled': [false, 'false'],
    'pubsub.logger.level': ['warn', 'warn'],
    'pubsub.logger.destination': [2, '2'],
    'pubsub.resource_limits.max_old_generation_size_mb': [22, '22'],
    'pubsub.resource_limits.max_young_generation_size_mb': [23, '23'],
    'pubsub.resource_limits.stack_size_mb': [24, '24'],
    'pubsub.resource_limits.code_range_size_mb': [25, '25'],
    'pubsub.exec_argv': [['--import', 'tsx'], '["--import","tsx"]'],
    'pubsub.env': [{ PORT: '80' }, '{"PORT":"80"}'],
  };
  const nameIn = (key: Key): string[] =>
    Object.keys(samples).filter((name) => key.name === name.replace(/^pubsub\.lanes\.\w+/, 'pubsub.lanes.<lane>'));

  it.each(KEYS.filter(({ sets }) => sets !== 'queue'))('$name, from each source', (key) => {
    const [name] = nameIn(key);
    const [value, text, option = value] = samples[name];
    // With the least that makes it sound: a lane has a timeout only where publishers wait.
    const needed = { 'pubsub.lanes.control.when_full': 'block' };
    const variable = `LANEBUS_${name.slice('pubsub.'.length).replaceAll('.', '_').toUpperCase()}`;
    const path = key.option.replace('<lane>', name.split('.')[2]).split('.');
    for (const source of [
      env({ [variable]: text }),
      map({ [name]: text }),
      map({ [name]: value }),
      json({ [name]: value }),
      json(name.split('.').reduceRight<unknown>((inner, at) => ({ [at]: inner }), value) as object),
      fromGetters({
        get_int: (asked, other) => (asked === name ? value : other),
        get_float: (asked, other) => (asked === name ? value : other),
        get: (asked) => (asked === name ? value : undefined),
      }),
    ]) {
      const options: unknown = busOptionsFrom(source, map(needed));
      expect(path.reduce<unknown>((inner, at) => (inner as Record<string, unknown>)[at], options)).toEqual(option);
    }
  });

  it('pubsub.queue_maxsize bounds every lane, in typical records of 64 bytes', () => {
    const lanesFor = (value: number): BusOptions['lanes'] =>
      busOptionsFrom(map({ 'pubsub.queue_maxsize': value })).lanes;
    expect(lanesFor(0)).toEqual(DEFAULTS.lanes);
    expect(lanesFor(1)).toEqual(forAll({ capacityBytes: 1_024, maxRecordBytes: 512 }));
    expect(lanesFor(16)).toEqual(forAll({ capacityBytes: 1_024, maxRecordBytes: 512 }));
    expect(lanesFor(17)).toEqual(forAll({ capacityBytes: 2_048, maxRecordBytes: 1_024 }));
    expect(lanesFor(1_000)).toEqual(forAll({ capacityBytes: 65_536, maxRecordBytes: 32_768 }));
    expect(lanesFor(16_777_216)).toEqual(forAll({ capacityBytes: 2 ** 30, maxRecordBytes: 8_323_064 }));
  });

  it('pubsub.queue_maxsize leaves to a lane what the lane says itself, and lanes that are off alone', () => {
    const own = {
      'pubsub.lanes.market.when_full': 'dropNewest',
      'pubsub.lanes.log.capacity_bytes': 4_096,
      'pubsub.lanes.signal.max_record_bytes': 256,
      'pubsub.lanes.control.enabled': false,
    };
    const { lanes } = busOptionsFrom(map({ 'pubsub.queue_maxsize': 10, ...own }));
    expect(lanes).toEqual({
      control: false,
      execution: { capacityBytes: 1_024, maxRecordBytes: 512 },
      signal: { capacityBytes: 1_024, maxRecordBytes: 256 },
      market: { whenFull: 'dropNewest', capacityBytes: 1_024, maxRecordBytes: 512 },
      log: { capacityBytes: 4_096 },
    });
    expect(busOptionsFrom(map(own)).lanes).toMatchObject({
      control: false,
      signal: { maxRecordBytes: 256, whenFull: 'spill' },
      market: { whenFull: 'dropNewest' },
      log: { capacityBytes: 4_096, whenFull: 'spill' },
    });
  });

  it('are lanes of their own, which every source can name', () => {
    const orders = { max_priority: 15, urgent: false };
    const options = { maxPriority: 15, urgent: false, whenFull: 'spill' };
    for (const source of [
      json({ pubsub: { lanes: { orders } } }),
      json({ 'pubsub.lanes': { 'orders.max_priority': 15 }, pubsub: { 'lanes.orders': { urgent: false } } }),
      env({ LANEBUS_LANES_ORDERS_MAX_PRIORITY: '15', LANEBUS_LANES_ORDERS_URGENT: 'false' }),
      map({
        'pubsub.lanes': { orders },
        'pubsub.lanes.orders.max_priority': 15,
        'pubsub.lanes.orders.urgent': false,
      }),
      map({
        'pubsub.lanes': '["orders"]',
        'pubsub.lanes.orders.max_priority': '15',
        'pubsub.lanes.orders.urgent': 'false',
      }),
    ]) {
      expect(busOptionsFrom(source).lanes).toEqual({ ...forAll({ whenFull: 'spill' }), orders: options });
    }
    const spoken = busOptionsFrom(
      map({ 'pubsub.lanes.my_own.max_priority': 5 }),
      env({ LANEBUS_LANES_MY_OWN_URGENT: 'true' }),
    );
    expect(spoken.lanes?.my_own).toEqual({ maxPriority: 5, urgent: true, whenFull: 'spill' });
  });

  it('are sections that are off whatever else is said, and on again for an earlier source', () => {
    const level = { 'pubsub.logger.level': 'warn' };
    const off = { 'pubsub.logger.enabled': 'false' };
    expect(busOptionsFrom(map(level), map(off)).logger).toBe(false);
    expect(busOptionsFrom(map({ 'pubsub.logger.enabled': true }), map({ ...off, ...level })).logger).toEqual({
      level: 'warn',
    });
    expect(busOptionsFrom(map({ 'pubsub.logger.enabled': true })).logger).toEqual({});
  });
});

describe('sources', () => {
  it('earlier ones win, key by key, whatever they are', () => {
    const first = env({ LANEBUS_THREADS: '1', LANEBUS_LANES_MARKET_URGENT: 'true' });
    const second = json({
      pubsub: { threads: 2, spares: 2, lanes: { market: { urgent: false, capacity_bytes: 2_048 } } },
    });
    const third = map({
      'pubsub.threads': 3,
      'pubsub.spares': 3,
      'pubsub.grace_ms': 3,
      'pubsub.lanes.market.urgent': false,
    });
    expect(busOptionsFrom(first, second, third)).toEqual({
      ...DEFAULTS,
      threads: 1,
      spares: 2,
      graceMs: 3,
      lanes: { ...DEFAULTS.lanes, market: { urgent: true, capacityBytes: 2_048, whenFull: 'spill' } },
    });
    expect(busOptionsFrom(third, second, first)).toMatchObject({
      threads: 3,
      spares: 3,
      lanes: { market: { urgent: false } },
    });
  });

  it('a value that an earlier source overrides is not looked at', () => {
    expect(busOptionsFrom(env({ LANEBUS_THREADS: '1' }), json({ 'pubsub.threads': 'many' })).threads).toBe(1);
  });

  it('the environment is that of the process, under any prefix, and read when the options are', () => {
    const source = environment('TEST_CONFIGURATION_');
    process.env.TEST_CONFIGURATION_THREADS = '5';
    try {
      expect(busOptionsFrom(source).threads).toBe(5);
    } finally {
      delete process.env.TEST_CONFIGURATION_THREADS;
    }
    expect(busOptionsFrom(source).threads).toBeUndefined();
  });

  it('variables without the prefix are not looked at', () => {
    expect(busOptionsFrom(env({ THREADS: 'x', LANEBUS: 'x', XLANEBUS_THREADS: 'x' }))).toEqual(DEFAULTS);
  });

  it('no two keys have the same variable, and none of a lane ends as another does', () => {
    const variables = KEYS.map(({ name }) => name.replaceAll('.', '_').toUpperCase());
    expect(new Set(variables).size).toBe(KEYS.length);
    const ends = KEYS.filter(({ name }) => name.includes('<lane>')).map(({ name }) => `_${name.split('.')[3]}`);
    for (const end of ends) expect(ends.filter((other) => other.endsWith(end))).toEqual([end]);
  });

  it('a JSON file is found by path or URL, may begin with a byte order mark, and holds what is not for the bus', () => {
    const path = fileOf('\uFEFF{ "server": { "pubsub.threads": 9 }, "pubsub": { "threads": 2 }, "pubsubs": {} }');
    expect(busOptionsFrom(jsonFile(path)).threads).toBe(2);
    expect(busOptionsFrom(jsonFile(pathToFileURL(path))).threads).toBe(2);
  });

  it('a manager is asked by the getter for each kind of value, with the manager as `this`', () => {
    class Manager {
      readonly asked: string[] = [];
      getInt(key: string, other: number): number {
        this.asked.push(key);
        return key === 'pubsub.queue_maxsize' ? 0 : key === 'pubsub.handler_max_failures' ? 1 : other;
      }
      getFloat(key: string, other: number): number {
        this.asked.push(key);
        return key === 'pubsub.handler_timeout_seconds' ? 0 : key === 'pubsub.grace_ms' ? 1 : other;
      }
    }
    const manager = new Manager();
    // 0 and 1 are the defaults that it is asked with: they count if they are values all the same.
    expect(busOptionsFrom(fromGetters(manager))).toEqual({ ...DEFAULTS, timeoutMs: 0, maxFailures: 1, graceMs: 1 });
    const numbers = KEYS.filter(({ kind, name }) => /^(integer|number)$/.test(kind) && !name.includes('<lane>'));
    for (const { name } of numbers) expect(manager.asked).toContain(name);
    expect(manager.asked).not.toContain('pubsub.logger.level');
  });

  it('a manager without get_float is not asked for a fraction as a whole number', () => {
    const asked: string[] = [];
    const manager = {
      get_int: (key: string, other: number) => (asked.push(key), other),
      get: (key: string) => (key === 'pubsub.handler_timeout_seconds' ? '0.5' : undefined),
    };
    expect(busOptionsFrom(fromGetters(manager)).timeoutMs).toBe(500);
    expect(asked).not.toContain('pubsub.handler_timeout_seconds');
    expect(asked).toContain('pubsub.threads');
  });
});

describe('what is refused, in whole', () => {
  it.each(REFUSALS)('$what', ({ sources: [first, ...more], lines }) => {
    const head = `${lines.length} ${lines.length === 1 ? 'problem' : 'problems'} in the configuration`;
    expect(messageOf(() => busOptionsFrom(first, ...more))).toBe([head, ...lines].join('\n'));
  });

  it.each<[what: string, make: () => unknown, message: string]>([
    [
      'a prefix that every variable has',
      () => environment(''),
      "environment: prefix is ''; expected the beginning of names, a letter or _, then letters, digits or _",
    ],
    ['a path that is none', () => jsonFile(''), "jsonFile: path is ''; expected the path of a file, or its file: URL"],
    [
      'getters that are none',
      () => fromGetters({ get_integer: 5 } as never),
      'fromGetters: got { get_integer: 5 }; expected an object with some of: get_int, getInt, get_float, getFloat, get',
    ],
  ])('%s, at once', (_what, make, message) => {
    expect(messageOf(make)).toBe(message);
  });
});

describe('a bus with options from', () => {
  const variables = { LANEBUS_HANDLER_MAX_FAILURES: '2', LANEBUS_THREADS: '1', LANEBUS_LOGGER_ENABLED: 'false' };
  const values = { handler_max_failures: 2, threads: 1, logger: { enabled: false } };
  const quiet = env({ LANEBUS_LOGGER_ENABLED: 'false', LANEBUS_THREADS: '1' });

  it.each<[from: string, ...sources: [ConfigurationSource, ...ConfigurationSource[]]]>([
    ['the environment', env(variables)],
    ['a JSON file', json({ pubsub: values })],
    ['a Map', map({ 'pubsub.handler_max_failures': 2, 'pubsub.threads': '1', 'pubsub.logger.enabled': 'false' })],
    [
      'getters',
      fromGetters({
        get_int: (key, other) => (key === 'pubsub.handler_max_failures' ? 2 : other),
        get_float: (_key, other) => other,
      }),
      quiet,
    ],
    ['the environment, inline', env({ ...variables, LANEBUS_BACKEND: 'inline' })],
  ])('%s starts, and ends a subscription after so many failures', async (_from, source, ...more) => {
    const bus = createBus(catalog, busOptionsFrom(source, ...more));
    let calls = 0;
    const disabled = latch();
    bus.on('subscriptionDisabled', () => {
      disabled.open();
    });
    const ticks = bus.subscribe('TICK', () => {
      calls++;
      throw new Error('always');
    });
    await bus.start();
    try {
      for (let n = 0; n < 5; n++) await bus.publish(tick(n));
      await disabled.opened;
      await ticks.ended;
      expect(calls).toBe(2);
    } finally {
      await bus.stop();
    }
  });

  it('no configuration at all never refuses an event; a bounded queue holds as many typical records as it says', async () => {
    const publishedUntilFull = async (source: ConfigurationSource, most: number): Promise<number> => {
      const bus = createBus(catalog, busOptionsFrom(source, quiet));
      bus.subscribe('TICK', () => undefined).pause();
      await bus.start();
      try {
        let count = 0;
        while (count < most && bus.tryPublish(tick(count)) === 'published') count++;
        return count;
      } finally {
        await bus.stop({ timeoutMs: 1 });
      }
    };
    // 4 MiB of a market lane are 65,536 records of 64 bytes.
    expect(await publishedUntilFull(map({}), 70_000)).toBe(70_000);
    expect(await publishedUntilFull(map({ 'pubsub.queue_maxsize': 1_000 }), 70_000)).toBe(1_024);
  });
});

describe('the list of keys', () => {
  it('has every option of a bus that a text can say', () => {
    const keyed = KEYS.filter(({ sets }) => sets !== 'queue').map(({ option }) => option);
    const known = optionsIn(busSchema).filter((option) => !OPTIONS_WITHOUT_KEY.includes(option));
    expect(keyed.sort()).toEqual(known.sort());
    for (const option of OPTIONS_WITHOUT_KEY) expect(optionsIn(busSchema)).toContain(option);
  });

  it('is the table of docs/configuration.md', () => {
    const root = new URL('../../', import.meta.url);
    const pageAt = (path: string) => parsePage(path, readFileSync(new URL(path, root), 'utf8'));
    const rows = rowsOf(tableOf(pageAt('docs/configuration.md'), 'Key'));
    expect([...rows.keys()]).toEqual(KEYS.map(({ name }) => `\`${name}\``));
    const [busOptions, laneOptions] = ['Bus option', 'Lane option'].map((title) =>
      rowsOf(tableOf(pageAt('README.md'), title)),
    );
    for (const key of KEYS) {
      const row = rows.get(`\`${key.name}\``);
      const name = key.name.replace('<lane>', 'market');
      const refusal = messageOf(() => busOptionsFrom(map({ [name]: Symbol('bad') })));
      const rule = /expected (.*)$/m.exec(refusal)?.[1] ?? '';
      expect(row, name).toMatchObject({
        Option: `\`${key.option}\``,
        Accepts: rule,
        Unit: /(?:number|integer|two) of (\w+)/.exec(rule)?.[1] ?? '',
      });
      const told = TOLD_DEFAULTS[key.name];
      const shown = typeof key.fallback === 'number' ? key.fallback.toLocaleString('en-US') : `'${key.fallback}'`;
      const ofOption = busOptions.get(`\`${key.option}\``) ?? busOptions.get(`\`${key.option.split('.')[0]}\``);
      const ofLane = laneOptions.get(`\`${key.option.split('.')[2]}\``);
      const expected = key.option.startsWith('lanes.') ? ofLane : ofOption;
      expect(row?.Default, name).toBe(told ?? (key.fallback === undefined ? expected?.Default : shown));
    }
  });

  /** Those that are not the default of an option; other tests have them. */
  const TOLD_DEFAULTS: Readonly<Partial<Record<string, string>>> = {
    'pubsub.lanes.<lane>.enabled': 'true',
    'pubsub.lanes.<lane>.capacity_bytes': "as `pubsub.queue_maxsize` says, else the lane's own",
    'pubsub.lanes.<lane>.max_record_bytes': 'as `pubsub.queue_maxsize` says, else an eighth of the capacity',
    'pubsub.lanes.<lane>.when_full': 'as `pubsub.queue_maxsize` says',
    'pubsub.retry.attempts': '1; 3 with another key of `retry`',
    'pubsub.starvation.enabled': 'false',
    'pubsub.logger.enabled': 'true',
  };
});

/** The path of every option that a schema has, with `<lane>` for the name of one; a section that may be false is one too. */
function optionsIn(schema: z.ZodType, path = ''): string[] {
  const inner = schema instanceof z.ZodOptional ? (schema.unwrap() as z.ZodType) : schema;
  if (inner instanceof z.ZodObject) {
    const shape = inner.shape as Record<string, z.ZodType>;
    return Object.entries(shape).flatMap(([name, option]) => optionsIn(option, path === '' ? name : `${path}.${name}`));
  }
  if (inner instanceof z.ZodUnion) {
    const section = (inner.options as z.ZodType[]).find((option) => option instanceof z.ZodObject);
    return section === undefined ? [path] : [path, ...optionsIn(section, path)];
  }
  if (inner instanceof z.ZodRecord && path === 'lanes')
    return optionsIn(inner.valueType as z.ZodType, `${path}.<lane>`);
  return [path];
}
