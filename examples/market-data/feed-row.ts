import type { MboEvent } from './catalog.js';

/** The first line of a feed. */
export const COLUMNS = [
  'ts_event_ns',
  'ts_recv_ns',
  'order_id',
  'action',
  'side',
  'price',
  'size',
  'flags',
  'sequence',
] as const;

type Column = (typeof COLUMNS)[number];

const DIGITS = /^[0-9]{1,20}$/;
const DECIMAL = /^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]{1,3})?$/;
const ACTIONS: readonly string[] = ['A', 'C', 'M', 'F', 'T'] satisfies MboEvent['action'][];
const SIDES: readonly string[] = ['B', 'A', 'N'] satisfies MboEvent['side'][];
const U64_MAX = 2n ** 64n - 1n;
const U32_MAX = 2 ** 32 - 1;
const SHOWN_CHARACTERS = 60;

/** What is wrong with a feed: what was expected and what was found. The place is added by whoever knows it. */
export class FeedProblem extends Error {}

/** The event of one row. Throws `FeedProblem` at the first value that is not exactly what its column holds. */
export function parseRow(row: readonly string[], instrument: string): MboEvent {
  if (row.length !== COLUMNS.length) {
    throw new FeedProblem(`expected ${COLUMNS.length} columns (${COLUMNS.join(',')}), found ${row.length}`);
  }
  const action = row[3];
  const side = row[4];
  if (!isAction(action)) throw mismatch('action', 'one of A, C, M, F, T', action);
  if (!isSide(side)) throw mismatch('side', 'one of B, A, N', side);
  if (side === 'N' && (action === 'A' || action === 'M')) {
    throw mismatch('side', `B or A, as action ${action} puts an order in the book`, side);
  }
  return {
    type: 'MBO',
    instrument,
    tsEventNs: u64('ts_event_ns', row[0]),
    tsRecvNs: u64('ts_recv_ns', row[1]),
    orderId: u64('order_id', row[2]),
    action,
    side,
    price: decimal('price', row[5]),
    size: u32('size', row[6]),
    flags: u32('flags', row[7]),
    sequence: u32('sequence', row[8]),
  };
}

export function checkHeader(row: readonly string[]): void {
  const found = row.join(',');
  const expected = COLUMNS.join(',');
  if (found !== expected) throw new FeedProblem(`expected the header ${expected}, found ${show(found)}`);
}

/** A value from outside, short and harmless to a terminal. */
export function show(value: string): string {
  const shown = JSON.stringify(value.slice(0, SHOWN_CHARACTERS)).replace(/[^ -~]/g, '?');
  return value.length > SHOWN_CHARACTERS ? `${shown}…` : shown;
}

function isAction(value: string): value is MboEvent['action'] {
  return ACTIONS.includes(value);
}

function isSide(value: string): value is MboEvent['side'] {
  return SIDES.includes(value);
}

// A bigint from the digits themselves: as a number, anything above 2^53 would lose its last digits.
function u64(column: Column, value: string): bigint {
  const parsed = DIGITS.test(value) ? BigInt(value) : -1n;
  if (parsed < 0n || parsed > U64_MAX) throw mismatch(column, 'an integer from 0 to 18446744073709551615', value);
  return parsed;
}

function u32(column: Column, value: string): number {
  const parsed = DIGITS.test(value) ? Number(value) : -1;
  if (parsed < 0 || parsed > U32_MAX) throw mismatch(column, 'an integer from 0 to 4294967295', value);
  return parsed;
}

function decimal(column: Column, value: string): number {
  const parsed = DECIMAL.test(value) ? Number(value) : NaN;
  if (!Number.isFinite(parsed)) throw mismatch(column, 'a finite decimal number', value);
  return parsed;
}

function mismatch(column: Column, expected: string, value: string): FeedProblem {
  return new FeedProblem(`expected ${column} to be ${expected}, found ${show(value)}`);
}
