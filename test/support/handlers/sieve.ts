// Predicates for filters.
import type { Tick, Wide } from './catalog.js';

export function isEven({ n }: Tick): boolean {
  return n % 2 === 0;
}

export function isBuy({ side }: Wide): boolean {
  return side === 'BUY';
}

/** Fails at the ticks that say so. */
export function isEvenOrThrows({ n, symbol }: Tick): boolean {
  if (symbol === 'THROW') throw new Error(`cannot judge ${n}`);
  return n % 2 === 0;
}
