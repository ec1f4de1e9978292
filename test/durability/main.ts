// Kills a process with SIGKILL while dead letters stream into its store, again and again, and looks whether every letter that it
// had acknowledged is there, whole and once. `--rounds N`, `--seed S`.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import logUpdate from 'log-update';
import { createBus } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import { SeededRandom } from '../support/random.js';
import { catalog, payloadFor } from './payload.js';

/** Longest time from the first acknowledged letter to the kill. */
const MAX_LIFE_MS = 250;
const CHILD = fileURLToPath(new URL('./child.js', import.meta.url));

const integer = (given: string): number => {
  const value = Number(given);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('Expected an integer from 1.');
  return value;
};
const program = new Command('test:durability')
  .option('--rounds <n>', 'kills', integer, 20)
  .option('--seed <n>', 'of the moments', integer, 1)
  .parse();
const { rounds, seed } = program.opts<{ rounds: number; seed: number }>();
const random = new SeededRandom(seed);
const folder = mkdtempSync(join(tmpdir(), 'lanebus-durability-'));
const path = join(folder, 'letters');
/** Rounds with one store: each looks at all letters of those before. */
const ROUNDS_EACH = 20;

const isSound = (): boolean => problems.length === 0;
/** Events by their numbers, of letters that were acknowledged. */
const acknowledged = new Set<number>();
const problems: string[] = [];
let kills = 0;

/** Opens the store as the next process would. @returns How many letters there are. */
async function check(): Promise<number> {
  const bus = createBus(catalog, {
    ...{ threads: 1, spares: 0, logger: false },
    deadLetterStore: lmdbDeadLetters({ path }),
  });
  await bus.start();
  const found = new Map<number, number>();
  let last = 0;
  for (let page = bus.deadLetters.list(); page.length > 0; page = bus.deadLetters.list({ cursor: last })) {
    for (const { id, event, error, subscription } of page) {
      if (id <= last) problems.push(`letter ${id} comes after ${last}`);
      last = id;
      const n = Number(event.n);
      found.set(n, (found.get(n) ?? 0) + 1);
      const { body, symbol } = payloadFor(n);
      const isWhole =
        event.body === body && event.symbol === symbol && error?.message === `job ${n}` && subscription.name === 'jobs';
      if (!isWhole) problems.push(`letter ${id} of event ${n} is not whole: ${JSON.stringify(event).slice(0, 100)}`);
    }
  }
  await bus.stop();
  for (const n of acknowledged) {
    const times = found.get(n) ?? 0;
    if (times !== 1) problems.push(`the acknowledged letter of event ${n} is there ${times} times`);
  }
  for (const [n, times] of found) if (times > 1) problems.push(`event ${n} has ${times} letters`);
  return found.size;
}

try {
  let [stored, told] = [0, 0];
  for (let round = 1; round <= rounds && isSound(); round++) {
    if (round % ROUNDS_EACH === 1) {
      rmSync(path, { recursive: true, force: true });
      told += acknowledged.size;
      acknowledged.clear();
    }
    const child = spawn(process.execPath, [CHILD, path, String(round * 1_000_000)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let timer: NodeJS.Timeout | undefined;
    let cut = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      // A line that the kill has cut may end in the middle of a number.
      const lines = (cut + text).split('\n');
      cut = lines.pop() ?? '';
      for (const n of lines.flatMap((line) => line.split(' '))) acknowledged.add(Number(n));
      timer ??= setTimeout(() => child.kill('SIGKILL'), random.next() * MAX_LIFE_MS);
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    if (signal === 'SIGKILL') kills++;
    else problems.push(`the process ended by itself with code ${code}`);
    stored = await check();
    const state = `${kills} kills, ${(told + acknowledged.size).toLocaleString('en-US')} letters acknowledged, ${stored.toLocaleString('en-US')} in the store now, ${problems.length} problems`;
    if (process.stdout.isTTY) logUpdate(state);
    else if (round === rounds || !isSound()) process.stdout.write(`durability: ${state}\n`);
  }
  for (const problem of problems.slice(0, 20)) process.stdout.write(`${problem}\n`);
  process.exitCode = isSound() && kills === rounds ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
