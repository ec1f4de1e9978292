/**
 * Positions and sequences are int32 and wrap. Two of them may be compared only while they are less than 2^31 apart,
 * which a ring of at most 2^30 bytes guarantees.
 */

/** How far `a` is ahead of `b`; negative when it is behind. */
export function distance(a: number, b: number): number {
  return (a - b) | 0;
}

/** The one of two positions that is further ahead. */
export function later(a: number, b: number): number {
  return distance(a, b) >= 0 ? a : b;
}

/** The full number whose low 32 bits are `wrapped` and that is nearest to `near`. */
export function unwrap(wrapped: number, near: number): number {
  return near + distance(wrapped, near | 0);
}
