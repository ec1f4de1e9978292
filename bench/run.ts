/** `npm run bench -- --scenario NAME`: Lanebus beside what it is to be compared with, in one run on one machine. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { describeMachine } from './machine.js';
import { buildReport, formatReport } from './report.js';
import { measureRounds } from './rounds.js';
import type { Scenario } from './scenario.js';
import { SCENARIOS, scenarioNamed } from './scenarios.js';

interface Flags {
  readonly scenario: string;
  readonly json?: true;
  readonly quick?: true;
  readonly rounds?: number;
  readonly events?: number;
  readonly peers?: readonly string[];
}

function parseCount(given: string): number {
  const count = Number(given);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('It is an integer of 1 or more.');
  return count;
}

function describeScenario({ name, question, systems }: Scenario): string {
  return `  ${name}: ${question}\n    systems: ${systems.map((system) => system.name).join(', ')}`;
}

const command = new Command('npm run bench --')
  .addOption(
    new Option('--scenario <name>', 'what to measure').choices(SCENARIOS.map(({ name }) => name)).default('one-to-one'),
  )
  .option('--rounds <count>', 'times that each system is measured', parseCount)
  .option('--events <count>', 'events a measurement, the same for every system', parseCount)
  .option('--peers <names>', 'the systems beside the first one, separated by commas', (names: string) =>
    names.split(','),
  )
  .option('--quick', 'fewer rounds and events: shows that it works, measures little')
  .option('--json', 'one JSON object on stdout')
  .addHelpText('after', `\nScenarios:\n${SCENARIOS.map(describeScenario).join('\n')}`)
  .parse();

const flags = command.opts<Flags>();
const quick = flags.quick === true;
const scenario = scenarioNamed(flags.scenario);
const [subject, ...peers] = scenario.systems;
const peerNames = peers.map(({ name }) => name);
const unknown = flags.peers?.find((peer) => !peerNames.includes(peer));
if (unknown !== undefined) {
  command.error(`error: scenario ${scenario.name} has no peer "${unknown}"; it has: ${peerNames.join(', ') || 'none'}`);
}
const systems = [subject, ...peers.filter(({ name }) => flags.peers?.includes(name) ?? true)];

const parameters = Object.fromEntries(
  systems.map((system) => {
    const standard = system.parameters(quick);
    return [system.name, flags.events === undefined ? standard : { ...standard, events: flags.events }];
  }),
);

const machine = describeMachine();
const found = await measureRounds({
  scenario: scenario.name,
  systems,
  rounds: flags.rounds ?? (quick ? scenario.rounds.quick : scenario.rounds.full),
  parameters,
  onProgress: (text) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  },
}).catch((error: unknown) => command.error(String(error)));
if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');

const report = buildReport(scenario, found, parameters, machine);
process.stdout.write(`${flags.json === true ? JSON.stringify(report) : formatReport(report, scenario.question)}\n`);
if ([...found.values()].flat().some(({ passed }) => passed === false)) process.exitCode = 1;
