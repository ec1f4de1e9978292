import Table from 'cli-table3';
import type { Machine } from './machine.js';
import { median } from './rounds.js';
import type { Measurement, Parameters, Ratio, Scenario } from './scenario.js';

export interface Series {
  readonly median: number;
  /** In the order of the rounds. */
  readonly rounds: readonly number[];
}

/** One system's numbers divided by another's of the same round; both by name. */
export interface Quotient extends Series, Ratio {}

export interface BenchReport {
  readonly scenario: string;
  readonly unit: string;
  readonly systems: Readonly<Record<string, Series>>;
  /** What the scenario compares, by the name it gives the comparison. */
  readonly ratios: Readonly<Record<string, Quotient>>;
  /** What the scenario says besides its number, by system, for each round. */
  readonly details: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;
  readonly machine: Machine;
  readonly parameters: Readonly<Record<string, Parameters>>;
}

export function buildReport(
  scenario: Scenario,
  found: ReadonlyMap<string, readonly Measurement[]>,
  parameters: Readonly<Record<string, Parameters>>,
  machine: Machine,
): BenchReport {
  const systems: Record<string, Series> = {};
  const ratios: Record<string, Quotient> = {};
  const details: Record<string, Readonly<Record<string, unknown>>[]> = {};
  for (const [system, measurements] of found) {
    systems[system] = toSeries(measurements.map(({ value }) => value));
    const told = measurements.map((measurement) => measurement.details).filter((one) => one !== undefined);
    if (told.length > 0) details[system] = told;
  }
  for (const [name, { of, over }] of Object.entries(scenario.ratios)) {
    if (!Object.hasOwn(systems, of) || !Object.hasOwn(systems, over)) continue; // left out with --peers
    const divisors = systems[over].rounds;
    ratios[name] = { of, over, ...toSeries(systems[of].rounds.map((value, round) => value / divisors[round])) };
  }
  return { scenario: scenario.name, unit: scenario.unit, systems, ratios, details, machine, parameters };
}

export function formatReport(report: BenchReport, question: string): string {
  const table = new Table({
    head: ['system', `median ${report.unit}`, 'rounds'],
    colAligns: ['left', 'right', 'left'],
    style: { head: [], border: [] },
  });
  for (const [system, { median: middle, rounds }] of Object.entries(report.systems)) {
    table.push([system, formatNumber(middle), rounds.map(formatNumber).join('  ')]);
  }
  const ratios = Object.values(report.ratios).map(
    ({ of, over, median: middle, rounds }) =>
      `${of} ÷ ${over}: ${middle.toFixed(2)} (${rounds.map((ratio) => ratio.toFixed(2)).join('  ')})`,
  );
  const { cpu, cores, node, platform, busy, loadavg } = report.machine;
  const load = busy ? `, BUSY: load ${loadavg[0].toFixed(1)}` : '';
  const details = Object.entries(report.details).flatMap(([system, rounds]) =>
    rounds.map((round) => `${system}: ${formatDetails(round)}`),
  );
  const machine = `${cpu}, ${cores} cores, Node ${node}, ${platform}${load}`;
  return [question, table.toString(), ...ratios, ...details, machine].join('\n');
}

function toSeries(rounds: readonly number[]): Series {
  return { median: median(rounds), rounds };
}

function formatNumber(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 1_000 ? 1 : 0 });
}

/** The plain values; lists of samples are for the JSON. */
function formatDetails(details: object): string {
  return Object.entries(details)
    .filter(([, value]) => typeof value !== 'object')
    .map(([name, value]) => `${name} ${typeof value === 'number' ? value.toPrecision(4) : String(value)}`)
    .join(', ');
}
