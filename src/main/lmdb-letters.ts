/**
 * The database of dead letters, as one thread has it open: all that is written goes through `apply`, one transaction each,
 * which has committed, and is synced, when that returns. The bus lets a thread of its own do that (lmdb-thread.ts): a sync
 * takes milliseconds. The command line does it itself.
 */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import type { ReplayReport } from '../shared/api.js';
import { catalogFrom, type EventType, type TypeDescription } from '../shared/catalog.js';
import { packValue, unpackCopy } from '../shared/codec-values.js';
import { asError, ErrorCode, LanebusError } from '../shared/errors.js';
import type { Letter, ReplayRequest } from './dead-letter-store.js';

const VERSION = 1;
const KIND = 'lanebus dead letters';
const DATA_FILE = 'data.mdb';
const LOCK_FILE = 'lock.mdb';
/** MDB_MAGIC of mdb.c, in the first page: behind its header, which is longer in the version that `lmdb` has. */
const MAGIC = 0xbeefc0de;
const MAGIC_OFFSETS = [16, 24];
const OWNER_ONLY_FOLDER = 0o700;
const OWNER_ONLY_FILE = 0o600;
/** Results of requests that are kept for who asked. */
const MAX_RESULTS = 100;

/**
 * Letters as they are written: one memory for all of them, which goes to another thread without a copy. The layout of a
 * letter's type, which its bytes name, is kept once for all that have it.
 */
export interface Rows {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Of each letter its id, and where its bytes end. */
  readonly ends: readonly (readonly [id: number, end: number])[];
}

interface Owner {
  readonly pid: number;
  /** When the process was started, where that is known: numbers of processes come again. */
  readonly startedAt: string | undefined;
}

/** What is written, each in one transaction, and what that comes to. */
/** What others leave for the bus. */
type Asked = Omit<ReplayRequest, 'id' | 'refused'>;

export type Write =
  | { readonly kind: 'own'; readonly pid: number }
  | { readonly kind: 'disown' }
  | {
      readonly kind: 'put';
      readonly rows: Rows;
      readonly layouts: ReadonlyMap<string, TypeDescription>;
      readonly most: number;
    }
  | { readonly kind: 'remove'; readonly ids: readonly number[] }
  | { readonly kind: 'request'; readonly request: Asked }
  | { readonly kind: 'take' }
  | { readonly kind: 'answer'; readonly id: number; readonly report: ReplayReport };

export class LmdbLetters {
  readonly #path: string;
  readonly #root: RootDatabase;
  readonly #rows: Database<Uint8Array, number>;
  readonly #layouts: Database<TypeDescription, string>;
  readonly #requests: Database<Asked, number>;
  readonly #results: Database<ReplayReport, number>;
  readonly #meta: Database<unknown, string>;
  readonly #types = new Map<string, EventType>();

  /** @throws DEAD_LETTER_STORE when it cannot be opened, or is not there and is not to be made */
  constructor(path: string, make: boolean) {
    this.#path = path;
    const file = join(path, DATA_FILE);
    if (!make && !existsSync(file)) {
      throw this.#refusal('there is no store; expected a folder that a bus with lmdbDeadLetters({ path }) has used');
    }
    try {
      mkdirSync(path, { recursive: true, mode: OWNER_ONLY_FOLDER });
      if (!isDatabase(file)) throw new Error(`${DATA_FILE} is no LMDB database`);
      this.#root = open({ path, noSubdir: false, maxDbs: 8, overlappingSync: false });
      for (const name of [DATA_FILE, LOCK_FILE]) chmodSync(join(path, name), OWNER_ONLY_FILE);
      const numbered = { keyEncoding: 'uint32' } as const;
      this.#meta = this.#root.openDB({ name: 'meta' });
      this.#layouts = this.#root.openDB({ name: 'layouts' });
      this.#rows = this.#root.openDB({ name: 'letters', encoding: 'binary', ...numbered });
      this.#requests = this.#root.openDB({ name: 'requests', ...numbered });
      this.#results = this.#root.openDB({ name: 'results', ...numbered });
    } catch (error) {
      throw this.#refusal(`it cannot be opened: ${asError(error).message}`);
    }
    const [kind, version] = ['kind', 'version'].map((name) => this.#meta.get(name));
    if (kind === undefined || (kind === KIND && version === VERSION)) return;
    const found = `${JSON.stringify(kind)} of version ${JSON.stringify(version)}`;
    throw this.#refusal(`it holds ${found}; expected "${KIND}" of version ${VERSION}`);
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** Whether a bus has the store open. */
  get isOwned(): boolean {
    const owner = this.#meta.get('owner') as Owner | undefined;
    return owner !== undefined && isAlive(owner);
  }

  get size(): number {
    this.#look();
    return entriesOf(this.#rows);
  }

  get nextId(): number {
    return (this.#meta.get('nextId') as number | undefined) ?? 1;
  }

  /** Requests that no bus has taken yet. */
  get requested(): number {
    this.#look();
    return entriesOf(this.#requests);
  }

  get(id: number): Letter | undefined {
    this.#look();
    const bytes = this.#rows.get(id);
    return bytes && this.#toLetter(id, bytes);
  }

  *letters(from: number): Iterable<Letter> {
    this.#look();
    for (const { key, value } of this.#rows.getRange({ start: from })) yield this.#toLetter(key, value);
  }

  resultOf(request: number): ReplayReport | undefined {
    this.#look();
    return this.#results.get(request);
  }

  /** @returns Of `put`: how many had to go. Of `request`: its number. Of `take`: a request, if there is one. */
  apply(write: Write): unknown {
    return this.#root.transactionSync(() => this.#apply(write));
  }

  /** What others have committed is seen from here on: `lmdb` keeps one view for a while. */
  #look(): void {
    this.#root.resetReadTxn();
  }

  #apply(write: Write): unknown {
    switch (write.kind) {
      case 'own':
        this.#own(write.pid);
        return undefined;
      case 'disown':
        this.#meta.removeSync('owner');
        return undefined;
      case 'put':
        return this.#put(write);
      case 'remove':
        for (const id of write.ids) this.#rows.removeSync(id);
        return undefined;
      case 'request': {
        const id = (this.#meta.get('nextRequest') as number | undefined) ?? 1;
        this.#meta.putSync('nextRequest', id + 1);
        this.#requests.putSync(id, write.request);
        return id;
      }
      case 'take':
        return this.#take();
      case 'answer':
        this.#results.putSync(write.id, write.report);
        trim(this.#results, MAX_RESULTS);
        return undefined;
    }
  }

  #own(pid: number): void {
    const owner = this.#meta.get('owner') as Owner | undefined;
    if (owner !== undefined && owner.pid !== pid && isAlive(owner)) {
      throw this.#refusal(`process ${owner.pid} has it open; a store serves one bus at a time`);
    }
    this.#meta.putSync('owner', { pid, startedAt: startOf(pid) });
    this.#meta.putSync('kind', KIND);
    this.#meta.putSync('version', VERSION);
  }

  #put({ rows, layouts, most }: Extract<Write, { kind: 'put' }>): number {
    let next = this.nextId;
    for (const [name, layout] of layouts) this.#layouts.putSync(name, layout);
    let start = 0;
    for (const [id, end] of rows.ends) {
      this.#rows.putSync(id, rows.bytes.subarray(start, end));
      next = Math.max(next, id + 1);
      start = end;
    }
    this.#meta.putSync('nextId', next);
    return trim(this.#rows, most);
  }

  /** Marks a request's letters and takes the request away: who takes it carries it out, and nobody else does. */
  #take(): ReplayRequest | undefined {
    for (const { key: id, value: request } of this.#requests.getRange({ limit: 1 })) {
      const [letters, refused]: [number[], number[]] = [[], []];
      for (const letter of request.letters) {
        const bytes = this.#rows.get(letter);
        const row = bytes && this.#toLetter(letter, bytes);
        // One that is on its way already, by a request before this one, is not sent twice.
        if (bytes === undefined || row === undefined || row.replaying) {
          refused.push(letter);
          continue;
        }
        letters.push(letter);
        this.#rows.putSync(letter, packRow({ ...row, replaying: true }, layoutIn(bytes)));
      }
      this.#requests.removeSync(id);
      return { ...request, id, letters, refused };
    }
    return undefined;
  }

  #toLetter(id: number, bytes: Uint8Array): Letter {
    const { layout, letter } = unpackRow(bytes);
    let type = this.#types.get(layout);
    if (type === undefined) {
      const found = this.#layouts.get(layout);
      if (found === undefined) throw this.#refusal(`letter ${id} is of a layout that is not there: ${layout}`);
      [type] = catalogFrom({ types: [found] }).types;
      this.#types.set(layout, type);
    }
    return { ...letter, id, type };
  }

  #refusal(why: string): LanebusError {
    return new LanebusError(ErrorCode.DEAD_LETTER_STORE, `dead letters in ${this.#path}: ${why}`);
  }
}

/** What a row has, in this order: names would take more room, and more time, than the values. */
const COLUMNS = [
  'subscription',
  'payload',
  'symbols',
  'reason',
  'error',
  'attempts',
  'started',
  'crashes',
  'firstFailedAt',
  'lastFailedAt',
  'setAsideAt',
  'thread',
  'lane',
  'publisher',
  'sequence',
  'publishedAt',
  'cause',
  'replaying',
  'history',
] as const satisfies readonly (keyof Letter)[];
type Columns = Pick<Letter, (typeof COLUMNS)[number]>;

/** @param layout Name of the layout of its type. */
function packRow(letter: Columns, layout: string): Uint8Array {
  return packValue([layout, ...COLUMNS.map((column) => letter[column])]);
}

/** @param layoutOf Name of a type's layout. */
export function packRows(letters: readonly Letter[], layoutOf: (type: EventType) => string): Rows {
  const rows = letters.map((letter) => packRow(letter, layoutOf(letter.type)));
  let end = 0;
  const ends = rows.map((row, index) => [letters[index].id, (end += row.length)] as const);
  const bytes = new Uint8Array(end);
  rows.forEach((row, index) => {
    bytes.set(row, ends[index][1] - row.length);
  });
  return { bytes, ends };
}

function unpackRow(bytes: Uint8Array): { readonly layout: string; readonly letter: Columns } {
  // The database reads into memory that it uses again.
  const [layout, ...values] = unpackCopy(bytes.slice()) as [string, ...unknown[]];
  return { layout, letter: Object.fromEntries(COLUMNS.map((column, index) => [column, values[index]])) as Columns };
}

function layoutIn(bytes: Uint8Array): string {
  return unpackRow(bytes).layout;
}

function entriesOf(database: Database): number {
  return (database.getStats() as { readonly entryCount: number }).entryCount;
}

/** Removes the oldest entries. @returns How many. */
function trim(
  database: Database<never, number> | Database<Uint8Array, number> | Database<ReplayReport, number>,
  most: number,
): number {
  const excess = Math.max(0, entriesOf(database) - most);
  if (excess > 0) for (const id of [...database.getKeys({ limit: excess })]) database.removeSync(id);
  return excess;
}

/** Whether a file is a database, or none yet: `lmdb` ends the process over one that is something else. */
function isDatabase(file: string): boolean {
  if (!existsSync(file)) return true;
  const head = Buffer.alloc(MAGIC_OFFSETS[MAGIC_OFFSETS.length - 1] + 4);
  const descriptor = openSync(file, 'r');
  const bytes = readSync(descriptor, head, 0, head.length, 0);
  closeSync(descriptor);
  return bytes === 0 || MAGIC_OFFSETS.some((offset) => head.readUInt32LE(offset) === MAGIC);
}

function isAlive({ pid, startedAt }: Owner): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return startedAt === undefined || startOf(pid) === startedAt;
}

/** When a process was started, in ticks since the machine was; undefined where that cannot be known. Field 22 of proc(5) stat. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
