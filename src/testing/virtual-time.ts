/** Time that passes only when it is told to. */
import TinyQueue from 'tinyqueue';
import { realNow, setTimeSource, type TimeSource, type Timer } from '../shared/clock.js';

interface Alarm extends Timer {
  readonly due: number;
  /** Of two that are due at the same time the one that was set first comes first. */
  readonly order: number;
  /** Undefined when it has been cancelled. */
  callback: (() => void) | undefined;
}

export class VirtualTime implements TimeSource {
  readonly #alarms = new TinyQueue<Alarm>([], (a, b) => a.due - b.due || a.order - b.order);
  #time = realNow();
  #set = 0;
  #users = 0;

  now(): number {
    return this.#time;
  }

  setTimer(callback: () => void, ms: number): Timer {
    const alarm: Alarm = {
      due: this.#time + Math.max(0, ms),
      order: this.#set++,
      callback,
      cancel() {
        this.callback = undefined;
      },
    };
    this.#alarms.push(alarm);
    return alarm;
  }

  /** Lets this thread's buses live by it, as long as anybody uses it. */
  enter(): void {
    if (this.#users++ === 0) setTimeSource(this);
  }

  leave(): void {
    if (--this.#users === 0) setTimeSource(undefined);
  }

  /** When the next alarm is due; undefined if there is none. */
  get nextDue(): number | undefined {
    for (let next = this.#alarms.peek(); next !== undefined; next = this.#alarms.peek()) {
      if (next.callback !== undefined) return next.due;
      this.#alarms.pop();
    }
    return undefined;
  }

  /** Goes on to the next alarm that is due by then, and lets it ring; or, if there is none, to that time. @returns Whether one rang. */
  step(until: number): boolean {
    for (let next = this.#alarms.peek(); next !== undefined && next.due <= until; next = this.#alarms.peek()) {
      this.#alarms.pop();
      const { callback, due } = next;
      if (callback === undefined) continue;
      this.#time = Math.max(this.#time, due);
      callback();
      return true;
    }
    this.#time = Math.max(this.#time, until);
    return false;
  }
}
