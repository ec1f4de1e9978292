import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, it } from 'vitest';
import { LatencyRecorder, nowMs } from '../../bench/latency.js';
import type { Absence, Parameters, Scenario, System } from '../../bench/scenario.js';
import { feed } from '../../bench/scenarios/feed.js';
import { haltOvertakes } from '../../bench/scenarios/halt-overtakes.js';
import { idleCost } from '../../bench/scenarios/idle-cost.js';
import { killRecovery } from '../../bench/scenarios/kill-recovery.js';
import { openLoad } from '../../bench/scenarios/open-load.js';
import { payloads, publishCost } from '../../bench/scenarios/payloads.js';
import { pingPong } from '../../bench/scenarios/ping-pong.js';
import { expectPlausible, measureOnce } from '../support/bench-child.js';
import { BUILD_LIMIT_MS, buildNative } from '../support/native-bench.js';

const FEED_ROWS = fileURLToPath(new URL('../../build/bench/feed-rows.js', import.meta.url));
const SHARED_DATA = fileURLToPath(new URL('../../../shared/data', import.meta.url));
const NATS_SERVER = 'nats-server';
const DAY_ROWS = 68_792;

/** Few events of each: what is asserted is that it works, not how fast it is. */
const SMALL: readonly (readonly [Scenario, Parameters])[] = [
  [pingPong, { events: 200, warmup: 20 }],
  [haltOvertakes, { events: 20, warmup: 5 }],
  [payloads, { events: 2_000, warmup: 1_000, slices: 1 }],
  [publishCost, { events: 600, warmup: 200, burst: 200 }],
  [idleCost, { events: 20, settleMs: 20, idleMs: 100 }],
  [openLoad, { events: 4_000, warmup: 2_000, slices: 1, levelMs: 30, settleMs: 10 }],
  [feed, { events: DAY_ROWS + 1_000, warmup: 1_000, slices: 1 }],
];
const KILLS = { losses: 2, warmup: 1 };
const DROP = { drop: 7 };

const run = promisify(execFile);

// Not within the time that one measurement has.
beforeAll(buildNative, BUILD_LIMIT_MS);

/** The reason that there is to be; undefined where everything is there. */
function absenceOf({ name }: Scenario, system: System): Absence | undefined {
  if (name === 'feed' && !existsSync(SHARED_DATA)) return { absent: 'the shared data is not beside the repository' };
  if (system.name === 'nats' && spawnSync(NATS_SERVER, ['--version']).error !== undefined) {
    return { absent: 'nats-server is not installed: apt-get install nats-server' };
  }
  if (name === 'kill-recovery' && ['cpp', 'disruptor'].includes(system.module)) {
    return { absent: expect.stringContaining('cannot be killed') as string };
  }
  return undefined;
}

describe.each(SMALL)('$name', (scenario, small) => {
  it.each(scenario.systems)('$name finds something plausible, and fails when an event is missing', async (system) => {
    // At the same time: each child starts threads, and waits for them.
    const [whole, incomplete] = await Promise.allSettled([
      measureOnce(scenario, system, small),
      measureOnce(scenario, system, { ...small, ...DROP }),
    ]);
    const absence = absenceOf(scenario, system);
    if (absence !== undefined) {
      expect([whole, incomplete]).toEqual([
        { status: 'fulfilled', value: absence },
        { status: 'fulfilled', value: absence },
      ]);
      return;
    }
    if (whole.status === 'rejected') throw whole.reason;
    expectPlausible(whole.value);
    expect(incomplete.status === 'rejected' && String(incomplete.reason)).toMatch(/expected|consumer's days/);
  });
});

describe('kill-recovery', () => {
  it.each(killRecovery.systems)('$name finds something plausible', async (system) => {
    const outcome = await measureOnce(killRecovery, system, KILLS);
    const absence = absenceOf(killRecovery, system);
    if (absence === undefined) expectPlausible(outcome);
    else expect(outcome).toEqual(absence);
  });
});

describe('latency', () => {
  it('has the percentiles of what was recorded, in µs', () => {
    const recorder = new LatencyRecorder();
    for (let micros = 1; micros <= 1_000; micros++) recorder.record(micros / 1e3);
    const { p50, p99, p999, max } = recorder.latency;
    expect(recorder.count).toBe(1_000);
    for (const [found, expected] of [
      [p50, 500],
      [p99, 990],
      [p999, 999],
      [max, 1_000],
    ]) {
      expect(Math.abs(found - expected)).toBeLessThanOrEqual(expected / 500); // three digits
    }
  });

  it('has one clock in all threads', async () => {
    const latency = new URL('../../build/bench/latency.js', import.meta.url);
    const source = `import { nowMs } from '${latency.href}';
      const { parentPort } = await import('node:worker_threads');
      parentPort.on('message', () => parentPort.postMessage(nowMs()));`;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
    try {
      for (let look = 0; look < 100; look++) {
        const before = nowMs();
        worker.postMessage('now');
        const [there] = (await once(worker, 'message')) as [number];
        const after = nowMs();
        // To within what reading two clocks takes.
        expect(there).toBeGreaterThan(before - 0.01);
        expect(there).toBeLessThan(after + 0.01);
      }
    } finally {
      await worker.terminate();
    }
  });
});

describe('feed-rows', () => {
  it('writes a record of 64 bytes for each row, or says why not', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lanebus-rows-'));
    const file = join(folder, 'rows');
    try {
      const written = run(process.execPath, [FEED_ROWS, file]);
      if (!existsSync(SHARED_DATA)) {
        await expect(written).rejects.toThrow('the shared data is not beside the repository');
        return;
      }
      await written;
      const rows = readFileSync(file);
      expect(rows.length).toBe(64 * DAY_ROWS);
      // The first row of the file: size 2, at 4,799.00, action A, side B, flags 40, sequence 682.
      expect(rows.readUInt32LE(4)).toBe(2);
      expect([8, 16, 24, 32, 40, 56].map((at) => rows.readDoubleLE(at))).toEqual([
        4_799, 0, 0, 40, 6_412_777_162_812, 682,
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
