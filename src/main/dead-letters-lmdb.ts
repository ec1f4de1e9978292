/**
 * Dead letters in an LMDB database, for `lanebus/dead-letters-lmdb`. Needs the package `lmdb`, a peer dependency.
 *
 * One bus owns a store. Others (the command line) read it, take letters away, and leave requests in it: LMDB lets one process
 * write at a time, so each of their transactions happens before or after the bus's own, never beside it.
 *
 * A letter is durable when its transaction has committed: that syncs the file, once for all letters of a batch. So whoever
 * dies between two commits leaves whole letters only, and each of them once, since it is kept under its number.
 */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { Piscina } from 'piscina';
import { z } from 'zod';
import type { ReplayReport } from '../shared/api.js';
import type { EventType, TypeDescription } from '../shared/catalog.js';
import { ErrorCode, type ErrorRecord, fromErrorRecord, LanebusError } from '../shared/errors.js';
import type { DeadLetterStore, Letter, ReplayRequest } from './dead-letter-store.js';
import { LmdbLetters, packRows, type Write } from './lmdb-letters.js';
import { findProblems, integer, throwProblems } from './option-checks.js';

/** The options of `lmdbDeadLetters`. */
export interface LmdbDeadLetterOptions {
  /** Folder of the database; made, for its owner only, if it is not there. */
  readonly path: string;
  /** Letters that are kept, 1–1,000,000,000; with more, the oldest go. Default 10,000,000. */
  readonly maxLetters?: number | undefined;
}

const pathRule = { error: 'the path of a folder' };
const schema = z.strictObject(
  {
    path: z.string(pathRule).min(1, pathRule),
    maxLetters: integer('letters', 1, 1_000_000_000).optional(),
  },
  { error: () => 'path, maxLetters' },
);
const MAX_LETTERS = 10_000_000;

/**
 * A store of dead letters that survives the process, for the option `deadLetterStore` of `createBus`. Nothing is opened
 * before the bus starts; `start` rejects with ERR_LANEBUS_DEAD_LETTER_STORE if the folder cannot be used.
 * @throws ERR_LANEBUS_OPTIONS
 */
export function lmdbDeadLetters(options: LmdbDeadLetterOptions): DeadLetterStore {
  throwProblems(findProblems(schema, options), 'lmdbDeadLetters');
  return new LmdbDeadLetterStore(options.path, options.maxLetters);
}

/** Folders that this process has open. */
const opened = new Set<string>();

class LmdbDeadLetterStore implements DeadLetterStore {
  readonly #path: string;
  readonly #maxLetters: number;
  #letters: LmdbLetters | undefined;
  #thread: Piscina | undefined;
  #evicted = 0;
  /** The name under which a type's layout is kept, and those that are not kept yet. */
  readonly #layoutOf = new Map<EventType, string>();
  readonly #newLayouts = new Map<string, TypeDescription>();

  constructor(path: string, maxLetters = MAX_LETTERS) {
    this.#path = resolve(path);
    this.#maxLetters = maxLetters;
  }

  open(): void {
    if (opened.has(this.#path)) {
      const why = 'it is open in this process already; a store serves one bus';
      throw new LanebusError(ErrorCode.DEAD_LETTER_STORE, `dead letters in ${this.#path}: ${why}`);
    }
    const letters = new LmdbLetters(this.#path, true);
    try {
      letters.apply({ kind: 'own', pid: process.pid });
    } catch (error) {
      void letters.close();
      throw error;
    }
    opened.add(this.#path);
    this.#letters = letters;
    this.#thread = new Piscina({
      filename: new URL('lmdb-thread.js', import.meta.url).href,
      workerData: { path: this.#path },
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
    });
  }

  async close(): Promise<void> {
    const letters = this.#letters;
    if (letters === undefined) return;
    await this.#write({ kind: 'disown' }).catch(() => undefined); // whoever comes next sees that we are gone
    await this.#thread?.destroy();
    this.#thread = undefined;
    this.#letters = undefined;
    opened.delete(this.#path);
    await letters.close();
  }

  get size(): number {
    return this.#letters?.size ?? 0;
  }

  get evicted(): number {
    return this.#evicted;
  }

  get nextId(): number {
    return this.#letters?.nextId ?? 1;
  }

  get(id: number): Letter | undefined {
    return this.#letters?.get(id);
  }

  letters(from: number): Iterable<Letter> {
    return this.#letters?.letters(from) ?? [];
  }

  async put(letters: readonly Letter[]): Promise<void> {
    const rows = packRows(letters, (type) => this.#layout(type));
    const layouts = this.#newLayouts;
    const evicted = await this.#write({ kind: 'put', rows, layouts, most: this.#maxLetters }, [rows.bytes.buffer]);
    this.#evicted += evicted as number;
    for (const name of layouts.keys()) this.#newLayouts.delete(name);
  }

  async remove(ids: readonly number[]): Promise<void> {
    await this.#write({ kind: 'remove', ids });
  }

  async takeRequest(): Promise<ReplayRequest | undefined> {
    if (this.#letters === undefined || this.#letters.requested === 0) return undefined;
    return (await this.#write({ kind: 'take' })) as ReplayRequest | undefined;
  }

  async answer(id: number, report: ReplayReport): Promise<void> {
    await this.#write({ kind: 'answer', id, report });
  }

  async #write(write: Write, transferList: ArrayBuffer[] = []): Promise<unknown> {
    const result = (await this.#thread?.run(write, { transferList })) as
      { value?: unknown; error?: ErrorRecord } | undefined;
    if (result?.error !== undefined) throw fromErrorRecord(result.error);
    return result?.value;
  }

  #layout(type: EventType): string {
    const known = this.#layoutOf.get(type);
    if (known !== undefined) return known;
    const layout = describe(type);
    const name = createHash('sha256').update(JSON.stringify(layout)).digest('base64url');
    this.#layoutOf.set(type, name);
    this.#newLayouts.set(name, layout);
    return name;
  }
}

/** A type as plain data, from which its layout follows. */
function describe({ name, priority, key, fields }: EventType): TypeDescription {
  return {
    name,
    priority,
    key,
    fields: fields.map(({ name: field, kind, members, optional }) => ({
      name: field,
      field: {
        kind,
        ...(members && { members: [...members] }),
        ...(optional && { optional }),
      },
    })),
  };
}
