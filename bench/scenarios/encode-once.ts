/**
 * Topology: one producer (the main thread) → one subscription, or eight that all get every event, on two pool threads.
 * Question: what does an event cost its publisher, and does it cost more with more subscriptions? It is encoded once.
 *
 * The cost is the median of many bursts that fit into the lane's room, while the subscriptions read along: `publish` does
 * all of its work then, the waking of parked threads included, and never waits. A reader that keeps up makes it dearer,
 * as it takes the lines that are being written into its own core's cache. One with no work does that, and one of eight
 * hardly ever; so both are measured with no work and with 1 µs, where nobody keeps up.
 *
 * The whole throughput, in which the publisher waits for the slowest subscription, is told beside it.
 */
import type { Scenario, System } from '../scenario.js';
import { stepsOf } from '../work.js';

function system(name: string, subscriptions: number, workMicros: number): System {
  return {
    name,
    module: 'lanebus-encode-once',
    subject: true,
    parameters(quick) {
      const events = (workMicros === 0 ? 2_000_000 : 500_000) / (quick ? 4 : 1);
      const workSteps = stepsOf(workMicros);
      return { events, warmup: events / 2, burst: 10_000, symbols: 16, threads: 2, subscriptions, workSteps };
    },
  };
}

export const encodeOnce: Scenario = {
  name: 'encode-once',
  question:
    "one producer, one subscription or eight, handlers of no work or 1 µs: the publisher's own time for an event",
  unit: 'ns/event',
  better: 'lower',
  systems: [
    system('one-subscription-0us', 1, 0),
    system('eight-subscriptions-0us', 8, 0),
    system('one-subscription-1us', 1, 1),
    system('eight-subscriptions-1us', 8, 1),
  ],
  ratios: {
    'work-0us': { of: 'eight-subscriptions-0us', over: 'one-subscription-0us' },
    'work-1us': { of: 'eight-subscriptions-1us', over: 'one-subscription-1us' },
  },
  rounds: { full: 5, quick: 3 },
};
