/** What bench:report writes, from reports made by hand. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatFigure } from '../../bench/figures.js';
import { pageOf } from '../../bench/page.js';
import { REASONS } from '../../bench/reasons.js';
import type { BenchReport } from '../../bench/report.js';
import { SCENARIOS } from '../../bench/scenarios.js';
import { ROOT } from '../support/documents/pages.js';

const PROGRAM = join(ROOT, 'build', 'bench', 'report-page.js');
const LIMIT_MS = 60_000;
const run = promisify(execFile);

const machine: BenchReport['machine'] = {
  cpu: 'A processor',
  cores: 2,
  governor: undefined,
  node: 'v24.0.0',
  v8: '13.6',
  platform: 'linux x64 6.0',
  flags: ['--expose-gc'],
  loadavg: [0.25, 0, 0],
};
const series = (median: number) => ({ median, rounds: [median * 0.9, median, median * 1.1] });
const ratio = (of: string, over: string, median: number) => ({
  of,
  over,
  ...series(median),
  interval: [median * 0.9, median * 1.1] as const,
});
const latency = { p50: 4, p99: 81.2, p999: 120, max: 4_321 };

const throughput: BenchReport = {
  scenario: 'one-to-one',
  question: 'one producer, one consumer: events a second',
  unit: 'events/s',
  better: 'higher',
  systems: { lanebus: series(12_400_000), 'post-message': series(300_000), cpp: series(31_000_000) },
  absent: { disruptor: 'there is no Java here' },
  ratios: {
    'post-message': ratio('lanebus', 'post-message', 41.3),
    cpp: ratio('lanebus', 'cpp', 0.4),
  },
  targets: [
    { title: 'beside the port', of: { ratio: 'post-message' }, atLeast: 50, moonshot: 70, ...verdict(41.3, false) },
    { title: 'beside C++', of: { ratio: 'cpp' }, atLeast: 0.25, ...verdict(0.4, true) },
  ],
  rounds: [{ order: [], busyCores: 0, measurements: {} }],
  machine,
  busy: false,
  parameters: {},
};

function verdict(median: number, met: boolean) {
  return { median, interval: [median * 0.9, median * 1.1] as const, met };
}

const latencies: BenchReport = {
  ...throughput,
  scenario: 'halt-overtakes',
  unit: 'µs',
  better: 'lower',
  systems: { lanebus: series(81.2), 'post-message': series(95_000) },
  absent: {},
  ratios: { 'post-message': ratio('post-message', 'lanebus', 1_170) },
  targets: [],
  rounds: [{ order: ['lanebus'], busyCores: 1.2, measurements: { lanebus: { value: 81.2, latency } } }],
  busy: true,
};

const keyed: BenchReport = {
  ...throughput,
  scenario: 'fan-out-keyed',
  systems: { 'one-thread-0us': series(4_000_000), 'two-threads-0us': series(2_000_000) },
  absent: {},
  ratios: { 'work-0us': ratio('two-threads-0us', 'one-thread-0us', 0.5) },
  targets: [],
};

const reports = [throughput, latencies, keyed];

describe('the page of a run', () => {
  const page = pageOf(reports, { 'beside the port': 'the producer waits for the consumer.' });
  const [above, slower] = page.split('## Where Lanebus is slower');

  it('has each target with its verdict, and the reason of a miss that has one', () => {
    expect(above).toContain(
      '| beside the port | ≥ 50 | 70 | 41.3 | [37.2, 45.4] | **missed**: the producer waits for the consumer. |',
    );
    expect(above).toContain('| beside C++ | ≥ 0.250 |  | 0.400 | [0.360, 0.440] | met |');
    expect(pageOf(reports, {})).toContain('| **missed** |');
  });

  it('has no reason for a target that is none', () => {
    const titles = SCENARIOS.flatMap(({ targets }) => targets ?? []).map(({ title }) => title);
    expect(titles).toEqual(expect.arrayContaining(Object.keys(REASONS)));
  });

  it('has the machine, and the mark of a run on a busy one', () => {
    expect(above).toContain('A processor, 2 cores, governor unknown; Node v24.0.0');
    expect(above).toContain('**BUSY**: others used the machine during `halt-overtakes`');
    expect(above).toContain('## halt-overtakes (BUSY)');
    expect(pageOf([throughput])).not.toContain('BUSY');
  });

  it('has the systems with their ratios and latencies, and those that are absent with the reason', () => {
    expect(above).toContain('| **`lanebus`** | 12.4 M | 11.2 M–13.6 M | 3 |');
    expect(above).toContain('| `post-message` | 300 k | 270 k–330 k | 3 | 41.3 [37.2, 45.4] |');
    expect(above).toContain('| **`lanebus`** | 81.2 | 73.1–89.3 | 3 |  | 4.00 | 81.2 | 120 | 4,321 |');
    expect(above).toContain('- `disruptor`: there is no Java here');
  });

  it('says of every peer with a ratio below 1 that Lanebus is slower, not of Lanebus beside itself', () => {
    expect(slower.match(/^\| \[.*/gm)).toEqual([
      '| [one-to-one](#one-to-one) | `lanebus` | 12.4 M | `cpp` | 31.0 M | 0.400 [0.360, 0.440] |',
    ]);
    expect(above).toContain('- `work-0us`: `two-threads-0us` ÷ `one-thread-0us`: 0.500');
    expect(pageOf([latencies, keyed])).toContain('Nowhere');
  });

  it.each([
    [0, '0'],
    [1.5, '1.50'],
    [81, '81'],
    [9_994, '9,994'],
    [9_996, '10.0 k'],
    [999_400, '999 k'],
    [999_600, '1.00 M'],
    [123_400_000, '123.4 M'],
  ])('writes %d events a second as %s', (value, text) => {
    expect(formatFigure(value, 'events/s')).toBe(text);
  });
});

describe('npm run bench:report', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lanebus-report-'));
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });
  const results = join(folder, 'results.json');
  const write = () =>
    run(process.execPath, [PROGRAM, '--from', results, '--to', folder], { timeout: LIMIT_MS, killSignal: 'SIGKILL' });

  beforeAll(async () => {
    writeFileSync(results, JSON.stringify(reports));
    await write();
  }, LIMIT_MS);

  it.each(reports)('draws every system of $scenario', ({ scenario, systems }) => {
    const svg = readFileSync(join(folder, 'benchmarks', `${scenario}.svg`), 'utf8');
    expect(unclosedOf(svg)).toEqual([]);
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    for (const name of Object.keys(systems)) expect(svg).toContain(`>${name}</text>`);
  });

  it('takes one scenario, too, and leaves no chart of another', { timeout: LIMIT_MS }, async () => {
    writeFileSync(results, `\n> lanebus@0.1.0 bench\n> node build/bench/run.js\n\n${JSON.stringify(keyed)}\n`);
    await write();
    expect(readdirSync(join(folder, 'benchmarks'))).toEqual(['fan-out-keyed.svg']);
    expect(readFileSync(join(folder, 'benchmarks.md'), 'utf8')).toContain('## fan-out-keyed');
  });

  it('ends with one line where the file is no result', { timeout: LIMIT_MS }, async () => {
    writeFileSync(results, '[]');
    await expect(write()).rejects.toThrow(/^Command failed: .*\nerror: .*no scenario in it\n$/);
  });
});

/** Names of the elements that do not end where they must; text that is no element, as it is. */
function unclosedOf(xml: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  for (const [tag] of xml.matchAll(/<[^>]*>?/g)) {
    const parts = /^<(\/?)([a-z]+)(?:\s+[\w:-]+="[^"<]*")*\s*(\/?)>$/i.exec(tag);
    if (parts === null) wrong.push(tag);
    else if (parts[1] === '/') {
      if (open.pop() !== parts[2]) wrong.push(tag);
    } else if (parts[3] === '') open.push(parts[2]);
  }
  return [...wrong, ...open];
}
