// What every smoke test runs, however it has loaded the package: 10,000 events, two worker handlers, an exact ledger. The
// process has to end by itself.
import assert from 'node:assert/strict';

const EVENTS = 10_000;

export async function smoke(lanebus, handlerModule, how) {
  const wanted = process.env.SMOKE_NODE_MAJOR;
  assert.equal(process.versions.node.split('.')[0], wanted, `this is Node ${process.version}, not ${wanted}`);
  const backends = Object.keys(lanebus.backends);
  assert.deepEqual(backends, ['parallel', 'inline']);
  for (const backend of backends) await run(lanebus, handlerModule, backend);
  process.stdout.write(`${how}: passed on Node ${process.version} with ${backends.join(' and ')}\n`);
}

async function run({ createBus, defineEvents, f64, symbol, u32, workerHandlers }, handlerModule, backend) {
  const catalog = defineEvents({
    READING: { priority: 30, payload: { sensor: symbol(), value: f64() } },
    END: { priority: 30, payload: {} },
    TOTAL: { priority: 20, payload: { count: u32(), sum: f64() } },
  });
  const bus = createBus(catalog, { backend, threads: 2, logger: false });
  const totals = [];
  bus.subscribe('TOTAL', (total) => {
    totals.push(total);
  });
  const { first, second } = workerHandlers(handlerModule);
  const subscriptions = [first, second].map((handler) => bus.subscribe(['READING', 'END'], handler));

  await bus.start();
  for (let at = 0; at < EVENTS; at++) {
    await bus.publish({ type: 'READING', sensor: `s${at % 7}`, value: at });
  }
  await bus.publish({ type: 'END' });
  const drained = await bus.drain({ timeoutMs: 20_000 });
  assert.equal(drained.drained, true, `${backend}: ${drained.pending} deliveries were still pending`);

  for (const subscription of subscriptions) {
    const { owed, processed, exact } = subscription.metrics();
    assert.deepEqual({ owed, processed, exact }, { owed: EVENTS + 1, processed: EVENTS + 1, exact: true });
  }
  const stopped = await bus.stop();
  assert.equal(stopped.drained, true);
  assert.equal(stopped.discarded, 0);
  assert.equal(totals.length, subscriptions.length);
  for (const { count, sum } of totals) {
    assert.deepEqual({ count, sum }, { count: EVENTS, sum: (EVENTS * (EVENTS - 1)) / 2 });
  }
}
