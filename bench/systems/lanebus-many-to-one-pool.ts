/** The producers, an instance of this module each, and the consumer; all in the pool. */
import type { HandlerFunction } from 'lanebus';
import { shareOf } from '../scenarios/many-to-one.js';
import { makeTick, symbolsOf, TickTally } from '../ticks.js';
import type { ManyToOneCatalog } from './lanebus-many-to-one-catalog.js';
import { parametersOf } from './module-parameters.js';

/** A publisher awaits admission now and then, not for every event. */
const AWAIT_MASK = 255;

const parameters = parametersOf(import.meta.url);
const { producer, drop = -1 } = parameters;
const symbols = symbolsOf(parameters);
/** By the publishing thread: each producer has its own. */
const tallies = new Map<number, TickTally>();

export const produce: HandlerFunction<ManyToOneCatalog, 'GO'> = async ({ events }, context) => {
  const count = shareOf(events, producer);
  for (let at = 0; at < count; at++) {
    if (at === drop) continue;
    const admitted = context.publish(makeTick(at, symbols));
    if ((at & AWAIT_MASK) === AWAIT_MASK) await admitted;
  }
  await context.publish({ type: 'DONE', producer });
};

export const consume: HandlerFunction<ManyToOneCatalog, 'TICK' | 'DONE'> = (event, context) => {
  const { publisher } = context;
  let tally = tallies.get(publisher);
  if (tally === undefined) tallies.set(publisher, (tally = new TickTally()));
  if (event.type === 'TICK') tally.take(event);
  else void context.publish({ type: 'RESULT', number: event.producer, ...tally.close() });
};
