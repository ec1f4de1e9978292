import type { Backend } from '../../main/index.js';
import type { ConformanceCase } from './case.js';
import { conformanceCases } from './cases.js';
import { PATIENCE_MS } from './scene.js';

/** What the suite asks of a test runner: vitest, node:test, jest and mocha have it. */
export interface Runner {
  /** Makes a group; the body, which is called at once, makes what is in it. */
  describe(name: string, body: () => void): void;
  /**
   * Makes a test, which passes when the body's promise resolves.
   * @param timeoutMs How long it may take; a runner without a limit of its own may ignore it.
   */
  it(name: string, body: () => Promise<void>, timeoutMs?: number): void;
}

/** What `conformanceSuite` is to do. */
export interface SuiteOptions {
  /** What is held to the contract. */
  readonly backend: Backend;
  /** Default: node:test. */
  readonly runner?: Runner;
  /** Runs each case ten times at the same time, in this process, with more patience. Default false. */
  readonly stress?: boolean;
}

/** Runs of a case under stress, all at once. */
const STRESS_RUNS = 10;
const STRESS_PATIENCE_MS = 6 * PATIENCE_MS;
/** A case gives up after three times its patience, and its buses need time to stop. */
const RUNNER_PATIENCES = 4;

/** Node's own, loaded when it is asked for: to import it leaves something behind. */
function nodeRunner(): Runner {
  const { describe, it } = process.getBuiltinModule('node:test');
  return { describe: (name, body) => void describe(name, body), it: (name, body) => void it(name, body) };
}

/**
 * Registers every case of the contract with a test runner, one test for each, in a group for each section.
 *
 * A backend keeps the contract when all pass: those that it does not claim are there too, as counter-cases.
 */
export function conformanceSuite({ backend, runner = nodeRunner(), stress = false }: SuiteOptions): void {
  const bySection = new Map<string, ConformanceCase[]>();
  for (const one of conformanceCases(backend.capabilities)) {
    bySection.set(one.section, [...(bySection.get(one.section) ?? []), one]);
  }
  const limitMs = RUNNER_PATIENCES * (stress ? STRESS_PATIENCE_MS : PATIENCE_MS);
  runner.describe(`${backend.name} keeps the contract${stress ? ', under stress' : ''}`, () => {
    for (const [section, cases] of bySection) {
      runner.describe(section, () => {
        for (const one of cases) runner.it(one.title, () => runCase(one, backend, stress), limitMs);
      });
    }
  });
}

/** Runs a case once, or as often as the stress mode does. Rejects when a run does, but not before all have ended. */
export async function runCase(one: ConformanceCase, backend: Backend, stress: boolean): Promise<void> {
  if (!stress) return one.run(backend);
  const runs = Array.from({ length: STRESS_RUNS }, () => one.run(backend, { patienceMs: STRESS_PATIENCE_MS }));
  // All of them: the next case must not begin beside a run that is left.
  const failed = (await Promise.allSettled(runs)).filter((run) => run.status === 'rejected');
  if (failed.length > 0)
    throw new AggregateError(
      failed.map(({ reason }) => reason as unknown),
      `${failed.length} of ${STRESS_RUNS} runs failed: ${String(failed[0].reason)}`,
    );
}
