// The overflow of a spill lane lives in the memory of the thread that publishes.
import { describe, expect, it } from 'vitest';
import type * as derive from '../support/handlers/derive.js';
import type * as hang from '../support/handlers/hang.js';
import { expectExact, handlersOf, newBus } from './buses.js';

const { burst } = handlersOf<typeof derive>('derive');
const { loopOnTick } = handlersOf<typeof hang>('hang');
const LANES = { signal: { capacityBytes: 1024, whenFull: 'spill' } } as const;

describe('the overflow of a pool thread', () => {
  it('is counted as dropped when the thread is killed: no event is lost without a count', async () => {
    const bus = newBus({ timeoutMs: 100, graceMs: 0, lanes: LANES });
    const signals = bus.subscribe('SIGNAL', () => undefined);
    const jobs = bus.subscribe('JOB', burst);
    bus.subscribe('TICK', loopOnTick);
    await bus.start();
    signals.pause();
    await bus.publish({ type: 'JOB', n: 500, act: 'ESH4' });
    await expect.poll(() => jobs.metrics().processed).toBe(1);
    expect(bus.metrics().lanes.signal).toMatchObject({ published: 500, dropped: 0 });
    await bus.publish({ type: 'TICK', n: 1, symbol: 'LOOP', price: 1 });
    await expect.poll(() => bus.metrics().threads[1].incarnation).toBe(1);
    signals.resume();
    expect(await bus.drain()).toMatchObject({ drained: true });
    const { published, dropped, rejected, spilled } = bus.metrics().lanes.signal;
    expect(published + dropped + rejected).toBe(500);
    expect(spilled).toBe(0);
    expect(signals.metrics().processed).toBe(published);
    expectExact(bus.metrics());
  });

  it('is discarded and reported when the bus stops', async () => {
    const bus = newBus({ lanes: LANES });
    const signals = bus.subscribe('SIGNAL', () => undefined);
    const jobs = bus.subscribe('JOB', burst);
    await bus.start();
    signals.pause();
    await bus.publish({ type: 'JOB', n: 500, act: 'ESH4' });
    await expect.poll(() => jobs.metrics().processed).toBe(1);
    const report = await bus.stop({ timeoutMs: 50 });
    expectExact(report);
    const { published, dropped, spilled } = bus.metrics().lanes.signal;
    expect(published + dropped).toBe(500);
    expect(spilled).toBe(0);
    expect(report.discarded).toBe(published);
    expect(signals.metrics()).toMatchObject({ owed: published, discarded: published });
  });
});
