/**
 * Deadlines without clocks on the hot path. A thread only writes which delivery is in flight; the main thread samples
 * that word and measures how long it has not changed. So a deadline is counted from the first sample that saw the
 * delivery: never early, late by at most two intervals (until it is first seen, and until it is next looked at).
 *
 * Who is late when a thread stands still? A delivery that is in its handler's synchronous part holds the thread; others
 * on it that wait for a promise cannot go on, and the time does not count for them. If the thread stands still and none
 * is in its synchronous part, one of those that wait is (after an `await`); which one cannot be seen, so the oldest
 * that is late is taken, and the others are redelivered.
 */
import inspector from 'node:inspector';
import { now } from '../shared/clock.js';
import { ADDRESS_MASK, type ConsumerBlock, ConsumerWord, FlightWord, WAITING_BIT } from '../shared/layout.js';
import { PARKED } from '../shared/parking.js';
import type { Incarnations } from './incarnations.js';
import type { Member } from './member.js';

const TIDY_MS = 100;
/** A look that comes later than this many intervals has missed something. */
const STALL_INTERVALS = 3;

/** One delivery that has been seen in flight. */
interface Watch {
  readonly member: Member;
  readonly flight: number;
  /** The incarnation's: a redelivery has the same position, and a time of its own. */
  readonly block: Member['block'];
  readonly tag: number;
  readonly position: number;
  /** When it was first seen, put off by the time for which it cannot be blamed. */
  since: number;
  waiting: boolean;
  aborted: boolean;
}

/** A delivery that has passed its deadline and its grace. */
export type Late = Pick<Watch, 'member' | 'flight' | 'tag' | 'position'>;

export class Watchdog {
  readonly #incarnations: Incarnations;
  /** By place in flight. */
  readonly #watches = new Map<Member, (Watch | undefined)[]>();
  readonly #turns = new WeakMap<ConsumerBlock, number>();
  readonly #timer: NodeJS.Timeout;
  readonly #intervalMs: number;
  #lookedAt = now();

  /** @param tidy Called ten times a second, after the deadlines. */
  constructor(incarnations: Incarnations, intervalMs: number, tidy: () => void) {
    this.#incarnations = incarnations;
    this.#intervalMs = intervalMs;
    const ticks = Math.max(1, Math.round(TIDY_MS / intervalMs));
    let tick = 0;
    this.#timer = setInterval(() => {
      this.#look();
      this.#incarnations.breakDeadlocks();
      if (++tick % ticks === 0) tidy();
    }, intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const time = now();
    const passed = time - this.#lookedAt;
    this.#lookedAt = time;
    const seen = new Map<number, Watch[]>();
    for (const { members, ended } of this.#incarnations.wiring.records) {
      for (const member of members) {
        if (ended) this.#watches.delete(member);
        const watches = ended ? [] : this.#sample(member, time);
        if (watches.length === 0) continue; // an idle bus looks fifty times a second: it must cost nothing
        const others = seen.get(member.thread);
        if (others === undefined) seen.set(member.thread, watches);
        else others.push(...watches);
      }
    }
    for (const [thread, watches] of seen) this.#judge(thread, watches, time, passed);
  }

  #judge(thread: number, watches: readonly Watch[], time: number, passed: number): void {
    const holder = watches.find((watch) => !watch.waiting);
    const standsStill = this.#standsStill(this.#incarnations.wiring.slots[thread].consumer);
    // Whoever steps through a handler must not lose the thread under it.
    const debugged = inspector.url() !== undefined;
    // Who held up a delivery that waits, while this thread was away itself (in a long task), cannot be told. One that
    // holds its thread has held it all the time.
    const unseen = Math.max(0, passed - STALL_INTERVALS * this.#intervalMs);
    for (const watch of watches) {
      const held = standsStill && holder !== undefined && watch !== holder;
      const excused = debugged || held ? passed : watch.waiting ? unseen : 0;
      watch.since = Math.min(time, watch.since + excused);
    }
    const late = watches.filter((watch) => this.#isLate(watch, time)).sort((a, b) => a.since - b.since);
    const blamed = standsStill && holder === undefined ? late.slice(0, 1) : late;
    if (blamed.length > 0) this.#incarnations.condemn(thread, blamed);
  }

  /** Aborts the delivery's signal at its deadline. @returns Whether its grace has passed too. */
  #isLate(watch: Watch, time: number): boolean {
    const { timeoutMs, graceMs } = watch.member.record.options;
    const late = time - watch.since - timeoutMs;
    if (timeoutMs === 0 || late < 0) return false;
    if (!watch.aborted) {
      watch.aborted = true;
      this.#incarnations.abort(watch.member, watch.flight);
    }
    return late >= graceMs;
  }

  /** @returns The deliveries in flight, with the time of the first look that saw each. */
  #sample(member: Member, time: number): Watch[] {
    const { block } = member;
    const { words, flights } = block;
    const found: Watch[] = [];
    let watches: (Watch | undefined)[] | undefined;
    for (let flight = 0; flight < flights; flight++) {
      const lane = Atomics.load(words, FlightWord.laneIndex(flight));
      const tag = lane & ADDRESS_MASK;
      if (tag === 0) continue;
      const position = Atomics.load(words, FlightWord.positionIndex(flight));
      const waiting = (lane & WAITING_BIT) !== 0;
      const before = this.#watches.get(member)?.[flight];
      const isSame = before?.block === block && before.tag === tag && before.position === position;
      const watch = isSame ? before : { member, flight, block, tag, position, since: time, waiting, aborted: false };
      watch.waiting = waiting;
      found.push(watch);
      (watches ??= [])[flight] = watch;
    }
    if (watches === undefined) this.#watches.delete(member);
    else this.#watches.set(member, watches);
    return found;
  }

  /** Whether the thread has not turned its loop since the last look, though it is awake. */
  #standsStill(consumer: ConsumerBlock): boolean {
    const turns = Atomics.load(consumer.words, ConsumerWord.TURNS_INDEX);
    const before = this.#turns.get(consumer);
    this.#turns.set(consumer, turns);
    return turns === before && Atomics.load(consumer.words, ConsumerWord.DOORBELL_INDEX) !== PARKED;
  }
}
