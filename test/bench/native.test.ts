/** C++ and the Disruptor: each scenario works, and notices an event that is left out. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Measurement, Outcome, Parameters } from '../../bench/scenario.js';
import { pageAt, ROOT } from '../support/documents/pages.js';
import { BUILD_LIMIT_MS, buildNative } from '../support/native-bench.js';

const SYSTEMS = ['cpp', 'disruptor'] as const;
type System = (typeof SYSTEMS)[number];

const CHILD = join(ROOT, 'build', 'bench', 'child.js');
/** Of a program that ends by itself within a second, on a machine that is busy with others. */
const LIMIT_MS = 30_000;
const ROWS = 100;
const DROPPED = 7;

const STREAMS: Parameters = { events: 3_000, warmup: 1_000, slices: 1, capacity: 64 };
const missing = (whose: string, events: number): string =>
  `${whose}'s count is ${events - 1}, expected ${events} after ${events} ticks`;

/** Few events in small rings, so that they are full, and begin again, many times; and what is said of a missing event. */
const SMALL: readonly (readonly [scenario: string, parameters: Parameters, problem: string | RegExp])[] = [
  ['one-to-one', STREAMS, missing('the consumer', 1_000)],
  ['one-to-one-batch', { ...STREAMS, batch: 24 }, missing('the consumer', 1_000)],
  ['fan-out-1-to-4', { ...STREAMS, consumers: 4 }, missing('consumer 0', 1_000)],
  ['fan-out-keyed', { ...STREAMS, symbols: 50, threads: 2, workSteps: 10 }, 'key ES7: count is 19, expected 20'],
  ['pipeline-3', STREAMS, missing('the last stage', 1_000)],
  ['many-to-one', { ...STREAMS, producers: 3 }, missing('the consumer for producer 0', 334)],
  ['ping-pong', { events: 200, warmup: 20, wait: 0 }, 'round trips: their count is 219, expected 220'],
  ['ping-pong', { events: 200, warmup: 20, wait: 1 }, 'round trips: their count is 219, expected 220'],
  [
    'halt-overtakes',
    { events: 20, warmup: 5, everyMicros: 500, workSteps: 100 },
    /^the consumer's count is \d+, expected \d+ after \d+ ticks$/,
  ],
  ['open-load', { ...STREAMS, levelMs: 30, settleMs: 10 }, missing('the consumer', 1_000)],
  ['publish-cost', { events: 600, warmup: 200, burst: 200 }, missing('the consumer', 800)],
  ['idle-cost', { events: 20, settleMs: 20, idleMs: 100 }, missing('the consumer', 20)],
  ['feed', STREAMS, "the consumer's count is 999, expected 1000 after 1000 rows"],
];

const run = promisify(execFile);
const folder = mkdtempSync(join(tmpdir(), 'lanebus-native-'));
const rows = join(folder, 'rows');

beforeAll(async () => {
  const bytes = Buffer.alloc(ROWS * 64);
  for (let row = 0; row < ROWS; row++) {
    bytes.writeUInt32LE(row, row * 64 + 4);
    // A price, one of the five actions, and the sequence.
    bytes.writeDoubleLE(4_800.25, row * 64 + 8);
    bytes.writeDoubleLE(row % 5, row * 64 + 16);
    bytes.writeDoubleLE(row, row * 64 + 56);
  }
  writeFileSync(rows, bytes);
  await buildNative();
}, BUILD_LIMIT_MS);

afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function start(system: System, args: readonly string[]): Promise<Outcome> {
  const { stdout } = await run(join(ROOT, 'native-bench', 'build', system), args, { timeout: LIMIT_MS });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Outcome;
}

function measure(system: System, scenario: string, parameters: Parameters): Promise<Outcome> {
  const given = ['--scenario', scenario, '--parameters', JSON.stringify(parameters)];
  return start(system, scenario === 'feed' ? [...given, '--rows', rows] : given);
}

/** What it said on stderr, when it was to fail. */
async function problemOf(outcome: Promise<Outcome>): Promise<string> {
  const error: unknown = await outcome.catch((failure: unknown) => failure);
  if (!(error instanceof Error)) throw new Error(`it has not failed: ${JSON.stringify(error)}`);
  const { code, stderr } = error as Error & { code: number; stderr: string };
  expect(code).toBe(1);
  return stderr;
}

function expectPlausible(outcome: Outcome): void {
  const { value, details, latency } = outcome as Measurement;
  expect(value).toBeGreaterThan(0);
  expect(value).toBeLessThan(2e9);
  expect(details).toHaveProperty('wait');
  if (latency === undefined) return;
  const { p50, p99, p999, max } = latency;
  const ordered = [p50, p99, p999, max];
  expect(ordered).toEqual(ordered.toSorted((a, b) => a - b));
  expect(p50).toBeGreaterThan(0);
}

describe.each(SYSTEMS)('%s', (system) => {
  it.each(SMALL)('finds something plausible in %s %j', async (scenario, parameters) => {
    expectPlausible(await measure(system, scenario, parameters));
  });

  it.each(SMALL)('fails in %s %j when an event is missing', async (scenario, parameters, problem) => {
    const said = await problemOf(measure(system, scenario, { ...parameters, drop: DROPPED }));
    expect(said.trimEnd()).toEqual(typeof problem === 'string' ? problem : expect.stringMatching(problem));
  });

  it('says why it cannot do what it cannot', async () => {
    expect(await start(system, ['--scenario', 'kill-recovery'])).toEqual({
      absent: expect.stringContaining('cannot be killed') as string,
    });
    expect(await start(system, ['--scenario', 'feed'])).toEqual({
      absent: 'it needs the rows of a day: --rows FILE',
    });
  });

  it.each([
    ['--scenario', 'none', 'there is no scenario none; there are: fan-out-1-to-4, '],
    ['--parameters', '{"events":', 'parameters are {"events":, expected a flat JSON object of numbers'],
    ['--parameters', '{"events":-1}', /^events is -1(\.0)?, expected an integer from 0 to \d+\n$/],
    ['--parameters', '{"capacity":1000}', /power of (two|2)\n$/],
    ['--wrong', 'option', /^usage: .*; given --wrong\n$/],
  ])('refuses %s %s in one line', async (option, value, problem) => {
    const said = await problemOf(start(system, [option, value]));
    expect(said).toMatch(problem);
    expect(said.trimEnd()).not.toContain('\n');
  });

  it('is a system of the bench', async () => {
    const given = ['--scenario', 'one-to-one', '--parameters', JSON.stringify({ ...STREAMS, symbols: 16 })];
    const { stdout } = await run(process.execPath, [CHILD, '--module', system, ...given], { timeout: LIMIT_MS });
    expectPlausible(JSON.parse(stdout) as Outcome);
  });

  it('is absent for the bench where its tools are missing, with what to install', async () => {
    const given = ['--module', system, '--scenario', 'one-to-one'];
    const { stdout } = await run(process.execPath, [CHILD, ...given], { env: { PATH: folder }, timeout: LIMIT_MS });
    expect(JSON.parse(stdout)).toEqual({
      absent: expect.stringMatching(/^(g\+\+|make) is not installed: apt-get install .*make/) as string,
    });
  });
});

describe('the page of native-bench', () => {
  const commands = pageAt('native-bench/README.md')
    .blocks.filter(({ language }) => language === 'sh')
    .flatMap(({ text }) => text.split('\n'))
    .filter((line) => line.startsWith('native-bench/build/'));

  it.each(commands)('shows a command that works: %s', async (line) => {
    const { stdout } = await run('sh', ['-c', line], { cwd: ROOT, timeout: LIMIT_MS });
    expectPlausible(JSON.parse(stdout) as Outcome);
  });

  it('shows one of each program', () => {
    expect(commands.length).toBe(SYSTEMS.length);
  });
});
