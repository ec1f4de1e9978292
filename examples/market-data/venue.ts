import type { Random } from './random.js';
import type { RestingOrder } from './resting-side.js';
import { RestingSide } from './resting-side.js';
import type { Tape } from './tape.js';

export interface Instrument {
  readonly name: string;
  /** Price times this is an integer number of ticks: a price is one division away from exact, whatever the tick. */
  readonly ticksPerUnit: number;
  readonly openingTick: number;
}

const OPENING_DEPTH_TICKS = 40;
const OPENING_ORDERS_PER_TICK = 2;
const TARGET_ORDERS = 240;
// The fair value wanders this far from the opening at most, in ticks: prices stay sane in the longest run.
const FAIR_RANGE_TICKS = 400;
const LEAST_SIDE_ORDERS = 20;
const MAX_SIZE = 12;
const MAX_TRADE_SIZE = 20;
const NEAR_TICKS = 10;
const FAR_TICKS = 60;
// Flags as the exchange sets them: part of a snapshot, last message of its packet, more to come.
const FLAG_SNAPSHOT = 40;
const FLAG_LAST = 130;
const FLAG_MORE = 0;

/**
 * One instrument's matching engine with traders around it. What it writes is what an exchange would send: cancels and
 * modifies are of resting orders, trades take the best price's oldest order first and are followed by what they
 * did to it, and no order rests across the other side.
 */
export class Venue {
  readonly #instrument: Instrument;
  readonly #random: Random;
  readonly #tape: Tape;
  readonly #bids = new RestingSide('B');
  readonly #asks = new RestingSide('A');
  readonly #orders: RestingOrder[] = [];
  // Where traders think the price should be; trades push towards it.
  #fairTick: number;

  constructor(instrument: Instrument, random: Random, tape: Tape) {
    this.#instrument = instrument;
    this.#random = random;
    this.#tape = tape;
    this.#fairTick = instrument.openingTick;
  }

  /** Writes the snapshot of the opening book. */
  open(): void {
    for (let distance = 1; distance <= OPENING_DEPTH_TICKS; distance++) {
      for (const side of [this.#bids, this.#asks]) {
        for (let i = 0; i < OPENING_ORDERS_PER_TICK; i++) {
          this.#rest(side, this.#instrument.openingTick - side.direction * distance, FLAG_SNAPSHOT);
        }
      }
    }
  }

  /** Writes about `events` events; a trade that has begun is written to its end. */
  burst(events: number): void {
    const end = this.#tape.length + events;
    while (this.#tape.length < end) this.#act();
  }

  /** News: the fair value jumps; quotes in the way are pulled or hit until the best price is there. Up to about `events` events. */
  shock(ticks: number, events: number): void {
    const end = this.#tape.length + events;
    const taken = ticks > 0 ? this.#asks : this.#bids;
    this.#moveFair(ticks);
    while (this.#tape.length < end && taken.count > LEAST_SIDE_ORDERS) {
      // In the way: bids above the new value, asks below it.
      if ((taken.bestTick - this.#fairTick) * taken.direction <= 0) break;
      const [oldest] = taken.queueAt(taken.bestTick);
      if (this.#random.below(3) === 0) this.#trade(taken, oldest.size);
      else this.#reduce(oldest, oldest.size, FLAG_LAST);
    }
  }

  // The shares of adds, cancels, modifies and trades are those of the reference data; more cancels than adds when crowded.
  #act(): void {
    const choice = this.#random.below(100);
    const adds = this.#orders.length < TARGET_ORDERS ? 75 : 40;
    if (choice < 5) {
      this.#moveFair(this.#random.below(3) - 1);
      const up = this.#random.fraction() < (this.#middle() < this.#fairTick ? 0.7 : 0.3);
      this.#trade(up ? this.#asks : this.#bids, 1 + this.#random.below(MAX_TRADE_SIZE));
    } else if (choice < 24) {
      this.#modify();
    } else if (choice < adds) {
      const side = this.#random.below(2) === 0 ? this.#bids : this.#asks;
      this.#rest(side, this.#quote(side), FLAG_LAST);
    } else {
      this.#cancel();
    }
  }

  #moveFair(ticks: number): void {
    const { openingTick } = this.#instrument;
    const moved = this.#fairTick + ticks;
    this.#fairTick = Math.min(openingTick + FAIR_RANGE_TICKS, Math.max(openingTick - FAIR_RANGE_TICKS, moved));
  }

  // Both sides always have orders: whatever takes some leaves LEAST_SIDE_ORDERS.
  #middle(): number {
    return (this.#bids.bestTick + this.#asks.bestTick) / 2;
  }

  /** A price for a new order: mostly close to the best one of the other side, never across it. */
  #quote(side: RestingSide): number {
    const other = side === this.#bids ? this.#asks : this.#bids;
    const range = this.#random.below(2) === 0 ? FAR_TICKS : NEAR_TICKS;
    return other.bestTick - side.direction * (1 + this.#random.below(range));
  }

  #rest(side: RestingSide, tick: number, flags: number): void {
    const order: RestingOrder = {
      id: this.#tape.nextOrderId(),
      side,
      tick,
      size: 1 + this.#random.below(MAX_SIZE),
      slot: this.#orders.length,
    };
    side.push(order);
    this.#orders.push(order);
    this.#write('A', order, order.size, flags);
  }

  #cancel(): void {
    const order = this.#anyOrder();
    if (order.side.count <= LEAST_SIDE_ORDERS) return;
    // One in five only reduces the order.
    const reduced = order.size > 1 && this.#random.below(5) === 0;
    this.#reduce(order, reduced ? 1 + this.#random.below(order.size - 1) : order.size, FLAG_LAST);
  }

  #modify(): void {
    const order = this.#anyOrder();
    order.side.remove(order);
    order.tick = this.#quote(order.side);
    order.size = 1 + this.#random.below(MAX_SIZE);
    order.side.push(order);
    this.#write('M', order, order.size, FLAG_LAST);
  }

  /** Takes up to `size` from a side: per price a trade, then its fills, then what is left of the filled orders. */
  #trade(taken: RestingSide, size: number): void {
    const { name, ticksPerUnit } = this.#instrument;
    const aggressorId = this.#tape.nextOrderId();
    let left = size;
    while (left > 0 && taken.count > LEAST_SIDE_ORDERS) {
      const tick = taken.bestTick;
      const fills: [order: RestingOrder, size: number][] = [];
      let traded = 0;
      for (const order of taken.queueAt(tick)) {
        if (left === 0 || taken.count - fills.length <= LEAST_SIDE_ORDERS) break;
        const filled = Math.min(left, order.size);
        fills.push([order, filled]);
        left -= filled;
        traded += filled;
      }
      this.#tape.write(name, 'T', taken.opposite, aggressorId, tick / ticksPerUnit, traded, FLAG_MORE);
      for (const [order, filled] of fills) this.#write('F', order, filled, FLAG_MORE);
      for (const [order, filled] of fills) this.#reduce(order, filled, FLAG_LAST);
    }
  }

  #reduce(order: RestingOrder, size: number, flags: number): void {
    this.#write('C', order, size, flags);
    order.size -= size;
    if (order.size > 0) return;
    order.side.remove(order);
    const last = this.#orders.pop();
    if (last === undefined || last === order) return;
    last.slot = order.slot;
    this.#orders[order.slot] = last;
  }

  #anyOrder(): RestingOrder {
    return this.#orders[this.#random.below(this.#orders.length)];
  }

  #write(action: 'A' | 'C' | 'M' | 'F', order: RestingOrder, size: number, flags: number): void {
    const { name, ticksPerUnit } = this.#instrument;
    this.#tape.write(name, action, order.side.name, order.id, order.tick / ticksPerUnit, size, flags);
  }
}
