/** A real day of one instrument, every order's message, and what a consumer makes of it. It lies beside the repository, if at all. */
import { deepStrictEqual } from 'node:assert';
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { MboEvent } from '../examples/market-data/catalog.js';
import { openFeed } from '../examples/market-data/feed.js';
import { type Action, averagePrice, OrderBook } from '../examples/market-data/order-book.js';
import type { Absence, Parameters } from './scenario.js';

const DATA = new URL('../../../shared/data/', import.meta.url);
const ROWS = fileURLToPath(new URL('es-mbo-20231225.csv.gz', DATA));
const EXPECTED = new URL('es-mbo-20231225.expected.json', DATA);

/** The rows of the day in their order; why not, where it is not there. */
export async function readDay(): Promise<readonly MboEvent[] | Absence> {
  if (!existsSync(ROWS)) return { absent: 'the shared data is not beside the repository' };
  const rows: MboEvent[] = [];
  for await (const batch of await openFeed(ROWS)) rows.push(...batch);
  return rows;
}

/** What the consumer does with a row: it adds up, or it keeps the order book. */
export const FEED_WAYS = ['sums', 'book'] as const;

/** One day's consumer, the same for every system. What it closes with is plain data, and crosses threads. */
export interface DayConsumer {
  take(row: MboEvent): void;
  close(): object;
}

export function consumerOf({ way }: Parameters): DayConsumer {
  return FEED_WAYS[way] === 'book' ? new DayBook() : new DaySums();
}

/** What the independent program that has made the expected results counts too, and a sum that depends on the order. */
class DaySums implements DayConsumer {
  #actions: Record<Action, number> = { A: 0, C: 0, F: 0, M: 0, T: 0 };
  #tradedVolume = 0;
  #notional = 0;
  #order = 0;

  take({ action, size, price, sequence, orderId, tsEventNs, tsRecvNs }: MboEvent): void {
    this.#actions[action]++;
    if (action === 'T') {
      this.#tradedVolume += size;
      this.#notional += size * price;
    }
    if (tsRecvNs < tsEventNs) this.#order++;
    this.#order = (Math.imul(this.#order, 31) + sequence + (Number(orderId) % 65_521)) | 0;
  }

  close(): object {
    const { A, C, F, M, T } = this.#actions;
    const tradedVolume = this.#tradedVolume;
    const vwap = averagePrice(this.#notional, tradedVolume);
    const sums = { events: A + C + F + M + T, actions: { A, C, F, M, T }, tradedVolume, vwap, order: this.#order };
    this.#actions = { A: 0, C: 0, F: 0, M: 0, T: 0 };
    this.#tradedVolume = this.#notional = this.#order = 0;
    return sums;
  }
}

class DayBook implements DayConsumer {
  #book = new OrderBook();

  take(row: MboEvent): void {
    this.#book.apply(row);
  }

  close(): object {
    const summary = this.#book.summary();
    this.#book = new OrderBook();
    return summary;
  }
}

/** Rows of each day of a stream: whole days, and what is left. */
export function daysOf(events: number, rows: readonly MboEvent[]): number[] {
  const days = Array.from({ length: Math.floor(events / rows.length) }, () => rows.length);
  const rest = events % rows.length;
  return rest === 0 ? days : [...days, rest];
}

/** @returns What throws unless each day's consumer has closed with what this thread makes of the same rows, and others of a whole day. */
export function dayChecker(parameters: Parameters, rows: readonly MboEvent[]) {
  const byCount = new Map<number, object>();
  const expectedOf = (count: number): object => {
    const known = byCount.get(count);
    if (known !== undefined) return known;
    const consumer = consumerOf(parameters);
    for (const row of rows.slice(0, count)) consumer.take(row);
    const expected = consumer.close();
    if (count === rows.length) checkDay(expected);
    byCount.set(count, expected);
    return expected;
  };
  return (found: readonly object[], events: number): void => {
    deepStrictEqual(found, daysOf(events, rows).map(expectedOf), `the consumer's days after ${events} rows`);
  };
}

/** Throws unless it is what an independent program has found, as far as that tells. */
function checkDay(found: object): void {
  const expected = JSON.parse(readFileSync(EXPECTED, 'utf8')) as Record<string, unknown>;
  const ours = Object.fromEntries(Object.entries(found).filter(([name]) => name in expected));
  const theirs = Object.fromEntries(Object.entries(expected).filter(([name]) => name in found));
  deepStrictEqual(ours, theirs, 'the day is not what is expected of it');
}

const ROW_BYTES = 64;
const ACTIONS = 'ACFMT';
const SIDES = 'BAN';

/**
 * The rows for native programs: 64 bytes each, little-endian, laid out as a tick: u32 instrument (0), u32 size, f64 price,
 * action, side, flags, order id, exchange time in ms and the exchange's sequence.
 */
export async function writeRows(rows: readonly MboEvent[], file: string): Promise<void> {
  const bytes = Buffer.alloc(rows.length * ROW_BYTES);
  for (const [index, row] of rows.entries()) {
    const at = index * ROW_BYTES;
    bytes.writeUInt32LE(row.size, at + 4);
    const numbers = [
      row.price,
      ACTIONS.indexOf(row.action),
      SIDES.indexOf(row.side),
      row.flags,
      Number(row.orderId),
      Number(row.tsEventNs) / 1e6,
      row.sequence,
    ];
    for (const [place, number] of numbers.entries()) bytes.writeDoubleLE(number, at + 8 + place * 8);
  }
  await writeFile(file, bytes);
}
