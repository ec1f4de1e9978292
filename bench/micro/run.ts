/** `npm run bench:micro`: what the parts of the hot path cost by themselves, so that a change of one is seen at once. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import Table from 'cli-table3';
import { Command } from 'commander';
import { busyCores, describeMachine, isBusy } from '../machine.js';
import { formatNumber } from '../report.js';
import { MICROS } from './list.js';
import { type Figure, measure } from './measure.js';
import type { MicroSpec } from './micro.js';

/** Far above any sound measurement: a child that hangs must not hang the bench. */
const CHILD_LIMIT_MS = 60_000;
const CHILD = fileURLToPath(new URL('child.js', import.meta.url));

interface Flags {
  readonly only?: string;
  readonly json?: true;
  readonly quick?: true;
}

const command = new Command('npm run bench:micro --')
  .option('--only <text>', 'those whose names have this text')
  .option('--quick', 'few samples, all in one process: shows that they work, measures little')
  .option('--json', 'one JSON object on stdout')
  .addHelpText('after', `\nMicro-benchmarks:\n${MICROS.map(({ name }) => `  ${name}`).join('\n')}`)
  .parse();
const { only = '', json = false, quick = false } = command.opts<Flags>();

const chosen = MICROS.filter(({ name }) => name.includes(only));
if (chosen.length === 0) command.error(`error: no micro-benchmark has "${only}" in its name; --help lists them`);

const run = promisify(execFile);

async function measureInChild({ name }: MicroSpec): Promise<Figure> {
  const args = [...process.execArgv, CHILD, '--name', name];
  const { stdout } = await run(process.execPath, args, { timeout: CHILD_LIMIT_MS, killSignal: 'SIGKILL' });
  return JSON.parse(stdout) as Figure;
}

const showProgress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

const machine = describeMachine();
const busy = isBusy(await busyCores());
const benchmarks: Figure[] = [];
for (const spec of chosen) {
  showProgress(`${benchmarks.length + 1} of ${chosen.length}: ${spec.name}`);
  const figure = quick ? measure(spec, true) : measureInChild(spec);
  benchmarks.push(await figure.catch((error: unknown) => command.error(`error: ${spec.name}: ${String(error)}`)));
}
showProgress('');

if (json) {
  process.stdout.write(`${JSON.stringify({ benchmarks, machine, busy })}\n`);
} else {
  const table = new Table({
    head: ['micro-benchmark', 'ops/s', 'ns/op', '±%', 'samples'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, nsPerOp, rme, samples } of benchmarks) {
    table.push([name, formatNumber(1e9 / nsPerOp), formatNumber(nsPerOp), rme.toFixed(1), samples]);
  }
  const { cpu, cores, node, platform } = machine;
  const note = `${cpu}, ${cores} cores, Node ${node}, ${platform}${busy ? ', BUSY: others used the machine' : ''}`;
  process.stdout.write(`${table.toString()}\n${note}\n`);
}
