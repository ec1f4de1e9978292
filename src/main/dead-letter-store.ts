import type { DeadLetter, ReplayReport } from '../shared/api.js';
import type { EventType } from '../shared/catalog.js';

/** A dead letter as it is kept: its event is bytes, with the layout that reads them, and its error is, too. */
export interface Letter extends Omit<DeadLetter, 'type' | 'event' | 'key' | 'error'> {
  readonly type: EventType;
  readonly payload: Uint8Array;
  readonly symbols: readonly string[];
  readonly error: Uint8Array | undefined;
}

/** What the command line asks of the process that has a store open. */
export interface ReplayRequest {
  readonly id: number;
  /** Those that are to be replayed, and are marked so; and those that are not there, or on their way already. */
  readonly letters: readonly number[];
  readonly refused: readonly number[];
  readonly to: 'subscription' | 'all';
  readonly rate: number;
}

/**
 * Where dead letters are kept. Used by one bus, whose failures wait for nothing else: so a store does not throw once it is open,
 * and what it returns a promise for is done in the order of the calls.
 */
export interface DeadLetterStore {
  /** Called when the bus starts. @throws what keeps the store from being used */
  open(): void;
  close(): Promise<void>;
  readonly size: number;
  /** Letters that had to go, since the store was full. */
  readonly evicted: number;
  /** The id that the next new letter is to have. */
  readonly nextId: number;
  get(id: number): Letter | undefined;
  /** In the order of their ids, from the one given on. */
  letters(from: number): Iterable<Letter>;
  /** Keeps new letters, and those that have changed. @returns What resolves when they would survive the process; undefined if they are kept at once. */
  put(letters: readonly Letter[]): Promise<void> | undefined;
  remove(ids: readonly number[]): Promise<void> | undefined;
  /**
   * Where other processes may ask for replays: takes the next request, each once. Its letters are marked `replaying` in the
   * same step.
   */
  takeRequest?(): Promise<ReplayRequest | undefined>;
  /** What has become of it, for who asked. */
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
