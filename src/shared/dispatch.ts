/**
 * Running the handlers: one reader's burst of records, and the end of a delivery.
 *
 * A thread may be terminated between any two lines here. What a successor needs is in the subscription's block:
 *   D1 POSITION, LANE   this delivery has started                   then the handler runs
 *   D2 BEFORE           the outcome's counter as it was
 *   D3 LANE | outcome   the outcome is decided: from here on it is finished by whoever looks
 *   D4 counter          BEFORE + 1
 *   D5 SETTLED          behind this record
 *   D6 LANE = 0         nothing in flight
 * Dead before D3: the delivery was in flight, it has no outcome. From D3 on: counter and SETTLED are set (again) from
 * BEFORE and POSITION, which comes to the same however far D4 and D5 had got. `recover` does that; it is run by the main
 * thread on the block of a thread that has exited. SETTLED also follows GATING at each flush, over records that were
 * only skipped, so that the two never drift half a number's range apart. Test: test/interleaving/delivery
 */
import { now } from './clock.js';
import { toErrorRecord } from './errors.js';
import {
  ADDRESS_MASK,
  ConsumerWord,
  HEADER_BYTES,
  Outcome,
  OUTCOME_SHIFT,
  type SubscriptionBlock,
  SubscriptionWord,
  TYPE_MASK,
  WAITING_BIT,
} from './layout.js';
import { recordBytes } from './lane.js';
import type { LocalSubscription, Reader } from './reader.js';
import { distance } from './sequence.js';

const { POSITION_INDEX, LANE_INDEX, ATTEMPT_INDEX, BEFORE_F64, CONSECUTIVE_INDEX } = SubscriptionWord;
const { HANDLER_F64, WAIT_F64, REDELIVERED_F64 } = SubscriptionWord;

/** What a burst needs to know of the pump that it interrupts. */
export interface BurstControl {
  /** BELL as it was when the pump last looked at all lanes. */
  bell: number;
  /** Clock time at which the event loop must be turned, and whether a delivery has ended after it. */
  sliceEnd: number;
  sliceOver: boolean;
  /** Whether a more urgent lane that does not ring has news. */
  overtaken(reader: Reader): boolean;
  /** A delivery waits for a promise / has ended. */
  deliveryStarted(): void;
  deliveryEnded(): void;
}

export class Dispatcher {
  readonly #words: Int32Array;
  readonly #control: BurstControl;

  /** @param words Words of this thread's consumer block. */
  constructor(words: Int32Array, control: BurstControl) {
    this.#words = words;
    this.#control = control;
  }

  /**
   * Runs up to `limit` deliveries of one reader, until its lane is read, something more urgent has come, or the slice of
   * time is over. @returns How many were started.
   */
  burst(reader: Reader, limit: number): number {
    const { subscription, lane, decoders, tag, settledIndex, context } = reader;
    const { memory, mask } = lane;
    const { i32 } = memory;
    const { words, handler, publishes } = subscription;
    const bells = this.#words;
    const control = this.#control;
    const { bell } = control;
    const end = lane.end();
    let position = reader.position;
    let last = 0;
    let count = 0;

    while (position !== end) {
      const at = position & mask;
      const header = i32[at >> 2];
      const decode = decoders[header & TYPE_MASK];
      const next = (position + recordBytes(header)) | 0;
      if (decode === null) {
        reader.position = position = next;
        last = at;
        continue;
      }

      count++;
      if (reader.attempt !== 1) words[ATTEMPT_INDEX] = reader.attempt;
      words[POSITION_INDEX] = position; // D1
      words[LANE_INDEX] = tag;
      const timed = --subscription.untilSample <= 0;
      if (timed) this.#startTiming(reader, at);
      let outcome: Outcome = Outcome.processed;
      let event: object | undefined;
      try {
        event = decode(memory, at + HEADER_BYTES);
        const result = handler(event as never, context as never);
        if ((result !== undefined && isThenable(result)) || publishes.pending) {
          void this.#await(reader, result);
          break;
        }
        if (words[CONSECUTIVE_INDEX] !== 0) words[CONSECUTIVE_INDEX] = 0;
      } catch (error) {
        if (publishes.pending) {
          void this.#await(reader, undefined, { error });
          break;
        }
        this.#countFailure(reader, error, event === undefined);
        outcome = Outcome.failed;
      }
      if (timed) this.#stopTiming(subscription);
      this.#settle(reader, outcome, settledIndex, next);
      position = next;
      last = at;

      if (count >= limit || Atomics.load(bells, ConsumerWord.BELL_INDEX) !== bell) break;
      if (((position - reader.flushed) | 0) >= reader.flushBytes) reader.flush(sequenceAfter(i32, last));
      if (timed && subscription.startedAt >= control.sliceEnd) {
        control.sliceOver = true;
        break;
      }
      if (control.overtaken(reader)) break;
    }
    if (position !== reader.flushed) reader.flush(sequenceAfter(i32, last));
    return count;
  }

  /** Ends everything up to a position `discarded`, without running it. Nothing of the subscription is in flight. */
  discard(reader: Reader, cut: number): void {
    const { words } = reader.subscription;
    const { memory, mask } = reader.lane;
    reader.attempt = 1; // a redelivery among them is not made
    let last = -1;
    while (distance(cut, reader.position) > 0) {
      last = reader.position & mask;
      const header = memory.i32[last >> 2];
      const next = (reader.position + recordBytes(header)) | 0;
      if (reader.decoders[header & TYPE_MASK] === null) {
        reader.position = next;
        continue;
      }
      words[POSITION_INDEX] = reader.position;
      this.#settle(reader, Outcome.discarded, reader.settledIndex, next);
    }
    if (last >= 0) reader.flush(sequenceAfter(memory.i32, last));
  }

  /** Gives up a delivery that waits for a promise: what the promise comes to does not count any more. */
  giveUp(subscription: LocalSubscription): void {
    const reader = subscription.inFlight;
    if (reader === undefined) return;
    subscription.log.error({ lane: reader.laneName, sequence: reader.context.sequence }, 'delivery timed out');
    subscription.words[CONSECUTIVE_INDEX] += 1;
    this.#end(reader, Outcome.timedOut);
  }

  /** D2 to D6. */
  #settle(reader: Reader, outcome: Outcome, settledIndex: number, next: number): void {
    const { words, stats, controller } = reader.subscription;
    const counter = reader.outcomeF64(outcome);
    const before = stats[counter];
    stats[BEFORE_F64] = before;
    words[LANE_INDEX] = reader.tag | (outcome << OUTCOME_SHIFT);
    stats[counter] = before + 1;
    words[settledIndex] = next;
    words[LANE_INDEX] = 0;
    reader.position = next;
    if (reader.attempt !== 1) this.#endRedelivery(reader);
    if (controller !== undefined) reader.subscription.controller = undefined;
  }

  #endRedelivery(reader: Reader): void {
    const { words, stats } = reader.subscription;
    stats[REDELIVERED_F64] += 1;
    reader.attempt = 1;
    words[ATTEMPT_INDEX] = 1;
  }

  #startTiming(reader: Reader, at: number): void {
    const { subscription, lane } = reader;
    subscription.startedAt = now();
    subscription.time(WAIT_F64, Math.max(0, subscription.startedAt - lane.memory.f64[(at >> 3) + 1]));
  }

  #stopTiming(subscription: LocalSubscription): void {
    const time = now();
    const ms = time - subscription.startedAt;
    subscription.time(HANDLER_F64, ms);
    subscription.adapt(ms);
    subscription.startedAt = time; // the burst compares it with the end of its slice
  }

  /** Waits for the handler's promise and for everything it has published. */
  async #await(reader: Reader, result: unknown, failure?: { error: unknown }): Promise<void> {
    const { subscription } = reader;
    const { publishes } = subscription;
    const serial = ++subscription.serial;
    subscription.inFlight = reader;
    subscription.words[LANE_INDEX] = reader.tag | WAITING_BIT;
    if (subscription.startedAt === 0 || subscription.untilSample > 0) subscription.startedAt = now();
    this.#control.deliveryStarted();
    try {
      await result;
      if (publishes.pending) await publishes.settle();
      if (failure !== undefined) throw failure.error;
    } catch (error) {
      if (serial !== subscription.serial) return;
      this.#countFailure(reader, error, false);
      this.#end(reader, Outcome.failed);
      return;
    }
    if (serial !== subscription.serial) return;
    subscription.words[CONSECUTIVE_INDEX] = 0;
    this.#end(reader, Outcome.processed);
  }

  #end(reader: Reader, outcome: Outcome): void {
    const { subscription, lane } = reader;
    const at = lane.offset(reader.position);
    const sequence = sequenceAfter(lane.memory.i32, at);
    subscription.untilSample = 0;
    subscription.stride = 1;
    this.#stopTiming(subscription);
    subscription.serial++;
    subscription.publishes.forget();
    subscription.inFlight = undefined;
    this.#settle(reader, outcome, reader.settledIndex, lane.next(reader.position));
    reader.flush(sequence);
    this.#control.deliveryEnded();
  }

  #countFailure(reader: Reader, error: unknown, undecodable: boolean): void {
    const { subscription, context } = reader;
    subscription.words[CONSECUTIVE_INDEX] += 1;
    subscription.log.error(
      {
        err: error instanceof Error ? error : toErrorRecord(error),
        event: undecodable ? undefined : this.#eventOf(reader),
        lane: reader.laneName,
        sequence: context.sequence,
        attempt: reader.attempt,
      },
      undecodable ? 'event cannot be decoded' : 'handler failed',
    );
  }

  /** The event as it was published, whatever the handler did to its copy. */
  #eventOf({ lane, decoders, position }: Reader): object | undefined {
    const at = lane.offset(position);
    return decoders[lane.memory.i32[at >> 2] & TYPE_MASK]?.(lane.memory, at + HEADER_BYTES);
  }
}

/** What was found in the block of a thread that has exited. */
export interface InFlight {
  readonly address: number;
  readonly position: number;
  readonly attempt: number;
}

/**
 * Finishes an outcome that was decided but not fully written, see D1–D6 above.
 * @param next Position behind the record at a position of the lane with this address.
 * @returns The delivery that was in flight without an outcome.
 */
export function recover(
  block: SubscriptionBlock,
  lanes: number,
  next: (address: number, position: number) => number,
): InFlight | undefined {
  const { words, stats } = block;
  const tag = words[LANE_INDEX] & ADDRESS_MASK;
  if (tag === 0) return undefined;
  const address = tag - 1;
  const outcome = (words[LANE_INDEX] & ~WAITING_BIT) >>> OUTCOME_SHIFT;
  const position = words[POSITION_INDEX];
  if (outcome === 0) return { address, position, attempt: words[ATTEMPT_INDEX] || 1 };
  stats[block.outcomeF64(address % lanes, outcome as Outcome)] = stats[BEFORE_F64] + 1;
  words[block.settledIndex(address)] = next(address, position);
  words[LANE_INDEX] = 0;
  return undefined;
}

/** Number of records up to and including the one at byte offset `at`. */
function sequenceAfter(i32: Int32Array, at: number): number {
  return (i32[(at >> 2) + 1] + 1) | 0;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}
