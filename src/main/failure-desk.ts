/**
 * What becomes of deliveries that come back (returns.ts): another try after a while, an outcome, a dead letter. All of it is
 * decided on main's thread, so it outlives the threads that run handlers. Retries come first, the dead letter last; a
 * delivery has its outcome when its letter is kept, not before.
 *
 * Where a key keeps its order, its deliveries come back one after the other: the first is the one that is tried, the others
 * wait behind it. A thread holds a key as long as main has anything of it. So each delivery that came back from a publisher's
 * lane goes to the thread once more, as a try or, if it has its outcome otherwise, as the notice that frees its key.
 */
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import TinyQueue from 'tinyqueue';
import Queue from 'yocto-queue';
import type { DeadLetterReason } from '../shared/api.js';
import { fromEpoch, now, realNow, setTimer, type Timer } from '../shared/clock.js';
import { asError, toErrorRecord } from '../shared/errors.js';
import { type ConsumerBlock, ConsumerWord, Outcome } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import { laneOf } from '../shared/outbox.js';
import { packError, unpackError } from '../shared/packed-error.js';
import { Parker, ring } from '../shared/parking.js';
import type { Returned } from '../shared/returns.js';
import { Case, letterOf } from './case.js';
import type { Letter } from './dead-letter-store.js';
import type { DeadLetterOffice } from './dead-letters.js';
import type { Member, Published } from './member.js';
import type { SubscriptionRecord } from './record.js';
import { RetryLanes } from './retry-lanes.js';
import { backoffOf } from './retry-policy.js';
import type { Wiring } from './wiring.js';

/** Longest time without a turn of the event loop while deliveries come back. In ms. */
const SLICE_MS = 2;
/** After some have come back others are awaited so long, before the threads have to wake main for them. In ms. */
const GATHER_MS = 1;
const MAX_TICKET = 2 ** 31 - 1;

/** A notice that frees a key is on its way. */
interface Release {
  readonly record: SubscriptionRecord;
  readonly frees: number;
}

/** A delivery in flight whose thread has died, and which is not made again. */
export interface Casualty {
  readonly address: number;
  readonly position: number;
  readonly attempt: number;
  readonly crashes: number;
  readonly outcome: Outcome;
}

export class FailureDesk {
  readonly #wiring: Pick<Wiring, 'records' | 'slots' | 'desk'>;
  readonly #office: DeadLetterOffice;
  readonly #log: Logger;
  readonly #symbols: { readonly max: number; readonly maxBytes: number };
  readonly #words: ConsumerBlock['words'];
  readonly #parker: Parker;
  readonly #onWake: () => void;
  /** Those between two tries: they wait, or are on their way. */
  readonly #retrying = new Map<SubscriptionRecord, Set<Case>>();
  /** By ticket. */
  readonly #sent = new Map<number, Case | Release>();
  /** Deliveries of a key that keeps its order: the first is the one that is tried. */
  readonly #queues = new Map<SubscriptionRecord, Map<number, Queue<Case>>>();
  #timers = new TinyQueue<Case>([], (a, b) => a.due - b.due);
  #timer: Timer | undefined;
  #tickets = 0;
  #first = 0;
  #closing = false;

  /** @param onWake Called whenever something has come back, and what it may have changed is to be looked at. */
  constructor(
    wiring: Pick<Wiring, 'records' | 'slots' | 'desk'>,
    symbols: { readonly max: number; readonly maxBytes: number },
    office: DeadLetterOffice,
    log: Logger,
    onWake: () => void = () => undefined,
  ) {
    this.#wiring = wiring;
    this.#symbols = symbols;
    this.#office = office;
    this.#log = log;
    this.#onWake = onWake;
    this.#words = wiring.desk.words;
    this.#parker = new Parker(this.#words, ConsumerWord.DOORBELL_INDEX);
    office.onRoom = () => {
      this.wake();
    };
  }

  wake(): void {
    ring(this.#words, ConsumerWord.DOORBELL_INDEX);
  }

  /** Takes what comes back, until `close`. */
  async run(): Promise<void> {
    for (;;) {
      const taken = this.#slice();
      this.#onWake();
      if (this.#closing) return;
      if (this.#hasNews) await turn();
      else if (taken > 0) await sleep(GATHER_MS);
      else await this.#park();
    }
  }

  /** Whether it waits for something to come back, and no letter is on its way. */
  get isAtRest(): boolean {
    return !this.#hasNews && !this.#office.isWriting;
  }

  async #park(): Promise<void> {
    this.#parker.announce();
    if (this.#closing || this.#hasNews) this.#parker.cancel();
    else await this.#parker.wait();
  }

  /** Takes all that a member's threads have given back so far. */
  drain(member: Member): void {
    member.returns.drain((returned) => {
      this.#take(member, returned);
      return true;
    });
  }

  /** Gives a delivery its outcome in the place of a thread that has died. Its lane holds its event still. */
  bury(member: Member, { address, position, attempt, crashes, outcome }: Casualty): void {
    const { record } = member;
    const published = member.published(address, position);
    let one: Case | undefined;
    if ('ticket' in published) {
      const sent = this.#sent.get(published.ticket);
      this.#sent.delete(published.ticket);
      if (sent !== undefined && 'frees' in sent) this.#free(record, sent.frees);
      if (sent === undefined || 'frees' in sent) return;
      one = sent;
      if (one.key !== undefined) this.#free(record, one.key);
    } else {
      one = this.#open(record, published);
    }
    const time = now();
    one.attempt = attempt;
    one.crashes += crashes;
    one.thread = member.thread;
    one.error = undefined;
    one.firstFailedAt ||= time;
    one.lastFailedAt = time;
    one.failures += outcome === Outcome.timedOut ? 1 : crashes;
    this.#conclude(one, outcome, outcome === Outcome.timedOut ? 'timedOut' : 'poison');
  }

  /**
   * Delivers a letter once more to its subscription.
   * @returns Why that cannot be; undefined if it was sent.
   */
  replay(letter: Letter): string | undefined {
    const { name } = letter.subscription;
    const record = this.#wiring.records.find(
      (one) => one.name === name && (one.state === 'active' || one.state === 'paused'),
    );
    if (record === undefined) return `there is no subscription "${name}" now`;
    const type = record.types.find((one) => one.name === letter.type.name);
    if (type === undefined) return `subscription "${name}" does not want type "${letter.type.name}"`;
    const rank = laneOf(record.lanes, type.priority);
    const { publisher, sequence, publishedAt, cause, payload, symbols } = letter;
    const published = {
      rank,
      parcel: { type, payload, symbols },
      key: undefined,
      publisher,
      sequence,
      publishedAt: fromEpoch(publishedAt),
      cause: cause && {
        publisher: cause.publisher,
        rank: record.lanes.findIndex((lane) => lane.name === cause.lane),
        sequence: cause.sequence,
      },
    };
    const one = new Case(record, published, letter);
    record.owe(rank, 1);
    record.returned++;
    this.#keepTrying(one);
    this.#send(one);
    return undefined;
  }

  /** Makes nothing again for a subscription that ends. What is in its lanes is for its threads to discard. */
  silence(record: SubscriptionRecord): void {
    const abandoned = new Set(record.retries?.abandon().map(({ trailer }) => trailer.ticket));
    for (const one of this.#retrying.get(record) ?? []) {
      if (one.ticket === 0 || abandoned.has(one.ticket)) this.#discard(one);
    }
    this.#timers = new TinyQueue(
      this.#timers.data.filter((one) => one.record !== record),
      (a, b) => a.due - b.due,
    );
    this.#queues.delete(record);
  }

  /** Resolves when everything that has come back has its outcome. The subscription's threads have discarded the rest. */
  async end(record: SubscriptionRecord): Promise<void> {
    for (const member of record.members) this.drain(member);
    for (const one of this.#retrying.get(record) ?? []) this.#forget(one); // its thread has counted it
    for (const [ticket, { record: whose }] of this.#sent) if (whose === record) this.#sent.delete(ticket);
    this.#retrying.delete(record);
    while (record.returned > 0) {
      await this.#office.settled();
      await turn();
    }
  }

  /** The bus stops: nothing is made again any more. */
  silenceAll(): void {
    this.#closing = true;
    this.#timer?.cancel();
    this.wake();
    for (const record of this.#wiring.records) if (!record.ended) this.silence(record);
  }

  async endAll(): Promise<void> {
    for (const record of this.#wiring.records) if (!record.ended) await this.end(record);
  }

  get #members(): Member[] {
    return this.#wiring.records.flatMap(({ ended, members }) => (ended ? [] : members));
  }

  get #hasNews(): boolean {
    return !this.#office.isFull && this.#members.some(({ returns }) => !returns.isEmpty);
  }

  /** @returns How many were taken. */
  #slice(): number {
    const end = realNow() + SLICE_MS;
    let taken = 0;
    const members = this.#members;
    // Each time another one is first: the others wait while the slice is used up.
    this.#first = (this.#first + 1) % Math.max(1, members.length);
    for (const member of [...members.slice(this.#first), ...members.slice(0, this.#first)]) {
      member.returns.drain((returned) => {
        if (this.#office.isFull || realNow() >= end) return false;
        this.#take(member, returned);
        taken++;
        return true;
      });
    }
    return taken;
  }

  #take(member: Member, returned: Returned): void {
    const { record } = member;
    const { reason, ticket } = returned;
    const sent = this.#sent.get(ticket);
    this.#sent.delete(ticket);
    if (sent !== undefined && 'frees' in sent) {
      this.#free(record, sent.frees);
      return;
    }
    if (ticket !== 0 && sent === undefined) return; // its subscription has ended meanwhile
    const one = sent ?? this.#opened(member, returned);
    one.ticket = 0;
    switch (reason) {
      case 'processed':
      case 'filtered':
        if (one.key !== undefined) this.#free(record, one.key);
        this.#succeed(one, Outcome[reason]);
        break;
      case 'held':
        this.#hold(one);
        break;
      case 'released':
        break;
      default:
        one.thread = member.thread;
        one.attempt = returned.attempt;
        one.error = returned.error;
        one.firstFailedAt ||= returned.at;
        one.lastFailedAt = returned.at;
        one.failures++;
        this.#fail(one, reason);
    }
  }

  #opened(member: Member, { address, event, sequence, attempt }: Returned): Case {
    if (event === undefined) throw new RangeError('a delivery has come back without its event');
    const one = this.#open(member.record, member.publishedAs(address, event.memory, event.at, sequence));
    one.attempt = attempt - 1; // it was not run, where it is held
    if (one.key !== undefined) {
      const { heldKeys } = member.record;
      heldKeys.set(one.key, (heldKeys.get(one.key) ?? 0) + 1);
    }
    return one;
  }

  #open(record: SubscriptionRecord, published: Published): Case {
    record.returned++;
    return new Case(record, published);
  }

  #fail(one: Case, reason: 'failed' | 'final' | 'undecodable' | 'timedOut'): void {
    const letterFor = this.#verdict(one, reason);
    if (letterFor !== undefined) {
      this.#conclude(one, reason === 'timedOut' ? Outcome.timedOut : Outcome.failed, letterFor);
      this.#release(one);
      return;
    }
    const { record } = one;
    if (this.#isEnding(record)) {
      this.#discard(one);
      return;
    }
    this.#keepTrying(one);
    const queue = this.#queueOf(one);
    if (queue !== undefined && queue.peek() !== one) queue.enqueue(one);
    if (queue !== undefined && queue.peek() !== one) return; // its turn comes
    one.due = one.lastFailedAt + backoffOf(record.options.retry, one.failures, Math.random());
    this.#timers.push(one);
    if (this.#timers.peek() === one) this.#arm();
  }

  /** Why a delivery that has failed becomes a dead letter; undefined when it is tried again. */
  #verdict(one: Case, reason: 'failed' | 'final' | 'undecodable' | 'timedOut'): DeadLetterReason | undefined {
    const { record, failures, error } = one;
    const { retry } = record.options;
    if (reason === 'undecodable' || reason === 'timedOut') return reason;
    if (reason === 'final' || failures >= retry.attempts) return 'failed';
    if (retry.retryIf !== undefined && !this.#isWorthwhile(one, retry.retryIf, error)) return 'failed';
    return this.#overflows(one) ? 'retryOverflow' : undefined;
  }

  #isWorthwhile(
    { record, failures }: Case,
    retryIf: NonNullable<SubscriptionRecord['options']['retry']['retryIf']>,
    error: Uint8Array | undefined,
  ): boolean {
    try {
      return retryIf(error === undefined ? toErrorRecord(undefined) : unpackError(error), failures);
    } catch (thrown) {
      this.#log.error({ subscription: record.name, err: asError(thrown) }, 'retryIf failed: there is no other try');
      return false;
    }
  }

  /** Whether the subscription has as many between two tries as it may. */
  #overflows(one: Case): boolean {
    const { record } = one;
    return !this.#isRetrying(one) && record.waiting >= record.options.retry.maxPending;
  }

  /** One that was not run, behind one of its key. */
  #hold(one: Case): void {
    if (this.#isEnding(one.record)) {
      this.#discard(one);
      return;
    }
    if (this.#overflows(one)) {
      one.firstFailedAt ||= now();
      one.lastFailedAt = one.firstFailedAt;
      this.#conclude(one, Outcome.failed, 'retryOverflow');
      this.#release(one);
      return;
    }
    this.#keepTrying(one);
    const queue = this.#queueOf(one);
    queue?.enqueue(one);
    if (queue?.peek() === one) this.#send(one);
  }

  #queueOf({ record, key }: Case): Queue<Case> | undefined {
    if (key === undefined) return undefined;
    let queues = this.#queues.get(record);
    if (queues === undefined) this.#queues.set(record, (queues = new Map<number, Queue<Case>>()));
    let queue = queues.get(key);
    if (queue === undefined) queues.set(key, (queue = new Queue<Case>()));
    return queue;
  }

  /** The next one of its key comes. */
  #leaveQueue(one: Case): void {
    const { record, key } = one;
    const queues = this.#queues.get(record);
    const queue = key === undefined ? undefined : queues?.get(key);
    if (key === undefined || queue?.peek() !== one) return;
    queue.dequeue();
    const next = queue.peek();
    if (next === undefined) queues?.delete(key);
    else this.#send(next);
  }

  /** Its thread has one less of the key. */
  #free({ heldKeys }: SubscriptionRecord, key: number): void {
    const left = (heldKeys.get(key) ?? 0) - 1;
    if (left > 0) heldKeys.set(key, left);
    else heldKeys.delete(key);
  }

  /** A delivery has its outcome without another try: its thread is told that it need not hold the key for it. */
  #release(one: Case): void {
    const { record, key } = one;
    if (key === undefined || this.#isEnding(record)) return;
    const ticket = this.#newTicket();
    this.#sent.set(ticket, { record, frees: key });
    this.#transmit(one, ticket, true);
  }

  #isRetrying(one: Case): boolean {
    return this.#retrying.get(one.record)?.has(one) === true;
  }

  #keepTrying(one: Case): void {
    if (this.#isRetrying(one)) return;
    let cases = this.#retrying.get(one.record);
    if (cases === undefined) this.#retrying.set(one.record, (cases = new Set<Case>()));
    cases.add(one);
    one.record.waiting++;
  }

  #stopTrying(one: Case): void {
    if (this.#retrying.get(one.record)?.delete(one) === true) one.record.waiting--;
  }

  #send(one: Case): void {
    const { record } = one;
    if (this.#isEnding(record)) {
      this.#discard(one);
      return;
    }
    one.ticket = this.#newTicket();
    this.#sent.set(one.ticket, one);
    if (one.failures > 0) record.retried++;
    this.#transmit(one, one.ticket, false);
  }

  #transmit(one: Case, ticket: number, releases: boolean): void {
    const { record, rank, published, attempt } = one;
    const { parcel, publisher, sequence, publishedAt, cause } = published;
    record.retries ??= this.#openLanes(record);
    const holds = one.key !== undefined;
    const trailer = { ticket, releases, holds, attempt: attempt + 1, publisher, sequence, publishedAt, cause };
    record.retries.send(rank, { parcel, trailer });
  }

  /** Makes a subscription's lanes, with the first that goes there. */
  #openLanes(record: SubscriptionRecord): RetryLanes {
    const { slots } = this.#wiring;
    const { max, maxBytes } = this.#symbols;
    // Room for the symbols of all publishing threads.
    const symbols = {
      max: Math.min(max * slots.length, 2 ** 24),
      maxBytes: Math.min(maxBytes * slots.length, 2 ** 30),
    };
    const lanes = new RetryLanes(record, symbols, ({ trailer }, error) => {
      const sent = this.#sent.get(trailer.ticket);
      this.#sent.delete(trailer.ticket);
      if (sent === undefined || 'frees' in sent) return;
      sent.error = packError(toErrorRecord(error));
      this.#conclude(sent, Outcome.failed, 'retryOverflow');
    });
    record.readFromStart(lanes.producer);
    lanes.setGates(slots);
    for (const member of record.members) void slots[member.thread].tell('addRetries', member.id, lanes.specFor(member));
    return lanes;
  }

  #newTicket(): number {
    do this.#tickets = (this.#tickets % MAX_TICKET) + 1;
    while (this.#sent.has(this.#tickets));
    return this.#tickets;
  }

  /** One timer, for the try that is due first. */
  #arm(): void {
    const next = this.#timers.peek();
    this.#timer?.cancel();
    if (next === undefined || this.#closing) return;
    this.#timer = setTimer(
      () => {
        const time = now();
        for (let one = this.#timers.peek(); one !== undefined && one.due <= time; one = this.#timers.peek()) {
          this.#timers.pop();
          this.#send(one);
        }
        this.#arm();
      },
      Math.max(1, Math.ceil(next.due - now())),
    );
  }

  #succeed(one: Case, outcome: Outcome): void {
    const { record, rank, letter } = one;
    this.#stopTrying(one);
    this.#leaveQueue(one);
    const count = (): void => {
      record.count(rank, outcome);
      record.returned--;
    };
    if (letter === undefined) count();
    else void this.#office.drop([letter.id]).then(count);
  }

  /** The delivery ends as a dead letter. */
  #conclude(one: Case, outcome: Outcome, reason: DeadLetterReason): void {
    const { record, rank } = one;
    this.#stopTrying(one);
    const id = one.letter?.id ?? this.#office.newId();
    this.#office.keep(letterOf(one, id, reason), one.letter === undefined, () => {
      record.count(rank, outcome);
      record.returned--;
    });
    this.#leaveQueue(one);
  }

  #discard(one: Case): void {
    one.record.count(one.rank, Outcome.discarded);
    this.#sent.delete(one.ticket);
    this.#forget(one);
  }

  /** It has its outcome, or its thread has given it one. A letter that was on its way is where it was. */
  #forget(one: Case): void {
    this.#stopTrying(one);
    one.record.returned--;
    if (one.letter !== undefined) this.#office.keep({ ...one.letter, replaying: false }, false, () => undefined);
  }

  #isEnding({ state }: SubscriptionRecord): boolean {
    return this.#closing || state === 'ending' || state === 'ended';
  }
}
