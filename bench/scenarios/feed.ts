/**
 * Topology: one producer (the main thread) with a whole day of a real feed in memory → one consumer (a worker thread).
 * Question: how many of its rows a second go through when they are published as fast as possible? Each has three 64-bit
 * integers, which are bigints in JavaScript. Once the consumer only adds up, once it keeps the whole order book.
 *
 * A stream is a number of days; each ends with what the consumer has made of it, compared with what an independent
 * program has found.
 */
import { FEED_WAYS } from '../feed.js';
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario, System } from '../scenario.js';

const DAY_ROWS = 68_792;

export const feed: Scenario = {
  name: 'feed',
  question: 'a real day of market-by-order data, one producer, one worker consumer: rows a second',
  unit: 'events/s',
  better: 'higher',
  systems: FEED_WAYS.flatMap((name, way): System[] => [
    {
      name: `lanebus-${name}`,
      module: 'lanebus-feed',
      subject: true,
      case: name,
      parameters: (quick) => days(name === 'book' ? 8 : 16, quick, way),
    },
    {
      name: `post-message-${name}`,
      module: 'post-message-feed',
      case: name,
      parameters: (quick) => days(2, quick, way),
    },
  ]).concat(nativeSystems((quick) => days(64, quick, FEED_WAYS.indexOf('sums')), { as: 'sums', case: 'sums' })),
  rounds: { full: 5, quick: 2 },
};

function days(count: number, quick: boolean, way: number): Parameters {
  const events = DAY_ROWS * (quick ? count / 2 : count);
  return { events, warmup: events / (quick ? 1 : 2), slices: quick ? 2 : 5, way };
}
