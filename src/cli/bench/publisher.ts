/**
 * The publisher of a benchmark, on the bus's own thread: as fast as the lane takes it, at a rate, or one event after the
 * answer to the one before. It lets the event loop turn now and then, as a program that lives by events does.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { EventBus, PublishOutcome, WhenFull } from '../../main/index.js';
import { type BenchCatalog, nowNs, type Sent } from './events.js';

/**
 * As fast as possible, the first event of so many is timed: reading a clock takes as long as publishing. No multiple of the
 * groups of 16 in which a burst becomes visible, or always the same place in a group would be timed.
 */
const TIMED_EVERY = 61;
/** As fast as possible, if an event takes longer than this each is timed: a clock costs little then, and there are few. */
const SLOW_NS = 5_000;
/** At a rate, so many events a second are timed at most. */
const MAX_TIMED_RATE = 100_000;
/** At a rate, events in a row before the clock is read again. */
const PACED_BURST = 64;
/** So long the event loop may go without a turn. */
const TURN_NS = 5e6;
/** A timer may be late by about as much: the rest of a wait is spent turning. */
const TIMER_NS = 2e6;
/** Sleeps no longer at once, so that an interruption is noticed. */
const MAX_SLEEP_MS = 50;

export class Publisher {
  /** Events that the bus has taken, or will unless it is stopped first. */
  taken = 0;
  /** Times that it waited for room. */
  waits = 0;
  /** Events that were not taken, under `reject` and `dropNewest`. */
  refused = 0;
  /** Called when the clock has been read, with what it says. */
  onLook: (now: number) => void = () => undefined;
  readonly #bus: EventBus<BenchCatalog>;
  readonly #make: (sequence: number, at: number) => Sent;
  readonly #whenFull: WhenFull;
  readonly #interruption: AbortSignal;
  readonly #admissions = new Set<Promise<void>>();
  #released = 0;
  /** Whether the time is up, or was cut short: nothing is waited for any more. */
  #isOver = false;
  #onRoom: () => void = () => undefined;
  #onAnswer: () => void = () => undefined;

  constructor(
    bus: EventBus<BenchCatalog>,
    make: (sequence: number, at: number) => Sent,
    whenFull: WhenFull,
    interruption: AbortSignal,
  ) {
    this.#bus = bus;
    this.#make = make;
    this.#whenFull = whenFull;
    this.#interruption = interruption;
  }

  async flood(seconds: number, isTimed: boolean): Promise<void> {
    await this.#within(seconds, async (end) => {
      let turnedAt = nowNs();
      let burst = TIMED_EVERY;
      for (let now = turnedAt; now < end && !this.#isOver;) {
        this.onLook(now);
        for (let left = burst; left > 0; left--) {
          const event = this.#make(this.taken >>> 0, isTimed && left === burst ? now : 0);
          const outcome = this.#bus.tryPublish(event);
          if (outcome === 'published') this.taken++;
          else {
            await this.#withoutRoom(event, outcome);
            if (this.#whenFull !== 'block') await turn();
            break;
          }
        }
        const after = nowNs();
        burst = after - now > burst * SLOW_NS ? 1 : TIMED_EVERY;
        now = after;
        if (now - turnedAt > TURN_NS) {
          await turn();
          now = turnedAt = nowNs();
        }
      }
    });
  }

  /** The latency of an event counts from when it was due: an event that finds its publisher late has waited already. */
  async pace(seconds: number, rate: number, isTimed: boolean): Promise<void> {
    const intervalNs = 1e9 / rate;
    const timedEvery = Math.ceil(rate / MAX_TIMED_RATE) | 1; // odd, for the reason of TIMED_EVERY
    await this.#within(seconds, async (end, start) => {
      let turnedAt = start;
      let sent = 0;
      for (let now = start; now < end && !this.#isOver; now = nowNs()) {
        this.onLook(now);
        const due = Math.floor((now - start) / intervalNs) + 1;
        for (const until = Math.min(due, sent + PACED_BURST); sent < until; sent++) {
          const at = isTimed && sent % timedEvery === 0 ? start + sent * intervalNs : 0;
          const event = this.#make(this.taken >>> 0, at);
          const outcome = this.#bus.tryPublish(event);
          if (outcome === 'published') this.taken++;
          else await this.#withoutRoom(event, outcome);
        }
        if (sent < due && now - turnedAt < TURN_NS) continue;
        const waitNs = Math.min(start + sent * intervalNs, end) - nowNs();
        if (waitNs > TIMER_NS) await sleep(Math.min(MAX_SLEEP_MS, (waitNs - TIMER_NS) / 1e6));
        else await turn();
        turnedAt = nowNs();
      }
    });
  }

  /** One event, its answer, the next. */
  async takeTurns(seconds: number, isTimed: boolean): Promise<void> {
    await this.#within(seconds, async (end) => {
      for (let now = nowNs(); now < end && !this.#isOver; now = nowNs()) {
        this.onLook(now);
        const answered = new Promise<void>((resolve) => {
          this.#onAnswer = resolve;
        });
        const event = this.#make(this.taken >>> 0, isTimed ? now : 0);
        const outcome = this.#bus.tryPublish(event);
        if (outcome === 'published') this.taken++;
        else await this.#withoutRoom(event, outcome);
        if (outcome === 'published' || this.#whenFull === 'block') await answered;
        else await turn();
      }
    });
  }

  /** An answer has come: that to the last event is waited for, not one that was too late for the warm-up. */
  answer(sequence: number): void {
    if (sequence === (this.taken - 1) >>> 0) this.#onAnswer();
  }

  /** After the bus has stopped: how many events it has taken in the end. */
  async settle(): Promise<number> {
    await Promise.all(this.#admissions);
    return this.taken - this.#released;
  }

  /** Runs until its time is up, which ends a wait too. */
  async #within(seconds: number, run: (end: number, start: number) => Promise<void>): Promise<void> {
    const start = nowNs();
    this.#isOver = this.#interruption.aborted;
    const release = (): void => {
      this.#isOver = true;
      this.#onRoom();
      this.#onAnswer();
    };
    const timer = setTimeout(release, seconds * 1_000 + 1); // timers may be early by less than that
    this.#interruption.addEventListener('abort', release);
    try {
      await run(start + seconds * 1e9, start);
    } finally {
      clearTimeout(timer);
      this.#interruption.removeEventListener('abort', release);
    }
  }

  /** Waits for room, or gives the event up, as the lane's policy has it. */
  async #withoutRoom(event: Sent, outcome: PublishOutcome): Promise<void> {
    if (outcome === 'closed') throw new Error('the bus has stopped while events were published');
    if (this.#whenFull !== 'block') {
      this.refused++;
      return;
    }
    this.waits++;
    this.taken++;
    const admitted = this.#bus.publish(event);
    await new Promise<void>((resolve) => {
      this.#onRoom = resolve;
      if (this.#isOver) resolve();
      const settled = admitted
        .catch(() => {
          this.#released++; // by stop
        })
        .then(() => {
          this.#admissions.delete(settled);
          resolve();
        });
      this.#admissions.add(settled);
    });
  }
}
