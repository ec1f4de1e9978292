// Handler modules in TypeScript, as written: what this Node loads, what tsx loads, and what is said of the rest.
import assert from 'node:assert/strict';
import { createBus, defineEvents, u32, workerHandlers } from 'lanebus';

const STRIPS_TYPES = process.features.typescript === 'strip';
assert.equal(STRIPS_TYPES, Number(process.env.SMOKE_NODE_MAJOR) >= 22);
const REGISTER_TSX = ['--import', new URL('./register-tsx.mjs', import.meta.url).href];
const TSX = ['--import', 'tsx'];
const WAYS_OUT =
  /: compile it,( or)? start Node with "--import" and a file that registers tsx \(README, "TypeScript handler files"\)/;
const NEWER_NODE = /, or use Node 22\.18 or later$/;

const urlOf = (file) => new URL(file, import.meta.url);
const catalog = defineEvents({
  JOB: { priority: 30, payload: { n: u32() } },
  DONE: { priority: 20, payload: { n: u32() } },
});

async function works(file, execArgv) {
  const bus = createBus(catalog, { threads: 1, logger: false, execArgv });
  const results = [];
  bus.subscribe('JOB', workerHandlers(urlOf(file)).onJob);
  bus.subscribe('DONE', ({ n }) => void results.push(n));
  try {
    await bus.start();
    await bus.publish({ type: 'JOB', n: 1 });
    await bus.drain();
    assert.deepEqual(results, [2]);
  } finally {
    await bus.stop();
  }
}

/** @param parts What the one line must say, in this order. */
async function isRefused(file, ...parts) {
  const error = await works(file, []).then(
    () => assert.fail(`${file} was loaded`),
    (caught) => caught,
  );
  assert.equal(error.code, 'ERR_LANEBUS_MODULE_FAILED', String(error));
  let rest = error.message;
  for (const part of [`handler module ${urlOf(file).href} `, ...parts]) {
    const at = typeof part === 'string' ? rest.indexOf(part) : rest.search(part);
    assert.ok(at >= 0, `${JSON.stringify(error.message)} lacks ${part}`);
    rest = rest.slice(at);
  }
  assert.ok(!error.message.includes('\n'));
}

if (STRIPS_TYPES) {
  await works('./typed.ts', []);
  await works('./imports-typed.mjs', []);
  await isRefused('./enum.ts', 'TypeScript enum is not supported', WAYS_OUT);
  await works('./enum.ts', TSX);
} else {
  await isRefused(
    './typed.ts',
    `is TypeScript, which Node ${process.version} does not load by itself`,
    WAYS_OUT,
    NEWER_NODE,
  );
  await isRefused('./imports-typed.mjs', /imports TypeScript \(.*\/uncompiled\/typed\.ts\)/, WAYS_OUT, NEWER_NODE);
}
await works('./enum.ts', REGISTER_TSX);
process.stdout.write(`TypeScript handler files: passed on Node ${process.version}\n`);
