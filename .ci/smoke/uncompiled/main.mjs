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

async function works(file, execArgv, backend = 'parallel') {
  const bus = createBus(catalog, { backend, threads: 1, logger: false, ...(backend === 'parallel' && { execArgv }) });
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
async function isRefused(file, backend, ...parts) {
  const error = await works(file, [], backend).then(
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

for (const backend of ['parallel', 'inline']) {
  if (STRIPS_TYPES) {
    await works('./typed.ts', [], backend);
    await works('./imports-typed.mjs', [], backend);
    await isRefused('./enum.ts', backend, 'TypeScript enum is not supported', WAYS_OUT);
  } else {
    const refusal = `which Node ${process.version} does not load by itself`;
    await isRefused('./typed.ts', backend, 'is TypeScript', refusal, WAYS_OUT, NEWER_NODE);
    await isRefused(
      './imports-typed.mjs',
      backend,
      /imports TypeScript \(.*\/uncompiled\/typed\.ts\)/,
      refusal,
      WAYS_OUT,
    );
  }
}
if (STRIPS_TYPES) await works('./enum.ts', TSX);
await works('./enum.ts', REGISTER_TSX);
process.stdout.write(`TypeScript handler files: passed on Node ${process.version}\n`);
