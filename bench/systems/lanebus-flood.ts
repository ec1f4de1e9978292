/** A flood of failures whose letters go to LMDB, and what the others feel of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { setEnvironmentData } from 'node:worker_threads';
import { createBus, type EventBus, workerHandlers } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { epochNow, SAMPLES_F64, TIMES, wayOf } from '../scenarios/flood.js';
import { catalog } from './lanebus-flood-catalog.js';
import type * as consumer from './lanebus-flood-consumer.js';

type Bus = EventBus<typeof catalog>;

/** Publishes at a rate, a millisecond's worth at a time. @returns How many. */
async function paced(bus: Bus, rate: number, seconds: number, phase: number): Promise<number> {
  const begun = performance.now();
  let published = 0;
  for (let elapsed = 0; elapsed < seconds * 1e3; elapsed = performance.now() - begun) {
    for (const due = (elapsed * rate) / 1e3; published < due; published++) {
      await bus.publish({ type: 'TICK', at: epochNow(), phase });
    }
    await sleep(1);
  }
  return published;
}

async function atFullSpeed(bus: Bus, seconds: number, phase: number, look: () => void): Promise<number> {
  const end = performance.now() + seconds * 1e3;
  let published = 0;
  while (performance.now() < end) {
    for (let burst = 0; burst < 1_024; burst++, published++) await bus.publish({ type: 'TICK', at: 0, phase });
    await turn();
    look();
  }
  return published;
}

function p99(times: Float64Array, subscription: number, phase: number): number {
  const start = (subscription * 2 + phase) * SAMPLES_F64;
  const samples = times.slice(start + 1, start + 1 + times[start]).sort();
  return samples[Math.ceil(samples.length * 0.99) - 1];
}

async function flood(parameters: Parameters): Promise<Measurement> {
  const { seconds, rate } = parameters;
  const way = wayOf(parameters);
  const source = new SharedArrayBuffer(4 * SAMPLES_F64 * Float64Array.BYTES_PER_ELEMENT);
  const times = new Float64Array(source);
  setEnvironmentData(TIMES, source);
  const folder = mkdtempSync(join(tmpdir(), 'lanebus-flood-'));
  const bus = createBus(catalog, { threads: 3, logger: false, deadLetterStore: lmdbDeadLetters({ path: folder }) });
  const script = new URL('./lanebus-flood-consumer.js', import.meta.url);
  const { onTick, onTickToo, failOnTick } = workerHandlers<typeof consumer>(script);
  const circuit = way === 'circuit' ? { maxFailures: 100, onMaxFailures: 'unsubscribe' as const } : {};
  const others = [bus.subscribe('TICK', onTick), bus.subscribe('TICK', onTickToo)];
  const failing = bus.subscribe('TICK', failOnTick, circuit);
  await bus.start();
  try {
    let rss = 0;
    const look = (): void => {
      rss = Math.max(rss, process.memoryUsage.rss());
    };
    let value: number;
    let details: Record<string, unknown> = {};
    const begun = performance.now();
    let published = 0;
    if (way === 'paced') {
      published = await paced(bus, rate, 2, 0); // to warm up
      await bus.drain();
      times.fill(0);
      published += await paced(bus, rate, seconds / 2, 0);
      await bus.drain();
      const from = performance.now();
      const failed = await paced(bus, rate, seconds, 1);
      published += failed;
      await bus.drain();
      const ratios = others.map((_, index) => p99(times, index, 1) / p99(times, index, 0));
      value = Math.max(...ratios);
      const letters = (failed * 1e3) / (performance.now() - from);
      const undisturbed = others.map((_, index) => p99(times, index, 0).toFixed(3));
      details = {
        lettersPerSecond: letters,
        p99Before: undisturbed.join(' and '),
        ratios: ratios.map((r) => r.toFixed(2)).join(' and '),
      };
    } else {
      await atFullSpeed(bus, 1, 0, look); // to warm up
      await bus.drain();
      const from = performance.now();
      const before = process.memoryUsage.rss();
      published = await atFullSpeed(bus, seconds, way === 'none' ? 0 : 1, look);
      await bus.drain();
      value = (published * 1e3) / (performance.now() - from);
      details = { rssBeforeMiB: before / 2 ** 20, rssMostMiB: rss / 2 ** 20 };
    }
    const seen = failing.metrics();
    const exact = [...others, failing].every((subscription) => subscription.metrics().exact);
    const letters = bus.deadLetters.count();
    const { degraded, evicted } = bus.deadLetters;
    const isKept = letters + evicted === seen.failed && degraded === 0;
    const lost = others.some((subscription) => subscription.metrics().processed !== subscription.metrics().owed);
    details = {
      ...details,
      letters,
      lettersASecond: (letters * 1e3) / (performance.now() - begun),
      failed: seen.failed,
      discarded: seen.discarded,
      exact,
      isKept,
      lost,
    };
    return { value, details, passed: exact && isKept && !lost };
  } finally {
    await bus.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

export const scenarios: SystemScenarios = { flood };
