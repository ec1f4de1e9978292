// Random graphs of lanes, subscriptions and derived events: the promises hold for whatever people put together.
// GRAPH_SEED=n runs graph n alone, GRAPH_SEED=a-b those from a to b.
import type { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkCounts, checkEnd } from '../support/graphs/check-counts.js';
import { checkDeliveries } from '../support/graphs/check-deliveries.js';
import { checkLosses } from '../support/graphs/check-losses.js';
import { Coverage } from '../support/graphs/coverage.js';
import { runGraph } from '../support/graphs/drive.js';
import { describeGraph, planGraph, range } from '../support/graphs/plan.js';
import { moduleUrl } from './buses.js';

const GRAPHS = 200;
const GRAPHS_PER_TEST = 20;
/** A graph waits a lot: for its threads to start, for rooms, for turns. */
const AT_A_TIME = 3;
const MAX_PROBLEMS = 8;

const seeds = seedsOf(process.env.GRAPH_SEED ?? `1-${GRAPHS}`);
const coverage = new Coverage();
const workers = new Set<Worker>();

function seedsOf(text: string): number[] {
  const [first, last = first] = text.split('-').map(Number);
  return range(last - first + 1).map((index) => first + index);
}

function watch(worker: Worker): void {
  workers.add(worker);
  worker.once('exit', () => workers.delete(worker));
}

beforeAll(() => void process.on('worker', watch));
afterAll(() => void process.off('worker', watch));

/** What is wrong with a graph's run, and how to see it again; undefined if nothing is. */
async function problemOf(seed: number): Promise<string | undefined> {
  const plan = planGraph(seed);
  const problems: string[] = [];
  try {
    const ending = await runGraph(plan, moduleUrl('graph'));
    const { history } = ending;
    const checks = [checkEnd(ending), checkCounts(history), checkDeliveries(history), checkLosses(history)];
    problems.push(...checks.flatMap((lines) => [...lines]));
    coverage.add(history);
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  if (problems.length === 0) return undefined;
  const more = problems.length > MAX_PROBLEMS ? [`… and ${problems.length - MAX_PROBLEMS} more`] : [];
  return [
    `graph ${seed} fails; GRAPH_SEED=${seed} npx vitest run test/contract/random-graph.test.ts runs it alone`,
    ...[...problems.slice(0, MAX_PROBLEMS), ...more].map((line) => `- ${line}`),
    describeGraph(plan),
  ].join('\n');
}

describe('a random graph', () => {
  const groups = range(Math.ceil(seeds.length / GRAPHS_PER_TEST)).map((group) => {
    const own = seeds.slice(group * GRAPHS_PER_TEST, (group + 1) * GRAPHS_PER_TEST);
    return [own.length === 1 ? `${own[0]}` : `${own[0]} to ${own[own.length - 1]}`, own] as const;
  });

  it.each(groups)(
    'keeps order and books, delivers exactly once and leaves no thread: %s',
    async (_, own) => {
      const left = [...own];
      const problems: string[] = [];
      const runNext = async (): Promise<void> => {
        for (let seed = left.shift(); seed !== undefined; seed = left.shift()) {
          const problem = await problemOf(seed);
          if (problem !== undefined) problems.push(problem);
        }
      };
      await Promise.all(range(AT_A_TIME).map(runNext));
      if (problems.length > 0) expect.fail(problems.join('\n\n'));
      expect(workers.size).toBe(0);
    },
    120_000,
  );

  if (seeds.length >= GRAPHS)
    it('does all that it can do in some graph', () => {
      expect(coverage.missing).toEqual([]);
    });
});
