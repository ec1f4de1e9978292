/** The programs of native-bench/: built where they are older than their sources, and run like any other system. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readDay, writeRows } from './feed.js';
import type { Outcome, Parameters, SystemScenarios } from './scenario.js';

const FOLDER = fileURLToPath(new URL('../../native-bench/', import.meta.url));
const BUILD = join(FOLDER, 'build');
/** Of a build or a run; within that of the process that measures one system. */
const LIMIT_MS = 240_000;

const SCENARIOS = [
  'one-to-one',
  'one-to-one-batch',
  'fan-out-1-to-4',
  'fan-out-keyed',
  'pipeline-3',
  'many-to-one',
  'ping-pong',
  'halt-overtakes',
  'open-load',
  'publish-cost',
  'kill-recovery',
  'idle-cost',
  'feed',
] as const;

export interface NativeSystem {
  /** As native-bench/Makefile calls it, and its program too. */
  readonly target: string;
  /** Programs by name, and files by path. */
  readonly needs: readonly string[];
  /** Debian's packages that have them. */
  readonly packages: string;
}

export function nativeScenarios(system: NativeSystem): SystemScenarios {
  return Object.fromEntries(
    SCENARIOS.map((name) => [
      name,
      (parameters: Parameters) => (name === 'feed' ? feed(system, parameters) : measure(system, name, parameters)),
    ]),
  );
}

async function feed(system: NativeSystem, parameters: Parameters): Promise<Outcome> {
  const rows = await readDay();
  if ('absent' in rows) return rows;
  const folder = await mkdtemp(join(tmpdir(), 'lanebus-rows-'));
  try {
    const file = join(folder, 'rows');
    await writeRows(rows, file);
    return await measure(system, 'feed', parameters, ['--rows', file]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function measure(
  { target, needs, packages }: NativeSystem,
  scenario: string,
  parameters: Parameters,
  more: readonly string[] = [],
): Promise<Outcome> {
  // For the lock, and for the end of the program.
  const missing = [...needs, 'flock', 'setpriv'].find((need) => !isThere(need));
  if (missing !== undefined) return { absent: `${missing} is not installed: apt-get install ${packages} util-linux` };
  await mkdir(BUILD, { recursive: true });
  // Two builds at once would write the same files.
  await run('flock', [
    join(BUILD, '.lock'),
    'make',
    '--silent',
    `--jobs=${availableParallelism()}`,
    '-C',
    FOLDER,
    target,
  ]);
  const given = ['--scenario', scenario, '--parameters', JSON.stringify(parameters), ...more];
  // It ends with this process, however that goes.
  const output = await run('setpriv', ['--pdeathsig', 'KILL', join(BUILD, target), ...given]);
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Outcome;
}

function isThere(need: string): boolean {
  if (need.startsWith('/')) return existsSync(need);
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, need)));
}

/** @returns What it printed; what it has complained of is thrown. */
async function run(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await promisify(execFile)(program, args, { timeout: LIMIT_MS, killSignal: 'SIGKILL' });
    return stdout;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr: string };
    throw new Error(stderr.trim() || message, { cause: error });
  }
}
