import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
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
      const outcome = await measureInChild(plan.scenario, system, plan.parameters[system.name]);
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

async function measureInChild(scenario: string, system: System, parameters: Parameters): Promise<Outcome> {
  const script = fileURLToPath(new URL('./child.js', import.meta.url));
  const given = ['--scenario', scenario, '--module', system.module, '--parameters', JSON.stringify(parameters)];
  const child = spawn(process.execPath, [...process.execArgv, script, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: CHILD_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      resolve(signal ?? `exit code ${code ?? 'unknown'}`);
    });
  });
  const [output, errors, end] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (end !== 'exit code 0')
    throw new Error(`${system.name} failed in scenario ${scenario} (${end})\n${errors.trim()}`);
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Outcome;
}
