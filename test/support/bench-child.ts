/** One measurement of the bench, in a process of its own as the bench has it, with few events. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import type { Measurement, Outcome, Parameters, Scenario, System } from '../../bench/scenario.js';
import { ROOT } from './documents/pages.js';

const CHILD = join(ROOT, 'build', 'bench', 'child.js');
/** Of a process that ends by itself after a second at most, on a machine that is busy with others. */
const CHILD_LIMIT_MS = 30_000;

const run = promisify(execFile);

export function childArguments({ name }: Scenario, system: System, small: Parameters): string[] {
  const parameters = JSON.stringify({ ...system.parameters(true), ...small });
  return [CHILD, '--scenario', name, '--module', system.module, '--parameters', parameters];
}

export async function measureOnce(
  scenario: Scenario,
  system: System,
  small: Parameters,
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome> {
  const { stdout } = await run(process.execPath, childArguments(scenario, system, small), {
    env: { ...process.env, ...env },
    timeout: CHILD_LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  return JSON.parse(stdout) as Outcome;
}

export function expectPlausible(outcome: Outcome): void {
  const { value, latency } = outcome as Measurement;
  expect(value).toBeGreaterThan(0);
  expect(value).toBeLessThan(1e9);
  if (latency === undefined) return;
  const { p50, p99, p999, max } = latency;
  const ordered = [p50, p99, p999, max];
  expect(ordered).toEqual(ordered.toSorted((a, b) => a - b));
  expect(p50).toBeGreaterThan(0);
}
