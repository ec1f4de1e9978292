/** Both sides of the ping-pong in the pool: each on a thread of its own, as each is a subscription of its own. */
import type { HandlerFunction } from 'lanebus';
import { RoundTrips } from '../round-trips.js';
import { symbolsOf } from '../ticks.js';
import { makePing, type PingPongCatalog, toPong } from './lanebus-ping-pong-catalog.js';
import { parametersOf } from './module-parameters.js';

const parameters = parametersOf(import.meta.url);
const symbols = symbolsOf(parameters);
const trips = new RoundTrips(parameters);

export const answer: HandlerFunction<PingPongCatalog, 'PING'> = (ping, context) => {
  void context.publish(toPong(ping));
};

export const ask: HandlerFunction<PingPongCatalog, 'START' | 'PONG'> = (event, context) => {
  if (event.type === 'PONG') trips.take(event.sequence);
  const sequence = trips.next();
  if (sequence === undefined) void context.publish({ type: 'RESULT', result: trips.result });
  else void context.publish(makePing(sequence, symbols));
};
