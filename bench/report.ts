import Table from 'cli-table3';
import { isBusy, type Machine } from './machine.js';
import type { Found, Round } from './rounds.js';
import { type Parameters, type Ratio, ratiosOf, type Scenario, type Target } from './scenario.js';
import { bootstrapInterval, type Interval, type Series, toSeries } from './statistics.js';

/** One system's numbers divided by another's of the same round; both by name. */
export interface Quotient extends Series, Ratio {
  /** 95 % bootstrap interval of the median. */
  readonly interval: Interval;
}

export interface Verdict extends Target {
  readonly median: number;
  readonly interval: Interval;
  readonly met: boolean;
}

export interface BenchReport {
  readonly scenario: string;
  readonly question: string;
  readonly unit: string;
  readonly better: Scenario['better'];
  readonly systems: Readonly<Record<string, Series>>;
  /** Those that could not be measured here: why, by name. */
  readonly absent: Readonly<Record<string, string>>;
  /** By the name that the scenario gives the comparison. */
  readonly ratios: Readonly<Record<string, Quotient>>;
  readonly targets: readonly Verdict[];
  readonly rounds: readonly Round[];
  readonly machine: Machine;
  /** Others used the machine in some round. */
  readonly busy: boolean;
  /** By name of the system. */
  readonly parameters: Readonly<Record<string, Parameters>>;
}

export function buildReport(
  scenario: Scenario,
  { rounds, absent }: Found,
  parameters: Readonly<Record<string, Parameters>>,
  machine: Machine,
): BenchReport {
  const { name, question, unit, better } = scenario;
  const systems: Record<string, Series> = {};
  for (const system of scenario.systems) {
    const measured = rounds.filter(({ measurements }) => Object.hasOwn(measurements, system.name));
    if (measured.length === 0) continue;
    systems[system.name] = toSeries(measured.map(({ measurements }) => measurements[system.name].value));
  }
  const ratios: Record<string, Quotient> = {};
  for (const [title, { of, over }] of Object.entries(ratiosOf(scenario))) {
    if (!Object.hasOwn(systems, of) || !Object.hasOwn(systems, over)) continue; // absent, or left out with --peers
    const divisors = systems[over].rounds;
    const quotients = systems[of].rounds.map((value, round) => value / divisors[round]);
    ratios[title] = { of, over, ...toSeries(quotients), interval: bootstrapInterval(quotients) };
  }
  const targets = (scenario.targets ?? []).flatMap((target) => {
    const [found, name] = 'ratio' in target.of ? [ratios, target.of.ratio] : [systems, target.of.system];
    return Object.hasOwn(found, name) ? judge(target, found[name]) : [];
  });
  const busy = rounds.some(({ busyCores }) => isBusy(busyCores));
  return {
    scenario: name,
    question,
    unit,
    better,
    systems,
    absent,
    ratios,
    targets,
    rounds,
    machine,
    busy,
    parameters,
  };
}

function judge(target: Target, { median, rounds }: Series): Verdict {
  const { atLeast = -Infinity, atMost = Infinity } = target;
  return { ...target, median, interval: bootstrapInterval(rounds), met: median >= atLeast && median <= atMost };
}

export function formatReport(report: BenchReport): string {
  const { systems, absent, ratios, targets, unit, busy } = report;
  const table = new Table({
    head: ['system', `median ${unit}`, 'rounds'],
    colAligns: ['left', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const [system, { median, rounds }] of Object.entries(systems)) {
    table.push([system, formatNumber(median), rounds.map(formatNumber).join('  ')]);
  }
  for (const [system, why] of Object.entries(absent)) table.push([system, '-', why]);
  const { cpu, cores, node, platform } = report.machine;
  return [
    report.question,
    table.toString(),
    ...Object.values(ratios).map(formatQuotient),
    ...targets.map(formatVerdict),
    ...report.rounds.flatMap(({ measurements }) =>
      Object.entries(measurements).flatMap(([system, { details, latency }]) =>
        details === undefined && latency === undefined ? [] : `${system}: ${formatDetails({ ...details, ...latency })}`,
      ),
    ),
    `${cpu}, ${cores} cores, Node ${node}, ${platform}${busy ? ', BUSY: others used the machine' : ''}`,
  ].join('\n');
}

export function formatNumber(value: number): string {
  if (value < 10) return value.toPrecision(3);
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 1_000 ? 1 : 0 });
}

function formatQuotient({ of, over, median, interval: [low, high], rounds }: Quotient): string {
  const all = rounds.map(formatNumber).join('  ');
  return `${of} ÷ ${over}: ${formatNumber(median)} [${formatNumber(low)}, ${formatNumber(high)}] (${all})`;
}

function formatVerdict({ title, atLeast, atMost, median, met }: Verdict): string {
  const bound = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`;
  return `${met ? 'met' : 'MISSED'}: ${title}: ${formatNumber(median)}, to be ${bound}`;
}

/** The plain values; lists of samples are for the JSON. */
function formatDetails(details: object): string {
  return Object.entries(details)
    .filter(([, value]) => typeof value !== 'object')
    .map(([name, value]) => `${name} ${typeof value === 'number' ? formatNumber(value) : String(value)}`)
    .join(', ');
}
