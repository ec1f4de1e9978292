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
import { ADDRESS_MASK, type ConsumerBlock, ConsumerWord, SubscriptionWord, WAITING_BIT } from '../shared/layout.js';
import { PARKED } from '../shared/parking.js';
import type { Incarnations } from './incarnations.js';
import type { SubscriptionRecord } from './record.js';

const TIDY_MS = 100;
/** A look that comes later than this many intervals has missed something. */
const STALL_INTERVALS = 3;

/** One delivery that has been seen in flight. */
interface Watch {
  readonly record: SubscriptionRecord;
  /** The incarnation's: a redelivery has the same position, and a time of its own. */
  readonly block: SubscriptionRecord['block'];
  readonly tag: number;
  readonly position: number;
  /** When it was first seen, put off by the time for which it cannot be blamed. */
  since: number;
  waiting: boolean;
  aborted: boolean;
}

/** A delivery that has passed its deadline and its grace. */
export type Late = Pick<Watch, 'record' | 'tag' | 'position'>;

export class Watchdog {
  readonly #incarnations: Incarnations;
  readonly #watches = new Map<SubscriptionRecord, Watch>();
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
    let busy = this.#watches.size > 0;
    for (const record of this.#incarnations.wiring.records)
      busy ||= record.block.words[SubscriptionWord.LANE_INDEX] !== 0;
    if (!busy) return; // an idle bus looks fifty times a second: it must cost nothing
    const seen = new Map<number, Watch[]>();
    for (const record of this.#incarnations.wiring.records) {
      const watch = this.#sample(record, time);
      if (watch === undefined) continue;
      const others = seen.get(record.thread);
      if (others === undefined) seen.set(record.thread, [watch]);
      else others.push(watch);
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
    const { timeoutMs, graceMs } = watch.record.options;
    const late = time - watch.since - timeoutMs;
    if (timeoutMs === 0 || late < 0) return false;
    if (!watch.aborted) {
      watch.aborted = true;
      this.#incarnations.abort(watch.record);
    }
    return late >= graceMs;
  }

  /** @returns The subscription's delivery in flight, with the time of the first look that saw it. */
  #sample(record: SubscriptionRecord, time: number): Watch | undefined {
    const { words } = record.block;
    const lane = Atomics.load(words, SubscriptionWord.LANE_INDEX);
    const position = Atomics.load(words, SubscriptionWord.POSITION_INDEX);
    const tag = lane & ADDRESS_MASK;
    if (tag === 0 || record.ended) {
      this.#watches.delete(record);
      return undefined;
    }
    const waiting = (lane & WAITING_BIT) !== 0;
    const watch = this.#watches.get(record);
    if (watch?.block === record.block && watch.tag === tag && watch.position === position) {
      watch.waiting = waiting;
      return watch;
    }
    const first = { record, block: record.block, tag, position, since: time, waiting, aborted: false };
    this.#watches.set(record, first);
    return first;
  }

  /** Whether the thread has not turned its loop since the last look, though it is awake. */
  #standsStill(consumer: ConsumerBlock): boolean {
    const turns = Atomics.load(consumer.words, ConsumerWord.TURNS_INDEX);
    const before = this.#turns.get(consumer);
    this.#turns.set(consumer, turns);
    return turns === before && Atomics.load(consumer.words, ConsumerWord.DOORBELL_INDEX) !== PARKED;
  }
}
