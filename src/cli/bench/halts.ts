/** Halts that are published beside a flood, at times of their own. */
import type { EventBus } from '../../main/index.js';
import { type BenchCatalog, nowNs } from './events.js';

/** How often it is looked whether one is due, while the flood waits for room. */
const TIMER_MS = 1;

export class Halts {
  /** Also the number of the next one, modulo 2^32. */
  published = 0;
  /** Those that their lane had no room for. */
  refused = 0;
  readonly #bus: EventBus<BenchCatalog>;
  readonly #intervalNs: number;
  #nextAt = Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(bus: EventBus<BenchCatalog>, rate: number) {
    this.#bus = bus;
    this.#intervalNs = 1e9 / rate;
  }

  begin(): void {
    this.#nextAt = nowNs();
    this.#timer = setInterval(() => {
      this.sendDue(nowNs());
    }, TIMER_MS);
  }

  end(): void {
    this.#nextAt = Infinity;
    clearInterval(this.#timer);
  }

  /**
   * A halt happens when it is noticed, as one that comes from a socket would: that the flood has kept this thread busy
   * is not the bus's time.
   */
  sendDue(now: number): void {
    for (; this.#nextAt <= now; this.#nextAt += this.#intervalNs) {
      const event = { type: 'HALT', at: nowNs(), sequence: this.published >>> 0 } as const;
      if (this.#bus.tryPublish(event) === 'published') this.published++;
      else this.refused++;
    }
  }
}
