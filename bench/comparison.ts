import { isBusy, type Machine } from './machine.js';
import { formatNumber } from './report.js';
import type { Found, Round } from './rounds.js';
import type { Parameters, Scenario } from './scenario.js';
import { bootstrapInterval, type Interval, type Series, toSeries } from './statistics.js';

/** Of fewer rounds, all are on the same side by chance more often than 5 times of 100: 2 × ½⁵ is 6 %. */
export const MIN_ROUNDS = 6;

export interface Pair {
  readonly system: string;
  /** Of the systems `head` and `base`. */
  readonly found: Found;
  readonly parameters: Parameters;
}

export interface PairResult {
  readonly head: Series;
  readonly base: Series;
  /** Round by round; above 1, head is better. */
  readonly ratio: Series & { readonly interval: Interval };
  readonly verdict: string;
  readonly rounds: readonly Round[];
  readonly parameters: Parameters;
}

export interface Comparison {
  readonly scenario: string;
  readonly question: string;
  readonly unit: string;
  readonly better: Scenario['better'];
  readonly base: { readonly ref: string; readonly commit: string };
  readonly systems: Readonly<Record<string, PairResult>>;
  /** Why, by name of the system. */
  readonly absent: Readonly<Record<string, string>>;
  readonly machine: Machine;
  readonly busy: boolean;
}

export function buildComparison(
  { name, question, unit, better }: Scenario,
  base: Comparison['base'],
  pairs: readonly Pair[],
  machine: Machine,
  busyBefore: boolean,
): Comparison {
  const systems: Record<string, PairResult> = {};
  const absent: Record<string, string> = {};
  for (const { system, found, parameters } of pairs) {
    const why = Object.values(found.absent).at(0);
    if (why !== undefined) absent[system] = why;
    else systems[system] = { ...compare(found.rounds, better), rounds: found.rounds, parameters };
  }
  const busy = busyBefore || pairs.some(({ found }) => found.rounds.some(({ busyCores }) => isBusy(busyCores)));
  return { scenario: name, question, unit, better, base, systems, absent, machine, busy };
}

function compare(rounds: readonly Round[], better: Scenario['better']) {
  const valuesOf = (side: string): number[] => rounds.map(({ measurements }) => measurements[side].value);
  const head = valuesOf('head');
  const base = valuesOf('base');
  const ratios = head.map((value, round) => (better === 'higher' ? value / base[round] : base[round] / value));
  const interval = bootstrapInterval(ratios);
  return {
    head: toSeries(head),
    base: toSeries(base),
    ratio: { ...toSeries(ratios), interval },
    verdict: verdictOf(interval, rounds.length),
  };
}

export function verdictOf([low, high]: Interval, rounds: number): string {
  if (rounds < MIN_ROUNDS) return `too few rounds to tell: ${rounds}, at least ${MIN_ROUNDS} are needed`;
  const percent = (part: number): string => (part * 100).toFixed(1);
  if (low > 1) return `faster by ${percent(low - 1)} to ${percent(high - 1)} %`;
  if (high < 1) return `slower by ${percent(1 - high)} to ${percent(1 - low)} %`;
  return 'no difference shown';
}

export function formatComparison({ question, unit, base, systems, absent, busy }: Comparison): string {
  const lines = Object.entries(systems).flatMap(([system, { head, base, ratio, verdict }]) => {
    const [low, high] = ratio.interval.map(formatNumber);
    return [
      `${system}: ${verdict}`,
      `  head ${formatNumber(head.median)}, base ${formatNumber(base.median)} ${unit}; ratio ${formatNumber(ratio.median)} [${low}, ${high}] (${ratio.rounds.map(formatNumber).join('  ')})`,
    ];
  });
  return [
    question,
    `base: ${base.ref} (${base.commit.slice(0, 12)}); a ratio above 1: head, the working tree, is better`,
    ...lines,
    ...Object.entries(absent).map(([system, why]) => `${system}: ${why}`),
    ...(busy ? ['BUSY: others used the machine'] : []),
  ].join('\n');
}
