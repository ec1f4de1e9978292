/**
 * Deadlines without clocks on the hot path. A thread only writes which delivery is in flight; the main thread samples
 * that word and measures how long it has not changed. So a time is counted from the look that saw the delivery first:
 * never early, late by at most one interval. The look that finds it too late is planned for that very moment.
 *
 * The time of a delivery is the time for which it can be blamed. It is put off by that
 *   - under a debugger, and while the whole process stood still (stopped, or its machine asleep);
 *   - in which another delivery held its thread;
 *   - by which its thread was longer ready to run without a core than it ran, if it had one for less than a third of the
 *     time: the kernel tells (thread-time.ts). So a busy machine changes nothing, and a starved thread is not taken for
 *     a hung one.
 * Who holds a thread that stands still? One that is in its handler's synchronous part, if there is one; then those that
 * wait for promises cannot go on. Else one of those that wait, after an `await`, and which one cannot be seen. As soon as
 * one of them is late, the thread is terminated, nobody is blamed, and they are delivered again one at a time
 * (inheritance.ts), so that it can be seen.
 *
 * While all threads are parked and nothing is in flight there is nothing to look at: the watchdog sleeps, but for the tidy
 * work, until `rouse`.
 */
import inspector from 'node:inspector';
import { isReal, now, setTimer, type Timer } from '../shared/clock.js';
import {
  ADDRESS_MASK,
  type ConsumerBlock,
  ConsumerWord,
  FlightWord,
  RETURN_ROOM_BIT,
  WAITING_BIT,
} from '../shared/layout.js';
import { PARKED } from '../shared/parking.js';
import type { Incarnations } from './incarnations.js';
import type { Member } from './member.js';
import { isRunnable, type ThreadTime, timeOf } from '../shared/thread-time.js';

const TIDY_MS = 100;
/** What was woken starts at once: the sooner it is seen, the more exact its deadline. */
const FIRST_LOOK_MS = 2;
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
  /** The same, but for the time in which another may have held the thread. */
  begun: number;
  /** What its thread has run, and waited for a core, since then. In ms. */
  ran: number;
  starved: number;
  waiting: boolean;
  aborted: boolean;
}

/** A delivery that has passed its deadline and its grace. */
export type Late = Pick<Watch, 'member' | 'flight' | 'tag' | 'position'>;

/** How a thread with deliveries in flight was seen last. */
interface Sight {
  readonly at: number;
  readonly turns: number;
  /** The look at which `turns` was seen first. */
  readonly turnedAt: number;
  readonly spent: ThreadTime | undefined;
  /** The look before which it was last seen to have run. */
  readonly ranAt: number;
}

export class Watchdog {
  readonly #incarnations: Incarnations;
  readonly #tidy: () => void;
  /** By place in flight. */
  readonly #watches = new Map<Member, (Watch | undefined)[]>();
  readonly #sights = new WeakMap<ConsumerBlock, Sight>();
  readonly #intervalMs: number;

  #ownTime: ThreadTime | undefined;
  #timer: Timer | undefined;
  /** Time of the last look, and when the next one is due. */
  #lookedAt = now();
  #dueAt = 0;
  #tidiedAt = now();
  #asleep = false;

  /** @param tidy Called ten times a second, after the deadlines. */
  constructor(incarnations: Incarnations, intervalMs: number, tidy: () => void) {
    this.#incarnations = incarnations;
    this.#intervalMs = intervalMs;
    this.#tidy = tidy;
    this.#plan(intervalMs);
  }

  /** A thread is no longer parked, or will not be for long: from now on it is looked at. */
  rouse(): void {
    if (!this.#asleep) return;
    this.#asleep = false;
    this.#timer?.cancel();
    const time = now();
    const isFresh = time - this.#lookedAt < this.#intervalMs;
    this.#lookedAt = time;
    this.#plan(isFresh ? this.#intervalMs : Math.min(this.#intervalMs, FIRST_LOOK_MS));
  }

  stop(): void {
    this.#asleep = false;
    this.#timer?.cancel();
  }

  #plan(delayMs: number): void {
    this.#dueAt = now() + delayMs;
    this.#timer = setTimer(() => {
      this.#look();
    }, delayMs);
  }

  #look(): void {
    const time = now();
    const byThread = this.#sample(time);
    const missed = Math.max(0, time - this.#dueAt);
    const stopped = byThread.size === 0 ? this.#forgetOwnTime() : this.#stoppedMs(missed);
    for (const [thread, watches] of byThread) this.#judge(thread, watches, time, missed, stopped);
    this.#lookedAt = time;
    this.#incarnations.breakDeadlocks();
    if (time - this.#tidiedAt >= TIDY_MS) {
      this.#tidiedAt = time;
      this.#tidy();
    }
    this.#asleep = byThread.size === 0 && this.#incarnations.wiring.slots.every(({ consumer }) => isParked(consumer));
    // Rounded up: a timer of 1.9 ms would come after 1.
    this.#plan(this.#asleep ? TIDY_MS : Math.ceil(Math.min(this.#intervalMs, this.#nextDeadline(byThread, time))));
  }

  #judge(thread: number, watches: readonly Watch[], time: number, missed: number, stopped: number): void {
    const passed = time - this.#lookedAt;
    const { ran, starved, standsStill, isQueued } = this.#see(thread, time);
    const holder = holderAmong(watches);
    const isUnclear = standsStill && holder === undefined;
    // Whoever steps through a handler must not lose the thread under it.
    const excused = inspector.url() === undefined ? Math.min(passed, stopped) : passed;
    // Who held up a delivery that waits, while this thread was away itself (in a long task), cannot be told. One that
    // holds its thread has held it all the time.
    const unseen = missed > STALL_INTERVALS * this.#intervalMs ? missed : 0;
    for (const watch of watches) {
      const held = isUnclear || (standsStill && holder !== undefined && watch !== holder);
      const own = watch.waiting ? Math.min(passed, Math.max(excused, unseen)) : excused;
      if (watch.begun < time) {
        watch.ran += ran;
        watch.starved += starved;
      }
      watch.begun = Math.min(time, watch.begun + own);
      watch.since = Math.min(time, watch.since + (held ? passed : own));
    }
    const unclear = isUnclear ? watches.filter((watch) => isDue(watch, watch.begun, time)) : [];
    const due = watches.filter((watch) => isDue(watch, watch.since, time));
    // How long it has been waiting for a core is told when it has got one.
    if (due.length + unclear.length === 0 || isQueued()) return;
    const late = due.filter((watch) => this.#isLate(watch, watch.since, time));
    if (late.length > 0) this.#incarnations.condemn(thread, late);
    else if (unclear.some((watch) => this.#isLate(watch, watch.begun, time))) this.#incarnations.condemn(thread, []);
  }

  /** Aborts the delivery's signal at its deadline. @returns Whether its grace has passed too. */
  #isLate(watch: Watch, since: number, time: number): boolean {
    if (!watch.aborted) {
      watch.aborted = true;
      this.#incarnations.abort(watch.member, watch.flight);
    }
    return time - deadlineOf(watch, since) >= watch.member.record.options.graceMs;
  }

  /** How long it takes until one of them is late, if nothing is put off. */
  #nextDeadline(byThread: ReadonlyMap<number, readonly Watch[]>, time: number): number {
    let next = Infinity;
    for (const watches of byThread.values()) {
      for (const watch of watches) {
        const { timeoutMs, graceMs } = watch.member.record.options;
        if (timeoutMs > 0) next = Math.min(next, deadlineOf(watch, watch.begun) + (watch.aborted ? graceMs : 0) - time);
      }
    }
    return Math.max(1, next);
  }

  /** @returns The deliveries in flight, by thread, with the time of the first look that saw each. */
  #sample(time: number): Map<number, Watch[]> {
    const seen = new Map<number, Watch[]>();
    for (const { members, ended } of this.#incarnations.wiring.records) {
      for (const member of members) {
        const watches = ended ? [] : this.#sampleOf(member, time);
        if (watches.length === 0) {
          this.#watches.delete(member);
          continue;
        }
        const others = seen.get(member.thread);
        if (others === undefined) seen.set(member.thread, watches);
        else others.push(...watches);
      }
    }
    return seen;
  }

  #sampleOf(member: Member, time: number): Watch[] {
    const { block } = member;
    const { words, flights } = block;
    const found: Watch[] = [];
    const watches: (Watch | undefined)[] = [];
    for (let flight = 0; flight < flights; flight++) {
      const lane = Atomics.load(words, FlightWord.laneIndex(flight));
      const tag = lane & ADDRESS_MASK;
      if (tag === 0) continue;
      // It has come to its end, and only waits until main has taken it: see returns.ts.
      if ((Atomics.load(words, FlightWord.roomIndex(flight)) & RETURN_ROOM_BIT) !== 0) continue;
      const position = Atomics.load(words, FlightWord.positionIndex(flight));
      const waiting = (lane & WAITING_BIT) !== 0;
      const before = this.#watches.get(member)?.[flight];
      const isSame = before?.block === block && before.tag === tag && before.position === position;
      const watch = isSame
        ? before
        : {
            member,
            flight,
            block,
            tag,
            position,
            since: time,
            begun: time,
            ran: 0,
            starved: 0,
            waiting,
            aborted: false,
          };
      watch.waiting = waiting;
      found.push(watch);
      watches[flight] = watch;
    }
    if (found.length > 0) this.#watches.set(member, watches);
    return found;
  }

  /** How a thread has got on since the look before, if that one saw it too. */
  #see(thread: number, time: number): { ran: number; starved: number; standsStill: boolean; isQueued: () => boolean } {
    const { consumer, kernelThread } = this.#incarnations.wiring.slots[thread];
    const seen = this.#sights.get(consumer);
    const before = seen?.at === this.#lookedAt ? seen : undefined;
    const turns = Atomics.load(consumer.words, ConsumerWord.TURNS_INDEX);
    const turnedAt = before?.turns === turns ? before.turnedAt : time;
    const spent = isReal() ? timeOf(kernelThread) : undefined; // what a thread has run is told in real time
    const from = before?.spent;
    const ran = spent === undefined || from === undefined ? 0 : spent.ranMs - from.ranMs;
    const starved = spent === undefined || from === undefined ? 0 : spent.starvedMs - from.starvedMs;
    const ranAt = before === undefined || spent === undefined || ran > 0 ? time : before.ranAt;
    this.#sights.set(consumer, { at: time, turns, turnedAt, spent, ranAt });
    return {
      ran,
      starved,
      standsStill: time - turnedAt >= this.#intervalMs / 2 && !isParked(consumer),
      isQueued: () => time > ranAt && isRunnable(kernelThread),
    };
  }

  /** How much of a look's delay is not this thread's own doing: neither did it run nor wait for a core. */
  #stoppedMs(missed: number): number {
    const before = this.#ownTime;
    const spent = timeOf(this.#incarnations.wiring.slots[0].kernelThread);
    this.#ownTime = spent;
    if (missed <= STALL_INTERVALS * this.#intervalMs) return 0;
    if (spent === undefined || before === undefined) return missed; // it cannot be told: nobody is blamed
    const own = spent.ranMs - before.ranMs + (spent.starvedMs - before.starvedMs);
    return own >= missed / 2 ? 0 : missed;
  }

  #forgetOwnTime(): number {
    this.#ownTime = undefined;
    return 0;
  }
}

function isParked({ words }: ConsumerBlock): boolean {
  return Atomics.load(words, ConsumerWord.DOORBELL_INDEX) === PARKED;
}

/** The delivery that holds the thread if it stands still; undefined when it may be one or the other. */
function holderAmong(watches: readonly Watch[]): Watch | undefined {
  const running = watches.find(({ waiting }) => !waiting);
  if (running !== undefined || watches.length === 1) return running ?? watches[0];
  // One that waits for room has done its work.
  const working = watches.filter(({ block, flight }) => block.words[FlightWord.roomIndex(flight)] === 0);
  return working.length === 1 ? working[0] : undefined;
}

function isDue(watch: Watch, since: number, time: number): boolean {
  return watch.member.record.options.timeoutMs > 0 && time >= deadlineOf(watch, since);
}

function deadlineOf({ member, ran, starved }: Watch, since: number): number {
  return since + member.record.options.timeoutMs + (starved > 2 * ran ? starved - ran : 0);
}
