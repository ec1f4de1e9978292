// How exactly deadlines are kept, and who is not stopped though the clock says so.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import inspector from 'node:inspector';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { epochNow } from '../support/handlers/catalog.js';
import { busy } from '../support/handlers/hang.js';
import type * as watched from '../support/handlers/watched.js';
import { expectExact, handlersOf, moduleUrl, newBus, Notes, range } from './buses.js';
import { runProgram } from './programs.js';

const { onJob } = handlersOf<typeof watched>('watched');

/** The contract's. A single round may be later when the machine has other work: the median may not. */
const SLACK_MS = 25;
const ROUNDS = 9;

interface Result {
  readonly processed: number;
  readonly timedOut: number;
  readonly ms: number;
}

/** When threads were terminated: before they are gone. */
const kills: number[] = [];
const terminated = new Set<() => void>();
const onWorker = (worker: import('node:worker_threads').Worker): void => {
  const terminate = worker.terminate.bind(worker);
  worker.terminate = () => {
    kills.push(epochNow());
    for (const look of terminated) look();
    return terminate();
  };
};
beforeAll(() => {
  process.on('worker', onWorker);
});
afterAll(() => {
  process.off('worker', onWorker);
});

async function nextKill(): Promise<number> {
  await new Promise<void>((resolve) => {
    const look = (): void => {
      terminated.delete(look);
      resolve();
    };
    terminated.add(look);
  });
  return kills[kills.length - 1];
}

describe('a deadline', () => {
  const timeoutMs = 80;
  const graceMs = 20;

  it.each([
    { what: 'of a handler that loops', act: 'loop', concurrency: 1 },
    { what: 'of a handler that never settles', act: 'never', concurrency: 1 },
    { what: 'of one of four deliveries in flight', act: 'never', concurrency: 4 },
  ])(
    `$what is hit within timeoutMs + graceMs and ${SLACK_MS} ms more, and never early`,
    async ({ act, concurrency }) => {
      const bus = newBus({ timeoutMs, graceMs });
      const notes = new Notes(bus);
      const jobs = bus.subscribe('JOB', onJob, { concurrency, order: 'none' });
      await bus.start();
      const late: number[] = [];
      for (const round of range(ROUNDS)) {
        await expect.poll(() => bus.metrics().spares).toBe(1);
        await sleep(round * 3); // at another place between two looks each time
        // Others come and go beside it.
        for (let other = 1; other < concurrency; other++) await bus.publish({ type: 'JOB', n: 5, act: 'sleep' });
        const before = notes.of('begun').length;
        const killed = nextKill();
        await bus.publish({ type: 'JOB', n: round, act });
        const begun = (await notes.until('begun', before + concurrency)).slice(-1)[0].at;
        late.push((await killed) - begun - timeoutMs - graceMs);
        await bus.drain();
      }
      late.sort((a, b) => a - b);
      process.stdout.write(
        `deadline ${act} ×${concurrency}: late by ${late.map((ms) => ms.toFixed(1)).join(', ')} ms\n`,
      );
      expect(late[0]).toBeGreaterThanOrEqual(0);
      expect(late[ROUNDS >> 1]).toBeLessThanOrEqual(SLACK_MS);
      expect(jobs.metrics()).toMatchObject({ timedOut: ROUNDS, processed: ROUNDS * (concurrency - 1), redelivered: 0 });
      expectExact(bus.metrics());
    },
  );
});

describe('nobody is stopped', () => {
  it('on a CPU-starved machine: a thread that is not scheduled does not hang', async () => {
    // Work of less than a third of the limit fits in at any share of a core: with a third or more it is done in time, with
    // less its deadline is put off by what it waited more than it ran.
    const { code, errors, lines } = await runProgram('watched', ['starved', '80', '300']);
    expect({ code, errors }).toEqual({ code: 0, errors: '' });
    const { ms, ...outcome } = lines.at(-1) as Result;
    expect(outcome).toEqual({ processed: 1, timedOut: 0, redelivered: 0 });
    // Else the machine was not starved, and nothing is shown.
    expect(ms).toBeGreaterThan(300);
  });

  it('who does not hang; one that does is stopped on a starved machine too', async () => {
    const { code, lines } = await runProgram('watched', ['starved loop', '0', '60']);
    expect(code).toBe(0);
    expect(lines.at(-1)).toMatchObject({ processed: 0, timedOut: 1 });
  });

  it('while suspended under a debugger', async () => {
    const { code, lines } = await runProgram('watched', ['debugged', '300', '80']);
    expect(code).toBe(0);
    expect(lines.at(-1)).toMatchObject({ processed: 1, timedOut: 0, redelivered: 0 });
    expect(inspector.url()).toBeUndefined();
  });

  it('after a laptop sleep: the whole process stood still', async () => {
    const program = spawn(process.execPath, [fileURLToPath(moduleUrl('programs/watched')), 'stopped', '400', '600'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output: string[] = [];
    for await (const line of createInterface(program.stdout)) {
      output.push(line);
      if (line !== '"begun"') continue;
      await sleep(50); // the watchdog has seen the handler
      program.kill('SIGSTOP');
      await sleep(1_500);
      program.kill('SIGCONT');
    }
    if (program.exitCode === null) await once(program, 'exit');
    const result = JSON.parse(output.at(-1) ?? '') as Result;
    expect(result).toMatchObject({ processed: 1, timedOut: 0, redelivered: 0 });
    expect(result.ms).toBeGreaterThan(1_500);
  });

  it.each([
    [
      'runs',
      () => {
        busy(1_500);
      },
    ],
    [
      'is blocked',
      () => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
      },
    ],
  ] as const)('when the main thread comes back after seconds in which it %s', async (_, block) => {
    const bus = newBus({ timeoutMs: 600, graceMs: 0, threads: 2 });
    const notes = new Notes(bus);
    const sleeping = bus.subscribe('JOB', onJob, { name: 'sleeping' });
    const function_ = bus.subscribe('TICK', async () => {
      await sleep(100);
    });
    await bus.start();
    await bus.publish({ type: 'JOB', n: 400, act: 'sleep' });
    await bus.publish({ type: 'TICK', n: 0, symbol: 'A', price: 1 });
    await notes.until('begun');
    await sleep(50);
    block();
    await bus.drain();
    expect(sleeping.metrics()).toMatchObject({ processed: 1, timedOut: 0, redelivered: 0 });
    expect(function_.metrics()).toMatchObject({ processed: 1, timedOut: 0 });
    expectExact(bus.metrics());
  });
});
