/**
 * `npm run test:chaos -- --seconds N --seed S`: one random graph after the other, each on a bus of its own, while threads are
 * killed, hang, crash and run out of memory, the main thread stalls, lanes overflow and buses stop in the middle of it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Command, InvalidArgumentError } from 'commander';
import { mix } from '../support/graphs/events.js';
import { describeGraph } from '../support/graphs/plan.js';
import { planChaos } from './faults.js';
import { checkLaws } from './laws.js';
import { runChaos } from './run.js';

interface Flags {
  readonly seconds: number;
  readonly seed: number;
  readonly graph?: number;
  readonly json?: true;
}

function integer(given: string): number {
  const value = Number(given);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('It is an integer of 0 or more.');
  return value;
}

const MAX_LINES = 12;
/** Graphs until what the process opens once is open. */
const WARM_UP = 5;

const flags = new Command('npm run test:chaos --')
  .option('--seconds <count>', 'how long new graphs are begun', integer, 30)
  .option('--seed <number>', 'what all graphs and their faults follow from', integer, Date.now() % 1_000_000)
  .option('--graph <seed>', 'one graph alone, as a violation names it', integer)
  .option('--json', 'one JSON object on stdout')
  .parse()
  .opts<Flags>();

const totals = {
  graphs: 0,
  events: 0,
  deliveries: 0,
  kills: 0,
  crashes: 0,
  timeouts: 0,
  redelivered: 0,
  retries: 0,
  letters: 0,
  stalls: 0,
  stops: 0,
};
const violations: { graph: number; lines: string[] }[] = [];
let openAtFirst = 0;

async function runOne(seed: number): Promise<void> {
  const plan = planChaos(seed);
  const lines: string[] = [];
  try {
    const ran = await runChaos(plan);
    lines.push(...checkLaws(ran));
    const { metrics, offers, calls, kills, stalls, drained, descriptors } = ran;
    if (totals.graphs === WARM_UP) openAtFirst = descriptors;
    if (totals.graphs > WARM_UP && descriptors > openAtFirst + 4)
      lines.push(`${descriptors} file descriptors are open; after ${WARM_UP} graphs it was ${openAtFirst}`);
    totals.events += offers.length;
    totals.deliveries += calls.length;
    totals.kills += kills;
    totals.stalls += stalls;
    if (drained === undefined) totals.stops++;
    for (const { restarts } of metrics.threads) {
      totals.crashes += restarts.crash;
      totals.timeouts += restarts.timeout;
    }
    for (const { redelivered, retries } of metrics.subscriptions) {
      totals.redelivered += redelivered;
      totals.retries += retries;
    }
    totals.letters += ran.letters.length;
  } catch (error) {
    lines.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  totals.graphs++;
  if (lines.length === 0) return;
  violations.push({ graph: seed, lines });
  const { faults, spares, stopsAtMs, graph } = plan;
  process.stderr.write(
    [
      `graph ${seed} fails; npm run test:chaos -- --graph ${seed} runs it alone`,
      ...lines.slice(0, MAX_LINES).map((line) => `- ${line}`),
      ...(lines.length > MAX_LINES ? [`… and ${lines.length - MAX_LINES} more`] : []),
      `spares ${spares}, ${stopsAtMs === undefined ? 'drained' : `stopped after ${stopsAtMs} ms`}; faults: ${faults
        .map(({ atMs, what, size }) => `${what} ${size} at ${atMs}`)
        .join(', ')}`,
      describeGraph(graph),
      '',
    ].join('\n'),
  );
}

// Buses come and go here by the hundred, and the collector does not see how much there is behind shared memory.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const begun = performance.now();
if (flags.graph !== undefined) {
  await runOne(flags.graph);
} else {
  for (let turn = 0; performance.now() - begun < flags.seconds * 1e3; turn++) {
    await runOne(mix(flags.seed, turn) >>> 1);
    collect();
    if (!process.stderr.isTTY) continue;
    const seconds = ((performance.now() - begun) / 1e3).toFixed(0);
    process.stderr.write(
      `\r${seconds} s: ${totals.graphs} graphs, ${totals.kills} kills, ${violations.length} violations `,
    );
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
}
const seconds = Math.round((performance.now() - begun) / 1e3);
const summary = { node: process.version, seed: flags.seed, seconds, ...totals };
const told = Object.entries({ ...summary, violations: violations.length }).map(([name, value]) => `${name} ${value}`);
process.stdout.write(`${flags.json === true ? JSON.stringify({ ...summary, violations }) : told.join(', ')}\n`);
process.exitCode = violations.length > 0 ? 1 : 0;
