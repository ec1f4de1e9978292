import { describe, expect, it } from 'vitest';
import { distance, later, unwrap } from '../../src/shared/sequence.js';
import { SeededRandom } from '../support/random.js';

const MAX = 2 ** 31 - 1;
const MIN = -(2 ** 31);

describe('distance', () => {
  it.each([
    [5, 3, 2],
    [3, 5, -2],
    [0, 0, 0],
    [MIN, MAX, 1],
    [MAX, MIN, -1],
    [MIN + 99, MAX - 100, 200],
    [-1, 0, -1],
    [0, -1, 1],
  ])('from %i back to %i is %i, across the wrap', (a, b, expected) => {
    expect(distance(a, b)).toBe(expected);
  });

  it('is right for positions less than 2^31 apart, wherever they stand', () => {
    const random = new SeededRandom(1);
    for (let i = 0; i < 10_000; i++) {
      const from = (random.next() * 2 ** 32) | 0;
      const by = Math.trunc((random.next() - 0.5) * 2 ** 32);
      expect(distance((from + by) | 0, from)).toBe(by);
    }
  });
});

describe('later', () => {
  it.each([
    [1, 2, 2],
    [2, 1, 2],
    [MAX, MIN, MIN],
    [MIN, MAX, MIN],
    [7, 7, 7],
  ])('of %i and %i is %i', (a, b, expected) => {
    expect(later(a, b)).toBe(expected);
  });
});

describe('unwrap', () => {
  it.each([0, 1, 2 ** 31, 2 ** 32, 2 ** 40 + 12_345, 2 ** 53 - 2 ** 31])(
    'finds the full number near %i from its low 32 bits',
    (near) => {
      for (const apart of [0, 1, -1, 1_000_000, -1_000_000, MAX, MIN]) {
        const full = near + apart;
        if (full >= 0) expect(unwrap(full | 0, near)).toBe(full);
      }
    },
  );
});
