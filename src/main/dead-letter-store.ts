import type { DeadLetter, ReplayReport } from '../shared/api.js';
import type { EventType } from '../shared/catalog.js';

/** A dead letter as it is kept: its event is bytes, with the layout that reads them, and its error is, too. */
export interface Letter extends Omit<DeadLetter, 'type' | 'event' | 'key' | 'error'> {
  /** The event's type, as it was when the event was published. */
  readonly type: EventType;
  /** The event's payload as it lies in a record; in place of each symbol's number stands its index in `symbols`. */
  readonly payload: Uint8Array;
  /** The symbols of the event, in the order of its fields. */
  readonly symbols: readonly string[];
  /** What the last try has thrown, packed; undefined where nothing was. */
  readonly error: Uint8Array | undefined;
}

/** What the command line asks of the process that has a store open. */
export interface ReplayRequest {
  /** Number of the request, for the answer. */
  readonly id: number;
  /** Numbers of the letters that are to be replayed, and are marked so. */
  readonly letters: readonly number[];
  /** Numbers of those that are not there, or on their way already. */
  readonly refused: readonly number[];
  /** Whom they are delivered to. */
  readonly to: 'subscription' | 'all';
  /** At most so many letters a second; 0 = no limit. */
  readonly rate: number;
}

/**
 * Where dead letters are kept. Used by one bus, whose failures wait for nothing else: so a store does not throw once it is open,
 * and what it returns a promise for is done in the order of the calls.
 */
export interface DeadLetterStore {
  /** Called when the bus starts. @throws what keeps the store from being used */
  open(): void;
  /** Called when the bus has stopped; resolves when everything is kept and others may open the store. */
  close(): Promise<void>;
  /** How many letters it has. */
  readonly size: number;
  /** Letters that had to go, since the store was full. */
  readonly evicted: number;
  /** The id that the next new letter is to have. */
  readonly nextId: number;
  /** The letter with this id; undefined if there is none. */
  get(id: number): Letter | undefined;
  /** Letters in the order of their ids, from the one given on. */
  letters(from: number): Iterable<Letter>;
  /** Keeps new letters, and those that have changed. @returns What resolves when they would survive the process; undefined if they are kept at once. */
  put(letters: readonly Letter[]): Promise<void> | undefined;
  /** Forgets letters, those that it does not have among them. @returns What resolves when none will come back; undefined if that is at once. */
  remove(ids: readonly number[]): Promise<void> | undefined;
  /**
   * Where other processes may ask for replays: takes the next request, each once; resolves with it, or with undefined if there
   * is none. Its letters are marked `replaying` in the same step.
   */
  takeRequest?(): Promise<ReplayRequest | undefined>;
  /** Leaves what has become of a request, for who asked; resolves when it is there. */
  answer?(request: number, report: ReplayReport): Promise<void>;
}

/** Keeps letters in memory: with no room left the oldest goes, and is counted. */
export class MemoryDeadLetterStore implements DeadLetterStore {
  readonly #max: number;
  readonly #letters = new Map<number, Letter>();
  #evicted = 0;
  #nextId = 1;

  /** @param max Letters that are kept. */
  constructor(max: number) {
    this.#max = max;
  }

  open(): void {
    // Nothing to open.
  }

  async close(): Promise<void> {
    // What is in memory can be looked at after `stop`.
  }

  get size(): number {
    return this.#letters.size;
  }

  get evicted(): number {
    return this.#evicted;
  }

  get nextId(): number {
    return this.#nextId;
  }

  get(id: number): Letter | undefined {
    return this.#letters.get(id);
  }

  *letters(from: number): Iterable<Letter> {
    for (const letter of this.#letters.values()) if (letter.id >= from) yield letter;
  }

  put(letters: readonly Letter[]): undefined {
    for (const letter of letters) {
      this.#letters.set(letter.id, letter);
      this.#nextId = Math.max(this.#nextId, letter.id + 1);
    }
    for (const id of this.#letters.keys()) {
      if (this.#letters.size <= this.#max) break;
      this.#letters.delete(id);
      this.#evicted++;
    }
  }

  remove(ids: readonly number[]): undefined {
    for (const id of ids) this.#letters.delete(id);
  }
}
