// Checks the models of docs/models with SPIN: every schedule. A model must hold, and each of its broken variants must break
// the property that its head names. Exits with 1 if one does not, and with 2 if SPIN or a C compiler is missing.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Table from 'cli-table3';

const MODELS = fileURLToPath(new URL('../../../docs/models/', import.meta.url));
/** Steps of the longest schedule that is followed. One that is longer would be an error of its own. */
const MAX_DEPTH = 100_000;
const SLEEPS = 'sleeps for ever';

interface Verdict {
  /** What was violated, if anything. */
  readonly violated: string | undefined;
  readonly states: number;
}

function run(command: string, args: readonly string[], cwd: string): string {
  try {
    return execFileSync(command, args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 2 ** 26,
    });
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: string; stdout?: string; stderr?: string };
    if (code === 'ENOENT') {
      process.stderr.write(`${command} is not installed: the models need Debian's packages spin and gcc\n`);
      process.exit(2);
    }
    throw new Error(`${command} ${args.join(' ')} has failed:\n${stdout ?? ''}${stderr ?? ''}`, { cause: error });
  }
}

function check(model: string, variant: string | undefined): Verdict {
  const folder = mkdtempSync(join(tmpdir(), 'lanebus-model-'));
  try {
    cpSync(join(MODELS, model), join(folder, model));
    run('spin', [...(variant === undefined ? [] : [`-D${variant}`]), '-a', model], folder);
    run('gcc', ['-O2', '-DSAFETY', '-DMEMLIM=4096', '-o', 'pan', 'pan.c'], folder);
    const output = run(join(folder, 'pan'), [`-m${MAX_DEPTH}`, '-n'], folder);
    const states = /(\d+) states, stored/.exec(output)?.[1];
    if (states === undefined || /max search depth too small|out of memory/.test(output)) {
      throw new Error(`${model}: the search is not complete:\n${output}`);
    }
    const assertion = /assertion violated\s+!\((\w+)\)/.exec(output)?.[1];
    const violated = /^pan:\d+: invalid end state/m.test(output) ? SLEEPS : assertion;
    const errors = Number(/errors: (\d+)/.exec(output)?.[1]);
    if (errors > 0 !== (violated !== undefined)) throw new Error(`${model}: an error of no name:\n${output}`);
    return { violated, states: Number(states) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const table = new Table({
  chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  head: ['model', 'variant', 'must break', 'breaks', 'states'],
  style: { head: [], border: [] },
});
let failures = 0;
for (const model of readdirSync(MODELS).filter((name) => name.endsWith('.pml'))) {
  const text = readFileSync(join(MODELS, model), 'utf8');
  const variants = [...text.matchAll(/^ \* variant (\w+): ([\w ]+) \(/gm)].map(([, name, property]) => ({
    name,
    property,
  }));
  if (variants.length === 0) throw new Error(`${model} names no broken variant`);
  for (const { name, property } of [{ name: undefined, property: undefined }, ...variants]) {
    const { violated, states } = check(model, name);
    if (violated !== property) failures++;
    const mark = violated === property ? '' : '  ✗';
    table.push([
      basename(model, '.pml'),
      name ?? '',
      property ?? '',
      `${violated ?? ''}${mark}`,
      states.toLocaleString('en-US'),
    ]);
  }
}
process.stdout.write(`${table.toString()}\n${failures === 0 ? 'all hold' : `${failures} do not do what they must`}\n`);
process.exitCode = failures === 0 ? 0 : 1;
