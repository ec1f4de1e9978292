/**
 * How a subscription fares, over all its threads and their lives: one shared word of failures in a row, the circuit's state,
 * and who probes. The circuit breaker of M. Nygard, Release It!, 2007.
 *
 *   closed ──maxFailures in a row──▶ open ──main, after the cool-down──▶ halfOpen ──a delivery starts──▶ probing
 *     ▲                                ▲                                    ▲                              │ │ │
 *     │                                └──────────────── it fails ──────────│──────────────────────────────┘ │ │
 *     │                                                                     └─ it ends neither way, its thread dies ─┘
 *     └───────────────────────────────────────── it is processed ────────────────────────────────────────────┘
 *
 * Every step is one CAS of the whole word, by any thread or by main, from a state in which it holds; one that fails looks
 * again. So of two threads at a half-open circuit one probes, and a failure is counted once. A thread that dies leaves the
 * word as it is: before its CAS nothing has happened, after it all has. One that dies as the prober is found by whoever
 * takes over (`orphaned`): the word has its number. A failure is counted right before it is told to main (returns.ts, R2);
 * a thread that dies in between has counted a try that is made again.
 * Test: test/unit/circuit, test/contract/circuit
 */
import { type CircuitBlock, HEALTH_INDEX } from './layout.js';

const FAILURES_BITS = 19;
export const MAX_FAILURES = (1 << FAILURES_BITS) - 1;
const STATE_SHIFT = FAILURES_BITS;
const STATE_MASK = 3;
const PROBER_SHIFT = STATE_SHIFT + 2;
const NOBODY = 0;

const CIRCUIT_STATES = ['closed', 'open', 'halfOpen', 'probing'] as const;
export type CircuitState = (typeof CIRCUIT_STATES)[number];

const CLOSED = 0;
const OPEN = 1;
const HALF_OPEN = 2;
const PROBING = 3;

const failuresIn = (word: number): number => word & MAX_FAILURES;
const stateIn = (word: number): number => (word >>> STATE_SHIFT) & STATE_MASK;
const proberIn = (word: number): number => word >>> PROBER_SHIFT;
const wordOf = (failures: number, state: number, prober: number): number =>
  failures | (state << STATE_SHIFT) | (prober << PROBER_SHIFT);

export class Circuit {
  readonly #words: Int32Array;
  readonly #maxFailures: number;

  /** @param maxFailures Failures in a row that open it, up to MAX_FAILURES; 0 = never. */
  constructor(block: CircuitBlock, maxFailures: number) {
    this.#words = block.words;
    this.#maxFailures = maxFailures;
  }

  /** Whether it is closed, and the last delivery has not failed. */
  get isClear(): boolean {
    return this.#words[HEALTH_INDEX] === 0;
  }

  /** Whether a delivery may start, or try to. */
  get allows(): boolean {
    const state = stateIn(this.#words[HEALTH_INDEX]);
    return state === CLOSED || state === HALF_OPEN;
  }

  get state(): CircuitState {
    return CIRCUIT_STATES[stateIn(this.#load())];
  }

  /** In a row. */
  get failures(): number {
    return failuresIn(this.#load());
  }

  /**
   * Lets a delivery start. @param member Number of the member among those that share the subscription, from 0.
   * @returns Whether it may, and whether it is the probe.
   */
  enter(member: number): 'yes' | 'probe' | 'no' {
    for (;;) {
      const word = this.#load();
      if (stateIn(word) === CLOSED) return 'yes';
      if (stateIn(word) !== HALF_OPEN) return 'no';
      if (this.#swap(word, wordOf(failuresIn(word), PROBING, member + 1))) return 'probe';
    }
  }

  /** A try has failed. @returns Whether that has opened it. */
  failed(isProbe: boolean): boolean {
    for (;;) {
      const word = this.#load();
      const state = stateIn(word);
      const failures = Math.min(failuresIn(word) + 1, MAX_FAILURES);
      const opens =
        state === CLOSED ? this.#maxFailures > 0 && failures >= this.#maxFailures : state === PROBING && isProbe;
      const next = opens ? wordOf(failures, OPEN, NOBODY) : wordOf(failures, state, proberIn(word));
      if (this.#swap(word, next)) return opens;
    }
  }

  /** A delivery was processed. @returns Whether that has closed it. */
  succeeded(isProbe: boolean): boolean {
    for (;;) {
      const word = this.#load();
      const state = stateIn(word);
      if (word === 0 || (state !== CLOSED && !(state === PROBING && isProbe))) return false;
      if (this.#swap(word, 0)) return state === PROBING;
    }
  }

  /** The probe came to nothing: it was filtered, or not there. */
  leave(): void {
    for (;;) {
      const word = this.#load();
      if (stateIn(word) !== PROBING) return;
      if (this.#swap(word, wordOf(failuresIn(word), HALF_OPEN, NOBODY))) return;
    }
  }

  /** Whether a member has the probe. */
  isProbedBy(member: number): boolean {
    const word = this.#load();
    return stateIn(word) === PROBING && proberIn(word) === member + 1;
  }

  /** Main: the thread of a member is gone. If it was the prober, another may be. */
  orphaned(member: number): void {
    if (this.isProbedBy(member)) this.leave();
  }

  /** Main: the cool-down is over. */
  halfOpen(): void {
    for (;;) {
      const word = this.#load();
      if (stateIn(word) !== OPEN || this.#swap(word, wordOf(failuresIn(word), HALF_OPEN, NOBODY))) return;
    }
  }

  /** Main: by hand. */
  close(): void {
    Atomics.store(this.#words, HEALTH_INDEX, 0);
  }

  #load(): number {
    return Atomics.load(this.#words, HEALTH_INDEX);
  }

  #swap(from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, HEALTH_INDEX, from | 0, to | 0) === (from | 0);
  }
}
