import { afterEach, expect, it, vi } from 'vitest';

/** By how much a thread is away between its first readings of two clocks. In ms. */
const AWAY_MS = 500;

afterEach(() => {
  vi.restoreAllMocks();
});

async function clockOfThreadThatWasAway(): Promise<typeof import('../../src/shared/clock.js')> {
  const now = performance.now.bind(performance);
  let readings = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now() + (readings++ === 0 ? AWAY_MS : 0));
  vi.resetModules();
  return import('../../src/shared/clock.js');
}

it('a thread that loses its core while it starts has the clock of all others', async () => {
  const { realNow, toEpoch } = await clockOfThreadThatWasAway();
  const [seconds, nanoseconds] = process.hrtime();
  expect(Math.abs(realNow() - (seconds * 1e3 + nanoseconds / 1e6))).toBeLessThan(AWAY_MS / 2);
  expect(Math.abs(toEpoch(realNow()) - Date.now())).toBeLessThan(AWAY_MS / 2);
});
