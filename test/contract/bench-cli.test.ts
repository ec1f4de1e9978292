// `lanebus bench` as a user calls it: what it prints is what was done, and what is wrong ends with a line that says so.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Result } from '../../src/cli/bench/result.js';
import { rowsOf, tableOf } from '../support/documents/markdown.js';
import { pageAt } from '../support/documents/pages.js';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SHORT = ['--seconds', '0.4', '--warmup', '0.2'];
const HINT = '(--help tells how it is called)\n';

const children = new Set<ChildProcess>();

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
});

function begin(args: readonly string[], nodeOptions = ''): ChildProcess {
  const env = { ...process.env, NODE_OPTIONS: nodeOptions };
  const child = spawn(process.execPath, [CLI, 'bench', ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.on('close', () => children.delete(child));
  return child;
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function end(child: ChildProcess): Promise<Ended> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error('it was begun without pipes');
  const [out, err, [code]] = await Promise.all([
    text(stdout),
    text(stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { code, out, err };
}

async function resultOf(...args: string[]): Promise<Result> {
  const { code, out, err } = await end(begin([...args, '--json']));
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as Result;
}

/** Of a sound result, whatever the scenario: figures that belong together. */
function expectSound(result: Result): void {
  const { plan, seconds, events, eventsPerSecond, megabytesPerSecond, latencyMicros, cpu, ledger } = result;
  expect(result.problems).toEqual([]);
  expect(result).toMatchObject({ kills: 0, interrupted: false });
  expect(seconds).toBeGreaterThanOrEqual(plan.seconds);
  expect(events).toBeGreaterThan(0);
  expect(eventsPerSecond).toBeCloseTo(events / seconds, 3);
  expect(megabytesPerSecond).toBeCloseTo((eventsPerSecond * plan.payloadBytes) / 1e6, 3);
  if (latencyMicros === undefined) throw new Error('no event was timed');
  const { p50, p99, p999, max, samples } = latencyMicros;
  expect(samples).toBeGreaterThan(0);
  expect(p50).toBeGreaterThan(0);
  // Percentiles are the upper ends of the histogram's buckets, which are a thousandth wide.
  expect([p50, p99, p999]).toEqual([p50, p99, p999].sort((a, b) => a - b));
  expect(p999).toBeLessThanOrEqual(max * 1.002);
  expect(cpu.cores).toBeGreaterThan(0);
  expect(ledger).toMatchObject({ exact: true, discarded: 0, processed: ledger.owed });
}

describe('lanebus bench', () => {
  it('measures one-to-one by default, with ticks of 64 bytes', async () => {
    const result = await resultOf(...SHORT);
    expectSound(result);
    expect(result.plan).toMatchObject({ scenario: 'one-to-one', payloadBytes: 64, threads: 1, whenFull: 'block' });
    expect(result.ledger.owed).toBeGreaterThanOrEqual(result.events);
    expect(result.backpressure.refused).toBe(0);
  });

  it.each(['16', '17', '1000', '100000'])('takes a payload of %s bytes', async (payload) => {
    const result = await resultOf(...SHORT, '--payload', payload);
    expectSound(result);
    expect(result.plan.payloadBytes).toBe(Math.ceil(Number(payload) / 8) * 8);
  });

  it('fan-out owes every subscription every event', async () => {
    const result = await resultOf('fan-out', ...SHORT, '--subscriptions', '3', '--threads', '2');
    expectSound(result);
    expect(result.ledger.owed % 3).toBe(0);
    expect(result.deliveriesPerSecond).toBeCloseTo(3 * result.eventsPerSecond, 3);
  });

  it('keyed shares one subscription among its threads, each key in order', async () => {
    const result = await resultOf('keyed', ...SHORT, '--threads', '2', '--work', '1');
    expectSound(result);
    expect(result.plan).toMatchObject({ threads: 2, subscriptions: 1, workMicros: 1 });
  });

  it('ping-pong has an answer for every event, and times each', async () => {
    const result = await resultOf('ping-pong', ...SHORT);
    expectSound(result);
    expect(result.ledger.owed % 2).toBe(0);
    // The answers to the last ping of each phase may come after it.
    expect(Math.abs((result.latencyMicros?.samples ?? 0) - result.events)).toBeLessThanOrEqual(1);
  });

  it('halt-overtakes times each halt beside the flood', async () => {
    const result = await resultOf('halt-overtakes', ...SHORT, '--urgent-rate', '500');
    expectSound(result);
    expect(result.halts?.refused).toBe(0);
    expect(result.halts?.published).toBeGreaterThan(0);
    expect(result.halts?.published).toBeLessThanOrEqual(Math.ceil(result.seconds * 500) + 1);
    expect(result.halts?.latencyMicros?.samples).toBe(result.halts?.published);
  });

  it.each(['one-to-one', 'fan-out', 'keyed', 'ping-pong', 'halt-overtakes'])('runs %s inline too', async (scenario) => {
    const result = await resultOf(scenario, ...SHORT, '--backend', 'inline');
    expectSound(result);
  });

  it.each(['one-to-one', 'ping-pong'])('holds a rate: %s', async (scenario) => {
    const result = await resultOf(scenario, '--rate', '2000', '--seconds', '1', '--warmup', '0.2');
    expectSound(result);
    expect(result.eventsPerSecond).toBeGreaterThan(1_800);
    expect(result.eventsPerSecond).toBeLessThan(2_200);
    expect(result.latencyMicros?.samples).toBeGreaterThan(1_800);
  });

  it('counts from when an event was due: a rate that cannot be held has latencies as long as the backlog', async () => {
    // 200 of the 1,000 events of a second are handled in it: the last of them was due 0.8 s before. Had its latency begun when
    // its publisher found room, it would be what the lane holds: 12 events, 60 ms.
    const args = ['--rate', '1000', '--work', '5000', '--seconds', '1', '--warmup', '0', '--capacity', '1024'];
    const result = await resultOf(...args);
    expectSound(result);
    expect(result.rateHeld).toBe(false);
    expect(result.backpressure.waits).toBeGreaterThan(0);
    expect(result.backpressure.waitedMs).toBeGreaterThan(500);
    expect(result.latencyMicros?.max).toBeGreaterThan(500_000);
  });

  it.each(['reject', 'dropNewest'])(
    'under %s counts what had no room, and sees all the rest in order',
    async (policy) => {
      const result = await resultOf(...SHORT, '--when-full', policy, '--capacity', '4096', '--work', '20');
      expectSound(result);
      expect(result.backpressure).toMatchObject({ waits: 0, waitedMs: 0 });
      expect(result.backpressure.refused).toBeGreaterThan(0);
      expect(result.backpressure.fill).toBeGreaterThan(0.5);
    },
  );

  it('under spill tells how much was in the overflow', async () => {
    const args = ['--when-full', 'spill', '--capacity', '1024', '--work', '100', '--rate', '20000'];
    const result = await resultOf(...SHORT, ...args);
    expectSound(result);
    expect(result.backpressure.mostSpilled).toBeGreaterThan(0);
  });

  it('prints a table for people', async () => {
    const { code, out, err } = await end(begin([...SHORT, '--rate', '1000']));
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^one-to-one: payload of 64 bytes, 1,000 events\/s, 1 pool thread, 0\.4 s\n/);
    for (const row of [
      /│ throughput +│ [\d,.]+ events\/s {3}[\d.]+ MB\/s/,
      /│ latency +│ p50 [\d.]+ [nµm]?s {3}p99 [\d.]+ [nµm]?s {3}p99\.9 [\d.]+ [nµm]?s {3}max [\d.]+ [nµm]?s {3}\(\d+ timed\)/,
      /│ CPU +│ [\d.]+ cores/,
      /│ back-pressure +│ publisher waited \d+ times/,
      /│ lane +│ (under )?[\d.]+ % of 4 MiB in use at most/,
      /│ ledger +│ \d+ owed, \d+ processed: exact, in order/,
      /│ threads lost +│ 0/,
      /cores, Node v\d+\.\d+\.\d+, \w+ \w+, load [\d.]+/,
    ])
      expect(out).toMatch(row);
  });

  it('says what is wrong, in one line with exit code 1, when a thread is lost on the way', async () => {
    // A preload that ends each pool thread with the 2,000th latency that it records.
    const preload = `
      import { createHistogram } from 'node:perf_hooks';
      import { isMainThread } from 'node:worker_threads';
      if (!isMainThread) {
        const histogram = Object.getPrototypeOf(createHistogram());
        const { record } = histogram;
        let count = 0;
        histogram.record = function (value) {
          if (++count === 2_000) process.exit(7);
          return record.call(this, value);
        };
      }`;
    const args = ['--json', '--seconds', '0.5', '--warmup', '0', '--rate', '5000'];
    const { code, out, err } = await end(begin(args, `--import=data:text/javascript,${encodeURIComponent(preload)}`));
    expect(code).toBe(1);
    const result = JSON.parse(out) as Result;
    expect(result.kills).toBeGreaterThan(0);
    expect(result.problems).not.toEqual([]);
    const line = err.split('\n').filter((one) => one.startsWith('lanebus: '));
    expect(line).toEqual([`lanebus: the result is wrong: ${result.problems.join('; ')}`]);
    expect(line[0]).toMatch(/pool threads? (was|were) lost/);
  });

  const untilLine = async (child: ChildProcess, wanted: RegExp): Promise<void> => {
    if (child.stderr === null) throw new Error('it was begun without pipes');
    for await (const line of createInterface({ input: child.stderr })) if (wanted.test(line)) return;
    throw new Error(`it never said ${String(wanted)}`);
  };

  it.each([
    ['one-to-one'],
    ['one-to-one', '--rate', '1000'],
    // The publisher waits for room that comes once a second.
    ['one-to-one', '--work', '1000000', '--capacity', '1024', '--warmup', '0'],
    ['ping-pong'],
  ])('Ctrl-C ends %s %s %s early, with the result so far', async (...args) => {
    const child = begin([
      ...args,
      '--seconds',
      '600',
      ...(args.includes('--warmup') ? [] : ['--warmup', '0.1']),
      '--progress',
      '--json',
    ]);
    const { stdout } = child;
    if (stdout === null) throw new Error('it was begun without pipes');
    const output = text(stdout);
    await untilLine(child, /: [1-9]\d* of 600 s, [\d,.]+ events\/s/);
    child.kill('SIGINT');
    const [code] = (await once(child, 'close')) as [number | null];
    expect(code).toBe(0);
    const result = JSON.parse(await output) as Result;
    expect(result).toMatchObject({ interrupted: true, problems: [] });
    expect(result.seconds).toBeLessThan(60);
    expect(result.ledger.exact).toBe(true);
  });

  it('Ctrl-C before the measurement says that there is nothing to tell', async () => {
    const child = begin(['--warmup', '600', '--progress']);
    const { stdout } = child;
    if (stdout === null) throw new Error('it was begun without pipes');
    const output = text(stdout);
    const said: string[] = [];
    if (child.stderr === null) throw new Error('it was begun without pipes');
    let isTold = false;
    for await (const line of createInterface({ input: child.stderr })) {
      if (line.startsWith('lanebus')) said.push(line);
      if (isTold || !line.includes('warming up')) continue;
      isTold = true;
      child.kill('SIGINT');
    }
    expect(said).toEqual(['lanebus: ended before anything was measured: it was still warming up']);
    expect(await output).toBe('');
    expect(child.exitCode ?? (await once(child, 'close'))[0]).toBe(1);
  });

  it.each([
    [
      ['one-to-two'],
      "error: command-argument value 'one-to-two' is invalid for argument 'scenario'. Allowed choices are one-to-one, fan-out, keyed, ping-pong, halt-overtakes.\n",
    ],
    [
      ['--seconds', '0'],
      "error: option '--seconds <n>' argument '0' is invalid. Expected a number of seconds from 0.1 to 86,400.\n",
    ],
    [
      ['--warmup', '-1'],
      "error: option '--warmup <n>' argument '-1' is invalid. Expected a number of seconds from 0 to 3,600.\n",
    ],
    [
      ['--payload', '15'],
      "error: option '--payload <bytes>' argument '15' is invalid. Expected an integer of bytes from 16 to 8,323,048.\n",
    ],
    [
      ['--payload', '8323049'],
      "error: option '--payload <bytes>' argument '8323049' is invalid. Expected an integer of bytes from 16 to 8,323,048.\n",
    ],
    [
      ['keyed', '--threads', 'all'],
      "error: option '--threads <n>' argument 'all' is invalid. Expected an integer of threads from 1 to 256.\n",
    ],
    [
      ['fan-out', '--subscriptions', '0'],
      "error: option '--subscriptions <n>' argument '0' is invalid. Expected an integer of subscriptions from 1 to 256.\n",
    ],
    [
      ['--rate', '1.5'],
      "error: option '--rate <n>' argument '1.5' is invalid. Expected an integer of events a second from 1 to 100,000,000.\n",
    ],
    [
      ['--work', ''],
      "error: option '--work <micros>' argument '' is invalid. Expected a number of µs from 0 to 1,000,000.\n",
    ],
    [
      ['--backend', 'serial'],
      "error: option '--backend <name>' argument 'serial' is invalid. Allowed choices are parallel, inline.\n",
    ],
    [
      ['--when-full', 'wait'],
      "error: option '--when-full <policy>' argument 'wait' is invalid. Allowed choices are block, reject, dropNewest, spill.\n",
    ],
    [
      ['--capacity', '5000'],
      "error: option '--capacity <bytes>' argument '5000' is invalid. Expected a power of two of bytes from 1,024 to 1,073,741,824.\n",
    ],
    [
      ['halt-overtakes', '--urgent-rate', '0'],
      "error: option '--urgent-rate <n>' argument '0' is invalid. Expected an integer of halts a second from 1 to 100,000.\n",
    ],
    [
      ['--spin', '10001'],
      "error: option '--spin <micros>' argument '10001' is invalid. Expected an integer of µs from 0 to 10,000.\n",
    ],
    [['--sconds', '1'], "error: unknown option '--sconds'\n(Did you mean --seconds?)\n"],
    [['--threads', '2'], 'lanebus: --threads 2 means nothing to one-to-one; expected with: fan-out, keyed\n'],
    [
      ['ping-pong', '--urgent-rate', '10'],
      'lanebus: --urgent-rate 10 means nothing to ping-pong; expected with: halt-overtakes\n',
    ],
    [
      ['--when-full', 'spill'],
      'lanebus: --when-full spill without --rate: as fast as possible, what waits in memory has no bound; expected a --rate\n',
    ],
    [
      ['--backend', 'inline', '--spin', '5'],
      'lanebus: --spin 5 is for pool threads; expected with --backend parallel\n',
    ],
    [
      ['--payload', '4096', '--capacity', '4096'],
      'lanebus: --capacity 4096 is less than two records of --payload 4096; expected a power of two from 16,384 to 1,073,741,824\n',
    ],
  ])('%j says in one line what is wrong and what is accepted', async (args, line) => {
    const { code, out, err } = await end(begin(args));
    expect({ code, out, err: err.replace(HINT, '') }).toEqual({ code: 2, out: '', err: line });
  });

  it('has the flags and scenarios that docs/benchmarking.md tells of', async () => {
    const page = pageAt('docs/benchmarking.md');
    const { out } = await end(begin(['--help']));
    const options = out.split('\n\n').find((section) => section.startsWith('Options:\n')) ?? '';
    const flags = [...options.matchAll(/^ {2}(--[\w-]+)/gm)].map(([, name]) => name);
    const rows = rowsOf(tableOf(page, 'Flag'));
    expect([...rows.keys()]).toEqual(flags.map((name) => `\`${name}\``));
    const scenarios = /\nScenarios:\n(.*?)\n\n/s
      .exec(out)?.[1]
      .split('\n')
      .map((row) => row.trim().split(' ')[0]);
    expect([...rowsOf(tableOf(page, 'Scenario')).keys()]).toEqual(scenarios?.map((name) => `\`${name}\``));
  });
});
