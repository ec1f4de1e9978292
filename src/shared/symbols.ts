import { ErrorCode, LanebusError } from './errors.js';
import { describeValue } from './refusal.js';

/**
 * One publishing thread's table of interned strings, in shared memory. Written by that thread alone, read by all.
 * A symbol is never changed or removed, so what a reader has read stays true.
 */
export interface SymbolTableViews {
  /** [0] number of symbols, [1] bytes of `names` in use. */
  readonly state: Int32Array;
  /** `ends[id]`: where symbol `id` ends in `names`; it starts where the one before it ends. */
  readonly ends: Int32Array;
  /** The symbols' UTF-8, back to back. */
  readonly names: Uint8Array;
}

const COUNT_INDEX = 0;
const USED_INDEX = 1;

// Publication: W1 and W2 must stay above W3, and W3 above the commit of the record that has the id.
//   publishing thread                          reader
//   W1 write the name's bytes (plain)          R1 Atomics.load(cursor) sees W4, so the record with the id is read
//   W2 write ends[id] (plain)                  R2 Atomics.load(count) sees W3 or a later count
//   W3 Atomics.store(count, id + 1)            R3 read ends and bytes below that count (plain)
//   W4 Atomics.store(cursor, next)
// R1 sees W4, so W3 happened before R2, and the count is above the id; R2 sees W3, so W1 and W2 happened before R3: no
// name is read half-written. A thread killed between W1 and W3 has published nothing: the count still excludes the
// name, and nobody else writes to its table. Were W3 below W4, a reader could meet an id that it cannot name: it throws
// then, and never makes up a string. Test: test/unit/symbols.

/** Slots of the writer's direct-mapped cache: a power of two, above the number of instruments a thread usually quotes. */
const CACHE_SLOTS = 1024;
const CACHE_MASK = CACHE_SLOTS - 1;

/** The publishing thread's side: gives each string a number, the same one each time. */
export class SymbolWriter {
  readonly #state: Int32Array;
  readonly #ends: Int32Array;
  readonly #names: Buffer;
  readonly #owner: string;
  readonly #ids = new Map<string, number>();
  // A Map look-up hashes the string's bytes when it came fresh from a parser: a third of the publish path. Three
  // characters pick a slot here, and one comparison confirms it.
  readonly #cachedNames: string[] = new Array<string>(CACHE_SLOTS).fill('');
  readonly #cachedIds = new Int32Array(CACHE_SLOTS).fill(-1);

  /** `owner` names the publishing thread in errors. A table that has symbols already is continued. */
  constructor(views: SymbolTableViews, owner: string) {
    this.#state = views.state;
    this.#ends = views.ends;
    this.#names = bufferOver(views.names);
    this.#owner = owner;
    const reader = new SymbolReader(views);
    const count = Atomics.load(views.state, COUNT_INDEX);
    for (let id = 0; id < count; id++) this.#ids.set(reader.nameOf(id), id);
  }

  /** The name's id if it is in the table already, otherwise -1. */
  find(name: string): number {
    const slot = slotOf(name);
    const id = this.#cachedIds[slot];
    return id >= 0 && this.#cachedNames[slot] === name ? id : this.#findUncached(name, slot);
  }

  /**
   * The name's id; adds the name (a well-formed string) to the table if it is new. Throws
   * `ERR_LANEBUS_SYMBOL_TABLE_FULL` at either bound, with the table as it was.
   */
  intern(name: string): number {
    const known = this.find(name);
    if (known >= 0) return known;
    const id = Atomics.load(this.#state, COUNT_INDEX);
    if (id >= this.#ends.length) {
      throw this.#full(name, `${this.#ends.length} symbols (option symbols.max)`);
    }
    const start = id === 0 ? 0 : this.#ends[id - 1];
    const end = start + Buffer.byteLength(name);
    if (end > this.#names.length) {
      const room = `${this.#names.length} bytes (option symbols.maxBytes), of which ${this.#names.length - start} are free`;
      throw this.#full(name, room);
    }
    this.#names.write(name, start, 'utf8');
    this.#ends[id] = end;
    Atomics.store(this.#state, USED_INDEX, end);
    Atomics.store(this.#state, COUNT_INDEX, id + 1);
    this.#ids.set(name, id);
    this.#cache(name, id, slotOf(name));
    return id;
  }

  #findUncached(name: string, slot: number): number {
    const id = this.#ids.get(name);
    if (id === undefined) return -1;
    this.#cache(name, id, slot);
    return id;
  }

  #cache(name: string, id: number, slot: number): void {
    this.#cachedNames[slot] = name;
    this.#cachedIds[slot] = id;
  }

  #full(name: string, bound: string): LanebusError {
    return new LanebusError(
      ErrorCode.SYMBOL_TABLE_FULL,
      `symbol ${describeValue(name)} does not fit the symbol table of ${this.#owner}, which holds ${bound}; ` +
        'a symbol() field is for a small vocabulary, text() takes any string',
    );
  }
}

/** Where a symbol's string is found by its number. */
export interface SymbolNames {
  nameOf(id: number): string;
}

/** A consuming thread's side: the string of an id that came in a record of the table's thread. */
export class SymbolReader implements SymbolNames {
  readonly #state: Int32Array;
  readonly #ends: Int32Array;
  readonly #names: Buffer;
  // Dense from 0 to the count last seen.
  readonly #cached: string[] = [];

  constructor(views: SymbolTableViews) {
    this.#state = views.state;
    this.#ends = views.ends;
    this.#names = bufferOver(views.names);
  }

  /** The symbol's string. Throws if the table has no such symbol: the record is not of this table's thread. */
  nameOf(id: number): string {
    const cached = this.#cached;
    return id >= 0 && id < cached.length ? cached[id] : this.#readUpTo(id);
  }

  #readUpTo(id: number): string {
    const count = Atomics.load(this.#state, COUNT_INDEX);
    if (!(id >= 0 && id < count)) {
      throw new LanebusError(
        ErrorCode.FOREIGN_BLOCK,
        `symbol ${id} is not in the symbol table; accepted: 0 to ${count - 1}, the symbols that its thread has published`,
      );
    }
    const cached = this.#cached;
    let start = cached.length === 0 ? 0 : this.#ends[cached.length - 1];
    for (let next = cached.length; next < count; next++) {
      const end = this.#ends[next];
      cached.push(this.#names.toString('utf8', start, end));
      start = end;
    }
    return cached[id];
  }
}

function slotOf(name: string): number {
  const length = name.length;
  if (length < 2) return length === 0 ? 0 : name.charCodeAt(0) & CACHE_MASK;
  // Names of instruments differ at their ends (month and year, share class) or at their start.
  const tail = name.charCodeAt(length - 1) + Math.imul(name.charCodeAt(length - 2), 31);
  return (Math.imul(tail, 31) + Math.imul(name.charCodeAt(0), 17) + length) & CACHE_MASK;
}

function bufferOver(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
