// Stop, in the middle of whatever can go on.
import { describe, expect, it } from 'vitest';
import { range } from './buses.js';
import { runProgram } from './programs.js';

const PUBLISHERS = 20;
/** Grace, the wait for exits, and a machine that is busy. */
const STOPS_WITHIN_MS = 5_000;

describe('stop under fire', () => {
  it.each(range(8, 1))(
    'while threads hang, die, restart, publish and block: all publishers are released, the report tells all, the process ends (seed %i)',
    async (seed) => {
      const { code, errors, lines } = await runProgram('under-fire', [String(seed), String(100 + seed * 60)]);
      expect({ code, errors }).toEqual({ code: 0, errors: '' });
      const { restarts, codes, releasedPublishers, durationMs, discarded, discardedBySubscription, ...rest } =
        lines[0] as {
          restarts: number;
          codes: Record<string, number>;
          releasedPublishers: number;
          durationMs: number;
          discarded: number;
          discardedBySubscription: number;
        };
      expect(codes).toEqual({ ERR_LANEBUS_STOPPED: PUBLISHERS });
      expect(releasedPublishers).toBeLessThanOrEqual(PUBLISHERS);
      expect(durationMs).toBeLessThan(STOPS_WITHIN_MS);
      expect(discarded).toBe(discardedBySubscription);
      expect(rest).toEqual({ inexact: [], unlikeTheReport: [], threadsLeft: 0 });
      expect(restarts).toBeGreaterThan(0); // else there was no fire
    },
  );
});
