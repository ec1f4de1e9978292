// A program under which time does strange things. It runs one handler with a limit, on a machine that is starved, stopped or
// under a debugger, and prints what became of it. Arguments: the way, the handler's time and its limit, in ms.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import inspector from 'node:inspector';
import os from 'node:os';
import { createBus, workerHandlers } from 'lanebus';
import { catalog, epochNow } from '../catalog.js';
import type * as watched from '../watched.js';

const [, , way, n, timeoutMs] = process.argv;
const { onJob } = workerHandlers<typeof watched>(new URL('../watched.js', import.meta.url));
const bus = createBus(catalog, { threads: 1, spares: 0, logger: false, timeoutMs: Number(timeoutMs), graceMs: 0 });
const jobs = bus.subscribe('JOB', onJob);
const times: Partial<Record<string, number>> = {};
bus.subscribe('NOTE', ({ what, at }) => {
  times[what] ??= at;
  if (way === 'stopped' && what === 'begun') process.stdout.write('"begun"\n'); // whoever reads this stops the process
});

/** Takes all cores, at a higher priority than this process has. */
async function starve(): Promise<() => void> {
  os.setPriority(10);
  // Each ends by itself: whoever kills this program must not leave them behind.
  const code = `
    require('node:os').setPriority(0);
    require('node:fs').writeSync(1, 'burns');
    for (const end = Date.now() + 10_000; Date.now() < end;);`;
  const burners = Array.from({ length: 6 * os.cpus().length }, () =>
    spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'ignore'] }),
  );
  await Promise.all(burners.map(({ stdout }) => once(stdout, 'data')));
  return () => {
    for (const burner of burners) burner.kill('SIGKILL');
  };
}

if (way === 'debugged') inspector.open(0, '127.0.0.1');
await bus.start();
const release = way.startsWith('starved') ? await starve() : () => undefined;
const published = epochNow();
await bus.publish({ type: 'JOB', n: Number(n), act: { 'starved loop': 'loop', starved: 'work' }[way] ?? 'run' });
await bus.drain();
release();
inspector.close();
const { processed, timedOut, redelivered } = jobs.metrics();
const ms = (times.done ?? epochNow()) - (times.begun ?? published);
process.stdout.write(`${JSON.stringify({ processed, timedOut, redelivered, ms })}\n`);
await bus.stop();
