/**
 * One monotonic clock for all threads of the process, in milliseconds. `performance.now` starts anew in each thread, so
 * it is shifted once, at load, onto the machine's monotonic clock.
 */

/** Looks at two clocks. Together they take some µs: to lose the core in each of them is unlikely. */
const LOOKS = 8;
const SHIFT_MS = ahead(hrtimeMs, () => performance.now());
const EPOCH_MS = ahead(Date.now, realNow);

/**
 * How far one clock is ahead of another. They cannot be read at once: what a thread loses its core for in between, and threads
 * that start together do, the other seems to be ahead. So the look that finds the most is the closest.
 */
function ahead(clock: () => number, other: () => number): number {
  let most = -Infinity;
  for (let look = 0; look < LOOKS; look++) most = Math.max(most, clock() - other());
  return most;
}

function hrtimeMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** A timer of the bus's clock. */
export interface Timer {
  cancel(): void;
}

/** Another clock for this thread, for tests (testing/virtual-time.ts). */
export interface TimeSource {
  now(): number;
  setTimer(callback: () => void, ms: number): Timer;
}

let source: TimeSource | undefined;
/** Timers of the machine that have neither rung nor been cancelled: a bus that runs has one at least. */
let realTimers = 0;

/** Whether a bus runs on this thread, in real time. */
export function hasRealTimers(): boolean {
  return realTimers > 0;
}

/** Lets everything on this thread that waits for a time take it from there; undefined = from the machine again. */
export function setTimeSource(given: TimeSource | undefined): void {
  source = given;
}

/** Whether the bus's time is the machine's. */
export function isReal(): boolean {
  return source === undefined;
}

/** The machine's time: for what has to do with the thread itself, such as when its event loop is to turn. */
export function realNow(): number {
  return performance.now() + SHIFT_MS;
}

/** Now, in ms of the bus's clock. Costs about 50 ns: sample it, never call it for every event. */
export function now(): number {
  return source === undefined ? realNow() : source.now();
}

/** Calls back after a time of the bus's clock, in ms. Does not keep the process alive. */
export function setTimer(callback: () => void, ms: number): Timer {
  if (source !== undefined) return source.setTimer(callback, ms);
  let isSet = true;
  const end = (): void => {
    if (isSet) realTimers--;
    isSet = false;
  };
  realTimers++;
  const timer = setTimeout(() => {
    end();
    callback();
  }, ms).unref();
  return {
    cancel() {
      end();
      clearTimeout(timer);
    },
  };
}

/** The bus's clock as milliseconds since the Unix epoch. */
export function toEpoch(time: number): number {
  return time + EPOCH_MS;
}

/** Milliseconds since the Unix epoch as the bus's clock has them. */
export function fromEpoch(time: number): number {
  return time - EPOCH_MS;
}

/** Events that may share one reading of the clock. */
const STAMPS_PER_READING = 32;
/** Runs of one event in a turn, as seen once for each reading of the clock, after which the next ones are taken for such, too. */
const LONE_EVENTS = 2;
/** Timers, I/O, deadlines and function handlers of a thread that only awaits publishes wait no longer than this. */
const LONG_TURN_MS = 10;

/**
 * The time that a publishing thread writes into its records. It reads the clock for the first event of each turn of the
 * event loop and for every 32nd event within a turn: a reading for each event would cost half as much as publishing it.
 * So a stamp is never in the future, and too old by at most the time that 32 publishes, or one turn, have taken.
 */
export class PublishClock {
  /** Stamps left before the clock must be read again. The lane counts it down, see Lane.claim. */
  left = 0;
  stamp = 0;
  /** Whether this turn of the event loop has published more than one reading's worth of events: see Lane.commit. */
  bursting = false;
  /** Whether the turn's events come one a run, from a loop that awaits each `publish`: see Lane.commit. */
  chained = false;
  #lone = 0;
  /** Whether the turn has lasted so long that whoever awaits a publish should let the event loop turn. */
  overdue = false;
  #turnAt = 0;
  #turn: Promise<void> | undefined;
  readonly #expire = (): void => {
    this.left = 0;
    this.bursting = false;
    this.chained = false;
    this.#lone = 0;
    this.overdue = false;
    this.#armed = false;
  };
  #armed = false;

  /** A run of a burst has had one event only. */
  loneEvent(): void {
    if (++this.#lone >= LONE_EVENTS) this.chained = true;
    else this.bursting = false; // until the clock is read again
  }

  refresh(): void {
    this.stamp = now();
    const time = source === undefined ? this.stamp : realNow(); // the event loop's turns take real time
    this.left = STAMPS_PER_READING - 1; // this one is the first
    this.bursting = this.#armed;
    this.overdue = this.#armed && time - this.#turnAt > LONG_TURN_MS;
    if (this.#armed) return;
    this.#armed = true;
    this.#turnAt = time;
    setImmediate(this.#expire).unref();
  }

  /** Resolves when the event loop has turned. One promise for all who ask in the same turn. */
  turn(): Promise<void> {
    return (this.#turn ??= new Promise((resolve) => {
      setImmediate(() => {
        this.#turn = undefined;
        resolve();
      });
    }));
  }

  isTurn(promise: Promise<unknown>): boolean {
    return promise === this.#turn;
  }
}
