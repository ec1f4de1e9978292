/** The scenarios of throughput: each system works, notices an event that is left out, and leaves nothing behind. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import type { Parameters, Scenario, System } from '../../bench/scenario.js';
import { fanOut1To4 } from '../../bench/scenarios/fan-out-1-to-4.js';
import { fanOutKeyed } from '../../bench/scenarios/fan-out-keyed.js';
import { manyToOne } from '../../bench/scenarios/many-to-one.js';
import { oneToOneBatch } from '../../bench/scenarios/one-to-one-batch.js';
import { oneToOne } from '../../bench/scenarios/one-to-one.js';
import { pipeline3 } from '../../bench/scenarios/pipeline-3.js';
import { makeTick, symbolsOf, type Tick } from '../../bench/ticks.js';
import { TickBytes } from '../../bench/tick-bytes.js';
import { Acknowledger, Window } from '../../bench/window.js';
import { childArguments, expectPlausible, measureOnce } from '../support/bench-child.js';

const SCENARIOS = [oneToOne, oneToOneBatch, fanOut1To4, fanOutKeyed, pipeline3, manyToOne];
/** Those have tests of their own. */
const NATIVE = ['cpp', 'disruptor'];
const STREAM: Parameters = { events: 2_000, warmup: 500, slices: 1 };
/** Jobs take a hundred times as long as anything else. */
const JOBS: Parameters = { events: 200, warmup: 100, slices: 1 };
/** More than a window, and than the lane or the ring of a system has room for. */
const LONG: Parameters = { events: 60_000, warmup: 1_000, slices: 1 };
const ENDLESS: Parameters = { events: 1e9, warmup: 1_000, slices: 1 };

/** Where the servers have their folders, for as long as they run. */
const servers = mkdtempSync(join(tmpdir(), 'lanebus-servers-'));

function systemsOf({ systems }: Scenario): System[] {
  return systems.filter(({ module }) => !NATIVE.includes(module));
}

function peerOf({ systems }: Scenario, wanted: string): System {
  const found = systems.find(({ name }) => name === wanted);
  if (found === undefined) throw new Error(`there is no system ${wanted}`);
  return found;
}

function smallOf({ module }: System): Parameters {
  return module === 'bullmq' ? JOBS : STREAM;
}

/** Fails with what to install where a peer is absent. */
async function expectMeasured(scenario: Scenario, system: System, small: Parameters): Promise<void> {
  const outcome = await measureOnce(scenario, system, small, { TMPDIR: servers });
  if ('absent' in outcome) throw new Error(outcome.absent);
  expectPlausible(outcome);
}

async function untilNoServer(): Promise<void> {
  while (readdirSync(servers).length > 0) await sleep(5);
}

afterAll(() => {
  rmdirSync(servers); // fails unless it is empty
});

describe.each(SCENARIOS)('$name', (scenario) => {
  it.each(systemsOf(scenario))('$name gives a measurement, and fails when an event is missing', async (system) => {
    const small = smallOf(system);
    // At the same time: each child starts threads, and waits for them.
    await Promise.all([
      expectMeasured(scenario, system, small),
      expect(measureOnce(scenario, system, { ...small, drop: 7 }, { TMPDIR: servers })).rejects.toThrow(
        /count is \d+, expected \d+/,
      ),
    ]);
  });
});

describe('back-pressure', () => {
  it.each([
    { scenario: oneToOne, name: 'ringbuf.js' },
    { scenario: oneToOneBatch, name: 'post-message' },
    { scenario: fanOut1To4, name: 'broadcast-channel' },
    { scenario: fanOut1To4, name: 'lanebus' },
    { scenario: fanOutKeyed, name: 'post-message-two-threads-0us' },
    { scenario: pipeline3, name: 'post-message' },
    { scenario: pipeline3, name: 'lanebus' },
    { scenario: manyToOne, name: 'nats' },
    { scenario: manyToOne, name: 'lanebus' },
  ])('$scenario.name: $name carries more than it has room for, and loses nothing', async ({ scenario, name }) => {
    await expectMeasured(scenario, peerOf(scenario, name), LONG);
  });

  it('stops a producer that has sent a whole window, until its reader has acknowledged', async () => {
    const size = { size: 4, ackEvery: 2 };
    const window = new Window(size);
    const acknowledger = new Acknowledger(size, () => {
      window.acknowledge();
    });
    for (let sent = 0; sent < 3; sent++) expect(window.add(1)).toBeUndefined();
    let hasRoom = false;
    const room = window.add(1)?.then(() => (hasRoom = true));
    acknowledger.add(1);
    await Promise.resolve();
    expect(hasRoom).toBe(false);
    acknowledger.add(1);
    await room;
    expect(hasRoom).toBe(true);
  });

  it('acknowledges a batch as often as it has events', () => {
    let acknowledged = 0;
    const acknowledger = new Acknowledger({ size: 4, ackEvery: 2 }, () => {
      acknowledged++;
    });
    acknowledger.add(7);
    expect(acknowledged).toBe(3);
    acknowledger.reset();
    acknowledger.add(1);
    expect(acknowledged).toBe(3);
  });
});

describe('tick bytes', () => {
  it('are read as they were written, also at the limits of a size', () => {
    const symbols = symbolsOf({ symbols: 5 });
    const bytes = new TickBytes(symbols, 2);
    const ticks: Tick[] = [makeTick(3, symbols), { ...makeTick(9, symbols), size: 0xffffffff }];
    for (const [place, tick] of ticks.entries()) bytes.write(tick, place);
    const copy = new TickBytes(symbols, 2);
    copy.floats.set(Array.from(bytes.floats)); // number by number
    expect(ticks.map((_, place) => copy.read(place))).toEqual(ticks);
  });
});

describe('servers', () => {
  it.each([
    ['nats', 'nats-server'],
    ['bullmq', 'redis-server'],
  ])('%s says what to install where there is no %s', async (name, program) => {
    const path = mkdtempSync(join(tmpdir(), 'lanebus-path-'));
    try {
      symlinkSync('/bin/sh', join(path, 'sh'));
      const outcome = await measureOnce(oneToOne, peerOf(oneToOne, name), JOBS, { PATH: path });
      expect(outcome).toEqual({ absent: `${program} is not installed: apt-get install ${program}` });
    } finally {
      rmSync(path, { recursive: true });
    }
  });

  it.each(['nats', 'bullmq'])('of %s end with a bench that is killed', async (name) => {
    const args = childArguments(oneToOne, peerOf(oneToOne, name), ENDLESS);
    const child = spawn(process.execPath, args, { env: { ...process.env, TMPDIR: servers }, stdio: 'ignore' });
    const ended = once(child, 'close');
    while (readdirSync(servers).length === 0) await sleep(5);
    child.kill('SIGKILL');
    await ended;
    await untilNoServer();
  });
});
