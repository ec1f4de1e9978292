/**
 * Warm spares: threads that have started and have imported every handler module, so that a take-over waits for a message
 * and not for a thread. A spare has no place in the bus: no blocks, no subscriptions, and no module's `setup` was called.
 * So nothing depends on it. It may die like any other thread; another is warmed, ever later while that keeps failing.
 */
import { ErrorCode, LanebusError } from '../shared/errors.js';
import type { Logger } from '../shared/logger.js';
import type { ResolvedOptions } from './options.js';
import { after, backOffMs, inTime, type Pool, type PoolThread, STARTS } from './pool.js';
import type { Wiring } from './wiring.js';

export class Spares {
  readonly #pool: Pool;
  readonly #options: ResolvedOptions;
  readonly #wiring: Wiring;
  readonly #log: Logger;
  readonly #ready: PoolThread[] = [];
  readonly #living = new Set<PoolThread>();
  readonly #warming = new Set<Promise<void>>();
  /** Spares in a row that have come to nothing. */
  #failures = 0;
  #closing = false;
  #close: () => void = () => undefined;
  /** What waits for its time does not wait beyond this. */
  readonly #closed = new Promise<void>((resolve) => {
    this.#close = resolve;
  });

  constructor(pool: Pool, options: ResolvedOptions, wiring: Wiring, log: Logger) {
    this.#pool = pool;
    this.#options = options;
    this.#wiring = wiring;
    this.#log = log;
  }

  /** Spares that can be taken now. */
  get ready(): number {
    return this.#ready.length;
  }

  /**
   * A warm thread, which is the caller's from now on; undefined when there is none. Waits for one that is being warmed:
   * another one would start later, and take the core from it.
   */
  async take(): Promise<PoolThread | undefined> {
    while (this.#ready.length === 0 && this.#warming.size > 0) await Promise.race(this.#warming);
    const thread = this.#ready.shift();
    if (thread !== undefined) this.#living.delete(thread);
    return thread;
  }

  /** Warms as many as are missing, in the background. */
  fill(): void {
    while (
      !this.#closing &&
      this.#failures < STARTS &&
      this.#ready.length + this.#warming.size < this.#options.spares
    ) {
      const warming: Promise<void> = this.#warm().then(
        () => {
          this.#warming.delete(warming);
        },
        (error: unknown) => {
          this.#warming.delete(warming);
          this.#failed(error);
        },
      );
      this.#warming.add(warming);
    }
  }

  /** Tries again after failures: a thread has started, so whatever made spares fail may have passed. */
  encourage(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.fill();
  }

  /** Has the spares import what has been subscribed meanwhile. */
  learn(): void {
    for (const thread of this.#ready) {
      this.#teach(thread).catch(() => {
        thread.kill(); // its exit is counted
      });
    }
  }

  /**
   * Ends all spares; resolves when they have exited, at most twice `exitWaitMs` later. One that is being warmed comes to the
   * end of that first: Node leaves files open when a thread is terminated while it imports modules.
   */
  async close(): Promise<void> {
    this.#closing = true;
    this.#close();
    this.#ready.length = 0;
    const waitMs = Math.max(1, this.#options.exitWaitMs);
    await Promise.race([Promise.all(this.#warming), after(waitMs, () => undefined)]);
    await Promise.all(
      [...this.#living].map(async (thread) => {
        thread.kill();
        await Promise.race([thread.exited, after(waitMs, () => undefined)]);
        thread.close();
      }),
    );
  }

  async #warm(): Promise<void> {
    const wait = backOffMs(this.#failures);
    if (wait > 0) await Promise.race([after(wait, () => undefined), this.#closed]);
    if (this.#closing) return;
    const thread = await this.#pool.spawn('a spare thread');
    this.#living.add(thread);
    void thread.exited.then((error) => {
      this.#lost(thread, error);
    });
    try {
      await this.#teach(thread);
      if (this.#isClosed()) return;
      await thread.call('rehearse', { ...this.#wiring.rules, logger: this.#options.logger });
    } catch (error) {
      thread.kill();
      throw error;
    }
    if (!this.#living.has(thread)) throw new LanebusError(ErrorCode.THREAD_LOST, 'a spare thread has ended');
    this.#ready.push(thread);
  }

  /** It may close at any await. */
  #isClosed(): boolean {
    return this.#closing;
  }

  async #teach(thread: PoolThread): Promise<void> {
    const { startTimeoutMs } = this.#options;
    const learned = thread.call('learn', this.#wiring.workerHandlers);
    const late = await inTime(learned, startTimeoutMs, 'a spare thread did not import its handlers');
    if (late === undefined) return;
    learned.catch(() => undefined); // it is about to be killed, and says so
    throw late;
  }

  /** One that dies while it waits. */
  #lost(thread: PoolThread, error: unknown): void {
    this.#living.delete(thread);
    const index = this.#ready.indexOf(thread);
    if (index < 0) return;
    this.#ready.splice(index, 1);
    this.#failed(error ?? new LanebusError(ErrorCode.THREAD_LOST, 'a spare thread has ended'));
  }

  #failed(error: unknown): void {
    if (this.#closing) return;
    this.#failures++;
    if (this.#failures < STARTS) {
      this.#log.error({ err: error }, 'a spare thread was lost, another is warmed');
      this.fill();
    } else {
      this.#log.fatal({ err: error }, 'no spare thread can be kept: the next take-over starts a thread of its own');
    }
  }
}
