import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { measure } from '../../bench/micro/measure.js';
import type { Micro } from '../../bench/micro/micro.js';

const RUN = fileURLToPath(new URL('../../build/bench/micro/run.js', import.meta.url));
/** Far above what it takes on a machine that others use. */
const LIMIT_MS = 180_000;

const run = promisify(execFile);

interface Report {
  readonly benchmarks: readonly {
    readonly name: string;
    readonly nsPerOp: number;
    readonly rme: number;
    readonly samples: number;
  }[];
  readonly machine: { readonly node: string };
}

async function report(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [RUN, ...args], { timeout: LIMIT_MS, killSignal: 'SIGKILL' });
  return stdout;
}

const part = ({ name }: { readonly name: string }): string => name.slice(0, name.indexOf(':'));

describe('the micro-benchmarks', () => {
  it('all find what they expect, and something plausible', { timeout: LIMIT_MS }, async () => {
    const { benchmarks, machine } = JSON.parse(await report('--quick', '--json')) as Report;
    expect(machine.node).toBe(process.version);
    expect([...new Set(benchmarks.map(part))]).toEqual([
      'publish',
      'codec',
      'lane',
      'key',
      'filter',
      'conflation',
      'claims',
      'dispatch',
      'pump',
    ]);
    expect(new Set(benchmarks.map(({ name }) => name)).size).toBe(benchmarks.length);
    for (const { nsPerOp, rme, samples } of benchmarks) {
      expect(nsPerOp).toBeGreaterThan(0.1);
      expect(nsPerOp).toBeLessThan(1e6);
      expect(rme).toBeGreaterThanOrEqual(0);
      expect(samples).toBeGreaterThanOrEqual(5);
    }
  });

  it('are those whose names have the text of --only', { timeout: LIMIT_MS }, async () => {
    const { benchmarks } = JSON.parse(await report('--only', 'codec: symbol', '--quick', '--json')) as Report;
    expect(benchmarks.length).toBeGreaterThan(0);
    expect(benchmarks.filter(({ name }) => !name.includes('codec: symbol'))).toEqual([]);
    await expect(report('--only', 'nothing of that name')).rejects.toThrow(
      'no micro-benchmark has "nothing of that name"',
    );
  });

  it('are a table, each measured in a process of its own', { timeout: LIMIT_MS }, async () => {
    const table = await report('--only', 'codec: enum of 3, encode');
    expect(table).toMatch(/micro-benchmark +│ +ops\/s │ +ns\/op │ +±% │ samples/);
    expect(table).toMatch(/codec: enum of 3, encode │ +[\d,]+ │ +[\d.,]+ │ +[\d.]+ │ +\d+/);
  });
});

describe('a micro-benchmark', () => {
  const right: Micro = { operations: 2, run: () => 7, check: () => undefined };
  const measured = (micro: Micro) => measure({ name: 'it', make: () => micro }, true);

  it.each([
    ['at once', right],
    ['later', { ...right, run: () => Promise.resolve(7) }],
  ])('that ends %s is measured by operation', async (_, micro) => {
    const { name, nsPerOp } = await measured(micro);
    expect(name).toBe('it');
    expect(nsPerOp).toBeGreaterThan(0);
  });

  it('is not measured if its check fails', async () => {
    let runs = 0;
    const wrong: Micro = {
      ...right,
      run: () => ++runs,
      check() {
        throw new Error('an event has changed');
      },
    };
    await expect(measured(wrong)).rejects.toThrow('an event has changed');
    expect(runs).toBe(0);
  });

  it.each([
    ['at once', (n: number) => n],
    ['later', (n: number) => Promise.resolve(n)],
  ])('is found wrong if a run comes to another result, %s', async (_, resultOf) => {
    let runs = 0;
    const wrong: Micro = { ...right, run: () => resultOf(++runs > 3 ? 8 : 7) };
    await expect(measured(wrong)).rejects.toThrow('it: a run comes to 8, the first one came to 7');
  });

  it('is found wrong if its check fails after it was measured', async () => {
    let checks = 0;
    const wrong: Micro = {
      ...right,
      check() {
        if (++checks === 2) throw new Error('an event has changed');
      },
    };
    await expect(measured(wrong)).rejects.toThrow('an event has changed');
  });
});
