// A module that is told of its life. What it is told goes to the file named by TOLD, one JSON value a line: a hook has
// nowhere to publish, and what is written synchronously is not lost with the thread.
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { SetupInfo } from 'lanebus';
import { type Context, type Job, note } from './catalog.js';

let ready = false;

export async function setup(info: SetupInfo): Promise<void> {
  const { log, ...told } = info;
  log.debug({}, 'set up');
  tell('setup', told);
  if (process.env.SETUP === 'fail') throw new RangeError('no');
  if (process.env.SETUP === 'fail later' && info.incarnation > 0) throw new RangeError('not again');
  while (process.env.SETUP === 'loop');
  if (process.env.SETUP === 'hang') await sleep(60_000);
  await sleep(5);
  ready = true;
}

export async function teardown({ subscription }: SetupInfo): Promise<void> {
  while (process.env.TEARDOWN === 'loop');
  if (process.env.TEARDOWN === 'hang') await sleep(60_000);
  await sleep(5);
  tell('teardown', subscription.name);
  if (process.env.TEARDOWN === 'fail') throw new Error('no');
}

export function onJob({ n, act }: Job, context: Context): void {
  note(context, ready ? 'ready' : 'not ready', n, context.attempt);
  if (act === 'exit' && context.attempt === 1) process.exit(3);
  while (act === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

function tell(what: string, value: unknown): void {
  if (process.env.TOLD !== undefined) appendFileSync(process.env.TOLD, `${JSON.stringify([what, value])}\n`);
}
