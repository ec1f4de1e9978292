/** `npm run bench -- --scenario NAME`: Lanebus beside what a user would pick instead, in one run on one machine. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { describeMachine } from './machine.js';
import { buildReport, formatReport } from './report.js';
import { measureRounds } from './rounds.js';
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

const command = new Command('npm run bench --')
  .addOption(
    new Option('--scenario <name>', 'what to measure').choices(SCENARIOS.map(({ name }) => name)).default('one-to-one'),
  )
  .option('--rounds <count>', 'times that each system is measured', parseCount)
  .option('--events <count>', 'events a measurement, the same for every system', parseCount)
  .option('--peers <names>', 'the systems beside Lanebus, separated by commas', (names: string) => names.split(','))
  .option('--quick', 'fewer rounds and events: shows that it works, measures little')
  .option('--json', 'one JSON object on stdout')
  .addHelpText('after', `\nScenarios:\n${SCENARIOS.map(({ name, question }) => `  ${name}: ${question}`).join('\n')}`)
  .parse();

const flags = command.opts<Flags>();
const quick = flags.quick === true;
const scenario = scenarioNamed(flags.scenario);
const [subject, ...knownPeers] = scenario.systems;
const unknown = flags.peers?.find((peer) => !knownPeers.includes(peer));
if (unknown !== undefined) {
  command.error(
    `error: scenario ${scenario.name} has no peer "${unknown}"; it has: ${knownPeers.join(', ') || 'none'}`,
  );
}
const systems = [subject, ...(flags.peers ?? knownPeers)];

const parameters = Object.fromEntries(
  systems.map((system) => {
    const standard = scenario.parameters(system, quick);
    return [system, flags.events === undefined ? standard : { ...standard, events: flags.events }];
  }),
);

const machine = describeMachine();
const found = await measureRounds({
  scenario,
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
