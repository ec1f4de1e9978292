/** The producer of a stream of ticks, the same one for every system beside Lanebus. */
import type { Parameters } from './scenario.js';
import { makeTick, type Tick, type TickTally } from './ticks.js';

/** A tick by itself, or a batch. */
export type Cargo = Tick | readonly Tick[];

/** No more of this stream. */
export interface End {
  type: 'END';
}

export const END: End = { type: 'END' };

export type Message = Cargo | End;

/**
 * Sends the ticks 0 … count - 1, one by one or in batches, each a fresh object.
 * @param send Returns what to await before more are sent, if anything.
 */
export async function produce(
  count: number,
  parameters: Parameters,
  symbols: readonly string[],
  send: (cargo: Cargo) => Promise<unknown> | undefined,
): Promise<void> {
  const { drop = -1, batch = 1 } = parameters;
  if (batch === 1) return produceEach(count, parameters, symbols, send);
  for (let from = 0; from < count; from += batch) {
    const admitted = send(makeBatch(from, Math.min(from + batch, count), drop, symbols));
    if (admitted !== undefined) await admitted;
  }
}

export async function produceEach(
  count: number,
  { drop = -1 }: Parameters,
  symbols: readonly string[],
  send: (tick: Tick) => Promise<unknown> | undefined,
): Promise<void> {
  for (let at = 0; at < count; at++) {
    if (at === drop) continue;
    const admitted = send(makeTick(at, symbols));
    if (admitted !== undefined) await admitted;
  }
}

export function makeBatch(from: number, to: number, drop: number, symbols: readonly string[]): Tick[] {
  const ticks: Tick[] = [];
  for (let at = from; at < to; at++) {
    if (at !== drop) ticks.push(makeTick(at, symbols));
  }
  return ticks;
}

export function isBatch(message: Message): message is readonly Tick[] {
  return Array.isArray(message);
}

export function isEnd(message: Message): message is End {
  return !isBatch(message) && message.type === 'END';
}

export function sizeOf(cargo: Cargo): number {
  return isBatch(cargo) ? cargo.length : 1;
}

/** The consumer's side of it. */
export function tallyCargo(tally: TickTally, cargo: Cargo): void {
  if (isBatch(cargo)) for (const tick of cargo) tally.take(tick);
  else tally.take(cargo);
}
