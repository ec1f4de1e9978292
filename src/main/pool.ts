/**
 * The pool of threads: Piscina starts and terminates them; each runs one long task for its whole life, so a thread's
 * life is a task's life, and a task's AbortController ends exactly one thread.
 */
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import * as Comlink from 'comlink';
import { Piscina } from 'piscina';
import { type Answer, type ControlPort, READY, type ReadyWord, type WorkerControl } from '../shared/control.js';
import { ErrorCode, fromErrorRecord, LanebusError } from '../shared/errors.js';
import type { ResolvedOptions } from './options.js';

/** A thread has ended, by whatever: another one may do better. */
export class ThreadDied extends LanebusError {
  constructor(message: string, options?: ErrorOptions) {
    super(ErrorCode.THREAD_LOST, message, options);
  }
}

/** A thread that cannot start is tried this often in a row: again at once, then after 100 ms, doubled each time. */
export const STARTS = 6;
const RETRY_MS = 100;

export function backOffMs(failures: number): number {
  return failures < 2 ? 0 : RETRY_MS * 2 ** (failures - 2);
}

const WORKER_URL = new URL('../workers/entry.cjs', import.meta.url).href;

export class Pool {
  readonly #options: ResolvedOptions;
  /** Made with the first thread: without a pool there is none. */
  #made: Piscina | undefined;
  readonly #startTimeoutMs: number;
  #destroyed = false;

  constructor(options: ResolvedOptions) {
    this.#startTimeoutMs = options.startTimeoutMs;
    this.#options = options;
  }

  /** Starts a thread. Resolves when it answers. @param name For errors. @throws THREAD_LOST */
  async spawn(name: string): Promise<PoolThread> {
    // Piscina would start one all the same, and nobody would end it.
    if (this.#destroyed) throw new ThreadDied(`${name} was not started: the bus has stopped`);
    const { port1, port2 } = new MessageChannel();
    const abort = new AbortController();
    const before = new Set(this.#piscina.threads);
    const task = this.#piscina.run({ port: port2 }, { transferList: [port2], signal: abort.signal }) as Promise<void>;
    // Piscina starts one for each task. If it dies before it can take one, the task waits, and no other is started for it.
    const starting = this.#piscina.threads.find((thread) => !before.has(thread));
    const failed = task.then(
      () => new ThreadDied(`${name} ended while it was starting`),
      (error: unknown) => new ThreadDied(`${name} could not start: ${String(error)}`, { cause: error }),
    );
    const ready = new Promise<ReadyWord>((resolve) => {
      port1.on('message', function listen(word: Partial<ReadyWord>) {
        if (word.ready !== READY) return;
        port1.off('message', listen);
        resolve(word as ReadyWord);
      });
    });
    const died = new Promise<LanebusError>((resolve) => {
      let cause: unknown;
      starting?.once('error', (error: unknown) => {
        cause = error;
      });
      starting?.once('exit', () => {
        const why = cause instanceof Error ? `: ${cause.message.split('\n', 1)[0]}` : '';
        resolve(new ThreadDied(`${name} ended before it had started${why}`, { cause }));
      });
    });
    const started = await inTime(Promise.race([ready, failed, died]), this.#startTimeoutMs, `${name} did not start`);
    if (started instanceof LanebusError) {
      abort.abort();
      port1.close();
      throw started;
    }
    const worker = this.#piscina.threads.find((thread) => thread.threadId === started.threadId);
    return new PoolThread(name, started.kernelThread, worker, port1, task, abort);
  }

  /** Terminates what is left; nothing starts any more. Resolves when all have exited. */
  async destroy(): Promise<void> {
    this.#destroyed = true;
    await this.#made?.destroy();
  }

  get #piscina(): Piscina {
    if (this.#made !== undefined) return this.#made;
    const options = this.#options;
    this.#made = new Piscina({
      filename: WORKER_URL,
      minThreads: 0,
      // Never its bound that counts: a thread that is gone stays in its books until its exit has been told.
      maxThreads: 2 * (options.poolThreads + options.spares) + 16,
      concurrentTasksPerWorker: 1,
      idleTimeout: Infinity,
      atomics: 'disabled',
      recordTiming: false,
      ...(Object.keys(options.resourceLimits).length > 0 && { resourceLimits: options.resourceLimits }),
      ...(options.execArgv !== undefined && { execArgv: [...options.execArgv] }),
      ...(options.env !== undefined && { env: options.env }),
    });
    // A thread that dies rejects its own task too, which is where it is dealt with; without a listener it would throw.
    this.#made.on('error', () => undefined);
    return this.#made;
  }
}

/** One thread's life. */
export class PoolThread {
  /** For errors: a spare that is taken becomes another. */
  name: string;
  readonly kernelThread: number | undefined;
  readonly worker: Worker | undefined;
  /** Resolves when the thread has exited, with the error that ended it if there was one. */
  readonly exited: Promise<unknown>;
  readonly #port: MessagePort;
  readonly #proxy: Comlink.Remote<ControlPort>;
  readonly #abort: AbortController;
  readonly #lost: Promise<never>;
  #isLost = false;
  /** What ends the calls that wait for an answer. */
  readonly #unanswered = new Set<(why: unknown) => void>();
  /** Whether the thread is gone. One that is terminated in native code goes on until it comes back from there. */
  hasExited = false;
  /** Ends all calls that are not answered yet: the thread is given up, whether it has exited or not. */
  readonly forsake: () => void;

  constructor(
    name: string,
    kernelThread: number | undefined,
    worker: Worker | undefined,
    port: MessagePort,
    task: Promise<void>,
    abort: AbortController,
  ) {
    this.name = name;
    this.kernelThread = kernelThread;
    this.worker = worker;
    this.#port = port;
    this.#abort = abort;
    this.#proxy = Comlink.wrap<ControlPort>(port);
    const ended = task.then(
      () => undefined,
      (error: unknown) => error,
    );
    // Abort rejects the task at once, before the thread is gone; a cooperative end keeps the thread for the next task.
    const exit = new Promise<void>((resolve) => {
      if (worker === undefined) resolve();
      worker?.once('exit', () => {
        resolve();
      });
      void task.then(resolve, () => undefined);
    });
    this.exited = exit.then(() => ended);
    void this.exited.then(() => {
      this.hasExited = true;
    });
    let forsake = (): void => undefined;
    const forsaken = new Promise<void>((resolve) => {
      forsake = resolve;
    });
    this.forsake = forsake;
    this.#lost = Promise.race([this.exited, forsaken]).then(() => {
      this.#isLost = true;
      // With a call that is never answered, Comlink's registry of proxies would keep the port, and the port the proxy.
      this.#proxy[Comlink.releaseProxy]();
      port.close();
      throw new ThreadDied(`${this.name} has ended`);
    });
    this.#lost.catch((error: unknown) => {
      for (const end of this.#unanswered) end(error);
      this.#unanswered.clear();
    });
  }

  /** Asks the thread. Waits until it turns its event loop, or has exited. @throws THREAD_LOST, or what the thread threw. */
  async call<K extends keyof WorkerControl>(
    method: K,
    ...args: Parameters<WorkerControl[K]>
  ): Promise<Awaited<ReturnType<WorkerControl[K]>>> {
    if (this.#isLost) return this.#lost;
    const answer = await new Promise<Answer>((resolve, reject) => {
      // Not a race with `#lost`, which would keep something of every call for as long as the thread lives.
      this.#unanswered.add(reject);
      const answered = (): boolean => this.#unanswered.delete(reject);
      this.#proxy.call(method, args).finally(answered).then(resolve, reject);
    });
    if ('error' in answer) throw fromErrorRecord(answer.error);
    return answer.value as Awaited<ReturnType<WorkerControl[K]>>;
  }

  /** Terminates the thread, wherever it is. `exited` tells when it is gone. */
  kill(): void {
    this.#abort.abort();
  }

  /** Closes the control port, after the thread's task has ended. */
  close(): void {
    this.#port.close();
  }
}

/** What is awaited, or an error when a time has passed first; 0 = it never has. */
export async function inTime<T>(awaited: Promise<T>, ms: number, what: string): Promise<T | LanebusError> {
  if (ms === 0) return awaited;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<LanebusError>((resolve) => {
    timer = setTimeout(() => {
      resolve(new LanebusError(ErrorCode.THREAD_LOST, `${what} within ${ms} ms (startTimeoutMs)`));
    }, ms).unref();
  });
  try {
    return await Promise.race([awaited, late]);
  } finally {
    clearTimeout(timer); // it would keep all this for as long as it runs
  }
}

/** Resolves after a time; 0 = never. Does not keep the process alive. */
export function after<T>(ms: number, value: () => T): Promise<T> {
  return new Promise((resolve) => {
    if (ms === 0) return;
    setTimeout(() => {
      resolve(value());
    }, ms).unref();
  });
}
