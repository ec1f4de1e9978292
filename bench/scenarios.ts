import type { Scenario } from './scenario.js';
import { fanOut } from './scenarios/fan-out.js';
import { fanOutKeyed } from './scenarios/fan-out-keyed.js';
import { flood } from './scenarios/flood.js';
import { killRecovery } from './scenarios/kill-recovery.js';
import { oneToOne } from './scenarios/one-to-one.js';
import { soak } from './scenarios/soak.js';

export const SCENARIOS: readonly Scenario[] = [oneToOne, fanOut, fanOutKeyed, soak, killRecovery, flood];

export function scenarioNamed(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined) {
    throw new Error(`no scenario "${name}"; there are: ${SCENARIOS.map((scenario) => scenario.name).join(', ')}`);
  }
  return found;
}
