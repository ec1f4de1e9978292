/**
 * `npm run test:kills -- --kills N`: the thread of one subscription is terminated over and over, with deliveries in flight.
 * Prints what the process holds as it goes on, and fails if anything grows after the first kills, or is lost.
 */
import type { Worker } from 'node:worker_threads';
import Table from 'cli-table3';
import { Command, InvalidArgumentError } from 'commander';
import { createBus, workerHandlers } from 'lanebus';
import { setTimeout as sleep } from 'node:timers/promises';
import { catalog } from '../support/handlers/catalog.js';
import type * as record from '../support/handlers/record.js';
import { openDescriptors, systemThreads } from '../support/process.js';

/** From here on memory is to be flat. */
const WARM_UP = 500;
const GROWTH = 1.05;
const SAMPLES = 20;
const TICKS_EACH = 20;

function kills(given: string): number {
  const value = Number(given);
  if (!Number.isSafeInteger(value) || value < WARM_UP + SAMPLES) {
    throw new InvalidArgumentError(`It is an integer of ${WARM_UP + SAMPLES} or more.`);
  }
  return value;
}

const flags = new Command('npm run test:kills --')
  .option('--kills <count>', 'how often the thread is terminated', kills, 10_000)
  .option('--json', 'one JSON object on stdout')
  .parse()
  .opts<{ readonly kills: number; readonly json?: true }>();

const living = new Set<Worker>();
process.on('worker', (worker) => {
  living.add(worker);
  worker.once('exit', () => living.delete(worker));
});

const { quiet } = workerHandlers<typeof record>(new URL('../support/handlers/record.js', import.meta.url));
const bus = createBus(catalog, { threads: 1, logger: false, metricsLogIntervalMs: 0, maxCrashes: 1_000_000 });
const ticks = bus.subscribe('TICK', quiet);
await bus.start();

interface Sample {
  readonly kills: number;
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly threads: number;
  readonly resources: number;
  readonly laneMiB: number;
}

async function until(isSo: () => boolean): Promise<void> {
  const late = performance.now() + 30_000;
  for (let turns = 0; !isSo(); turns++) {
    if (performance.now() > late) throw new Error(`nothing goes on: ${JSON.stringify(bus.metrics())}`);
    await sleep(turns < 20 ? 0 : 1);
  }
}

async function sample(kills: number): Promise<Sample> {
  await until(() => bus.metrics().spares === 1 && living.size === 2);
  await sleep(50);
  const lanes = Object.values(bus.metrics().lanes).reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
  return {
    kills,
    residentMiB: process.memoryUsage.rss() / 2 ** 20,
    descriptors: openDescriptors(),
    threads: systemThreads(),
    resources: process.getActiveResourcesInfo().length,
    laneMiB: lanes / 2 ** 20,
  };
}

const samples: Sample[] = [];
const step = Math.floor((flags.kills - WARM_UP) / SAMPLES);
let published = 0;
const begun = performance.now();
for (let kill = 1; kill <= flags.kills; kill++) {
  await until(() => bus.metrics().threads[1].state === 'running');
  const { threadId } = bus.metrics().threads[1];
  const victim = [...living].find((worker) => worker.threadId === threadId);
  for (const end = published + TICKS_EACH; published < end; published++) {
    await bus.publish({ type: 'TICK', n: published, symbol: 'A', price: 1 });
  }
  await victim?.terminate();
  await until(() => bus.metrics().threads[1].incarnation >= kill && ticks.metrics().pending === 0);
  if (kill >= WARM_UP && (kill - WARM_UP) % step === 0) samples.push(await sample(kill));
  if (process.stderr.isTTY && kill % 10 === 0) process.stderr.write(`\r${kill} of ${flags.kills} kills `);
}
if (process.stderr.isTTY) process.stderr.write('\n');
const { owed, processed, exact } = ticks.metrics();
await bus.stop();

const [first] = samples;
const most = (key: keyof Sample): number => Math.max(...samples.map((one) => one[key]));
const faults = [
  owed === published && processed === owed && exact
    ? ''
    : `ledger: ${published} published, ${owed} owed, ${processed} processed`,
  most('residentMiB') <= first.residentMiB * GROWTH
    ? ''
    : `memory grows by more than ${Math.round((GROWTH - 1) * 100)}%`,
  ...(['descriptors', 'threads', 'resources', 'laneMiB'] as const).map((key) =>
    most(key) <= first[key] ? '' : `${key}: ${first[key]} at first, ${most(key)} later`,
  ),
].filter((fault) => fault !== '');

const seconds = (performance.now() - begun) / 1e3;
if (flags.json === true) {
  process.stdout.write(`${JSON.stringify({ node: process.version, kills: flags.kills, seconds, samples, faults })}\n`);
} else {
  const table = new Table({
    head: ['kills', 'resident MiB', 'descriptors', 'threads', 'resources', 'lanes MiB'],
    style: { head: [] },
  });
  for (const one of samples)
    table.push(Object.values(one).map((value: number) => value.toFixed(Number.isInteger(value) ? 0 : 1)));
  process.stdout.write(
    `${table.toString()}\n${seconds.toFixed(0)} s: ${faults.length === 0 ? 'flat' : faults.join('; ')}\n`,
  );
}
process.exitCode = faults.length === 0 ? 0 : 1;
