import { existsSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeadLetters } from 'lanebus';
import type { MarketContext } from './catalog.js';
import { Random } from './random.js';
import type { Source } from './reports.js';

/** Tells the pool's threads which share of deliveries is to fail. */
const VARIABLE = 'MARKET_DATA_FAULTS';
const rate = Number(process.env[VARIABLE] ?? 0);
const SALTS: Readonly<Record<Source, number>> = { book: 1, bars: 2, trades: 3, risk: 4 };

/** How failures are tried again: of the deliveries that are made to fail, most work the second or third time. */
export const RETRY = { attempts: 3, backoffMs: 5, jitter: 0.5 } as const;
/** Where the letters of the last run with --faults are. */
export const LETTERS = join(tmpdir(), 'lanebus-market-data-letters');

class InjectedFault extends Error {
  readonly code = 'E_INJECTED';

  constructor(source: Source, attempt: number) {
    super(`${source} was made to fail, try ${attempt}`);
    this.name = 'InjectedFault';
  }
}

/** Fails the delivery, for a share of all, before its handler has changed anything. The same ones in each run. */
export function strike(source: Source, { sequence, attempt }: MarketContext): void {
  if (rate === 0) return;
  const random = new Random((Math.imul(sequence, 31) + attempt * 7 + SALTS[source]) >>> 0);
  if (random.fraction() < rate) throw new InjectedFault(source, attempt);
}

/** The environment of threads in which so many deliveries fail. */
export function environmentWith(faults: number): Record<string, string> {
  const own = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { ...Object.fromEntries(own), [VARIABLE]: String(faults) };
}

/** Each run starts without letters. */
export function clearLetters(): void {
  if (existsSync(LETTERS)) rmSync(LETTERS, { recursive: true });
}

/** How many letters there are, by subscription and reason. */
export type LetterCounts = Readonly<Record<string, Readonly<Record<string, number>>>>;

export function countLetters(letters: DeadLetters): LetterCounts {
  const counts: Record<string, Record<string, number>> = {};
  for (let page = letters.list(); page.length > 0; page = letters.list({ cursor: page[page.length - 1].id })) {
    for (const { subscription, reason } of page) {
      const own = (counts[subscription.name] ??= {});
      own[reason] = (own[reason] ?? 0) + 1;
    }
  }
  return counts;
}
