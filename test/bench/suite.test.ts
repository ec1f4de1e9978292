/** The bench itself: its numbers, its rounds, its report, and that a wrong result fails it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { buildComparison, verdictOf } from '../../bench/comparison.js';
import { describeMachine } from '../../bench/machine.js';
import { buildReport } from '../../bench/report.js';
import { type Found, measureRounds, type RoundsPlan } from '../../bench/rounds.js';
import { ratiosOf, type Scenario, type System } from '../../bench/scenario.js';
import { bootstrapInterval, toSeries } from '../../bench/statistics.js';
import { ROOT } from '../support/documents/pages.js';

const BENCH = join(ROOT, 'build', 'bench');
const folder = mkdtempSync(join(tmpdir(), 'lanebus-suite-'));
const asked = join(folder, 'asked');

afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A system of this test's own, whose body comes after the log of its name. */
function systemOf(name: string, body: string): System {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(
    file,
    `import { appendFileSync } from 'node:fs';
    export const scenarios = { own: async ({ events }) => {
      appendFileSync(${JSON.stringify(asked)}, ${JSON.stringify(`${name}\n`)});
      ${body}
    } };`,
  );
  return { name, module: pathToFileURL(file).href, parameters: () => ({ events: 10 }) };
}

function measure(systems: readonly System[], more: Partial<RoundsPlan> = {}): Promise<Found> {
  writeFileSync(asked, '');
  return measureRounds({
    scenario: 'own',
    systems,
    rounds: 3,
    parameters: Object.fromEntries(systems.map((system) => [system.name, system.parameters(true)])),
    folders: Object.fromEntries(systems.map(({ name }) => [name, BENCH])),
    onProgress: () => undefined,
    ...more,
  });
}

const systems = (['subject', 'second', 'peer'] as const).map((name): System => ({
  name,
  module: name,
  ...(name === 'peer' ? {} : { subject: true }),
  parameters: () => ({}),
}));
const scenario: Scenario = {
  name: 'own',
  question: 'which?',
  unit: 'events/s',
  better: 'higher',
  systems,
  targets: [
    { title: 'low', of: { ratio: 'peer' }, atLeast: 2 },
    { title: 'high', of: { ratio: 'peer' }, atLeast: 20 },
    { title: 'small', of: { system: 'subject' }, atMost: 5 },
  ],
  rounds: { full: 3, quick: 1 },
};

describe('statistics', () => {
  it('gives equal rounds an interval of no width', () => {
    expect(bootstrapInterval([3, 3, 3, 3])).toEqual([3, 3]);
  });

  it('gives an interval in order that covers the median and stays within the rounds', () => {
    const rounds = [5, 1, 4, 2, 3, 9, 7];
    const [low, high] = bootstrapInterval(rounds);
    expect(low).toBeLessThan(4);
    expect(high).toBeGreaterThan(4);
    expect(low).toBeGreaterThanOrEqual(1);
    expect(high).toBeLessThanOrEqual(9);
  });

  it('keeps the rounds in their order', () => {
    expect(toSeries([3, 1, 2])).toEqual({ median: 2, rounds: [3, 1, 2] });
  });
});

describe('ratiosOf', () => {
  it('divides each subject by each peer, and the other way round where low is good', () => {
    expect(ratiosOf(scenario)).toEqual({
      peer: { of: 'subject', over: 'peer' },
      'second ÷ peer': { of: 'second', over: 'peer' },
    });
    expect(ratiosOf({ ...scenario, better: 'lower' }).peer).toEqual({ of: 'peer', over: 'subject' });
  });

  it('compares within a case only', () => {
    const [subject, second, peer] = systems;
    const cases = [{ ...subject, case: 'text' }, second, { ...peer, case: 'text' }];
    expect(ratiosOf({ ...scenario, systems: cases })).toEqual({ peer: { of: 'subject', over: 'peer' } });
  });
});

describe('the report', () => {
  it('has ratios round by round, targets met and missed, rounds and the machine', () => {
    const rounds = [10, 20, 30].map((value) => ({
      order: ['subject', 'peer'],
      busyCores: 0,
      measurements: { subject: { value }, peer: { value: 2 } },
    }));
    const machine = describeMachine();
    const report = buildReport(scenario, { rounds, absent: { second: 'not here' } }, {}, machine);
    expect(report.ratios).toMatchObject({ peer: { median: 10, rounds: [5, 10, 15] } });
    expect(Object.keys(report.ratios)).toEqual(['peer']);
    expect(report.targets.map(({ title, met }) => [title, met])).toEqual([
      ['low', true],
      ['high', false],
      ['small', false],
    ]);
    expect(report).toMatchObject({ rounds, machine, busy: false, absent: { second: 'not here' } });
  });
});

describe('rounds', () => {
  it('begin with another system each time, and ask an absent one once', async () => {
    const found = await measure([
      systemOf('a', 'return { value: 1 };'),
      systemOf('b', 'return { value: 2 };'),
      systemOf('c', "return { absent: 'not here' };"),
    ]);
    expect(found.rounds.map(({ order }) => order)).toEqual([
      ['a', 'b'],
      ['b', 'a'],
      ['a', 'b'],
    ]);
    expect(found.absent).toEqual({ c: 'not here' });
    expect(readFileSync(asked, 'utf8').match(/c/g)).toHaveLength(1);
  });

  it('end with their budget, but not before the first', async () => {
    const found = await measure([systemOf('a', 'return { value: 1 };')], { budgetMs: 0 });
    expect(found.rounds).toHaveLength(1);
  });

  it('fail when a system silently loses an event, and say which and why in two lines', async () => {
    const lossy = systemOf(
      'lossy',
      `let received = 0;
      for (let at = 0; at < events; at++) if (at !== 7) received++;
      if (received !== events) throw new Error(\`received \${received}, expected \${events}\`);
      return { value: 1 };`,
    );
    await expect(measure([lossy])).rejects.toThrow(
      /^lossy failed in scenario own \(exit code 1\)\nError: received 9, expected 10$/,
    );
  });

  it.each(['lanebus', 'post-message'])('fail when %s loses an event', async (name) => {
    const parameters = { [name]: { events: 2_000, warmup: 1_000, slices: 1, symbols: 16, drop: 7 } };
    const system: System = { name, module: name, parameters: () => parameters[name] };
    await expect(measure([system], { scenario: 'one-to-one', parameters })).rejects.toThrow(/Error: .+ count is /);
  });

  it('that are stopped leave no process, nor what it has started', async () => {
    // It holds the child's stdout open: the round has not ended before it has.
    const slow = systemOf(
      'slow',
      `const { spawn } = await import('node:child_process');
      spawn('sleep', ['600'], { stdio: ['ignore', 'inherit', 'inherit'] }).on('spawn', () => {
        process.kill(${process.pid}, 'SIGUSR2');
      });
      await new Promise((resolve) => setTimeout(resolve, 600_000));`,
    );
    const controller = new AbortController();
    process.once('SIGUSR2', () => {
      controller.abort();
    });
    await expect(measure([slow], { signal: controller.signal })).rejects.toThrow('aborted');
  });
});

describe('a comparison', () => {
  it.each([
    [[1.03, 1.05], 6, 'faster by 3.0 to 5.0 %'],
    [[0.8, 0.9], 6, 'slower by 10.0 to 20.0 %'],
    [[0.9, 1.1], 6, 'no difference shown'],
    [[2, 2], 3, 'too few rounds to tell: 3, at least 6 are needed'],
  ] as const)('of %j in %d rounds says: %s', (interval, rounds, verdict) => {
    expect(verdictOf(interval, rounds)).toBe(verdict);
  });

  it('is above 1 where head is better, also where low is good', () => {
    const rounds = [
      { order: ['head', 'base'], busyCores: 0, measurements: { head: { value: 2 }, base: { value: 6 } } },
    ];
    const ratioOf = (better: Scenario['better']): number =>
      buildComparison(
        { ...scenario, better },
        { ref: 'main', commit: 'c0ffee' },
        [{ system: 'subject', found: { rounds, absent: {} }, parameters: {} }],
        describeMachine(),
        false,
      ).systems.subject.ratio.median;
    expect(ratioOf('lower')).toBe(3);
    expect(ratioOf('higher')).toBeCloseTo(1 / 3);
  });
});
