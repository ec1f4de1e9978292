/**
 * What really happened: every event offered and every call of a handler, in memory that all threads share. Nothing of it
 * goes through the bus, so the ledger is checked against counts that it knows nothing of.
 *
 * A call has a row for its start and one for its end, numbered by one counter: the rows of all threads in one order that
 * agrees with what happened before what.
 */
const WORDS = 16;
const OFFERS_INDEX = 0;
const ROWS_INDEX = 1;
const MAX_OFFERS_INDEX = 2;
const MAX_ROWS_INDEX = 3;
const DERIVED_INDEX = 4;
const MAX_DERIVED_INDEX = 5;
const START = 1;
const NONE = -1;

/** What the publisher was told. `untold`: its promise says no more than "published or dropped", or it did not look. */
const TOLD = ['untold', 'published', 'dropped', 'rejected', 'deadlocked', 'misinformed'] as const;
export type Told = (typeof TOLD)[number];

export interface Offer {
  readonly id: number;
  readonly type: number;
  readonly key: number;
  readonly depth: number;
  /** Thread that has offered it. */
  readonly publisher: number;
  /** Event and subscription whose handler has derived it; undefined where it was offered from outside. */
  readonly parent: number | undefined;
  readonly by: number | undefined;
  readonly told: Told;
}

export interface Place {
  readonly publisher: number;
  /** Index of the lane. */
  readonly lane: number;
  readonly sequence: number;
}

export interface Start extends Place {
  readonly subscription: number;
  readonly id: number;
  readonly thread: number;
  readonly skipped: number;
  readonly missed: number;
  readonly attempt: number;
  readonly intact: boolean;
  readonly cause: Place | undefined;
}

export interface Call extends Start {
  readonly startedAt: number;
  /** Infinity for one that has not ended. */
  readonly endedAt: number;
  readonly failed: boolean;
}

/** Under which threads find the journal in their environment data. */
export function journalKey(seed: number): string {
  return `journal of graph ${seed}`;
}

export class Journal {
  readonly source: SharedArrayBuffer;
  readonly #head: Int32Array;
  readonly #offers: Int32Array;
  readonly #rows: Int32Array;

  constructor(source: SharedArrayBuffer) {
    this.source = source;
    const words = new Int32Array(source);
    this.#head = words.subarray(0, WORDS);
    const rowsAt = (1 + this.#head[MAX_OFFERS_INDEX]) * WORDS;
    this.#offers = words.subarray(WORDS, rowsAt);
    this.#rows = words.subarray(rowsAt);
  }

  /** @param maxDerived How many of the offers may be derived events. */
  static create(maxOffers: number, maxDerived: number, maxCalls: number): Journal {
    const source = new SharedArrayBuffer((1 + maxOffers + 2 * maxCalls) * WORDS * 4);
    const head = new Int32Array(source);
    head[MAX_OFFERS_INDEX] = maxOffers;
    head[MAX_DERIVED_INDEX] = maxDerived;
    head[MAX_ROWS_INDEX] = 2 * maxCalls;
    return new Journal(source);
  }

  get offered(): number {
    return Atomics.load(this.#head, OFFERS_INDEX);
  }

  /** Whether more calls were made than there is room for. */
  get overflows(): boolean {
    return Atomics.load(this.#head, ROWS_INDEX) > this.#head[MAX_ROWS_INDEX];
  }

  /** Whether one more event may be derived. */
  mayDerive(): boolean {
    return Atomics.add(this.#head, DERIVED_INDEX, 1) < this.#head[MAX_DERIVED_INDEX];
  }

  /** Just before it is published. @returns The event's number. */
  offer({ type, key, depth, publisher, parent, by }: Omit<Offer, 'id' | 'told'>): number {
    const id = Atomics.add(this.#head, OFFERS_INDEX, 1);
    this.#offers.set([0, type, key, depth, publisher, parent ?? NONE, by ?? NONE], id * WORDS);
    return id;
  }

  tell(id: number, told: Told): void {
    Atomics.store(this.#offers, id * WORDS, TOLD.indexOf(told));
  }

  seedOf(id: number): Pick<Offer, 'id' | 'type' | 'key' | 'depth'> {
    const [, type, key, depth] = this.#offers.subarray(id * WORDS);
    return { id, type, key, depth };
  }

  /** @returns The call's number. */
  started(start: Start): number {
    const row = Atomics.add(this.#head, ROWS_INDEX, 1);
    if (row >= this.#head[MAX_ROWS_INDEX]) return row;
    const { subscription, id, thread, publisher, lane, sequence, skipped, missed, attempt, intact, cause } = start;
    const from = cause === undefined ? [NONE, NONE, NONE] : [cause.publisher, cause.lane, cause.sequence];
    const words = [
      START,
      subscription,
      id,
      thread,
      publisher,
      lane,
      sequence,
      skipped,
      missed,
      attempt,
      Number(intact),
    ];
    this.#rows.set([...words, ...from], row * WORDS);
    return row;
  }

  ended(call: number, failed: boolean): void {
    const row = Atomics.add(this.#head, ROWS_INDEX, 1);
    if (row < this.#head[MAX_ROWS_INDEX]) this.#rows.set([0, call, Number(failed)], row * WORDS);
  }

  readOffers(): Offer[] {
    return Array.from({ length: this.offered }, (_, id) => {
      const [told, type, key, depth, publisher, parent, by] = this.#offers.subarray(id * WORDS);
      return {
        id,
        type,
        key,
        depth,
        publisher,
        parent: parent === NONE ? undefined : parent,
        by: by === NONE ? undefined : by,
        told: TOLD[told],
      };
    });
  }

  /** In the order of their starts. */
  readCalls(): Call[] {
    const calls = new Map<number, Call>();
    const rows = Math.min(Atomics.load(this.#head, ROWS_INDEX), this.#head[MAX_ROWS_INDEX]);
    for (let row = 0; row < rows; row++) {
      const words = this.#rows.subarray(row * WORDS, (row + 1) * WORDS);
      if (words[0] === START) calls.set(row, toCall(words, row));
      else calls.set(words[1], { ...(calls.get(words[1]) as Call), endedAt: row, failed: words[2] === 1 });
    }
    return [...calls.values()];
  }
}

function toCall(words: Int32Array, startedAt: number): Call {
  const [, subscription, id, thread, publisher, lane, sequence, skipped, missed, attempt, intact, ...from] = words;
  return {
    subscription,
    id,
    thread,
    publisher,
    lane,
    sequence,
    skipped,
    missed,
    attempt,
    intact: intact === 1,
    cause: from[0] === NONE ? undefined : { publisher: from[0], lane: from[1], sequence: from[2] },
    startedAt,
    endedAt: Infinity,
    failed: false,
  };
}
