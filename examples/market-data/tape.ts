import type { MboEvent } from './catalog.js';
import type { Random } from './random.js';

// 2023-12-25T23:00:00Z, the opening of the trading day that the reference data shows.
const OPENING_NS = 1_703_545_200_000_000_000n;
// Above 2^53, so that ids which lose their last digits on the way would collide.
const FIRST_ORDER_ID = 9_007_199_254_740_993n;
// An exchange stamps the events of one burst 0.2 to 6 µs apart, and they arrive some 100 µs later.
const LEAST_STEP_NS = 200;
const STEP_RANGE_NS = 5_800;
const LEAST_LATENCY_NS = 80_000;
const LATENCY_RANGE_NS = 60_000;

/** The exchange's message log: one clock, one sequence and one series of order ids for all instruments. */
export class Tape {
  readonly #random: Random;
  #events: MboEvent[] = [];
  #nowNs = OPENING_NS;
  #orderId = FIRST_ORDER_ID;
  #sequence = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Events written since the last `take`. */
  get length(): number {
    return this.#events.length;
  }

  nextOrderId(): bigint {
    return this.#orderId++;
  }

  /** Lets exchange time pass. */
  wait(durationNs: number): void {
    this.#nowNs += BigInt(Math.floor(durationNs));
  }

  write(
    instrument: string,
    action: MboEvent['action'],
    side: MboEvent['side'],
    orderId: bigint,
    price: number,
    size: number,
    flags: number,
  ): void {
    this.wait(LEAST_STEP_NS + this.#random.below(STEP_RANGE_NS));
    const latencyNs = LEAST_LATENCY_NS + this.#random.below(LATENCY_RANGE_NS);
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#events.push({
      type: 'MBO',
      instrument,
      tsEventNs: this.#nowNs,
      tsRecvNs: this.#nowNs + BigInt(latencyNs),
      orderId,
      action,
      side,
      price,
      size,
      flags,
      sequence: this.#sequence,
    });
  }

  take(): readonly MboEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
