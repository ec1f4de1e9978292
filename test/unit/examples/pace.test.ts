import { describe, expect, it } from 'vitest';
import type { MboEvent } from '../../../examples/market-data/catalog.js';
import type { Pace } from '../../../examples/market-data/pace.js';
import { publishAll } from '../../../examples/market-data/pace.js';
import { simulate } from '../../../examples/market-data/simulator.js';
import { someEvents } from './feed-files.js';

/** A bus that has room for `room` events at a time, and makes room in a later turn of the event loop. */
class NarrowBus {
  readonly admitted: unknown[] = [];
  waits = 0;
  #left: number;

  constructor(readonly room: number) {
    this.#left = room;
  }

  tryPublish(event: unknown): 'published' | 'full' {
    if (this.#left === 0) return 'full';
    this.#left--;
    this.admitted.push(event);
    return 'published';
  }

  publish(event: unknown): Promise<void> {
    this.waits++;
    return new Promise((resolve) => {
      setImmediate(() => {
        this.#left = this.room - 1;
        this.admitted.push(event);
        resolve();
      });
    });
  }
}

const asFastAsPossible: Pace = {
  rate: 0,
  seconds: Infinity,
  signal: new AbortController().signal,
  onProgress: () => undefined,
};

function inBursts(events: readonly MboEvent[], size: number): MboEvent[][] {
  return Array.from({ length: Math.ceil(events.length / size) }, (_, i) => events.slice(i * size, (i + 1) * size));
}

describe('publishAll', () => {
  it('publishes everything in order, and waits only when there is no room', async () => {
    const events = someEvents(1_000);
    const bus = new NarrowBus(100);
    expect(await publishAll(bus, inBursts(events, 7), asFastAsPossible)).toBe(1_000);
    expect(bus.admitted).toEqual(events);
    expect(bus.waits).toBe(9);
  });

  it('ends after the events that belong to a rate, in the middle of a burst if need be', async () => {
    const bus = new NarrowBus(Infinity);
    const pace = { ...asFastAsPossible, rate: 5_005, seconds: 0.2 };
    expect(await publishAll(bus, simulate({ seed: 1, instruments: 1 }), pace)).toBe(1_001);
    expect(bus.admitted).toHaveLength(1_001);
  });

  it('lets the killer strike after every so many events, and goes on when it is done', async () => {
    const struck: number[] = [];
    const bus = new NarrowBus(Infinity);
    const kill = async (): Promise<void> => {
      await Promise.resolve();
      struck.push(bus.admitted.length);
    };
    await publishAll(bus, inBursts(someEvents(1_000), 7), { ...asFastAsPossible, killer: { every: 300, kill } });
    expect(struck).toEqual([300, 600, 900]);
  });

  it('is not faster than its rate', async () => {
    const startedAt = performance.now();
    await publishAll(new NarrowBus(Infinity), inBursts(someEvents(1_000), 10), { ...asFastAsPossible, rate: 10_000 });
    expect(performance.now() - startedAt).toBeGreaterThan(95);
  });

  it('ends when its time is over though there is more to publish', async () => {
    const startedAt = performance.now();
    const pace = { ...asFastAsPossible, seconds: 0.1 };
    await publishAll(new NarrowBus(Infinity), simulate({ seed: 1, instruments: 1 }), pace);
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(100);
  });

  it('lets the event loop turn however fast it publishes', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await publishAll(new NarrowBus(Infinity), simulate({ seed: 1, instruments: 1 }), {
      ...asFastAsPossible,
      seconds: 0.2,
    });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
  });

  it('ends at once when it is aborted, whether it publishes or waits for its time', async () => {
    const controller = new AbortController();
    const onProgress = (published: number): void => {
      if (published >= 500) controller.abort();
    };
    const bursts = inBursts(someEvents(10_000), 100);
    const { signal } = controller;
    expect(await publishAll(new NarrowBus(Infinity), bursts, { ...asFastAsPossible, signal, onProgress })).toBe(500);

    const later = new AbortController();
    // One event an hour: only the abort can end the wait for the second.
    const pace = { ...asFastAsPossible, rate: 1, seconds: 3_600, signal: later.signal };
    const waiting = publishAll(new NarrowBus(Infinity), inBursts(someEvents(4_000), 2_000), pace);
    setImmediate(() => {
      later.abort();
    });
    expect(await waiting).toBe(2_000);
  });

  it('reports what the bus refuses and what the source throws', async () => {
    const refusing = { tryPublish: () => 'closed' as const, publish: () => Promise.reject(new Error('stopped')) };
    await expect(publishAll(refusing, [someEvents(1)], asFastAsPossible)).rejects.toThrow('stopped');
    const broken = (function* () {
      yield someEvents(1);
      throw new Error('line 3');
    })();
    await expect(publishAll(new NarrowBus(9), broken, asFastAsPossible)).rejects.toThrow('line 3');
  });
});
