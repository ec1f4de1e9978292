/**
 * `lanebus dead-letters`: looks after the dead letters of a store, whether a bus has it open or not. Replays are left to the
 * bus: its process carries them out at once, or when it starts next (dead-letters-lmdb.ts).
 */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Table from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { DeadLetter, DeadLetterQuery } from '../shared/api.js';
import { createLogger } from '../shared/logger.js';
import { type Letter, MemoryDeadLetterStore } from '../main/dead-letter-store.js';
import { DeadLetterOffice, REASONS, toJson } from '../main/dead-letters.js';
import type { LmdbLetters } from '../main/lmdb-letters.js';
import { UsageError } from './usage-error.js';

const LOOK_MS = 50;
/** Characters of a cell, before it is cut. */
const MAX_CELL = 48;

interface StoreOptions {
  readonly store: string;
}

interface FilterOptions extends StoreOptions {
  readonly type?: string;
  readonly subscription?: string;
  readonly reason?: DeadLetterQuery['reason'];
  readonly since?: number;
}

type Chosen = FilterOptions & { readonly all?: boolean };

export function deadLettersCommand(): Command {
  const command = new Command('dead-letters').description(
    'look at the deliveries that were set aside, and replay them',
  );

  filtered(command.command('list').description('list letters, oldest first'))
    .option('--limit <n>', 'at most so many', positive, 50)
    .option('--cursor <id>', 'only those after this letter', natural)
    .option('--json', 'one JSON object a line')
    .action(
      async ({
        json,
        limit,
        cursor,
        ...filter
      }: FilterOptions & { json?: boolean; limit: number; cursor?: number }) => {
        await withStore(filter, (office) => {
          const query = queryOf(filter);
          const letters = office.list({ ...query, limit, cursor });
          if (json === true) {
            for (const letter of letters) print(toJson(letter));
            return;
          }
          if (letters.length > 0) print(tableOf(letters));
          const count = office.count(query);
          print(summary(letters, count));
        });
      },
    );

  stored(command.command('show').description('show one letter, with its event, its error and its history'))
    .argument('<id>', 'number of the letter', positive)
    .option('--json', 'as JSON')
    .action(async (id: number, { json, ...options }: StoreOptions & { json?: boolean }) => {
      await withStore(options, (office) => {
        const letter = find(office, id);
        print(json === true ? toJson(letter) : describe(letter));
      });
    });

  chosen(command.command('replay').description('deliver letters again, by the process that has the store open'))
    .addOption(new Option('--to <whom>', 'whom').choices(['subscription', 'all']).default('subscription'))
    .option('--rate <n>', 'at most so many letters a second; 0 = no limit', natural, 0)
    .option('--wait <seconds>', 'how long to wait for the result; 0 = not', natural, 10)
    .action(async (given: number[], options: Chosen & { to: 'subscription' | 'all'; rate: number; wait: number }) => {
      await withStore(options, async (office, store) => {
        const letters = choose(office, given, options);
        const { to, rate } = options;
        const request = store.apply({ kind: 'request', request: { letters, to, rate } }) as number;
        const asked = `${plural(letters.length, 'letter')} to ${to === 'all' ? 'all subscriptions' : 'the subscription that has failed'}`;
        if (!store.isOwned) {
          print(`Queued: ${asked}. No process has the store open; the next bus that opens it replays them.`);
          return;
        }
        const end = Date.now() + options.wait * 1e3;
        let report = store.resultOf(request);
        for (; report === undefined && Date.now() < end; report = store.resultOf(request)) await sleep(LOOK_MS);
        if (report === undefined) {
          print(`Asked for: ${asked}. The process that has the store open has not finished yet.`);
          return;
        }
        print(`Replayed ${plural(report.replayed, 'letter')}. One that fails again is kept, with its history.`);
        for (const { id, why } of report.refused) print(`Letter ${id} was not replayed: ${why}.`);
        if (report.refused.length > 0) process.exitCode = 1;
      });
    });

  chosen(command.command('purge').description('forget letters for good')).action(
    async (given: number[], options: Chosen) => {
      await withStore(options, async (office) => {
        const letters = choose(office, given, options);
        await office.drop(letters);
        print(`Purged ${plural(letters.length, 'letter')}.`);
      });
    },
  );

  filtered(command.command('export').description('write letters as JSON, one object a line'))
    .option('--output <file>', 'to a file instead of standard output')
    .action(async ({ output, ...filter }: FilterOptions & { output?: string }) => {
      await withStore(filter, async (office) => {
        const stream = output === undefined ? process.stdout : createWriteStream(output, { mode: 0o600 });
        let count = 0;
        for (const line of office.export(queryOf(filter))) {
          count++;
          if (!stream.write(`${line}\n`)) await once(stream, 'drain');
        }
        if (output === undefined) return;
        stream.end();
        await once(stream, 'finish');
        print(`Exported ${plural(count, 'letter')} to ${output}.`);
      });
    });

  return command;
}

function stored(command: Command): Command {
  return command.requiredOption('--store <dir>', 'folder of the store: the path given to lmdbDeadLetters');
}

function filtered(command: Command): Command {
  return stored(command)
    .option('--type <name>', 'only of this event type')
    .option('--subscription <name>', 'only of this subscription')
    .addOption(new Option('--reason <reason>', 'only for this reason').choices(REASONS))
    .option('--since <time>', 'only those set aside since then: an ISO time, or ms since the Unix epoch', time);
}

function chosen(command: Command): Command {
  const add = (id: string, before: number[] = []): number[] => [...before, positive(id)];
  return filtered(command).argument('[ids...]', 'numbers of letters', add, []).option('--all', 'all letters');
}

async function withStore(
  { store: path }: StoreOptions,
  act: (office: DeadLetterOffice, letters: LmdbLetters) => unknown,
): Promise<void> {
  const { LmdbLetters: Letters } = await import('../main/lmdb-letters.js').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new Error('the package "lmdb" is not installed; it reads the store: npm install lmdb');
  });
  const letters = new Letters(resolve(path), false);
  const log = createLogger({ level: 'error', destination: 2 }, {});
  try {
    await act(new DeadLetterOffice(new Visited(letters), 0, log, () => undefined), letters);
  } finally {
    await letters.close();
  }
}

/** A store that a bus may have open at the same time. Nothing new is kept here. */
class Visited extends MemoryDeadLetterStore {
  readonly #letters: LmdbLetters;

  constructor(letters: LmdbLetters) {
    super(0);
    this.#letters = letters;
  }

  override get size(): number {
    return this.#letters.size;
  }

  override get(id: number): Letter | undefined {
    return this.#letters.get(id);
  }

  override letters(from: number): Iterable<Letter> {
    return this.#letters.letters(from);
  }

  override remove(ids: readonly number[]): undefined {
    this.#letters.apply({ kind: 'remove', ids });
  }
}

/** The letters that were named or filtered: those that are not there are an error before anything happens. */
function choose(office: DeadLetterOffice, given: readonly number[], { all, ...options }: Chosen): number[] {
  const query = queryOf(options);
  const isFiltered = Object.values(query).some((value) => value !== undefined);
  if (given.length > 0 && (isFiltered || all === true)) {
    throw new UsageError(`letters ${given.join(', ')} and a filter were given; expected ids, filters, or --all`);
  }
  if (given.length > 0) return given.map((id) => find(office, id).id);
  if (!isFiltered && all !== true) {
    throw new UsageError('no letter was given; expected ids, filters such as --type or --reason, or --all');
  }
  const ids: number[] = [];
  for (let cursor = 0; ;) {
    const page = office.list({ ...query, cursor, limit: 1_000 });
    ids.push(...page.map(({ id }) => id));
    const last = page.at(-1);
    if (last === undefined) return ids;
    cursor = last.id;
  }
}

function find(office: DeadLetterOffice, id: number): DeadLetter {
  const letter = office.get(id);
  if (letter === undefined)
    throw new Error(`there is no letter ${id}; "lanebus dead-letters list" shows those there are`);
  return letter;
}

function queryOf({ type, subscription, reason, since }: FilterOptions): DeadLetterQuery {
  return { type, subscription, reason, since };
}

function tableOf(letters: readonly DeadLetter[]): string {
  const table = new Table({
    head: ['id', 'set aside', 'subscription', 'type', 'key', 'reason', 'tries', 'error'],
    style: { head: [], border: [], compact: true },
    colAligns: ['right', 'left', 'left', 'left', 'left', 'left', 'right', 'left'],
  });
  for (const { id, setAsideAt, subscription, type, key, reason, replaying, attempts, error } of letters) {
    const state = replaying ? `${reason}, replaying` : reason;
    const what = error === undefined ? '' : `${error.name}: ${error.message}`;
    table.push([id, iso(setAsideAt), cut(subscription.name), type, cut(text(key)), state, attempts, cut(what)]);
  }
  return table.toString();
}

function summary(letters: readonly DeadLetter[], count: number): string {
  const last = letters.at(-1);
  if (last === undefined)
    return count === 0 ? 'No letters.' : `No more letters (${count.toLocaleString('en-US')} in all).`;
  const shown = plural(letters.length, 'letter');
  if (count <= letters.length) return `${shown}.`;
  return `${shown} of ${count.toLocaleString('en-US')}; the next ones: --cursor ${last.id}`;
}

function describe(letter: DeadLetter): string {
  const { subscription, cause, error, history } = letter;
  const rows: [string, string][] = [
    ['letter', String(letter.id)],
    ['subscription', subscription.name],
    ['reason', letter.replaying ? `${letter.reason}, being replayed` : letter.reason],
    ['tries', `${letter.attempts} failed, ${letter.started} started, ${letter.crashes} cost the thread`],
    [
      'published',
      `${iso(letter.publishedAt)}, lane ${letter.lane}, publisher ${letter.publisher}, sequence ${letter.sequence}`,
    ],
    ...(cause === undefined
      ? []
      : [
          ['caused by', `lane ${cause.lane}, publisher ${cause.publisher}, sequence ${cause.sequence}`] as [
            string,
            string,
          ],
        ]),
    ['failed first', iso(letter.firstFailedAt)],
    ['failed last', `${iso(letter.lastFailedAt)}, on thread ${letter.thread}`],
    ['set aside', iso(letter.setAsideAt)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return [
    ...rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    '',
    JSON.stringify((JSON.parse(toJson(letter)) as DeadLetter).event, undefined, 2),
    ...(error === undefined
      ? []
      : [
          '',
          ...(error.code === undefined ? [] : [`code ${error.code}`]),
          error.stack ?? `${error.name}: ${error.message}`,
        ]),
    ...(history.length === 0 ? [] : ['', `failed before it was replayed: ${history.map(past).join('; ')}`]),
  ].join('\n');
}

function past({ setAsideAt, reason, attempts, error }: DeadLetter['history'][number]): string {
  return `${iso(setAsideAt)} ${reason} after ${plural(attempts, 'try', 'tries')}${error === undefined ? '' : ` (${cut(error.message)})`}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function text(value: unknown): string {
  if (value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function cut(value: string): string {
  const line = value.replace(/\s+/g, ' ');
  return line.length <= MAX_CELL ? line : `${line.slice(0, MAX_CELL - 1)}…`;
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function positive(given: string): number {
  const value = Number(given);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError('Expected an integer from 1.');
  return value;
}

function natural(given: string): number {
  const value = Number(given);
  if (given.trim() === '' || !(value >= 0) || value === Infinity) {
    throw new InvalidArgumentError('Expected a number from 0.');
  }
  return value;
}

function time(given: string): number {
  const value = /^\d+$/.test(given) ? Number(given) : Date.parse(given);
  if (Number.isNaN(value)) {
    throw new InvalidArgumentError('Expected an ISO time such as 2026-01-31T09:30:00Z, or ms since the Unix epoch.');
  }
  return value;
}
