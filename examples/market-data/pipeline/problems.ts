import type { PipelineResult } from './result.js';
import { sumOf } from './result.js';
import type { StageName } from './stage.js';
import { STAGES } from './stage.js';

/**
 * What is wrong with a run, one line each. Nothing when every ledger is exact, every stage has answered for every instrument,
 * and each has received what the one before says that it has published: counts of the handlers' own, beside the bus's.
 */
export function problemsOf(result: PipelineResult): string[] {
  const { events, instruments, stages, orders, halts, ledger, state } = result;
  const problems: string[] = [];
  const expect = (what: string, found: number, expected: number): void => {
    if (found !== expected) problems.push(`${what}: ${found}, expected ${expected}`);
  };
  for (const [name, counts] of Object.entries(ledger)) {
    if (!counts.exact) problems.push(`the ledger of ${name} is not exact`);
    expect(`deliveries that ${name} has processed`, counts.processed, counts.owed);
  }
  for (const stage of STAGES) {
    const answered = Object.values(state).filter((byStage) => byStage?.[stage] !== undefined).length;
    expect(`instruments that ${stage} has reported`, answered, instruments);
  }
  const chain: readonly StageName[] = STAGES.slice(0, STAGES.indexOf('execution'));
  chain.forEach((stage, at) => {
    const before = at === 0 ? events : stages[chain[at - 1]].published;
    expect(`events that ${stage} has received`, stages[stage].received, before);
  });
  expect('signals that execution has acted upon', orders.signals, stages.signal.published);
  expect('orders that were filled', orders.fills, orders.sent);
  expect('fills that execution has published', stages.execution.published, orders.fills);
  expect('fills that risk has received', stages.risk.received, orders.fills);
  expect('fills that risk has answered', stages.risk.published, orders.fills);
  expect('HALTs that execution has received', sumOf(state, 'execution', 'halts'), sumOf(state, 'risk', 'halts'));
  expect('CLEARs that execution has received', sumOf(state, 'execution', 'cleared'), orders.fills - halts);
  expect('HALTs that the main thread has received', halts, sumOf(state, 'risk', 'halts'));
  return problems;
}
