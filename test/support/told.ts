/** What the tests of subscriptions over several threads publish, and how they look at what handlers told. */
import type { Tick } from './handlers/catalog.js';
import type { Seen } from './handlers/share.js';

/** Ticks of several symbols; those of each are numbered from 0. */
export class Feed {
  readonly #counts = new Map<string, number>();

  next(symbol: string, price = 0): Tick {
    const n = this.count(symbol);
    this.#counts.set(symbol, n + 1);
    return { type: 'TICK', n, symbol, price };
  }

  /** How many of a symbol there were. */
  count(symbol: string): number {
    return this.#counts.get(symbol) ?? 0;
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  get symbols(): string[] {
    return [...this.#counts.keys()];
  }

  /** All numbers, by symbol. */
  get numbers(): Record<string, number[]> {
    return Object.fromEntries(
      [...this.#counts].map(([symbol, count]) => [symbol, Array.from({ length: count }, (_, n) => n)]),
    );
  }

  /** The newest number, by symbol. */
  get newest(): Record<string, number> {
    return Object.fromEntries([...this.#counts].map(([symbol, count]) => [symbol, count - 1]));
  }
}

export function symbolsNamed(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `S${index}`);
}

/** Numbers in the order in which they were seen, by key. */
export function numbersByKey(seen: readonly Seen[]): Record<string, number[]> {
  return collect(
    seen,
    ({ key }) => key,
    ({ n }) => n,
  );
}

/** The threads that have seen a key, by key; each once. */
export function threadsByKey(seen: readonly Seen[]): Record<string, number[]> {
  const all = collect(
    seen,
    ({ key }) => key,
    ({ thread }) => thread,
  );
  return Object.fromEntries(Object.entries(all).map(([key, threads]) => [key, [...new Set(threads)].sort()]));
}

export function threadsOf(seen: readonly Seen[]): number[] {
  return [...new Set(seen.map(({ thread }) => thread))].sort();
}

function collect<V>(seen: readonly Seen[], by: (one: Seen) => string, of: (one: Seen) => V): Record<string, V[]> {
  const found: Record<string, V[]> = {};
  for (const one of seen) (found[by(one)] ??= []).push(of(one));
  return found;
}
