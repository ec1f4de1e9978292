import Table from 'cli-table3';
import type { Machine } from './machine.js';
import { median } from './rounds.js';
import type { Measurement, Parameters, Scenario } from './scenario.js';

export interface Series {
  readonly median: number;
  /** In the order of the rounds. */
  readonly rounds: readonly number[];
}

export interface BenchReport {
  readonly scenario: string;
  readonly unit: string;
  readonly systems: Readonly<Record<string, Series>>;
  /** Lanebus divided by the peer, round by round: higher is better for Lanebus. */
  readonly ratios: Readonly<Record<string, Series>>;
  /** What the scenario says besides its number, by system, for each round. */
  readonly details: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>;
  readonly machine: Machine;
  readonly parameters: Readonly<Record<string, Parameters>>;
}

const SUBJECT = 'lanebus';

export function buildReport(
  scenario: Scenario,
  found: ReadonlyMap<string, readonly Measurement[]>,
  parameters: Readonly<Record<string, Parameters>>,
  machine: Machine,
): BenchReport {
  const systems: Record<string, Series> = {};
  const ratios: Record<string, Series> = {};
  const details: Record<string, Readonly<Record<string, unknown>>[]> = {};
  const subject = found.get(SUBJECT);
  for (const [system, measurements] of found) {
    systems[system] = toSeries(measurements.map(({ value }) => value));
    if (subject !== undefined && system !== SUBJECT) {
      ratios[system] = toSeries(measurements.map(({ value }, round) => subject[round].value / value));
    }
    const told = measurements.map((measurement) => measurement.details).filter((one) => one !== undefined);
    if (told.length > 0) details[system] = told;
  }
  return { scenario: scenario.name, unit: scenario.unit, systems, ratios, details, machine, parameters };
}

export function formatReport(report: BenchReport, question: string): string {
  const table = new Table({
    head: ['system', `median ${report.unit}`, 'rounds', `${SUBJECT} ÷ system`],
    colAligns: ['left', 'right', 'left', 'right'],
    style: { head: [], border: [] },
  });
  for (const [system, { median: middle, rounds }] of Object.entries(report.systems)) {
    const ratio = Object.hasOwn(report.ratios, system) ? `${report.ratios[system].median.toFixed(1)}×` : '';
    table.push([system, formatCount(middle), rounds.map(formatCount).join('  '), ratio]);
  }
  const { cpu, cores, node, platform, busy, loadavg } = report.machine;
  const load = busy ? `, BUSY: load ${loadavg[0].toFixed(1)}` : '';
  const details = Object.entries(report.details).flatMap(([system, rounds]) =>
    rounds.map((round) => `${system}: ${formatDetails(round)}`),
  );
  return [question, table.toString(), ...details, `${cpu}, ${cores} cores, Node ${node}, ${platform}${load}`].join(
    '\n',
  );
}

function toSeries(rounds: readonly number[]): Series {
  return { median: median(rounds), rounds };
}

function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** The plain values; lists of samples are for the JSON. */
function formatDetails(details: object): string {
  return Object.entries(details)
    .filter(([, value]) => typeof value !== 'object')
    .map(([name, value]) => `${name} ${typeof value === 'number' ? value.toPrecision(4) : String(value)}`)
    .join(', ');
}
