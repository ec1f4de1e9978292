/** A delivery that has come back to main and has no outcome yet, and the letter that it may become. */
import type { DeadLetterFailure, DeadLetterReason } from '../shared/api.js';
import { now, toEpoch } from '../shared/clock.js';
import { unpackError } from '../shared/packed-error.js';
import type { Letter } from './dead-letter-store.js';
import type { Published } from './member.js';
import type { SubscriptionRecord } from './record.js';

const NO_HISTORY: readonly DeadLetterFailure[] = [];

/** A class, whose fields are written out: to spread so many takes microseconds. */
export class Case {
  readonly record: SubscriptionRecord;
  readonly published: Published;
  /** The letter that is replayed, if it is one. */
  readonly letter: Letter | undefined;
  /** Main's number of the try that is on its way; 0 while there is none. */
  ticket = 0;
  /** Tries that were started, failed, and cost their thread. */
  attempt = 0;
  failures = 0;
  crashes = 0;
  /** Packed. */
  error: Uint8Array | undefined;
  /** On the bus's clock, in ms. */
  firstFailedAt = 0;
  lastFailedAt = 0;
  thread = 0;
  /** When it is tried again. */
  due = 0;

  constructor(record: SubscriptionRecord, published: Published, letter?: Letter) {
    this.record = record;
    this.published = published;
    this.letter = letter;
  }

  get rank(): number {
    return this.published.rank;
  }

  /** Hash of its key, where keys keep their order. */
  get key(): number | undefined {
    return this.published.key;
  }
}

export function letterOf(one: Case, id: number, reason: DeadLetterReason): Letter {
  const { record, rank, published, letter } = one;
  const { parcel, cause } = published;
  return {
    id,
    subscription: { id: record.id, name: record.name },
    type: parcel.type,
    payload: parcel.payload,
    symbols: parcel.symbols,
    reason,
    error: one.error,
    attempts: one.failures,
    started: one.attempt,
    crashes: one.crashes,
    firstFailedAt: toEpoch(one.firstFailedAt),
    lastFailedAt: toEpoch(one.lastFailedAt),
    setAsideAt: toEpoch(now()),
    thread: one.thread,
    lane: record.lanes[rank].name,
    publisher: published.publisher,
    sequence: published.sequence,
    publishedAt: toEpoch(published.publishedAt),
    cause: cause && { lane: record.lanes[cause.rank].name, publisher: cause.publisher, sequence: cause.sequence },
    replaying: false,
    history: letter === undefined ? NO_HISTORY : [...letter.history, failureOf(letter)],
  };
}

function failureOf(letter: Letter): DeadLetterFailure {
  const { reason, attempts, started, crashes, firstFailedAt, lastFailedAt, setAsideAt, thread } = letter;
  return {
    reason,
    error: errorOf(letter),
    attempts,
    started,
    crashes,
    firstFailedAt,
    lastFailedAt,
    setAsideAt,
    thread,
  };
}

export function errorOf({ error }: Letter): DeadLetterFailure['error'] {
  return error && unpackError(error);
}
