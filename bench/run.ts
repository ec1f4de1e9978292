/** `npm run bench -- --scenario NAME`: Lanebus beside what it is to be compared with, in one run on one machine. */
import { Command, Option } from 'commander';
import { parseCount, showProgress } from './command-line.js';
import { exitCode, interrupted, problemOf } from './interruption.js';
import { describeMachine } from './machine.js';
import { type BenchReport, buildReport, formatReport } from './report.js';
import { measureRounds } from './rounds.js';
import type { Scenario } from './scenario.js';
import { SCENARIOS } from './scenarios.js';

/** A quick run begins no round that would end after so long. */
const QUICK_BUDGET_MS = 40_000;
const ALL = 'all';

interface Flags {
  readonly scenario: string;
  readonly json?: true;
  readonly quick?: true;
  readonly rounds?: number;
  readonly events?: number;
  readonly drop?: number;
  readonly peers?: readonly string[];
}

function peersOf({ systems }: Scenario): string[] {
  return systems.filter(({ subject }) => subject !== true).map(({ name }) => name);
}

function describeScenario(scenario: Scenario): string {
  return `  ${scenario.name}: ${scenario.question}\n    peers: ${peersOf(scenario).join(', ') || 'none'}`;
}

const names = SCENARIOS.map(({ name }) => name);
const command = new Command('npm run bench --')
  .addOption(
    new Option('--scenario <name>', 'what to measure, or all of it').choices([...names, ALL]).default('one-to-one'),
  )
  .option('--rounds <count>', 'times that each system is measured', parseCount)
  .option('--events <count>', 'events a measurement, the same for every system', parseCount)
  .option('--peers <names>', 'the systems beside Lanebus, separated by commas', (given: string) => given.split(','))
  .option('--quick', 'fewer rounds and events, 45 s at most: shows that it works, measures little')
  .option('--drop <index>', 'no producer sends this one of its events: every system must be found wrong', parseCount)
  .option('--json', 'one JSON object on stdout; of all scenarios, a list of them')
  .addHelpText('after', `\nScenarios:\n${SCENARIOS.map(describeScenario).join('\n')}`)
  .parse();

const flags = command.opts<Flags>();
const quick = flags.quick === true;
const chosen = SCENARIOS.filter(({ name }) => flags.scenario === ALL || flags.scenario === name);
const knownPeers = new Set(chosen.flatMap(peersOf));
const unknown = flags.peers?.find((peer) => !knownPeers.has(peer));
if (unknown !== undefined) {
  const known = [...knownPeers].join(', ') || 'none';
  command.error(`error: scenario ${flags.scenario} has no peer "${unknown}"; it has: ${known}`);
}

async function measure(scenario: Scenario): Promise<BenchReport> {
  const { name, rounds } = scenario;
  const systems = scenario.systems.filter(
    (system) => system.subject === true || (flags.peers?.includes(system.name) ?? true),
  );
  const given = {
    ...(flags.events === undefined ? {} : { events: flags.events }),
    ...(flags.drop === undefined ? {} : { drop: flags.drop }),
  };
  const parameters = Object.fromEntries(
    systems.map((system) => [system.name, { ...system.parameters(quick), ...given }]),
  );
  const machine = describeMachine();
  const found = await measureRounds({
    scenario: name,
    systems,
    rounds: flags.rounds ?? (quick ? rounds.quick : rounds.full),
    ...(quick ? { budgetMs: QUICK_BUDGET_MS } : {}),
    parameters,
    onProgress: showProgress,
    signal: interrupted,
  });
  showProgress('');
  return buildReport(scenario, found, parameters, machine);
}

const reports: BenchReport[] = [];
for (const scenario of chosen) {
  const report = await measure(scenario).catch((error: unknown) =>
    command.error(problemOf(error), { exitCode: exitCode() }),
  );
  reports.push(report);
  if (flags.json !== true) process.stdout.write(`${formatReport(report)}\n`);
}
if (flags.json === true) process.stdout.write(`${JSON.stringify(flags.scenario === ALL ? reports : reports[0])}\n`);
const measurements = reports.flatMap(({ rounds }) => rounds.flatMap((round) => Object.values(round.measurements)));
if (measurements.some(({ passed }) => passed === false)) process.exitCode = 1;
