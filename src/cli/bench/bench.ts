/** Runs one benchmark for a terminal: progress while it lasts, Ctrl-C, and what came of it. */
import { describeMachine } from './machine.js';
import type { Flags, Plan } from './plan.js';
import { formatProgress, formatResult } from './report.js';
import { runBench } from './run.js';

/** Clears the line that the cursor is on. */
const CLEAR = '\r\x1b[K';

/** @throws An error with all that was wrong in one line, after the result was printed */
export async function bench(plan: Plan, { json, progress }: Flags): Promise<void> {
  const interruption = new AbortController();
  // Once: another Ctrl-C ends the process.
  process.once('SIGINT', () => {
    interruption.abort();
  });
  const show = (line: string): void => {
    if (process.stderr.isTTY) process.stderr.write(`${CLEAR}${line}`);
    else if (progress === true && line !== '') process.stderr.write(`${line}\n`);
  };
  try {
    show(`${plan.scenario}: starting`);
    const result = await runBench(plan, await describeMachine(), interruption.signal, (now) => {
      show(formatProgress(plan, now));
    });
    show('');
    process.stdout.write(`${json === true ? JSON.stringify(result) : formatResult(result)}\n`);
    if (result.problems.length > 0) throw new Error(`the result is wrong: ${result.problems.join('; ')}`);
  } finally {
    show('');
  }
}
