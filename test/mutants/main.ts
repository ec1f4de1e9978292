/**
 * `npm run test:mutants`: breaks one rule of the built package at a time, and runs the conformance suite against it. The suite
 * must find enough of these mutants, and each that it does not find must be explained. Exits with 1 if not.
 */
import { Command } from 'commander';
import Table from 'cli-table3';
import { contractText, sentencesOf } from '../support/conformance/contract-page.js';
import { problemsOf } from './mutant.js';
import { mutants, survivors } from './mutants.js';
import { type Result, run } from './run.js';

/** Share of the mutants that must be found. */
const FLOOR = 0.9;
/** Children at a time. */
const CHILDREN = 2;

interface Flags {
  readonly only?: string;
  readonly json?: true;
}

interface Line extends Result {
  readonly id: string;
  readonly rule: string;
  readonly backend: string;
  /** Why nothing finds it. */
  readonly explained: string | undefined;
}

const flags = new Command('npm run test:mutants --')
  .option('--only <id>', 'this mutant alone')
  .option('--json', 'one JSON object on stdout')
  .parse()
  .opts<Flags>();

function fail(lines: readonly string[]): never {
  process.stderr.write(`${lines.join('\n')}\n`);
  process.exit(1);
}

function show(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

/** Each is begun as soon as one of the former has ended. */
async function inTurns<T, R>(all: readonly T[], each: (one: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = all.entries();
  const take = async (): Promise<void> => {
    for (const [at, one] of waiting) {
      results[at] = await each(one);
      show(`${results.filter(Boolean).length} of ${all.length}`);
    }
  };
  await Promise.all(Array.from({ length: CHILDREN }, take));
  show('');
  return results;
}

const chosen = mutants.filter(({ id }) => flags.only === undefined || id === flags.only);
if (chosen.length === 0)
  fail([`there is no mutant ${String(flags.only)}; there are: ${mutants.map(({ id }) => id).join(', ')}`]);
const known = new Set(mutants.map(({ id }) => id));
const problems = [
  ...problemsOf(mutants, new Set(sentencesOf(contractText()).map(({ sentence }) => sentence))),
  ...Object.keys(survivors).flatMap((id) => (known.has(id) ? [] : [`survivor ${id}: there is no such mutant`])),
];
if (problems.length > 0) fail(problems);

const sound = await inTurns([...new Set(chosen.map(({ backend = 'inline' }) => backend))], async (backend) => ({
  backend,
  ...(await run(backend)),
}));
const unsound = sound.filter(({ verdict }) => verdict !== 'survived');
if (unsound.length > 0) {
  fail(
    unsound.map(
      ({ backend, verdict, by, why }) => `without a mutant, ${backend} ${verdict}: ${by ?? ''}: ${why ?? ''}`,
    ),
  );
}

const lines = await inTurns(chosen, async (mutant): Promise<Line> => {
  const { id, rule, backend = 'inline' } = mutant;
  return { id, rule, backend, ...(await run(backend, mutant)), explained: survivors[id] };
});

const broken = lines.filter(({ verdict }) => verdict === 'does not load');
const alive = lines.filter(({ verdict }) => verdict === 'survived');
const unexplained = alive.filter(({ explained }) => explained === undefined);
const found = lines.length - alive.length - broken.length;
const share = found / lines.length;
const isEnough = flags.only !== undefined || share >= FLOOR;

if (flags.json) process.stdout.write(`${JSON.stringify({ found, of: lines.length, share, lines })}\n`);
else {
  const table = new Table({
    head: ['Mutant', 'Rule', 'Found by', 'ms'],
    colWidths: [30, 50, 60, 8],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { id, rule, backend, verdict, by, explained, ms } of lines) {
    const finder = by?.replace(rule, 'the case of the rule') ?? '';
    const how =
      verdict === 'failed' ? finder : `${verdict}: ${verdict === 'survived' ? (explained ?? 'NOT EXPLAINED') : finder}`;
    table.push([backend === 'inline' ? id : `${id} (${backend})`, rule, how, ms]);
  }
  process.stdout.write(`${table.toString()}\n`);
}
for (const { id, why } of broken) process.stderr.write(`mutant ${id} does not load: ${why ?? ''}\n`);
for (const { id } of unexplained)
  process.stderr.write(`mutant ${id} survives: find it with a case, or explain it in survivors\n`);
for (const { id, explained, verdict } of lines)
  if (explained !== undefined && verdict !== 'survived')
    process.stderr.write(`mutant ${id} is found now: take it from survivors\n`);
process.stderr.write(
  `${found} of ${lines.length} mutants are found (${(share * 100).toFixed(1)} %, floor ${FLOOR * 100} %)\n`,
);
process.exitCode = isEnough && unexplained.length + broken.length === 0 ? 0 : 1;
