/**
 * A place for one delivery in flight: the words that say so to others, and what its handler is told. Used for one
 * delivery after the other; a subscription has as many as may be in flight at once.
 *
 * A thread may be terminated between any two lines here. What a successor needs is in the subscription's block:
 *   D1 POSITION, LANE   this delivery has started                   then the handler runs
 *   D2 WEIGHT, BEFORE   how many deliveries, and the outcome's counter as it was
 *   D3 LANE | outcome   the outcome is decided: from here on it is finished by whoever looks
 *   D4 counter          BEFORE + WEIGHT (1, unless several end `conflated`)
 *   D5 settled          behind this record (readers have different ways to say that: Reader.pass)
 *   D6 LANE = 0         nothing in flight
 * Dead before D3: the delivery was in flight, it has no outcome. From D3 on: counter and place are set (again) from
 * BEFORE and POSITION, which comes to the same however far D4 and D5 had got. `recover` does that; it is run by the main
 * thread on the block of a thread that has exited. Test: test/interleaving/delivery
 */
import { DeliveryContext } from './context.js';
import {
  ADDRESS_MASK,
  FlightWord,
  LaneWord,
  Outcome,
  OUTCOME_SHIFT,
  RETURN_ROOM_BIT,
  type SubscriptionBlock,
  WAITING_BIT,
} from './layout.js';
import type { Memory } from './memory.js';
import { Publishes } from './publishes.js';
import type { AnyReader, Open } from './reader.js';
import { type Trailer, trailerOf } from './retries.js';
import { distance, unwrap } from './sequence.js';
import type { LocalSubscription } from './subscription.js';

export class Delivery {
  readonly subscription: LocalSubscription;
  readonly flight: number;
  readonly words: Int32Array;
  readonly stats: Float64Array;
  readonly positionIndex: number;
  readonly laneIndex: number;
  readonly attemptIndex: number;
  readonly beforeF64: number;
  readonly returnedIndex: number;
  readonly returnEndIndex: number;
  readonly context: DeliveryContext;
  readonly publishes: Publishes;
  /** Where the event comes from; stays after the delivery has ended. */
  reader!: AnyReader;
  /** What POSITION holds: a position of the reader's lane, or its number of a conflated key. */
  position = 0;
  /** Where there are claims: the record's claim number, and its entry among those without an outcome. */
  number = 0;
  open: Open | undefined;
  /** Where the record is, header first. */
  memory!: Memory;
  at = 0;
  attempt = 1;
  /** Whether its thread died under a former attempt. */
  repeated = false;
  /** What main has made it again with; undefined for one that comes from a publisher. */
  trailer: Trailer | undefined;
  /** Whether the subscription's circuit waits for what it comes to. */
  probes = false;
  /** Whether the last death may have been its fault: see Quarantine. */
  suspect = false;
  /** Whether its handler has come to its end, and only what it has published is waited for. */
  handled = false;
  skipped = 0;
  missed = 0;
  /** Whether it had its outcome before, and is shown to the successor of the thread that it had it on: see replay.ts. */
  replays = false;
  /** Tells a late promise of a delivery that was given up apart. */
  serial = 0;
  controller: AbortController | undefined;
  /** When its handler was started, if that is being timed. */
  startedAt = 0;
  readonly #roomIndex: number;
  readonly #awaited: number[];

  constructor(subscription: LocalSubscription, flight: number, lanes: number) {
    this.subscription = subscription;
    this.flight = flight;
    this.words = subscription.words;
    this.stats = subscription.stats;
    this.positionIndex = FlightWord.positionIndex(flight);
    this.laneIndex = FlightWord.laneIndex(flight);
    this.attemptIndex = FlightWord.attemptIndex(flight);
    this.beforeF64 = FlightWord.beforeF64(flight);
    this.returnedIndex = FlightWord.returnedIndex(flight);
    this.returnEndIndex = FlightWord.returnEndIndex(flight);
    this.#roomIndex = FlightWord.roomIndex(flight);
    this.#awaited = Array.from({ length: lanes }, () => 0);
    this.publishes = new Publishes(subscription.outbox, this);
    this.context = new DeliveryContext(this);
  }

  /** Index of the thread that has published the event, and rank of its lane. */
  get publisher(): number {
    return this.trailer?.publisher ?? this.reader.publisher;
  }

  /** Main's number of it, if main has made it again; else 0. */
  get ticket(): number {
    return this.trailer?.ticket ?? 0;
  }

  get rank(): number {
    return this.reader.rank;
  }

  get sequence(): number {
    if (this.trailer !== undefined) return this.trailer.sequence;
    return unwrap(this.memory.i32[(this.at >> 2) + 1], this.reader.lane.stats[LaneWord.RECORDS_F64]);
  }

  get awaitsRoom(): boolean {
    return this.words[this.#roomIndex] !== 0;
  }

  get atWork(): boolean {
    return !this.handled && !this.awaitsRoom;
  }

  /** Tells who looks for deadlocks that the delivery cannot end before so many more (or fewer) events are in a lane. */
  awaitRoom(rank: number, events: number): void {
    const awaited = this.#awaited;
    awaited[rank] += events;
    Atomics.store(
      this.words,
      this.#roomIndex,
      awaited.reduce((ranks, count, at) => (count > 0 ? ranks | (1 << at) : ranks), 0),
    );
    if (events > 0) this.subscription.quarantine.waitsForRoom();
  }

  /** Tells the watchdog that the delivery only waits until main has room for it. */
  awaitReturn(): void {
    Atomics.store(this.words, this.#roomIndex, RETURN_ROOM_BIT);
  }

  returned(): void {
    Atomics.store(this.words, this.#roomIndex, 0);
  }

  /** Reads what main has told with it, where it comes from main. */
  readTrailer(): void {
    this.trailer = this.reader.isRetries ? trailerOf(this.memory, this.at) : undefined;
  }

  abort(): void {
    this.controller ??= new AbortController();
    this.controller.abort(new DOMException('the delivery has passed its timeoutMs', 'TimeoutError'));
  }
}

/** What was found in the block of a thread that has exited. */
export interface InFlight {
  readonly flight: number;
  readonly address: number;
  readonly position: number;
  readonly attempt: number;
  /** Whether its handler was in its synchronous part. */
  readonly running: boolean;
  /** Whether it waited for room for what it had published. */
  readonly awaitsRoom: boolean;
}

/** The deliveries in a block that have started and have no outcome. */
export function inFlightIn({ words, flights }: SubscriptionBlock): InFlight[] {
  const found: InFlight[] = [];
  for (let flight = 0; flight < flights; flight++) {
    const lane = words[FlightWord.laneIndex(flight)];
    if ((lane & ADDRESS_MASK) === 0 || outcomeIn(lane) !== 0) continue;
    found.push({
      flight,
      address: (lane & ADDRESS_MASK) - 1,
      position: words[FlightWord.positionIndex(flight)],
      attempt: words[FlightWord.attemptIndex(flight)] || 1,
      running: (lane & WAITING_BIT) === 0,
      awaitsRoom: words[FlightWord.roomIndex(flight)] !== 0,
    });
  }
  return found;
}

/**
 * Finishes outcomes that were decided but not fully written, see D1–D6 above and R1–R2 of returns.ts.
 * @param returned CURSOR of the lane back to main.
 * @param pass D5: puts the subscription behind what is at a position of the lane with this address.
 *   With no outcome it went back to main, which decides that.
 * @returns The deliveries that were in flight without an outcome.
 */
export function recover(
  block: SubscriptionBlock,
  lanes: number,
  returned: number,
  pass: (address: number, position: number, outcome: Outcome | undefined) => void,
): InFlight[] {
  const { words, stats } = block;
  for (let flight = 0; flight < block.flights; flight++) {
    const laneIndex = FlightWord.laneIndex(flight);
    const address = (words[laneIndex] & ADDRESS_MASK) - 1;
    const outcome = outcomeIn(words[laneIndex]);
    if (address < 0) continue;
    if (outcome === 0) {
      const isReturned = words[FlightWord.returnedIndex(flight)] !== 0;
      if (!isReturned || distance(returned, words[FlightWord.returnEndIndex(flight)]) < 0) continue;
      pass(address, words[FlightWord.positionIndex(flight)], undefined);
      words[laneIndex] = 0;
      continue;
    }
    const weight = outcome === Outcome.conflated ? stats[FlightWord.weightF64(flight)] : 1;
    stats[block.outcomeF64(address % lanes, outcome)] = stats[FlightWord.beforeF64(flight)] + weight;
    pass(address, words[FlightWord.positionIndex(flight)], outcome);
    words[laneIndex] = 0;
  }
  return inFlightIn(block);
}

function outcomeIn(lane: number): Outcome | 0 {
  return ((lane & ~WAITING_BIT) >>> OUTCOME_SHIFT) as Outcome | 0;
}
