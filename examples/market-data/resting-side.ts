export interface RestingOrder {
  readonly id: bigint;
  readonly side: RestingSide;
  tick: number;
  size: number;
  /** Its index in the venue's list of all orders. */
  slot: number;
}

/** The resting orders of one side of a venue: a queue per price, oldest order first. */
export class RestingSide {
  readonly name: 'B' | 'A';
  /** The side of those who trade against it. */
  readonly opposite: 'B' | 'A';
  /** 1 if a higher price is better (bids), -1 if a lower one is (asks). */
  readonly direction: 1 | -1;
  readonly #queues = new Map<number, RestingOrder[]>();
  #bestTick = NaN;
  #count = 0;

  constructor(name: 'B' | 'A') {
    this.name = name;
    this.opposite = name === 'B' ? 'A' : 'B';
    this.direction = name === 'B' ? 1 : -1;
  }

  /** Number of resting orders. */
  get count(): number {
    return this.#count;
  }

  /** NaN if nothing rests. */
  get bestTick(): number {
    return this.#bestTick;
  }

  queueAt(tick: number): readonly RestingOrder[] {
    return this.#queues.get(tick) ?? [];
  }

  push(order: RestingOrder): void {
    const queue = this.#queues.get(order.tick);
    if (queue === undefined) {
      this.#queues.set(order.tick, [order]);
      if (!((order.tick - this.#bestTick) * this.direction <= 0)) this.#bestTick = order.tick;
    } else {
      queue.push(order);
    }
    this.#count++;
  }

  remove(order: RestingOrder): void {
    const queue = this.#queues.get(order.tick) ?? [];
    queue.splice(queue.indexOf(order), 1);
    this.#count--;
    if (queue.length > 0) return;
    this.#queues.delete(order.tick);
    if (order.tick === this.#bestTick) this.#bestTick = this.#best();
  }

  #best(): number {
    let best = NaN;
    for (const tick of this.#queues.keys()) {
      // True also for the first one, since nothing compares with NaN.
      if (!((tick - best) * this.direction <= 0)) best = tick;
    }
    return best;
  }
}
