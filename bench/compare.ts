/** `npm run bench:compare -- --base REF`: this working tree's package beside that of another commit, in one run. */
import { Command, Option } from 'commander';
import { parseCount, showProgress } from './command-line.js';
import { exitCode, interrupted, problemOf } from './interruption.js';
import { buildComparison, formatComparison, MIN_ROUNDS } from './comparison.js';
import { busyCores, describeMachine, isBusy } from './machine.js';
import { measureRounds } from './rounds.js';
import { SCENARIOS } from './scenarios.js';
import { commitOf, withSides } from './sides.js';

interface Flags {
  readonly base: string;
  readonly scenario: string;
  readonly rounds?: number;
  readonly events?: number;
  readonly quick?: true;
  readonly json?: true;
}

const comparable = SCENARIOS.filter(({ systems }) => systems.some(({ subject }) => subject === true));
const command = new Command('npm run bench:compare --')
  .requiredOption('--base <ref>', 'the commit to compare with')
  .addOption(
    new Option('--scenario <name>', 'what to measure')
      .choices(comparable.map(({ name }) => name))
      .default('one-to-one'),
  )
  .option('--rounds <count>', `times that each is measured; a verdict needs ${MIN_ROUNDS}`, parseCount)
  .option('--events <count>', 'events a measurement, the same for every system', parseCount)
  .option('--quick', 'fewer rounds and events: shows that it works, measures little')
  .option('--json', 'one JSON object on stdout')
  .parse();

const flags = command.opts<Flags>();
const quick = flags.quick === true;
const scenario = comparable.find(({ name }) => name === flags.scenario) ?? comparable[0];
const count = flags.rounds ?? (quick ? scenario.rounds.quick : Math.max(scenario.rounds.full, MIN_ROUNDS));

try {
  const base = { ref: flags.base, commit: await commitOf(flags.base) };
  const machine = describeMachine();
  const busyBefore = await busyCores();
  const pairs = await withSides(base.commit, interrupted, showProgress, async (folders) => {
    const found = [];
    // Subject by subject, so that the two sides of a ratio run one right after the other.
    for (const subject of scenario.systems.filter((system) => system.subject === true)) {
      const parameters = {
        ...subject.parameters(quick),
        ...(flags.events === undefined ? {} : { events: flags.events }),
      };
      const rounds = await measureRounds({
        scenario: scenario.name,
        systems: [
          { ...subject, name: 'head' },
          { ...subject, name: 'base' },
        ],
        rounds: count,
        parameters: { head: parameters, base: parameters },
        onProgress: (text) => {
          showProgress(`${subject.name}, ${text}`);
        },
        folders,
        signal: interrupted,
      });
      found.push({ system: subject.name, found: rounds, parameters });
    }
    return found;
  });
  showProgress('');
  const comparison = buildComparison(scenario, base, pairs, machine, isBusy(busyBefore));
  process.stdout.write(`${flags.json === true ? JSON.stringify(comparison) : formatComparison(comparison)}\n`);
} catch (error) {
  showProgress('');
  command.error(problemOf(error), { exitCode: exitCode() });
}
