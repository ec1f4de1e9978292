/** What goes wrong in a graph, all from its seed: when threads are killed, and which deliveries end their thread how. */
import type { SubscribeOptions } from 'lanebus';
import { mix } from '../support/graphs/events.js';
import { type GraphPlan, planGraph, range, type SubscriptionPlan } from '../support/graphs/plan.js';
import { SeededRandom } from '../support/random.js';

/** How a handler ends its thread, or holds it up. */
const WAYS = ['exit', 'timer', 'rejection', 'overflow', 'loop', 'loop later', 'never', 'memory', 'native'] as const;
export type Way = (typeof WAYS)[number];

/** One delivery in so many has a fault of its own; of those with memory in so many more, because it takes a second. */
const FAULT_ONE_IN = 250;
const MEMORY_ONE_IN = 12;
/** Of those, one in so many comes again with each attempt: it is poison, or times out. */
const STUBBORN_ONE_IN = 4;
const MAX_KILLS = 40;
const SPAN_MS = 1_200;

export interface Fault {
  readonly atMs: number;
  readonly what: 'kill' | 'kill two' | 'stall' | 'storm';
  /** Which of the threads that live then, spares among them; how long in ms; how many events. */
  readonly size: number;
}

export interface ChaosPlan {
  readonly graph: GraphPlan;
  readonly faults: readonly Fault[];
  readonly spares: number;
  /** With few ms a thread in native code is given up while it lingers. */
  readonly exitWaitMs: number;
  /** Whether the bus is stopped in the middle of it all. */
  readonly stopsAtMs: number | undefined;
}

export function planChaos(seed: number): ChaosPlan {
  const random = new SeededRandom(seed ^ 0x5eed);
  const kills = random.below(MAX_KILLS);
  const faults = range(kills).map((): Fault => ({
    atMs: random.below(SPAN_MS),
    what: random.below(6) === 0 ? 'kill two' : 'kill',
    size: random.below(1 << 16),
  }));
  for (let left = random.below(4); left > 0; left--)
    faults.push({ atMs: random.below(SPAN_MS), what: 'stall', size: 20 + random.below(280) });
  for (let left = random.below(4); left > 0; left--)
    faults.push({ atMs: random.below(SPAN_MS), what: 'storm', size: 20 + random.below(200) });
  return {
    graph: planGraph(seed),
    faults: faults.sort((a, b) => a.atMs - b.atMs),
    spares: random.below(3),
    exitWaitMs: [0, 5, 1_000][random.below(3)],
    stopsAtMs: random.below(8) === 0 ? random.below(SPAN_MS) : undefined,
  };
}

/** One event in so many fails on its first tries, without harm to its thread. */
const FAIL_ONE_IN = 15;
const FAILING_TRIES = 2;

/** Whether a delivery's attempt just fails. */
export function failsAt(seed: number, subscription: number, id: number, attempt: number): boolean {
  return attempt <= FAILING_TRIES && mix(id * 32 + subscription, seed ^ 0xfa11) % FAIL_ONE_IN === 0;
}

/** What becomes of a subscription's failures. */
export function failuresOf({ seed, types }: GraphPlan, plan: SubscriptionPlan): SubscribeOptions {
  const random = new SeededRandom(mix(plan.index, seed));
  const circuit: SubscribeOptions =
    random.below(4) === 0 ? { maxFailures: 3, onMaxFailures: 'pause', coolDownMs: 5, maxCoolDownMs: 40 } : {};
  if (plan.lag === 'conflate' || random.below(3) === 0) return circuit;
  const isKeyed = plan.order === 'key' && (plan.key !== undefined || plan.types.every((type) => types[type].keyed));
  const retry = {
    attempts: 2 + random.below(3),
    backoffMs: random.below(20),
    jitter: random.next(),
    maxPending: random.below(3) === 0 ? 1 + random.below(4) : 1_000,
    keepOrder: isKeyed && random.below(2) === 0,
  };
  return { ...circuit, retry };
}

/** The fault of a delivery's attempt, if it has one. */
export function faultOf(seed: number, subscription: number, id: number, attempt: number): Way | undefined {
  const roll = mix(id * 16 + subscription, seed);
  if (roll % FAULT_ONE_IN !== 0) return undefined;
  const rest = Math.floor(roll / FAULT_ONE_IN);
  if (attempt > 1 && rest % STUBBORN_ONE_IN !== 0) return undefined;
  const way = WAYS[Math.floor(rest / STUBBORN_ONE_IN) % WAYS.length];
  return way === 'memory' && Math.floor(rest / 64) % MEMORY_ONE_IN !== 0 ? 'exit' : way;
}
