/**
 * Topology: one event there, and one back, between the main thread and a worker thread or between two worker threads; one
 * at a time. Question: how long does a round trip take, of 64 bytes each way where the system has events at all?
 *
 * Lanebus once with threads that never sleep, each with a core of its own, and once with threads that always do. What the
 * main thread can answer only when its event loop turns is no faster than that, so both layouts are measured.
 */
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario } from '../scenario.js';

/** Longer than any round trip: who spins so long does not park. */
const SPIN_MICROS = 10_000;

export const PORT_WAYS = ['post-message', 'message-channel', 'broadcast-channel'] as const;
export type PortWay = (typeof PORT_WAYS)[number];

export const pingPong: Scenario = {
  name: 'ping-pong',
  question: 'one event to another thread and one back, one at a time: µs of a round trip, median',
  unit: 'µs',
  better: 'lower',
  systems: [
    // Two pool threads.
    {
      name: 'lanebus-spinning',
      module: 'lanebus-ping-pong',
      subject: true,
      parameters: (quick) => trips(400_000, quick, { threads: 2, spinMicros: SPIN_MICROS }),
    },
    // The bus's own thread and one of the pool.
    {
      name: 'lanebus-parked',
      module: 'lanebus-ping-pong',
      subject: true,
      parameters: (quick) => trips(20_000, quick, { threads: 1, spinMicros: 0 }),
    },
    {
      name: 'lanebus-parked-pool',
      module: 'lanebus-ping-pong',
      subject: true,
      parameters: (quick) => trips(20_000, quick, { threads: 2, spinMicros: 0 }),
    },
    ...PORT_WAYS.map((name, way) => ({
      name,
      module: 'ports-ping-pong',
      parameters: (quick: boolean) => trips(20_000, quick, { way }),
    })),
    { name: 'comlink', module: 'comlink', parameters: (quick) => trips(10_000, quick) },
    { name: 'piscina', module: 'piscina', parameters: (quick) => trips(10_000, quick, { threads: 1 }) },
    { name: 'nats', module: 'nats-ping-pong', parameters: (quick) => trips(5_000, quick) },
    {
      name: 'atomics-spin',
      module: 'atomics-ping-pong',
      parameters: (quick) => trips(400_000, quick, { parks: 0 }),
    },
    {
      name: 'atomics-wait',
      module: 'atomics-ping-pong',
      parameters: (quick) => trips(20_000, quick, { parks: 1 }),
    },
    ...nativeSystems((quick) => trips(400_000, quick, { wait: 0 }), { as: 'spinning' }),
    ...nativeSystems((quick) => trips(20_000, quick, { wait: 1 }), { as: 'parked' }),
  ],
  targets: [
    { title: 'ping-pong, both spinning, p50 µs', of: { system: 'lanebus-spinning' }, atMost: 1 },
    {
      title: "ping-pong, parked, postMessage's p50 ÷ its own",
      of: { ratio: 'lanebus-parked ÷ post-message' },
      atLeast: 1,
    },
  ],
  rounds: { full: 5, quick: 2 },
};

function trips(events: number, quick: boolean, more?: Parameters): Parameters {
  const count = quick ? events / 4 : events;
  return { events: count, warmup: Math.floor(count / 4), symbols: 16, ...more };
}
