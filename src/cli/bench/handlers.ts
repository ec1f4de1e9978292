/**
 * The handlers of a benchmark, in the pool. What they are to do is in the query of the module's URL; each subscription has a
 * query, and so an instance of the module, of its own.
 */
import type { EventOf, HandlerContext, SetupInfo } from '../../main/index.js';
import { Board, recordSince } from './board.js';
import { type BenchCatalog, isWhole, nowNs, type Sent, symbolsOf } from './events.js';
import { Tally } from './tally.js';
import { burn } from './work.js';

export interface HandlerParameters {
  /** From 0, in the order in which they were made. */
  readonly subscription: number;
  /** Whose events are counted apart; 1 where the order is that of all. A power of two. */
  readonly orders: number;
  readonly keys: number;
  readonly payloadBytes: number;
  readonly workSteps: number;
}

const given = new URL(import.meta.url).searchParams;
const numberOf = (name: keyof HandlerParameters): number => Number(given.get(name) ?? 1);
const payloadBytes = numberOf('payloadBytes');
const workSteps = numberOf('workSteps');
const worked = burn(workSteps);
const symbols = symbolsOf(numberOf('keys'));

let board: Board;
let tally: Tally;

export function setup({ thread }: SetupInfo): void {
  board = Board.find();
  tally = new Tally(board.wordsOf(numberOf('subscription'), thread), numberOf('orders'));
}

export function onEvent(event: Sent): void {
  const { at } = event;
  if (at > 0) recordSince(at, nowNs(), board.latencies);
  take(event);
}

export function onEventOrHalt(event: Sent | EventOf<BenchCatalog, 'HALT'>): void {
  if (event.type === 'HALT') {
    recordSince(event.at, nowNs(), board.haltLatencies);
    tally.takeHalt(event.sequence);
  } else onEvent(event);
}

/** Its answer is admitted before the delivery ends, whoever awaits the promise. */
export function onPing(event: Sent, context: HandlerContext<BenchCatalog>): void {
  take(event);
  void context.publish({ type: 'PONG', at: event.at, sequence: event.sequence });
}

function take(event: Sent): void {
  const { sequence } = event;
  tally.take(sequence);
  if (!isWhole(event, payloadBytes, symbols)) tally.fault('content', sequence);
  if (workSteps > 0 && burn(workSteps) !== worked) tally.fault('work', sequence);
}
