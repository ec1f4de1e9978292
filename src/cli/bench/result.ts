/** What a benchmark has found, and whether it may be believed. */
import type { RecordableHistogram } from 'node:perf_hooks';
import type { LaneMetrics, SubscriptionMetrics } from '../../main/index.js';
import type { CpuTime, Machine } from './machine.js';
import type { Plan } from './plan.js';
import type { Wrong } from './tally.js';

/** A rate is held if no more is missing than this share of it, or this many events. */
const HELD_SHARE = 0.01;
const HELD_EVENTS = 2;

export interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  readonly samples: number;
}

export interface Result {
  readonly plan: Plan;
  /** Length of the measurement. */
  readonly seconds: number;
  /** Whether it was ended before its time. */
  readonly interrupted: boolean;
  /** Handled in that time by each subscription, on average; of ping-pong, answered. */
  readonly events: number;
  readonly eventsPerSecond: number;
  readonly deliveriesPerSecond: number;
  /** Of payload, in millions of bytes. */
  readonly megabytesPerSecond: number;
  /** Whether the rate that was asked for was reached; undefined without one. */
  readonly rateHeld: boolean | undefined;
  /** From publishing, or from when it was due, to the handler's start; of ping-pong, to that of its answer. Undefined: none was timed. */
  readonly latencyMicros: Latencies | undefined;
  readonly halts: HaltResult | undefined;
  /** Cores that were used, by the process and of that by the bus's own thread (undefined where the system does not say). */
  readonly cpu: { readonly cores: number; readonly busThreadCores: number | undefined };
  readonly backpressure: Backpressure;
  readonly ledger: Ledger;
  /** Pool threads that were lost. */
  readonly kills: number;
  readonly machine: Machine;
  /** What was wrong; empty if all is as it must be. */
  readonly problems: readonly string[];
}

export interface HaltResult {
  readonly published: number;
  /** Those that their own lane had no room for. */
  readonly refused: number;
  readonly latencyMicros: Latencies | undefined;
}

/** What happened to a publisher that found no room, in the time of the measurement. */
export interface Backpressure {
  readonly waits: number;
  readonly waitedMs: number;
  /** Events that were not taken, under `reject` and `dropNewest`. */
  readonly refused: number;
  /** The most seen in the overflow of a `spill` lane, once a second and at the end. */
  readonly mostSpilled: number;
  /** Greatest share of the lane's room that was in use, since the start. */
  readonly fill: number;
}

/** Of all subscriptions, from the start of the bus to its end: the warm-up included. */
export interface Ledger {
  readonly owed: number;
  readonly processed: number;
  /** Those that were not handled in time after the end. */
  readonly discarded: number;
  readonly exact: boolean;
}

/** What one subscription must have come to. */
export interface Account {
  readonly metrics: SubscriptionMetrics;
  /** Events that the bus has taken for it. */
  readonly owed: number;
  /** What its handler has counted itself. */
  readonly seen: number;
  readonly wrong: Wrong | undefined;
}

/** A moment of a run. */
export interface Look {
  readonly ns: number;
  /** Events, by each subscription on average; of ping-pong, answers. */
  readonly seen: number;
  readonly cpu: CpuTime;
  readonly lane: LaneMetrics;
  readonly waits: number;
  readonly refused: number;
}

export type Figures = Pick<
  Result,
  'seconds' | 'events' | 'eventsPerSecond' | 'deliveriesPerSecond' | 'megabytesPerSecond' | 'rateHeld' | 'cpu'
>;

/** What was done between two moments. */
export function figuresOf({ rate, subscriptions, payloadBytes }: Plan, begin: Look, end: Look): Figures {
  const seconds = (end.ns - begin.ns) / 1e9;
  const events = end.seen - begin.seen;
  const eventsPerSecond = events / seconds;
  const due = (rate ?? 0) * seconds;
  const thread = begin.cpu.thread !== undefined && end.cpu.thread !== undefined && end.cpu.thread - begin.cpu.thread;
  return {
    seconds,
    events,
    eventsPerSecond,
    deliveriesPerSecond: eventsPerSecond * subscriptions,
    megabytesPerSecond: (eventsPerSecond * payloadBytes) / 1e6,
    rateHeld: rate === undefined ? undefined : due - events <= Math.max(HELD_EVENTS, due * HELD_SHARE),
    cpu: {
      cores: (end.cpu.process - begin.cpu.process) / seconds,
      busThreadCores: thread === false ? undefined : thread / seconds,
    },
  };
}

/** Each account that does not add up, and each event that was not as it should be, in a line. */
export function problemsOf(accounts: readonly Account[], kills: number): string[] {
  const problems: string[] = [];
  if (kills > 0) {
    problems.push(
      `${kills} pool thread${kills === 1 ? ' was' : 's were'} lost: what was in flight there was delivered again`,
    );
  }
  for (const { metrics, owed, seen, wrong } of accounts) {
    const { name, processed, discarded, exact, threads } = metrics;
    const say = (what: string): void => {
      problems.push(`subscription ${name}: ${what}`);
    };
    if (wrong !== undefined) say(describe(wrong));
    if (!exact) say('the two sides of its ledger do not agree');
    if (metrics.owed !== owed) say(`the ledger owes it ${metrics.owed} events, ${owed} were published`);
    if (processed + discarded !== owed) {
      say(`${owed} events were published, ${processed} processed and ${discarded} discarded`);
    }
    // A delivery that stop has given up may have been seen.
    const inFlight = discarded === 0 ? 0 : threads.length;
    if (seen < processed || seen > processed + inFlight) say(`its handler has seen ${seen} events of ${processed}`);
  }
  return problems;
}

function describe({ fault, expected, found, events }: Wrong): string {
  const more = events > 1 ? `, the first of ${events} that were wrong` : '';
  switch (fault) {
    case 'order':
      return `event ${found} came where ${expected} should have${more}`;
    case 'content':
      return `event ${found} was not what was published${more}`;
    case 'work':
      return `the work for event ${found} came to something else${more}`;
  }
}

export function latenciesOf(histogram: RecordableHistogram): Latencies | undefined {
  if (histogram.count === 0) return undefined;
  const micros = (percentile: number): number => histogram.percentile(percentile) / 1_000;
  return { p50: micros(50), p99: micros(99), p999: micros(99.9), max: histogram.max / 1_000, samples: histogram.count };
}
