// What the bus tells about itself: `bus.on`.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BusNotices } from 'lanebus';
import { describe, expect, it } from 'vitest';
import type * as crash from '../support/handlers/crash.js';
import { expectExact, handlersOf, newBus } from './buses.js';
import { until } from './kills.js';

const { onJob } = handlersOf<typeof crash>('crash');

describe('a notice', () => {
  it('tells of each thread that has taken over, and of each delivery that was set aside', async () => {
    const bus = newBus({ timeoutMs: 100, graceMs: 0, maxCrashes: 2 });
    const restarts: BusNotices['threadRestarted'][] = [];
    const letters: BusNotices['deadLetter'][] = [];
    bus.on('threadRestarted', (notice) => restarts.push(notice));
    bus.on('deadLetter', (notice) => letters.push(notice));
    bus.subscribe('JOB', onJob);
    await bus.start();
    for (const [n, act] of ['exit', 'loop', ''].entries()) await bus.publish({ type: 'JOB', n, act });
    await bus.drain();
    await until(() => restarts.length === 3, 'three take-overs');
    expect(restarts).toEqual([
      { thread: 1, reason: 'crash', incarnation: 1 },
      { thread: 1, reason: 'crash', incarnation: 2 },
      { thread: 1, reason: 'timeout', incarnation: 3 },
    ]);
    expect(letters).toEqual(bus.deadLetters.list());
    expect(letters.map(({ reason }) => reason)).toEqual(['poison', 'timedOut']);
    expectExact(bus.metrics());
  });

  it('ends with the function that `on` has returned', async () => {
    const bus = newBus({ maxCrashes: 1 });
    let [first, second] = [0, 0];
    const off = bus.on('deadLetter', () => first++);
    bus.on('deadLetter', () => {
      second++;
      off();
    });
    bus.subscribe('JOB', onJob);
    await bus.start();
    for (const n of [1, 2]) await bus.publish({ type: 'JOB', n, act: 'exit' });
    await bus.drain();
    expect([first, second]).toEqual([1, 2]);
    off();
  });

  it('cannot break the bus: what a listener throws, or rejects with, is logged, and the others are told', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lanebus-notices-'));
    try {
      const destination = join(folder, 'bus.log');
      const bus = newBus({ maxCrashes: 1, logger: { level: 'error', destination } });
      let told = 0;
      bus.on('deadLetter', () => {
        throw new Error('thrown by a listener');
      });
      bus.on('deadLetter', async () => Promise.reject(new Error('rejected by a listener')));
      bus.on('deadLetter', () => told++);
      const jobs = bus.subscribe('JOB', onJob);
      await bus.start();
      await bus.publish({ type: 'JOB', n: 1, act: 'exit' });
      await bus.publish({ type: 'JOB', n: 2, act: '' });
      await bus.drain();
      expect(told).toBe(1);
      expect(jobs.metrics()).toMatchObject({ owed: 2, processed: 1, failed: 1, exact: true });
      await until(() => readFileSync(destination, 'utf8').includes('rejected by a listener'), 'both lines');
      const lines = readFileSync(destination, 'utf8')
        .split('\n')
        .filter((line) => line.includes('listener failed'));
      expect(lines).toHaveLength(2);
      expect(lines[0]).toContain('"notice":"deadLetter"');
      expect(lines[0]).toContain('thrown by a listener');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('tells of a lane that has passed its high watermark, once, and again when it has been low', async () => {
    const bus = newBus({ lanes: { market: { capacityBytes: 1024, highWatermark: 0.5 } } });
    const high: BusNotices['laneHighWatermark'][] = [];
    bus.on('laneHighWatermark', (notice) => high.push(notice));
    const jobs = bus.subscribe('JOB', onJob);
    await bus.start();
    const fill = async (): Promise<void> => {
      jobs.pause();
      while (bus.metrics().lanes.market.depthBytes < 512) await bus.publish({ type: 'JOB', n: 1, act: '' });
    };
    await fill();
    await until(() => high.length === 1, 'the notice');
    expect(high).toEqual([
      { lane: 'market', thread: 0, depthBytes: expect.any(Number) as number, capacityBytes: 1024 },
    ]);
    expect(high[0].depthBytes).toBeGreaterThanOrEqual(512);
    jobs.resume();
    await bus.drain();
    expect(bus.metrics().lanes.market.depthBytes).toBe(0); // a sample
    await fill();
    await until(() => high.length === 2, 'the second notice');
    jobs.resume();
  });

  it('of no such name, or for no function, is refused', () => {
    const bus = newBus();
    expect(() => bus.on('deadletter' as 'deadLetter', () => undefined)).toThrow(
      `notice: got 'deadletter'; expected threadRestarted or handlerOverran or deadLetter or subscriptionDisabled or circuitOpened or circuitClosed or laneHighWatermark; did you mean "deadLetter"?`,
    );
    expect(() => bus.on('deadLetter', undefined as never)).toThrow('listener: got undefined; expected a function');
  });
});
