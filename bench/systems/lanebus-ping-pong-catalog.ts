import { any, defineEvents, type EventOf } from 'lanebus';
import type { RoundTripsResult } from '../round-trips.js';
import { makeTick } from '../ticks.js';
import { tickFields } from './lanebus-catalog.js';

export const catalog = defineEvents({
  START: { priority: 30, payload: {} },
  // As large as a tick of the other scenarios: 64 bytes there, and 64 bytes back.
  PING: { priority: 30, payload: tickFields },
  PONG: { priority: 30, payload: tickFields },
  RESULT: { priority: 90, payload: { result: any<RoundTripsResult>() } },
});

export type PingPongCatalog = typeof catalog;

type Ping = EventOf<PingPongCatalog, 'PING'>;
type Pong = EventOf<PingPongCatalog, 'PONG'>;

export function makePing(at: number, symbols: readonly string[]): Ping {
  const { symbol, size, price, bid, ask, bidSize, askSize, exchangeTime, sequence } = makeTick(at, symbols);
  return { type: 'PING', symbol, size, price, bid, ask, bidSize, askSize, exchangeTime, sequence };
}

export function toPong(ping: Ping): Pong {
  const { symbol, size, price, bid, ask, bidSize, askSize, exchangeTime, sequence } = ping;
  return { type: 'PONG', symbol, size, price, bid, ask, bidSize, askSize, exchangeTime, sequence };
}
