/**
 * What happens at one lane of one publishing thread when an event does not fit: the lane's policy, and the events that
 * are held until there is room. Held events are encoded, so what was published is what is delivered, even if the caller
 * changes the object meanwhile; they enter the lane in the order in which they were offered.
 *
 * Waiting for room is parking (parking.ts) in the other direction: the producer is the sleeper, on its ROOM word, and a
 * reader that has moved its gating position is the waker.
 */
import Queue from 'yocto-queue';
import { now, setTimer, type Timer } from './clock.js';
import type { RecordSink } from './codec.js';
import { ErrorCode, LanebusError } from './errors.js';
import type { Lane, Origin, Publisher } from './lane.js';
import { LaneWord } from './layout.js';
import { Memory } from './memory.js';
import { Parker, ring } from './parking.js';

/**
 * What happens to an event at a full lane. `'block'`: its publisher waits. `'reject'`: it is refused. `'dropNewest'`: it is
 * gone, and counted. `'spill'`: it waits in memory, without bound.
 */
export type WhenFull = 'block' | 'reject' | 'dropNewest' | 'spill';

export interface AdmissionConfig {
  readonly whenFull: WhenFull;
  /** Longest wait for room in ms under `block`; 0 = without limit. */
  readonly timeoutMs: number;
  /** Overflow in bytes from which `spill` warns. */
  readonly spillWatermarkBytes: number;
}

/** A delivery that cannot end before what its handler has published is admitted. */
export interface Ticketed extends Origin {
  awaitRoom(rank: number, tickets: number): void;
}

/** Someone who waits for the admission of the events that carry it. */
export interface Ticket {
  readonly deadline: number;
  delivery: Ticketed | undefined;
  resolve(): void;
  reject(error: LanebusError): void;
}

/** An encoded event that waits for room. */
export interface Held {
  readonly typeIndex: number;
  readonly payload: Uint8Array;
  readonly origin: Origin | undefined;
  /** Undefined under `spill`, where nobody waits. */
  ticket: Ticket | undefined;
  /** Whether the ticket resolves with this event; false for all but the last of a batch. */
  last: boolean;
}

export class Admission {
  readonly lane: Lane;
  readonly config: AdmissionConfig;
  readonly #rank: number;
  readonly #publisher: Publisher;
  readonly #warn: (fields: object, message: string) => void;
  readonly #held = new Queue<Held>();
  readonly #parker: Parker;
  #heldBytes = 0;
  #waiters = 0;
  #warned = false;
  #flowing = false;
  /** Events that were dropped and that no notice in the lane tells of yet, by type index. */
  readonly #gap = new Map<number, number>();
  #timer: Timer | undefined;

  constructor(
    lane: Lane,
    rank: number,
    config: AdmissionConfig,
    publisher: Publisher,
    warn: (fields: object, message: string) => void,
  ) {
    this.lane = lane;
    this.#rank = rank;
    this.config = config;
    this.#publisher = publisher;
    this.#warn = warn;
    this.#parker = new Parker(lane.control, LaneWord.ROOM_INDEX);
  }

  /** Whether an event may enter the lane now without overtaking one that waits. A field: every `publish` looks at it. */
  idle = true;

  /** Whether events that find no room are held (`block`, `spill`). */
  get holds(): boolean {
    return this.config.whenFull === 'block' || this.config.whenFull === 'spill';
  }

  /** Counts events that were refused with an error to the caller, or dropped by policy. */
  count(word: 'REJECTED_F64' | 'DROPPED_F64', events: number): void {
    this.lane.stats[LaneWord[word]] += events;
  }

  fullError(detail = ''): LanebusError {
    const { lane } = this;
    const { slowest } = lane;
    const holder = slowest === undefined ? '' : `; it waits for subscription "${slowest.name}"`;
    return new LanebusError(
      ErrorCode.LANE_FULL,
      `lane "${lane.name}" is full (${lane.memory.u8.length.toLocaleString('en-US')} bytes)${detail}${holder}`,
    );
  }

  /** Takes events that wait for room. */
  hold(events: readonly Held[]): void {
    for (const held of events) {
      this.#held.enqueue(held);
      this.#heldBytes += held.payload.length;
      if (held.ticket !== undefined && held.last) this.#countTicket(held.ticket, 1);
    }
    this.#judge();
    if (this.config.whenFull === 'spill') this.#watch();
    this.#show();
    this.#arm();
    if (!this.#flowing) void this.#flow();
  }

  /** Counts an event that the lane has no room for, and tells its readers as soon as it has. */
  drop(typeIndex: number): void {
    this.count('DROPPED_F64', 1);
    this.#gap.set(typeIndex, (this.#gap.get(typeIndex) ?? 0) + 1);
    this.#judge();
    if (!this.#flowing) void this.#flow();
  }

  /** Tells of the events dropped so far, if there is room. @returns Whether an event may enter the lane now. */
  resume(): boolean {
    while (this.#gap.size > 0) if (!this.lane.noticeGap(this.#gap)) return false;
    return this.#judge();
  }

  /** @param delivery The one that cannot end before. */
  ticket(resolve: () => void, reject: (error: LanebusError) => void, delivery?: Ticketed): Ticket {
    const { timeoutMs } = this.config;
    return { deadline: timeoutMs === 0 ? Infinity : now() + timeoutMs, delivery, resolve, reject };
  }

  /**
   * Releases waiting publishers with the error. Spilled events stay.
   * @param isMeant Whose. @returns How many there were.
   */
  release(isMeant: (ticket: Ticket) => boolean, error: LanebusError): number {
    if (this.config.whenFull !== 'block' || this.#held.size === 0) return 0;
    const released = new Set<Ticket>();
    const kept: Held[] = [];
    for (let held = this.#take(); held !== undefined; held = this.#take()) {
      if (held.ticket === undefined || !isMeant(held.ticket)) {
        kept.push(held);
        continue;
      }
      this.count('REJECTED_F64', 1);
      released.add(held.ticket);
    }
    this.hold(kept);
    for (const ticket of released) ticket.reject(error);
    this.#admitNext();
    return released.size;
  }

  /** Releases the publishers that a delivery waits for with the error, unless there is room by now. */
  refuseFor(delivery: Ticketed, error: LanebusError): void {
    if (this.#admit() || !this.#isAwaitedBy(delivery)) return;
    this.release((ticket) => ticket.delivery === delivery, error);
  }

  /** Lets a delivery that has been given up wait for nothing; its events stay. */
  renounce(delivery: Ticketed): void {
    for (const { ticket, last } of this.#held) {
      if (!last || ticket?.delivery !== delivery) continue;
      delivery.awaitRoom(this.#rank, -1);
      ticket.delivery = undefined;
    }
  }

  /** Gives up the spilled events. @returns The type index of each. */
  abandon(): number[] {
    const types = [...this.#held].map((held) => held.typeIndex);
    this.#held.clear();
    this.#heldBytes = 0;
    this.#judge();
    this.lane.countUnsent(types);
    this.#show();
    ring(this.lane.control, LaneWord.ROOM_INDEX);
    return types;
  }

  /** Moves held events into the lane as room comes, until none is left. */
  async #flow(): Promise<void> {
    this.#flowing = true;
    const { stats } = this.lane;
    const since = now();
    if (this.config.whenFull === 'block') stats[LaneWord.BLOCKED_SINCE_F64] = since;
    // An event that publishes while its batch is read must not be admitted among the batch's claims.
    await Promise.resolve();
    while (!this.#admit()) {
      this.#parker.announce();
      if (this.#admit()) {
        this.#parker.cancel();
        break;
      }
      await this.#parker.wait();
    }
    if (this.config.whenFull === 'block') {
      stats[LaneWord.BLOCKED_SINCE_F64] = 0;
      stats[LaneWord.BLOCKED_MS_F64] += now() - since;
    }
    this.#flowing = false;
  }

  /** @returns Whether nothing is held any more. */
  #admit(): boolean {
    const { lane } = this;
    this.resume();
    for (let held = this.#held.peek(); held !== undefined; held = this.#held.peek()) {
      this.#publisher.origin = held.origin;
      const at = lane.claim(held.payload.length, held.typeIndex);
      this.#publisher.origin = undefined;
      if (at < 0) break;
      lane.memory.u8.set(held.payload, at);
      lane.commit(held.typeIndex);
      this.#take();
      if (held.last) held.ticket?.resolve();
    }
    if (!this.idle) lane.flush(); // nothing that is published now may go past what is held
    this.#show();
    return this.idle;
  }

  #judge(): boolean {
    return (this.idle = this.#held.size === 0 && this.#gap.size === 0);
  }

  #countTicket({ delivery }: Ticket, change: 1 | -1): void {
    this.#waiters += change;
    delivery?.awaitRoom(this.#rank, change);
  }

  #take(): Held | undefined {
    const held = this.#held.dequeue();
    if (held === undefined) return undefined;
    this.#judge();
    this.#heldBytes -= held.payload.length;
    if (held.ticket !== undefined && held.last) this.#countTicket(held.ticket, -1);
    if (this.#heldBytes < this.config.spillWatermarkBytes / 2) this.#warned = false;
    return held;
  }

  /** Rejects held events from the oldest on, as long as the condition holds. All of a lane wait equally long, so the oldest are due first. */
  #reject(due: (ticket: Ticket) => boolean, error: LanebusError): void {
    for (let held = this.#held.peek(); held?.ticket !== undefined && due(held.ticket); held = this.#held.peek()) {
      this.#take();
      this.count('REJECTED_F64', 1);
      held.ticket.reject(error);
    }
    this.#admitNext();
  }

  /** The oldest has gone: there may be room for the next one, or nobody is blocked any more. */
  #admitNext(): void {
    if (this.#admit()) ring(this.lane.control, LaneWord.ROOM_INDEX);
  }

  #isAwaitedBy(delivery: Ticketed): boolean {
    for (const { ticket } of this.#held) if (ticket?.delivery === delivery) return true;
    return false;
  }

  /** One timer, for the oldest publisher. */
  #arm(): void {
    const deadline = this.#held.peek()?.ticket?.deadline ?? Infinity;
    if (deadline === Infinity || this.#timer !== undefined) return;
    this.#timer = setTimer(
      () => {
        this.#timer = undefined;
        const time = now();
        this.#reject(
          (ticket) => ticket.deadline <= time,
          this.fullError(` and stayed so for ${this.config.timeoutMs} ms`),
        );
        this.#arm();
      },
      Math.max(0, Math.ceil(deadline - now())),
    );
  }

  #watch(): void {
    if (this.#warned || this.#heldBytes < this.config.spillWatermarkBytes) return;
    this.#warned = true;
    this.#warn(
      { lane: this.lane.name, spilledBytes: this.#heldBytes, spilledEvents: this.#held.size },
      `overflow of lane "${this.lane.name}" has passed its high watermark of ${this.config.spillWatermarkBytes} bytes`,
    );
  }

  #show(): void {
    if (this.idle) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
    this.lane.stats[LaneWord.WAITING_F64] = this.#waiters;
    this.lane.stats[LaneWord.SPILLED_F64] = this.config.whenFull === 'spill' ? this.#held.size : 0;
  }
}

/** A sink for an event that finds no room: encoded into memory of this thread, copied out. */
export class Scratch implements RecordSink {
  memory = new Memory(new ArrayBuffer(4096));
  #bytes = 0;
  /** The one that the record will enter, whose limits it has. */
  lane: Lane | undefined;

  claim(payloadBytes: number): number {
    this.lane?.checkSize(payloadBytes);
    if (payloadBytes + 8 > this.memory.u8.length) {
      this.memory = new Memory(new ArrayBuffer(2 ** Math.ceil(Math.log2(payloadBytes + 8))));
    }
    this.#bytes = payloadBytes;
    return 0;
  }

  copy(): Uint8Array {
    return this.memory.u8.slice(0, this.#bytes);
  }
}
