/**
 * Running the handlers: a burst of one reader's records, and the end of a delivery. The order of the steps D1 to D6, and
 * what a death between any two of them comes to, stands in delivery.ts.
 */
import { isReal, now, realNow } from './clock.js';
import { CheckpointedReader } from './checkpointed-reader.js';
import { ClaimedReader } from './claimed-reader.js';
import type { Decoder } from './codec.js';
import { ConflatedReader } from './conflated-reader.js';
import type { Delivery } from './delivery.js';
import { isFinal, toErrorRecord } from './errors.js';
import type { RecordTest } from './filters.js';
import {
  ConsumerWord,
  FlightWord,
  HEADER_BYTES,
  Outcome,
  OUTCOME_SHIFT,
  SubscriptionWord,
  TYPE_MASK,
  WAITING_BIT,
} from './layout.js';
import { compileHotBurst, type Unfinished } from './hot-burst.js';
import { packError } from './packed-error.js';
import type { AnyReader, Reader } from './reader.js';
import type { ReturnReason } from './returns.js';
import { distance } from './sequence.js';

const { HANDLER_F64, WAIT_F64, REDELIVERED_F64, MISSED_F64 } = SubscriptionWord;

/** What a burst needs to know of the pump that it interrupts. */
export interface BurstControl {
  /** BELL as it was when the pump last looked at all lanes. */
  bell: number;
  /** Clock time at which the event loop must be turned, and whether a delivery has ended after it. */
  sliceEnd: number;
  sliceOver: boolean;
  /** Whether there are more urgent lanes that do not ring, and whether one of them has news. */
  isGuarded(rank: number): boolean;
  overtaken(rank: number): boolean;
  /**
   * The reader has room to give back, before the slice is over. A publisher that waits for it is not woken for each record
   * of a lane that is overtaken after each record: the example's pipeline takes half the system time so.
   */
  owe(reader: AnyReader): void;
  /** A delivery waits for a promise / has ended. */
  deliveryStarted(): void;
  deliveryEnded(): void;
}

export class Dispatcher {
  readonly #words: Int32Array;
  readonly #control: BurstControl;
  #unfinished: Unfinished | undefined;

  /** @param words Words of this thread's consumer block. */
  constructor(words: Int32Array, control: BurstControl) {
    this.#words = words;
    this.#control = control;
  }

  /**
   * Runs up to `limit` deliveries of one reader, until its lane is read, something more urgent has come, or the slice of
   * time is over. @returns How many were started.
   */
  burst(reader: AnyReader, limit: number): number {
    if (reader.subscription.spent) {
      this.discard(reader, undefined);
      return 0;
    }
    if (reader instanceof CheckpointedReader) return this.#checkpointed(reader, limit);
    if (reader instanceof ConflatedReader) return this.#conflated(reader, limit);
    if (reader instanceof ClaimedReader) return this.#claimed(reader, limit);
    return this.#ordered(reader, limit);
  }

  #ordered(reader: Reader, limit: number): number {
    const { subscription, lane } = reader;
    const [delivery] = subscription.deliveries;
    const end = lane.end();
    let count = 0;
    for (;;) {
      if (reader.isPlain) {
        const started = this.#hot(reader, delivery, limit - count, end);
        count += started;
        if (started > 0 && this.#isInterrupted(delivery)) break;
      }
      if (count >= limit || !subscription.resumes || !reader.seek(end) || !this.#enters(delivery)) break;
      count++;
      this.#place(delivery, reader, reader.position, lane.memory, lane.offset(reader.position));
      this.#deliver(delivery, reader.accepts);
      if (this.#isInterrupted(delivery)) break;
      if (((reader.position - reader.flushed) | 0) >= reader.flushBytes) reader.giveBack();
    }
    reader.delivered += count;
    if (subscription.waiting > 0 || reader.position === end) reader.giveBack();
    else this.#control.owe(reader);
    return count;
  }

  /** In a loop of the reader's own, up to the next delivery that is timed. @returns How many were started. */
  #hot(reader: Reader, delivery: Delivery, limit: number, end: number): number {
    const { subscription } = reader;
    const { circuit } = subscription;
    reader.hot ??= compileHotBurst(reader, {
      bells: this.#words,
      control: this.#control,
      isThenable,
      tidy: () => {
        this.#tidy(delivery);
      },
      leave: (unfinished) => {
        this.#unfinished = unfinished;
      },
    });
    delivery.reader = reader;
    delivery.memory = reader.lane.memory;
    delivery.probes = false;
    delivery.startedAt = 0;
    const started = reader.hot(Math.min(limit, subscription.untilSample - 1), end);
    subscription.untilSample -= started;
    const unfinished = this.#unfinished;
    this.#unfinished = undefined;
    if (unfinished === undefined) {
      // Another thread that shares the subscription may have counted failures meanwhile.
      if (started > 0 && !circuit.isClear) this.#succeed(delivery);
    } else if (unfinished.how === 'waits') {
      void this.#await(delivery, unfinished.value);
    } else {
      this.#fail(delivery, unfinished.value, unfinished.undecodable, false);
    }
    return started;
  }

  /** In order, with a checkpoint now and then: see checkpointer.ts. After a death, first what a predecessor had delivered. */
  #checkpointed(reader: CheckpointedReader, limit: number): number {
    const { subscription, lane, checkpointer } = reader;
    if (checkpointer.replay !== undefined) return checkpointer.replay.burst(limit, this.#control, this.#words);
    const [delivery] = subscription.deliveries;
    const end = lane.end();
    let count = 0;
    while (count < limit && subscription.resumes && reader.seek(end) && this.#enters(delivery)) {
      count++;
      checkpointer.begin(reader);
      this.#place(delivery, reader, reader.position, lane.memory, lane.offset(reader.position));
      this.#deliver(delivery, reader.accepts);
      if (this.#isInterrupted(delivery)) break;
    }
    if (subscription.waiting > 0 || reader.position === end) reader.giveBack();
    else this.#control.owe(reader);
    return count;
  }

  /** Records that several threads or deliveries take from each other: see claimed-reader.ts. */
  #claimed(reader: ClaimedReader, limit: number): number {
    const { subscription, lane } = reader;
    const end = lane.end();
    let count = 0;
    while (count < limit && subscription.resumes) {
      const delivery = subscription.idle[subscription.idle.length - 1];
      if (!this.#enters(delivery)) break;
      const open = reader.take(end);
      if (open === undefined) {
        this.#leave(delivery);
        break;
      }
      count++;
      delivery.number = open.number;
      delivery.open = open;
      this.#place(delivery, reader, open.position, lane.memory, lane.offset(open.position));
      this.#deliver(delivery, reader.accepts);
      if (this.#isInterrupted(delivery)) break;
      if (((open.position - reader.flushed) | 0) >= reader.flushBytes) reader.giveBack();
    }
    if (subscription.waiting > 0 || reader.position === end) reader.giveBack();
    else this.#control.owe(reader);
    return count;
  }

  /** The newest event of each key that waits: see conflation.ts. */
  #conflated(reader: ConflatedReader, limit: number): number {
    const { subscription, queue } = reader;
    let count = 0;
    const [delivery] = subscription.deliveries;
    while (count < limit && subscription.resumes && queue.next() && this.#enters(delivery)) {
      count++;
      const { position, memory, at, skipped, passedOver } = queue;
      this.#place(delivery, reader, position, memory, at);
      delivery.skipped = passedOver;
      if (skipped > 0) this.#passOver(delivery, reader);
      this.#deliver(delivery, reader.accepts);
      if (this.#isInterrupted(delivery)) break;
    }
    return count;
  }

  /** Ends everything up to a position (or all there is) `discarded`, without running it. Nothing of the subscription is in flight. */
  discard(reader: AnyReader, cut: number | undefined): void {
    const [delivery] = reader.subscription.deliveries;
    reader.repeats = undefined; // a redelivery among them is not made
    reader.subscription.quarantine.forget(reader);
    reader.missed = 0; // and nobody is told
    if (reader instanceof ConflatedReader) {
      const { queue } = reader;
      while (queue.next()) {
        this.#place(delivery, reader, queue.position, queue.memory, queue.at);
        if (queue.skipped > 0) this.#passOver(delivery, reader);
        this.#settle(delivery, Outcome.discarded);
      }
      return;
    }
    if (reader instanceof CheckpointedReader) reader.end();
    const { lane } = reader;
    const end = cut ?? lane.end();
    const drop = (position: number): void => {
      this.#place(delivery, reader, position, lane.memory, lane.offset(position));
      if (delivery.trailer?.releases === true) this.#settleReturned(delivery);
      else this.#settle(delivery, Outcome.discarded);
    };
    if (reader instanceof ClaimedReader) {
      for (const { position, number } of reader.drain(end)) {
        delivery.number = number;
        drop(position);
      }
      reader.giveBack();
      return;
    }
    while (distance(end, reader.position) > 0) {
      reader.last = lane.offset(reader.position);
      if (reader.wants(reader.last)) drop(reader.position);
      else reader.position = lane.next(reader.position);
    }
    reader.giveBack();
  }

  /** Gives up a delivery that waits for a promise: what the promise comes to does not count any more. */
  giveUp(delivery: Delivery): void {
    const { subscription, reader, context } = delivery;
    if (subscription.idle.includes(delivery)) return;
    subscription.log.error({ lane: reader.laneName, sequence: context.sequence }, 'delivery timed out');
    if (delivery.awaitsRoom) delivery.publishes.renounce();
    void this.#goBack(delivery, 'timedOut');
  }

  /** Where the delivery comes from. */
  #place(delivery: Delivery, reader: AnyReader, position: number, memory: Delivery['memory'], at: number): void {
    delivery.reader = reader;
    delivery.position = position;
    delivery.memory = memory;
    delivery.at = at;
    this.#introduce(delivery);
    delivery.words[delivery.positionIndex] = position;
  }

  /** Which attempt it is, and what it is to be told. */
  #introduce(delivery: Delivery): void {
    const { reader, position } = delivery;
    delivery.missed = reader.missed;
    delivery.readTrailer();
    const repeat = reader.repeats?.get(position);
    const attempt = repeat ?? delivery.trailer?.attempt;
    if (attempt === undefined) return;
    delivery.attempt = attempt;
    delivery.words[delivery.attemptIndex] = attempt;
    if (repeat === undefined) return;
    reader.repeats?.delete(position);
    if (reader.repeats?.size === 0) reader.repeats = undefined;
    delivery.repeated = true;
    delivery.suspect = delivery.subscription.quarantine.has(reader, position);
  }

  /** D1 to D6 of one delivery, or as far as a promise. */
  #deliver(delivery: Delivery, accepts: readonly RecordTest[] | null): void {
    const { subscription, reader, words, laneIndex, memory, at, publishes } = delivery;
    const timed = --subscription.untilSample <= 0;
    words[laneIndex] = reader.tag; // D1
    if (timed) this.#startTiming(delivery);
    const type = memory.i32[at >> 2] & TYPE_MASK;
    const instead = this.#insteadOf(delivery, type);
    if (instead !== undefined) {
      this.#return(delivery, instead);
      return;
    }
    let outcome: Outcome = Outcome.processed;
    let event: object | undefined;
    try {
      if (accepts !== null && !accepts[type](memory, at + HEADER_BYTES)) {
        outcome = Outcome.filtered;
      } else {
        event = (reader.decoders[type] as Decoder)(memory, at + HEADER_BYTES);
        const { predicate, handler } = subscription; // not as methods: `this` is not for them, nor in their stack traces
        if (predicate !== undefined && !predicate(event as never)) {
          outcome = Outcome.filtered;
        } else {
          reader.missed = 0;
          const result = handler(event as never, delivery.context as never);
          if ((result !== undefined && isThenable(result)) || publishes.pending) {
            void this.#await(delivery, result);
            return;
          }
        }
      }
    } catch (error) {
      this.#fail(delivery, error, event === undefined, timed);
      return;
    }
    if (timed) this.#stopTiming(delivery);
    else delivery.startedAt = 0;
    if (reader.missed !== 0) keepMissed(delivery);
    if (delivery.trailer !== undefined) {
      this.#return(delivery, outcome === Outcome.filtered ? 'filtered' : 'processed');
      return;
    }
    this.#judge(delivery, outcome === Outcome.processed);
    this.#settle(delivery, outcome);
  }

  /** What a delivery comes to without its handler; undefined where that is called. */
  #insteadOf({ trailer, reader, subscription, memory, at }: Delivery, type: number): ReturnReason | undefined {
    if (trailer !== undefined) return trailer.releases ? 'released' : undefined;
    if (reader.holds === null || subscription.held.size === 0) return undefined;
    return subscription.held.has(reader.holds[type](memory, at + HEADER_BYTES)) ? 'held' : undefined;
  }

  /** Whether the circuit lets a delivery start. */
  #enters(delivery: Delivery): boolean {
    const { circuit, member } = delivery.subscription;
    delivery.probes = false;
    if (circuit.isClear) return true;
    const entry = circuit.enter(member);
    delivery.probes = entry === 'probe';
    return entry !== 'no';
  }

  /** Tells the circuit of a delivery that has not failed. @param ran Whether its handler has processed it. */
  #judge(delivery: Delivery, ran: boolean): void {
    if (delivery.subscription.circuit.isClear) delivery.probes = false;
    else if (ran) this.#succeed(delivery);
    else this.#leave(delivery);
  }

  #succeed(delivery: Delivery): void {
    const { circuit, returns } = delivery.subscription;
    if (circuit.succeeded(delivery.probes)) returns.ring();
    delivery.probes = false;
  }

  /** It was the probe, and says nothing. */
  #leave(delivery: Delivery): void {
    if (!delivery.probes) return;
    const { circuit, returns } = delivery.subscription;
    delivery.probes = false;
    circuit.leave();
    returns.ring(); // another thread may have the next one
  }

  /** Whether a burst ends with this delivery. */
  #isInterrupted({ subscription, reader, startedAt }: Delivery): boolean {
    const control = this.#control;
    if (subscription.spent || Atomics.load(this.#words, ConsumerWord.BELL_INDEX) !== control.bell) return true;
    if (startedAt >= control.sliceEnd) control.sliceOver = true;
    return control.sliceOver || control.overtaken(reader.rank);
  }

  /** D2, D3. @returns The outcome's counter as it was. */
  #decide({ words, stats, beforeF64, laneIndex }: Delivery, counter: number, lane: number): number {
    const before = stats[counter];
    stats[beforeF64] = before;
    words[laneIndex] = lane;
    return before;
  }

  /** D2 to D6, and what the delivery leaves behind. */
  #settle(delivery: Delivery, outcome: Outcome): void {
    const { subscription, reader, words, stats, open } = delivery;
    const { claims } = reader;
    const counter = reader.outcomesF64 + outcome;
    const before = this.#decide(delivery, counter, reader.tag | (outcome << OUTCOME_SHIFT));
    // K2. A record that has been taken from us is not ours to count, nor its room to give back.
    if (claims !== null && !claims.done(delivery.number)) return;
    stats[counter] = before + 1; // D4
    reader.settle(delivery);
    words[delivery.laneIndex] = 0;
    delivery.open = undefined;
    open?.reader.release(open);
    this.#tidy(delivery);
    if (subscription.once && outcome !== Outcome.filtered) subscription.spent = true;
  }

  /** D5 and D6 of a delivery that has gone back to main: R2 was its end. */
  #settleReturned(delivery: Delivery): void {
    const { subscription, reader, words, open } = delivery;
    if (reader.claims !== null && !reader.claims.done(delivery.number)) return;
    reader.settle(delivery);
    words[delivery.laneIndex] = 0;
    words[delivery.returnedIndex] = 0;
    delivery.open = undefined;
    open?.reader.release(open);
    this.#tidy(delivery);
    if (subscription.once) subscription.spent = true;
  }

  /** R1 and R2, if main has room. */
  #tryReturn(delivery: Delivery, reason: ReturnReason, error?: Uint8Array): boolean {
    const { subscription } = delivery;
    const { circuit, returns } = subscription;
    const isFailure = FAILURES.has(reason);
    const told = (): void => {
      if (isFailure) circuit.failed(delivery.probes);
      else this.#judge(delivery, reason === 'processed');
    };
    if (!returns.write(delivery, reason, error, told)) return false;
    delivery.probes = false;
    subscription.hold(delivery, isFailure || reason === 'held');
    return true;
  }

  /** Ends a delivery that is idle otherwise by going back to main. @returns Whether it waits until main has room. */
  #return(delivery: Delivery, reason: ReturnReason, error?: Uint8Array): boolean {
    const { subscription, reader, words } = delivery;
    if (this.#tryReturn(delivery, reason, error)) {
      this.#settleReturned(delivery);
      return false;
    }
    subscription.idle.splice(subscription.idle.indexOf(delivery), 1);
    words[delivery.laneIndex] = reader.tag | WAITING_BIT;
    delivery.startedAt = realNow();
    this.#control.deliveryStarted();
    void this.#goBack(delivery, reason, error);
    return true;
  }

  /** The same for one that is not idle. */
  async #goBack(delivery: Delivery, reason: ReturnReason, error?: Uint8Array): Promise<void> {
    const serial = ++delivery.serial;
    if (!this.#tryReturn(delivery, reason, error)) {
      delivery.awaitReturn();
      do {
        await delivery.subscription.returns.room();
        if (serial !== delivery.serial) return;
      } while (!this.#tryReturn(delivery, reason, error));
      delivery.returned();
    }
    this.#end(delivery, undefined);
  }

  /** A handler that has thrown in its synchronous part. @returns Whether the delivery goes on waiting for something. */
  #fail(delivery: Delivery, error: unknown, undecodable: boolean, timed: boolean): boolean {
    if (delivery.publishes.pending) {
      void this.#await(delivery, undefined, { error });
      return true;
    }
    if (timed) this.#stopTiming(delivery);
    else delivery.startedAt = 0;
    if (delivery.reader.missed !== 0) keepMissed(delivery);
    return this.#return(delivery, reasonOf(error, undecodable), this.#describe(delivery, error, undecodable));
  }

  /** D2 to D6 for what a conflated event replaces: it has its outcome, whatever becomes of the event itself. */
  #passOver(delivery: Delivery, { queue, outcomesF64, tag }: ConflatedReader): void {
    const { words, stats, flight, laneIndex } = delivery;
    const { skipped } = queue;
    stats[FlightWord.weightF64(flight)] = skipped;
    const counter = outcomesF64 + Outcome.conflated;
    stats[counter] = this.#decide(delivery, counter, tag | (Outcome.conflated << OUTCOME_SHIFT)) + skipped; // D4
    queue.settleSkipped();
    words[laneIndex] = 0;
  }

  #tidy(delivery: Delivery): void {
    const { words, subscription, attemptIndex } = delivery;
    delivery.controller = undefined;
    if (delivery.missed !== 0) {
      subscription.stats[MISSED_F64] += delivery.missed;
      delivery.missed = 0;
      delivery.reader.forgetMissed();
    }
    delivery.trailer = undefined;
    if (delivery.attempt === 1) return;
    this.#clear(delivery);
    if (delivery.repeated) subscription.stats[REDELIVERED_F64] += 1;
    delivery.repeated = false;
    delivery.attempt = 1;
    words[attemptIndex] = 1;
  }

  /** It has come to its end, and the thread lives. */
  #clear(delivery: Delivery): void {
    if (!delivery.suspect) return;
    delivery.suspect = false;
    delivery.subscription.quarantine.clear(delivery.reader, delivery.position);
  }

  #startTiming(delivery: Delivery): void {
    const { subscription, memory, at } = delivery;
    const time = now();
    subscription.time(WAIT_F64, Math.max(0, time - memory.f64[(at >> 3) + 1]));
    delivery.startedAt = isReal() ? time : realNow();
  }

  #stopTiming(delivery: Delivery): void {
    const { subscription } = delivery;
    const time = realNow();
    const ms = time - delivery.startedAt;
    subscription.time(HANDLER_F64, ms);
    subscription.adapt(ms);
    delivery.startedAt = time; // the burst compares it with the end of its slice
  }

  /** Waits for the handler's promise and for everything it has published. */
  async #await(delivery: Delivery, result: unknown, failure?: { error: unknown }): Promise<void> {
    const { subscription, reader, publishes, words } = delivery;
    const serial = ++delivery.serial;
    subscription.idle.splice(subscription.idle.indexOf(delivery), 1);
    // Before WAITING: who looks for deadlocks takes the positions of a delivery that waits for room for final.
    if (publishes.pending) for (const own of subscription.readers) own.giveBack();
    words[delivery.laneIndex] = reader.tag | WAITING_BIT;
    if (subscription.untilSample > 0) delivery.startedAt = realNow(); // it was not timed so far
    this.#control.deliveryStarted();
    try {
      await result;
    } catch (error) {
      failure = { error };
    }
    if (serial !== delivery.serial) return; // it was given up, and its place is another one's by now
    this.#clear(delivery);
    delivery.handled = true;
    try {
      if (publishes.pending) await publishes.settle();
    } catch (error) {
      failure ??= { error };
    }
    if (serial !== delivery.serial) return;
    if (failure !== undefined) {
      const { error } = failure;
      await this.#goBack(delivery, reasonOf(error, false), this.#describe(delivery, error, false));
    } else if (delivery.trailer !== undefined) {
      await this.#goBack(delivery, 'processed');
    } else {
      this.#judge(delivery, true);
      this.#end(delivery, Outcome.processed);
    }
  }

  /** @param outcome Undefined for one that has gone back to main. */
  #end(delivery: Delivery, outcome: Outcome | undefined): void {
    const { subscription, reader } = delivery;
    subscription.stride = 1;
    this.#stopTiming(delivery);
    delivery.serial++;
    delivery.handled = false;
    delivery.publishes.forget();
    if (outcome === undefined) this.#settleReturned(delivery);
    else this.#settle(delivery, outcome);
    subscription.idle.push(delivery);
    reader.giveBack();
    this.#control.deliveryEnded();
  }

  /** Logs what was thrown. @returns It, packed. */
  #describe(delivery: Delivery, thrown: unknown, undecodable: boolean): Uint8Array {
    const { subscription, reader, context } = delivery;
    const err = toErrorRecord(thrown); // a Proxy, or a getter, may throw where the logger looks
    const packed = packError(err);
    if (!subscription.logsErrors) return packed;
    subscription.log.error(
      {
        err,
        event: undecodable ? undefined : eventOf(delivery),
        lane: reader.laneName,
        sequence: context.sequence,
        attempt: delivery.attempt,
      },
      undecodable ? 'event cannot be decoded' : 'handler failed',
    );
    return packed;
  }
}

const FAILURES: ReadonlySet<ReturnReason> = new Set(['failed', 'final', 'undecodable', 'timedOut']);

function reasonOf(error: unknown, undecodable: boolean): ReturnReason {
  if (undecodable) return 'undecodable';
  return isFinal(error) ? 'final' : 'failed';
}

/** The handler was not called: what it was to be told is kept for the next delivery. */
function keepMissed(delivery: Delivery): void {
  delivery.reader.keepMissed(delivery);
  delivery.missed = 0;
}

/** The event as it was published, whatever the handler did to its copy. */
function eventOf({ memory, at, reader }: Delivery): object | undefined {
  return reader.decoders[memory.i32[at >> 2] & TYPE_MASK]?.(memory, at + HEADER_BYTES);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function';
}
