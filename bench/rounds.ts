import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Measurement, Parameters, System } from './scenario.js';

/** Far above any sound measurement: a child that hangs must not hang the bench. */
const CHILD_LIMIT_MS = 300_000;

export interface RoundsPlan {
  /** Name of the scenario. */
  readonly scenario: string;
  readonly systems: readonly System[];
  readonly rounds: number;
  /** By name of the system. */
  readonly parameters: Readonly<Record<string, Parameters>>;
  readonly onProgress: (text: string) => void;
}

/**
 * All measurements of each system, in round order. Every round measures every system once, each in a fresh process,
 * and the order is reversed from round to round so that a machine that warms up or slows down favours none.
 */
export async function measureRounds(plan: RoundsPlan): Promise<Map<string, Measurement[]>> {
  const found = new Map<string, Measurement[]>(plan.systems.map(({ name }) => [name, []]));
  for (let round = 0; round < plan.rounds; round++) {
    const order = round % 2 === 0 ? plan.systems : plan.systems.toReversed();
    for (const system of order) {
      plan.onProgress(`round ${round + 1}/${plan.rounds} ${system.name}`);
      const measurement = await measureInChild(plan.scenario, system, plan.parameters[system.name]);
      found.get(system.name)?.push(measurement);
    }
  }
  return found;
}

async function measureInChild(scenario: string, system: System, parameters: Parameters): Promise<Measurement> {
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
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Measurement;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
