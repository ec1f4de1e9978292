/**
 * Topology: one producer (the main thread) → one subscription with a key, on one pool thread or shared by two.
 * Question: how many times as many events a second do two threads handle as one, with a handler that takes 5 µs of CPU
 * and with one that does nothing? A thread beside the first can at best double it, on two cores, less what the producer
 * needs of them; and no better than the keys are spread, which the details tell as the busiest thread's share.
 */
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario, System } from '../scenario.js';
import { burn, stepsOf } from '../work.js';
import { makeTick, type Tick } from '../ticks.js';
import { sized } from './one-to-one.js';

/** Enough keys for an even spread: of 64, a good hash gives the busier of two threads 55 % on average, of 1,000 51 %. */
const KEYS = 1_000;

function system(name: string, threads: number, workMicros: number): System {
  return {
    name,
    module: 'lanebus-keyed',
    subject: true,
    case: name,
    parameters: (quick) => keyed(threads, workMicros, quick),
  };
}

function keyed(threads: number, workMicros: number, quick: boolean): Parameters {
  const events = (workMicros === 0 ? 4_000_000 : 400_000) / (quick ? 4 : 1);
  return { events, warmup: events / 4, symbols: KEYS, threads, workSteps: stepsOf(workMicros) };
}

/** Beside the system of that name. */
function native(name: string, workMicros: number): System[] {
  return nativeSystems((quick) => ({ ...keyed(2, workMicros, quick), slices: 1 }), { as: name, case: name });
}

/** A worker for each thread; the main thread hashes the key. */
function postMessage(name: string, threads: number, workMicros: number): System {
  return {
    name: `post-message-${name}`,
    module: 'post-message',
    case: name,
    parameters: (quick) => ({ ...sized(60_000, quick), symbols: KEYS, threads, workSteps: stepsOf(workMicros) }),
  };
}

export const fanOutKeyed: Scenario = {
  name: 'fan-out-keyed',
  question:
    'one producer, one subscription with a key on one thread or two, handlers of 5 µs or no work: events a second',
  unit: 'events/s',
  better: 'higher',
  systems: [
    system('one-thread-5us', 1, 5),
    system('two-threads-5us', 2, 5),
    system('one-thread-0us', 1, 0),
    system('two-threads-0us', 2, 0),
    postMessage('one-thread-5us', 1, 5),
    postMessage('two-threads-5us', 2, 5),
    postMessage('one-thread-0us', 1, 0),
    postMessage('two-threads-0us', 2, 0),
    ...native('two-threads-5us', 5),
    ...native('two-threads-0us', 0),
  ],
  ratios: {
    'work-5us': { of: 'two-threads-5us', over: 'one-thread-5us' },
    'work-0us': { of: 'two-threads-0us', over: 'one-thread-0us' },
  },
  rounds: { full: 5, quick: 3 },
};

/** What the one thread that has a key saw of it, for the producer to compare with what it sent. */
export interface KeyTally {
  count: number;
  sizeSum: number;
  /** Sum of what `burn` returned, as an int32: the work was done, each time. */
  workSum: number;
  inOrder: boolean;
}

/** A thread's handler: its work, and what it saw of each key. */
export class KeyedWork {
  readonly #steps: number;
  readonly #symbols: readonly string[];
  /** By number of the key. */
  readonly #tallies: KeyTally[];

  constructor(steps: number, symbols: readonly string[]) {
    this.#steps = steps;
    this.#symbols = symbols;
    this.#tallies = symbols.map(noTicks);
  }

  /** Notices a tick that is missing, changed, early, or another thread's. */
  take({ sequence, size, symbol }: Tick): void {
    const keys = this.#symbols.length;
    const key = sequence % keys;
    const tally = this.#tallies[key];
    if (sequence !== key + tally.count * keys || symbol !== this.#symbols[key]) tally.inOrder = false;
    tally.count++;
    tally.sizeSum += size;
    if (this.#steps > 0) tally.workSum = (tally.workSum + burn(this.#steps)) | 0;
  }

  /** What was seen of a key; the next tally starts from nothing. */
  close(key: number): KeyTally {
    const tally = this.#tallies[key];
    this.#tallies[key] = noTicks();
    return tally;
  }
}

function noTicks(): KeyTally {
  return { count: 0, sizeSum: 0, workSum: 0, inOrder: true };
}

/** Throws unless each key's thread saw exactly the key's ticks among 0 … events - 1, in order. */
export function checkKeyTallies(
  tallies: ReadonlyMap<number, KeyTally>,
  { workSteps: steps }: Parameters,
  events: number,
  symbols: readonly string[],
): void {
  const expected = symbols.map(noTicks);
  for (let at = 0; at < events; at++) {
    const tally = expected[at % symbols.length];
    tally.count++;
    tally.sizeSum += makeTick(at, symbols).size;
  }
  const work = steps > 0 ? burn(steps) : 0;
  for (const [key, wanted] of expected.entries()) {
    wanted.workSum = Math.imul(wanted.count, work);
    const found = tallies.get(key);
    for (const name of Object.keys(wanted) as (keyof KeyTally)[]) {
      if (found?.[name] === wanted[name]) continue;
      throw new Error(`key ${symbols[key]}: ${name} is ${String(found?.[name])}, expected ${String(wanted[name])}`);
    }
  }
}
