import Table from 'cli-table3';
import type { MetricsSnapshot } from 'lanebus';
import type { LetterCounts } from './faults.js';
import { restartsOf } from './killer.js';
import type { RunResult } from './result.js';

const INTEGER = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const US_PER_MS = 1_000;
const BYTES_PER_KIB = 1_024;
const MAX_INSTRUMENT_ROWS = 16;

// No frame: a terminal of 24 lines has to hold the whole live view.
const PLAIN = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: ' ',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
};

export function count(value: number): string {
  return INTEGER.format(value);
}

/** A table of right-aligned numbers; the first column is a name. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const numbers = head.slice(1).map(() => 'right' as const);
  const lines = new Table({
    head: [...head],
    colAligns: ['left', ...numbers],
    chars: PLAIN,
    style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': 1 },
  });
  lines.push(...rows.map((row) => [...row]));
  return lines.toString();
}

export function laneTable({ lanes }: MetricsSnapshot): string {
  return table(
    ['lane', 'published', 'depth', 'depth KiB', 'high KiB', 'room KiB', 'blocked ms', 'dropped', 'rejected'],
    Object.entries(lanes)
      .filter(([, lane]) => lane.published > 0)
      .map(([name, lane]) => [
        name,
        count(lane.published),
        count(lane.depthEvents),
        kib(lane.depthBytes),
        kib(lane.highWatermarkBytes),
        kib(lane.capacityBytes),
        count(lane.blockedMs),
        count(lane.dropped),
        count(lane.rejected),
      ]),
  );
}

export function subscriptionTable({ subscriptions }: MetricsSnapshot): string {
  return table(
    ['subscription', 'threads', 'processed', 'failed', 'timed out', 'pending', 'mean µs', 'max µs', 'wait µs'],
    subscriptions.map((subscription) => [
      subscription.name,
      subscription.threads.join(' '),
      count(subscription.processed),
      count(subscription.failed),
      count(subscription.timedOut),
      count(subscription.pending),
      micros(subscription.handler.meanMs),
      micros(subscription.handler.maxMs),
      micros(subscription.queueWait.meanMs),
    ]),
  );
}

export function threadLine(metrics: MetricsSnapshot): string {
  const { threads } = metrics;
  const busy = threads.map(({ thread, busyShare }) => `${thread}: ${Math.round(busyShare * 100)}%`);
  return ` threads busy  ${busy.join('  ')}   restarts ${restartsOf(metrics)}`;
}

export function ledgerTable({ ledger }: Pick<RunResult, 'ledger'>): string {
  return table(
    ['ledger', 'owed', 'processed', 'failed', 'timed out', 'discarded', 'pending', 'exact'],
    Object.entries(ledger).map(([name, counts]) => [
      name,
      count(counts.owed),
      count(counts.processed),
      count(counts.failed),
      count(counts.timedOut),
      count(counts.discarded),
      count(counts.pending),
      counts.exact ? 'yes' : 'NO',
    ]),
  );
}

export function letterTable(counts: LetterCounts): string {
  const rows = Object.entries(counts).flatMap(([name, byReason]) =>
    Object.entries(byReason).map(([reason, letters]) => [`${name}, ${reason}`, count(letters)]),
  );
  return table(['dead letters', 'count'], rows.length === 0 ? [['none', '0']] : rows);
}

export function instrumentTable(result: RunResult): string {
  const books = Object.entries(result.books);
  const hidden = books.length - MAX_INSTRUMENT_ROWS;
  const rows = table(
    ['instrument', 'events', 'orders', 'best bid', 'best ask', 'changes', 'volume', 'vwap', 'bars', 'halts'],
    books
      .slice(0, MAX_INSTRUMENT_ROWS)
      .map(([name, book]) => [
        name,
        count(book.events),
        count(book.liveOrders),
        level(book.topBids[0]),
        level(book.topAsks[0]),
        count(book.topOfBookChanges),
        count(book.tradedVolume),
        book.vwap === null ? '-' : book.vwap.toString(),
        count(result.bars[name]?.bars ?? 0),
        count(result.risk[name]?.breaches ?? 0),
      ]),
  );
  return hidden > 0 ? `${rows}\n … and ${hidden} more` : rows;
}

function level(best: readonly [price: number, size: number] | undefined): string {
  return best === undefined ? '-' : `${best[1]} @ ${best[0]}`;
}

function kib(bytes: number): string {
  return count(bytes / BYTES_PER_KIB);
}

function micros(milliseconds: number): string {
  const us = milliseconds * US_PER_MS;
  return us < 100 ? us.toFixed(1) : count(us);
}
