/** The scenarios of a pool that runs tasks in worker threads: a tick is the argument of a task, all tasks are on one thread. */
import { fileURLToPath } from 'node:url';
import { measureCalls } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { measureIdle } from '../scenarios/idle-cost.js';
import { makeTick, symbolsOf, type Tally, type Tick } from '../ticks.js';
import { measureCallStream } from './calls.js';

const FILENAME = fileURLToPath(new URL('./calls-worker.js', import.meta.url));
const ECHO = { name: 'echo' } as const;
const TAKE = { name: 'take' } as const;

export interface TaskPool {
  run(task: unknown, options: { readonly name: string }): Promise<unknown>;
  destroy(): Promise<void>;
}

export interface TaskPoolOptions {
  readonly filename: string;
  readonly minThreads: number;
  readonly maxThreads: number;
  /** So many tasks may be on their way to a thread at once, which runs one after another nevertheless. */
  readonly concurrentTasksPerWorker: number;
}

export function taskPoolScenarios(open: (options: TaskPoolOptions) => TaskPool): SystemScenarios {
  const withPool = async (
    { threads = 1, concurrent = 1 }: Parameters,
    measure: (pool: TaskPool) => Promise<Measurement>,
  ): Promise<Measurement> => {
    const pool = open({
      filename: FILENAME,
      minThreads: threads,
      maxThreads: threads,
      concurrentTasksPerWorker: concurrent,
    });
    try {
      return await measure(pool);
    } finally {
      await pool.destroy();
    }
  };
  const stream = (parameters: Parameters): Promise<Measurement> =>
    withPool(parameters, (pool) =>
      measureCallStream(parameters, (message) => pool.run(message, TAKE) as Promise<Tally | undefined>),
    );
  return {
    'one-to-one': stream,
    'one-to-one-batch': stream,
    'ping-pong': (parameters) => withPool(parameters, (pool) => makeTrips(pool, parameters)),
    'idle-cost': (parameters) =>
      withPool(parameters, (pool) => measureIdle(parameters, () => makeTrips(pool, parameters))),
  };
}

function makeTrips(pool: TaskPool, parameters: Parameters): Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  return measureCalls(parameters, async (sequence) => {
    const answer = (await pool.run(makeTick(sequence, symbols), ECHO)) as Tick;
    return answer.sequence;
  });
}
