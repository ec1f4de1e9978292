/**
 * The events of a benchmark. What a publisher sends is one of three types, by the size of its payload; all have the time
 * from which its latency counts, its number, and a symbol, which is its key.
 */
import { bytes, defineEvents, type EventOf, f64, symbol, u32 } from '../../main/index.js';

/** When an event was sent, or should have been, as `nowNs` tells it; 0 for one that is not timed. */
const at = f64();
/** From 0, without gaps, modulo 2^32. */
const sequence = u32();

export const catalog = defineEvents({
  MARK: { priority: 30, key: 'symbol', payload: { at, sequence, symbol: symbol() } },
  TICK: {
    priority: 30,
    key: 'symbol',
    payload: {
      at,
      sequence,
      symbol: symbol(),
      price: f64(),
      bid: f64(),
      ask: f64(),
      bidSize: f64(),
      askSize: f64(),
      volume: f64(),
    },
  },
  BLOCK: { priority: 30, key: 'symbol', payload: { at, sequence, symbol: symbol(), filling: bytes() } },
  // Answers a ping, on a lane of the pool thread that has it.
  PONG: { priority: 30, payload: { at, sequence } },
  HALT: { priority: 1, payload: { at, sequence } },
});

export type BenchCatalog = typeof catalog;
export type SentType = 'MARK' | 'TICK' | 'BLOCK';
export type Sent = EventOf<BenchCatalog, SentType>;

const MARK_BYTES = 16;
const TICK_BYTES = 64;
/** Without what is in the filling. */
const BLOCK_BYTES = 24;
const SPREAD = 0.5;
/** The last byte of a filling; its first one is the lowest of the event's sequence. */
const LAST_BYTE = 0x5a;

export function typeOf(payloadBytes: number): SentType {
  return payloadBytes === MARK_BYTES ? 'MARK' : payloadBytes === TICK_BYTES ? 'TICK' : 'BLOCK';
}

/**
 * Makes fresh events of a payload of so many bytes, which is a multiple of 8 from 16.
 * @param keys A power of two: the remainder of a number above 2^31 would take as long as publishing it.
 */
export function makerOf(payloadBytes: number, keys: number): (sequence: number, at: number) => Sent {
  const symbols = symbolsOf(keys);
  const last = keys - 1;
  if (payloadBytes === MARK_BYTES) {
    return (sequence, at) => ({ type: 'MARK', at, sequence, symbol: symbols[sequence & last] });
  }
  if (payloadBytes === TICK_BYTES) {
    return (sequence, at) => {
      const price = 4_800 + (sequence & 255) * 0.25;
      return {
        type: 'TICK',
        at,
        sequence,
        symbol: symbols[sequence & last],
        price,
        bid: price - SPREAD / 2,
        ask: price + SPREAD / 2,
        bidSize: 10,
        askSize: 12,
        volume: 1 + (sequence & 7),
      };
    };
  }
  const filling = new Uint8Array(payloadBytes - BLOCK_BYTES).fill(LAST_BYTE);
  return (sequence, at) => {
    if (filling.length > 1) filling[0] = sequence & 255;
    return { type: 'BLOCK', at, sequence, symbol: symbols[sequence & last], filling };
  };
}

/** Whether an event has what its maker has put there. */
export function isWhole(event: Sent, payloadBytes: number, symbols: readonly string[]): boolean {
  if (event.symbol !== symbols[event.sequence & (symbols.length - 1)]) return false;
  switch (event.type) {
    case 'MARK':
      return payloadBytes === MARK_BYTES;
    case 'TICK':
      return event.ask - event.bid === SPREAD && event.volume === 1 + (event.sequence & 7);
    case 'BLOCK': {
      const { filling } = event;
      if (filling.length !== payloadBytes - BLOCK_BYTES) return false;
      if (filling.length > 1 && filling[0] !== (event.sequence & 255)) return false;
      return filling.length === 0 || filling[filling.length - 1] === LAST_BYTE;
    }
  }
}

export function symbolsOf(keys: number): readonly string[] {
  return Array.from({ length: keys }, (_, key) => `ES${key}`);
}

/** Nanoseconds of a clock that all threads of the process share. */
export function nowNs(): number {
  return Number(process.hrtime.bigint());
}
