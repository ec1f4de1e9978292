import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { Parser } from 'csv-parse';
import { parse } from 'csv-parse';
import type { MboEvent } from './catalog.js';
import { checkHeader, COLUMNS, FeedProblem, parseRow } from './feed-row.js';

/** A feed that cannot be read to its end. The message is one line: file, line, what was expected and what was found. */
export class FeedError extends Error {
  constructor(file: string, line: number, problem: string, cause: unknown) {
    super(`feed ${JSON.stringify(file)}, line ${line}: ${problem}`, { cause });
    this.name = 'FeedError';
  }
}

const GZIP_MAGIC = 0x1f8b;
const MAX_LINE_CHARACTERS = 4096;

/** The name under which the events of a feed file are published: a feed holds one instrument and does not name it. */
export function instrumentOf(file: string): string {
  return basename(file).replace(/(\.csv)?(\.gz)?$/i, '');
}

/**
 * The events of a csv or gzipped csv file, in file order, in batches of what one read brought. Reads as fast as the caller takes
 * them and holds one batch at a time. Gzip is told by its content. Rejects with `FeedError` when nothing can be read, and throws
 * it later at the first thing that is not as it should be, after the rows before it.
 */
export async function openFeed(file: string): Promise<AsyncIterable<readonly MboEvent[]>> {
  const batches = readFeed(file);
  const first = await batches.next();
  return continued(first, batches);
}

async function* continued<T>(first: IteratorResult<T, void>, rest: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  if (!first.done) yield first.value;
  yield* rest;
}

async function* readFeed(file: string): AsyncGenerator<readonly MboEvent[], void> {
  const rows = new RowReader(instrumentOf(file));
  const source = createReadStream(file);
  try {
    for await (const chunk of await plainText(file, source)) {
      const batch = rows.read(chunk as Buffer);
      if (batch.length > 0) yield batch;
      rows.rethrow();
    }
    const batch = rows.end();
    if (batch.length > 0) yield batch;
    rows.rethrow();
  } catch (error) {
    throw new FeedError(file, rows.line + 1, problemOf(error), error);
  } finally {
    source.destroy();
  }
}

async function plainText(file: string, source: Readable): Promise<Readable> {
  // Rejects if the file cannot be opened or read.
  await once(source, 'readable');
  const start = source.read() as Buffer | null;
  if (start === null) throw emptyFeed();
  source.unshift(start);
  if (start.length >= 2 && start.readUInt16BE() === GZIP_MAGIC) {
    // Its errors reach the reader of the stream it returns.
    return pipeline(source, createGunzip(), () => undefined);
  }
  if (/\.gz$/i.test(file)) throw new FeedProblem('expected gzip data, as the name ends in .gz, found something else');
  return source;
}

/** Turns text into events, counts its lines, and hands out the rows before a bad one first. */
class RowReader {
  /** Lines that were good, the header among them. */
  line = 0;
  readonly #instrument: string;
  #failure: Error | undefined;
  // A feed has no quotes. Without them a row is a line, and the number of rows read is the line number.
  readonly #parser: Parser = parse({
    bom: true,
    quote: false,
    relax_column_count: true,
    max_record_size: MAX_LINE_CHARACTERS,
    record_delimiter: ['\r\n', '\n'],
  });

  constructor(instrument: string) {
    this.#instrument = instrument;
    this.#parser.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  read(chunk: Buffer): MboEvent[] {
    this.#parser.write(chunk);
    return this.#take();
  }

  end(): MboEvent[] {
    this.#parser.end();
    const events = this.#take();
    if (this.line === 0) this.#failure ??= emptyFeed();
    return events;
  }

  rethrow(): void {
    // The parser's 'error' event comes a turn after its error.
    const failure = this.#failure ?? this.#parser.errored;
    if (failure) throw failure;
  }

  #take(): MboEvent[] {
    const events: MboEvent[] = [];
    try {
      for (;;) {
        const row = this.#parser.read() as string[] | null;
        if (row === null) return events;
        if (this.line === 0) checkHeader(row);
        else events.push(parseRow(row, this.#instrument));
        this.line++;
      }
    } catch (error) {
      if (!(error instanceof FeedProblem)) throw error;
      this.#failure = error;
      return events;
    }
  }
}

function emptyFeed(): FeedProblem {
  return new FeedProblem(`expected the header ${COLUMNS.join(',')}, found an empty file`);
}

function problemOf(error: unknown): string {
  if (error instanceof FeedProblem) return error.message;
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return 'expected a file, found none of that name';
    case 'EISDIR':
      return 'expected a file, found a directory';
    case 'Z_BUF_ERROR':
      return 'expected the rest of the gzip data, found the end of the file';
    case 'Z_DATA_ERROR':
      return `expected intact gzip data, found damaged data (${message})`;
    case 'CSV_MAX_RECORD_SIZE':
      return `expected a line of at most ${MAX_LINE_CHARACTERS} characters, found a longer one`;
    default:
      return `expected a readable feed, found an error: ${message.replace(/\s+/g, ' ')}`;
  }
}
