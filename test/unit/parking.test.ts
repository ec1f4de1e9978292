import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AWAKE, PARKED, Parker, ring, rouse } from '../../src/shared/parking.js';

/** A word, its sleeper, and whether that has woken. */
function sleeperOf() {
  const words = new Int32Array(new SharedArrayBuffer(4));
  const parker = new Parker(words, 0);
  const sleeper = { woken: 0 };
  const sleep = (): Promise<void> => {
    parker.announce();
    return parker.wait().then(() => {
      sleeper.woken++;
    });
  };
  return { words, parker, sleeper, sleep };
}

describe('parking', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('lasts until somebody rings', async () => {
    const { words, sleeper, sleep } = sleeperOf();
    const sleeping = sleep();
    for (let i = 0; i < 10; i++) await turn();
    expect(sleeper.woken).toBe(0);
    expect(words[0]).toBe(PARKED);
    ring(words, 0);
    await sleeping;
    expect(sleeper.woken).toBe(1);
    expect(words[0]).toBe(AWAKE);
  });

  it('is ended by the first of several wakers; the others notify nobody', async () => {
    const { words, sleep } = sleeperOf();
    const notify = vi.spyOn(Atomics, 'notify');
    const sleeping = sleep();
    for (let waker = 0; waker < 3; waker++) ring(words, 0);
    await sleeping;
    expect(notify).toHaveBeenCalledTimes(1);
  });

  it('that was cancelled is no reason to notify', () => {
    const { words, parker } = sleeperOf();
    const notify = vi.spyOn(Atomics, 'notify');
    parker.announce();
    parker.cancel();
    ring(words, 0);
    expect(notify).not.toHaveBeenCalled();
  });

  it('begins anew after each wake-up', async () => {
    const { words, sleeper, sleep } = sleeperOf();
    for (let round = 1; round <= 100; round++) {
      const sleeping = sleep();
      ring(words, 0);
      await sleeping;
      expect(sleeper.woken).toBe(round);
    }
  });

  it('over a word that a dead waker has set back is ended by rouse, not by ring', async () => {
    const { words, sleeper, sleep } = sleeperOf();
    const sleeping = sleep();
    Atomics.store(words, 0, AWAKE);
    ring(words, 0);
    for (let i = 0; i < 10; i++) await turn();
    expect(sleeper.woken).toBe(0);
    rouse(words, 0);
    await sleeping;
    expect(sleeper.woken).toBe(1);
  });

  it('that has not begun is ended before it begins by rouse', async () => {
    const { words, parker } = sleeperOf();
    parker.announce();
    rouse(words, 0);
    await parker.wait();
    expect(words[0]).toBe(AWAKE);
  });
});
