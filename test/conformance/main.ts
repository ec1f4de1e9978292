/**
 * `npm run conformance -- --backend parallel|inline [--stress] [--json]`: every sentence of docs/contract.md, with the cases
 * that hold it and what they came to. Fails if one fails, or if a sentence has none.
 */
import { Command, Option } from 'commander';
import Table from 'cli-table3';
import { backends } from 'lanebus';
import { type ConformanceCase, conformanceCases, heldElsewhere, runCase } from 'lanebus/testing';
import { CAPABILITIES, contractText, sentencesOf } from '../support/conformance/contract-page.js';

interface Flags {
  readonly backend: keyof typeof backends;
  readonly stress?: true;
  readonly json?: true;
  readonly only?: string;
}

type Outcome = 'passed' | 'failed' | 'not claimed' | 'held elsewhere' | 'not held';

interface Line {
  readonly section: string;
  readonly sentence: string;
  /** What the case is called; undefined where the sentence has none. */
  readonly title: string | undefined;
  readonly variant: string | undefined;
  readonly outcome: Outcome;
  readonly ms: number;
  /** What has failed, what happens instead, or why no case can hold the sentence. */
  readonly why: string | undefined;
}

const flags = new Command('npm run conformance --')
  .addOption(
    new Option('--backend <name>', 'what is held to the contract').choices(Object.keys(backends)).default('parallel'),
  )
  .option('--stress', 'each case ten times at once')
  .option('--only <text>', 'only the cases whose title has this text')
  .option('--json', 'one JSON object on stdout')
  .parse()
  .opts<Flags>();

const backend = backends[flags.backend];
const promised = sentencesOf(contractText());

async function hold(one: ConformanceCase): Promise<Line> {
  const { section, sentence, title, variant, claimed, instead } = one;
  const begun = performance.now();
  let failure: string | undefined;
  try {
    await runCase(one, backend, flags.stress === true);
  } catch (error) {
    failure = String(error);
  }
  const outcome = failure !== undefined ? 'failed' : claimed ? 'passed' : 'not claimed';
  const ms = Math.round(performance.now() - begun);
  return { section, sentence, title, variant, outcome, ms, why: failure ?? instead };
}

const cases = conformanceCases(backend.capabilities).filter(({ title }) => title.includes(flags.only ?? ''));
const lines: Line[] = [];
for (const [at, one] of cases.entries()) {
  process.stderr.write(`\r${at + 1} of ${cases.length} `);
  const line = await hold(one);
  if (line.outcome === 'failed') process.stderr.write(`failed: ${one.title}\n${line.why ?? ''}\n`);
  lines.push(line);
}
process.stderr.write('\n');

if (flags.only === undefined) {
  const held = new Set(lines.map(({ sentence }) => sentence));
  for (const { sentence, section } of promised) {
    // What happens without a capability is shown where what needs it stands.
    if (held.has(sentence) || section === CAPABILITIES) continue;
    const why = heldElsewhere.find((one) => one.sentence === sentence)?.why;
    const outcome = why === undefined ? 'not held' : 'held elsewhere';
    lines.push({ section, sentence, title: undefined, variant: undefined, outcome, ms: 0, why });
  }
}
const order = new Map(promised.map(({ sentence }, at) => [sentence, at]));
lines.sort((a, b) => (order.get(a.sentence) ?? 0) - (order.get(b.sentence) ?? 0));

const counts: Partial<Record<Outcome, number>> = {};
for (const { outcome } of lines) counts[outcome] = (counts[outcome] ?? 0) + 1;

/** One row for each case; section and sentence only where they change. */
function show(): string {
  const table = new Table({
    head: ['Sentence', 'Case', 'Outcome', 'ms'],
    colWidths: [64, 44, 16, 8],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  let [section, sentence] = ['', ''];
  for (const line of lines) {
    if (line.section !== section) table.push([{ content: line.section.toUpperCase(), colSpan: 4 }]);
    const about = [line.variant, line.why].filter((text) => text !== undefined).join(': ');
    table.push([line.sentence === sentence ? '' : line.sentence, about, line.outcome, line.ms]);
    ({ section, sentence } = line);
  }
  return table.toString();
}

const stress = flags.stress === true;
if (flags.json) process.stdout.write(`${JSON.stringify({ backend: backend.name, stress, counts, lines })}\n`);
else {
  const summary = Object.entries(counts).map(([outcome, count]) => `${count} ${outcome}`);
  process.stdout.write(`${show()}\n${backend.name}${stress ? ', under stress' : ''}: ${summary.join(', ')}\n`);
}
process.exitCode = (counts.failed ?? 0) + (counts['not held'] ?? 0) > 0 ? 1 : 0;
