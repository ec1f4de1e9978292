import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { busyCores } from './machine.js';
import type { Measurement, Outcome, Parameters, System } from './scenario.js';

/** Far above any sound measurement: a child that hangs must not hang the bench. */
const CHILD_LIMIT_MS = 300_000;

export interface RoundsPlan {
  /** Name of the scenario. */
  readonly scenario: string;
  readonly systems: readonly System[];
  readonly rounds: number;
  /** No round begins that would end after so long, by the longest before it; the first always runs. */
  readonly budgetMs?: number;
  /** By name of the system. */
  readonly parameters: Readonly<Record<string, Parameters>>;
  readonly onProgress: (text: string) => void;
  /** By name of the system: the folder whose `child.js` measures it, where it is not this one. */
  readonly folders?: Readonly<Record<string, string>>;
  /** Ends the child that runs, and all that it has started. */
  readonly signal?: AbortSignal;
}

export interface Round {
  /** Names of the systems, as they ran. */
  readonly order: readonly string[];
  /** Cores that others used just before it. */
  readonly busyCores: number;
  readonly measurements: Readonly<Record<string, Measurement>>;
}

export interface Found {
  readonly rounds: readonly Round[];
  /** Why, by name of the system. */
  readonly absent: Readonly<Record<string, string>>;
}

/**
 * Every round measures every system once, each in a fresh process, and each round begins with another system, so that a
 * machine that warms up or slows down favours none. A system that is absent is asked once.
 */
export async function measureRounds(plan: RoundsPlan): Promise<Found> {
  const absent: Record<string, string> = {};
  const rounds: Round[] = [];
  const startedAt = performance.now();
  let longestMs = 0;
  while (rounds.length < plan.rounds) {
    const roundAt = performance.now();
    if (rounds.length > 0 && roundAt + longestMs - startedAt > (plan.budgetMs ?? Infinity)) break;
    const order: string[] = [];
    const measurements: Record<string, Measurement> = {};
    const others = await busyCores();
    for (const system of rotate(plan.systems, rounds.length)) {
      if (Object.hasOwn(absent, system.name)) continue;
      plan.onProgress(`${plan.scenario}: round ${rounds.length + 1} of ${plan.rounds}, ${system.name}`);
      const outcome = await measureInChild(plan, system);
      if ('absent' in outcome) {
        absent[system.name] = outcome.absent;
      } else {
        order.push(system.name);
        measurements[system.name] = outcome;
      }
    }
    rounds.push({ order, busyCores: others, measurements });
    longestMs = Math.max(longestMs, performance.now() - roundAt);
  }
  return { rounds, absent };
}

function rotate<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

async function measureInChild(plan: RoundsPlan, { name, module }: System): Promise<Outcome> {
  const { scenario, folders = {}, signal: stopped } = plan;
  stopped?.throwIfAborted();
  const script = join(Object.hasOwn(folders, name) ? folders[name] : import.meta.dirname, 'child.js');
  const parameters = JSON.stringify(plan.parameters[name]);
  const given = ['--scenario', scenario, '--module', module, '--parameters', parameters];
  // A process group of its own: what it starts ends with it.
  const child = spawn(process.execPath, [...process.execArgv, script, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const kill = (): void => {
    killGroup(child.pid);
  };
  const limit = setTimeout(kill, CHILD_LIMIT_MS);
  stopped?.addEventListener('abort', kill);
  try {
    const ended = new Promise<string>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        resolve(signal ?? `exit code ${code ?? 'unknown'}`);
      });
    });
    const [output, errors, end] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    stopped?.throwIfAborted();
    if (end !== 'exit code 0') throw new Error(`${name} failed in scenario ${scenario} (${end})\n${problemIn(errors)}`);
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Outcome;
  } finally {
    clearTimeout(limit);
    stopped?.removeEventListener('abort', kill);
  }
}

function killGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has just ended
  }
}

/** The line that names the error, of a stack with the source around it. */
function problemIn(errors: string): string {
  const named = /^[\w ]*error(?: \[\w+\])?: .+$/im.exec(errors)?.[0];
  return named ?? errors.trim().split('\n').at(-1) ?? '';
}
