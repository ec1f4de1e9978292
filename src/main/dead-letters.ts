/**
 * The dead letters of a bus: what `bus.deadLetters` is. A letter is kept before its delivery has its outcome, so that none is
 * counted that a crash would lose. What comes while the store is still writing goes into its next batch.
 */
import { z } from 'zod';
import type {
  DeadLetter,
  DeadLetterPage,
  DeadLetterQuery,
  DeadLetters,
  ReplayOptions,
  ReplayReport,
} from '../shared/api.js';
import { asError, ErrorCode, LanebusError } from '../shared/errors.js';
import type { Logger } from '../shared/logger.js';
import { errorOf } from './case.js';
import { type DeadLetterStore, type Letter, MemoryDeadLetterStore, type ReplayRequest } from './dead-letter-store.js';
import { findProblems, integer, section, throwProblems } from './option-checks.js';
import { eventOf } from './parcel.js';

/** Letters that may wait for a store that is slower than they come: then threads wait, too. */
const MAX_UNKEPT = 8_192;
const DEFAULT_LIMIT = 1_000;
/** A store that is full is full for each batch. */
const TELL_EVERY_MS = 60_000;
/** How often requests of other processes are looked for. */
const POLL_MS = 200;

export const REASONS = ['failed', 'timedOut', 'poison', 'retryOverflow', 'undecodable'] as const;
const name = z.string({ error: 'a name' });
const query = {
  type: name,
  subscription: name,
  reason: z.enum(REASONS, { error: REASONS.map((reason) => `'${reason}'`).join(' or ') }),
  since: z.number({ error: 'a time in ms since the Unix epoch' }),
};
const whichRule = { error: "a letter's id, or an object of: type, subscription, reason, since" };
const idSchema = z.int(whichRule).min(1, whichRule);
const querySchema = section(query);
const pageSchema = section({
  ...query,
  limit: integer('letters', 1, 1_000_000),
  cursor: integer('id', 0, Number.MAX_SAFE_INTEGER),
});
const replaySchema = section({
  to: z.enum(['subscription', 'all'], { error: "'subscription' or 'all'" }),
  rate: z.number({ error: 'letters a second from 0' }).min(0, { error: 'letters a second from 0' }),
});

/** Sends a letter on its way once more. @returns Why it cannot. */
export type Replayer = (letter: Letter, to: 'subscription' | 'all') => Promise<string | undefined>;

export class DeadLetterOffice implements DeadLetters {
  readonly #store: DeadLetterStore;
  /** For what the store does not take. */
  readonly #fallback: MemoryDeadLetterStore;
  readonly #log: Logger;
  readonly #onKept: (letter: Letter) => void;
  #replayer: Replayer | undefined;
  #nextId = 1;
  #batch: { readonly letter: Letter; readonly isNew: boolean; readonly done: () => void }[] = [];
  #writing: Promise<void> | undefined;
  #unkept = 0;
  readonly #underWay = new Set<number>();
  #degraded = 0;
  /** When it was last told that letters cannot be stored. */
  #toldAt = -Infinity;
  #poll: NodeJS.Timeout | undefined;
  #serving: Promise<void> | undefined;
  /** Called when it has room again. */
  onRoom: () => void = () => undefined;

  /** @param onKept Called with each new letter, when it is kept. */
  constructor(store: DeadLetterStore, max: number, log: Logger, onKept: (letter: Letter) => void) {
    this.#store = store;
    this.#fallback = new MemoryDeadLetterStore(max);
    this.#log = log;
    this.#onKept = onKept;
  }

  /** @throws what keeps the store from being used */
  open(replayer: Replayer): void {
    this.#store.open();
    this.#nextId = this.#store.nextId;
    this.#replayer = replayer;
    // A process that ended while they were on their way has not told what became of them.
    const astray = [...this.#store.letters(1)].filter(({ replaying }) => replaying);
    for (const letter of astray) this.keep({ ...letter, replaying: false }, false, () => undefined);
  }

  /** Carries out what other processes have asked for, from now on. */
  serve(): void {
    if (this.#store.takeRequest === undefined) return;
    this.#poll = setTimeout(() => {
      this.#serving = this.#serveAll().then(() => {
        if (this.#replayer !== undefined) this.serve();
      });
    }, POLL_MS).unref();
  }

  async #serveAll(): Promise<void> {
    try {
      for (;;) {
        const request = await this.#store.takeRequest?.();
        if (request === undefined) return;
        const { replayed, refused } = await this.#replayEach(request, true);
        const others = request.refused.map((id) => ({ id, why: 'it is not there, or is being replayed already' }));
        await this.#store.answer?.(request.id, { replayed, refused: [...refused, ...others] });
      }
    } catch (error) {
      this.#log.error({ err: error }, 'a request to replay dead letters has failed');
    }
  }

  /** Resolves when all is kept, and nobody else is kept from the store. */
  async close(): Promise<void> {
    this.#replayer = undefined;
    clearTimeout(this.#poll);
    await this.#serving;
    await this.settled();
    await this.#store.close();
  }

  /** Resolves when everything that was handed over is kept. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  get isWriting(): boolean {
    return this.#writing !== undefined;
  }

  /** Whether as many letters wait for the store as may. */
  get isFull(): boolean {
    return this.#unkept >= MAX_UNKEPT;
  }

  get evicted(): number {
    return this.#store.evicted + this.#fallback.evicted;
  }

  get degraded(): number {
    return this.#degraded;
  }

  /** For the next new letter. */
  newId(): number {
    return this.#nextId++;
  }

  /** Keeps a letter, new or changed. @param done Called when it is kept: at once, or later. */
  keep(letter: Letter, isNew: boolean, done: () => void): void {
    this.#unkept++;
    this.#batch.push({ letter, isNew, done });
    if (this.#writing === undefined) this.#write();
  }

  /** Takes letters away. What cannot be taken away is logged. */
  async drop(ids: readonly number[]): Promise<void> {
    this.#fallback.remove(ids);
    try {
      await this.#store.remove(ids);
    } catch (error) {
      this.#log.error({ err: error, letters: ids.length }, 'dead letters cannot be removed');
    }
  }

  count(which?: DeadLetterQuery): number {
    check(querySchema, which, 'deadLetters.count');
    if (which === undefined) return this.#store.size + this.#fallback.size;
    return [...this.#matching(which)].length;
  }

  list(page: DeadLetterPage = {}): DeadLetter[] {
    check(pageSchema, page, 'deadLetters.list');
    const { limit = DEFAULT_LIMIT, cursor = 0 } = page;
    const found: DeadLetter[] = [];
    for (const letter of this.#matching(page, cursor + 1)) {
      if (found.length === limit) break;
      found.push(toDeadLetter(letter));
    }
    return found;
  }

  get(id: number): DeadLetter | undefined {
    check(idSchema, id, 'deadLetters.get');
    const letter = this.#find(id);
    return letter && toDeadLetter(letter);
  }

  async replay(which: number | DeadLetterQuery, options: ReplayOptions = {}): Promise<ReplayReport> {
    checkWhich(which, 'deadLetters.replay');
    check(replaySchema, options, 'deadLetters.replay');
    const { to = 'subscription', rate = 0 } = options;
    const letters = typeof which === 'number' ? [which] : [...this.#matching(which)].map(({ id }) => id);
    return this.#replayEach({ letters, to, rate }, false);
  }

  /** @param isMarked Whether they are marked `replaying` already. */
  async #replayEach(
    { letters: ids, to, rate }: Pick<ReplayRequest, 'letters' | 'to' | 'rate'>,
    isMarked: boolean,
  ): Promise<ReplayReport> {
    const refused: { id: number; why: string }[] = [];
    const begun = performance.now();
    let replayed = 0;
    for (const id of ids) {
      if (rate > 0) await this.#untilDue(begun + (replayed * 1e3) / rate);
      const why = await this.#replayOne(id, to, isMarked);
      if (why === undefined) replayed++;
      else refused.push({ id, why });
    }
    return { replayed, refused };
  }

  async purge(which?: number | DeadLetterQuery): Promise<number> {
    if (which !== undefined) checkWhich(which, 'deadLetters.purge');
    const ids =
      typeof which === 'number'
        ? this.#find(which) === undefined
          ? []
          : [which]
        : [...this.#matching(which ?? {})].map(({ id }) => id);
    await this.drop(ids);
    return ids.length;
  }

  *export(which: DeadLetterQuery = {}): Iterable<string> {
    check(querySchema, which, 'deadLetters.export');
    for (const letter of this.#matching(which)) yield toJson(toDeadLetter(letter));
  }

  #write(): void {
    const batch = this.#batch;
    if (batch.length === 0) return;
    this.#batch = [];
    const letters = batch.map(({ letter }) => letter);
    const end = (): void => {
      this.#unkept -= batch.length;
      for (const { letter, isNew, done } of batch) {
        done();
        if (isNew) this.#onKept(letter);
      }
      this.onRoom();
    };
    let written: Promise<void> | undefined;
    try {
      written = this.#store.put(letters);
    } catch (error) {
      written = Promise.reject(asError(error));
    }
    if (written === undefined) {
      end();
      return;
    }
    const kept = written.then(
      () => {
        this.#fallback.remove(letters.map(({ id }) => id));
      },
      (error: unknown) => {
        this.#degrade(letters, error);
      },
    );
    const writing = kept.then(end).then(() => {
      if (this.#writing === writing) this.#writing = undefined;
      if (this.#writing === undefined) this.#write();
    });
    this.#writing = writing;
  }

  #degrade(letters: readonly Letter[], error: unknown): void {
    this.#degraded += letters.length;
    this.#fallback.put(letters);
    if (performance.now() - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = performance.now();
    this.#log.fatal(
      { err: error },
      'dead letters cannot be stored: they are kept in memory, and lost with the process',
    );
  }

  #find(id: number): Letter | undefined {
    return this.#fallback.get(id) ?? this.#store.get(id);
  }

  *#matching({ type, subscription, reason, since }: DeadLetterQuery, from = 1): Iterable<Letter> {
    for (const store of [this.#store, this.#fallback]) {
      for (const letter of store.letters(from)) {
        // What the store did not take is newer than what it has.
        if (store === this.#store && this.#fallback.get(letter.id) !== undefined) continue;
        if (type !== undefined && letter.type.name !== type) continue;
        if (subscription !== undefined && letter.subscription.name !== subscription) continue;
        if (reason !== undefined && letter.reason !== reason) continue;
        if (since === undefined || letter.setAsideAt >= since) yield letter;
      }
    }
  }

  /** Waits, but not longer than the bus runs. */
  async #untilDue(time: number): Promise<void> {
    for (
      let wait = time - performance.now();
      wait > 0 && this.#replayer !== undefined;
      wait = time - performance.now()
    ) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(wait, POLL_MS)));
    }
  }

  /** @returns Why it is not replayed. */
  async #replayOne(id: number, to: 'subscription' | 'all', isMarked: boolean): Promise<string | undefined> {
    if (this.#replayer === undefined) {
      throw new LanebusError(ErrorCode.NOT_STARTED, 'deadLetters.replay: the bus is not running');
    }
    const letter = this.#find(id);
    if (letter === undefined) return 'there is no letter with this id';
    if (this.#underWay.has(id) || (letter.replaying && !isMarked)) return 'it is being replayed already';
    const marked = { ...letter, replaying: true };
    const mark = (changed: Letter): Promise<void> =>
      new Promise((resolve) => {
        this.keep(changed, false, resolve);
      });
    if (!isMarked) {
      this.#underWay.add(id); // until its mark can be seen
      await mark(marked);
      this.#underWay.delete(id);
    }
    const why = await this.#replayer(marked, to);
    if (why !== undefined) await mark({ ...letter, replaying: false });
    return why;
  }
}

export function toDeadLetter(kept: Letter): DeadLetter {
  const { id, subscription, type, payload, symbols, history, ...letter } = kept;
  const event = eventOf({ type, payload, symbols }) ?? { type: type.name };
  const key = type.key === undefined ? undefined : event[type.key];
  return { id, subscription, type: type.name, event, key, ...letter, error: errorOf(kept), history };
}

/** One line. */
export function toJson(letter: DeadLetter): string {
  return JSON.stringify(letter, (_, value: unknown) => {
    if (typeof value === 'bigint') return value.toString();
    return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value;
  });
}

function check(schema: z.ZodType, value: unknown, what: string): void {
  if (value !== undefined) throwProblems(findProblems(schema, value), what);
}

function checkWhich(which: unknown, what: string): void {
  check(typeof which === 'object' && which !== null ? querySchema : idSchema, which, what);
}
