// The optional entry point and the command line: a letter on disk, seen and replayed from another process.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createBus, defineEvents, u32 } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';

const path = mkdtempSync(join(tmpdir(), 'lanebus-smoke-'));
const lanebus = async (...args) => {
  const cli = join(import.meta.dirname, 'node_modules', 'lanebus', 'dist', 'cli', 'main.js');
  const { stdout } = await promisify(execFile)(process.execPath, [cli, 'dead-letters', ...args, '--store', path]);
  return stdout;
};

const catalog = defineEvents({ JOB: { priority: 30, payload: { n: u32() } } });
const bus = createBus(catalog, { threads: 1, logger: false, deadLetterStore: lmdbDeadLetters({ path }) });
let works = false;
bus.subscribe(
  'JOB',
  () => {
    if (!works) throw new Error('not yet');
  },
  { name: 'jobs', retry: { attempts: 2, backoffMs: 1 } },
);
try {
  await bus.start();
  await bus.publish({ type: 'JOB', n: 7 });
  await bus.drain();
  const [letter] = (await lanebus('list', '--json')).trim().split('\n').map(JSON.parse);
  assert.deepEqual([letter.id, letter.event.n, letter.attempts, letter.error.message], [1, 7, 2, 'not yet']);
  works = true;
  assert.match(await lanebus('replay', '1'), /^Replayed 1 letter\./);
  await bus.drain();
  assert.equal(bus.deadLetters.count(), 0);
} finally {
  await bus.stop();
  rmSync(path, { recursive: true });
}
process.stdout.write(`dead letters on disk: passed on Node ${process.version}\n`);
