/**
 * One thread's place in a bus, over all its incarnations. Place 0 is the bus's own thread, which never dies before the
 * process does; pool threads count from 1.
 */
import type { RestartReason, ThreadMetrics } from '../shared/api.js';
import { realNow } from '../shared/clock.js';
import type { WorkerControl } from '../shared/control.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import { ConsumerBlock, ConsumerWord } from '../shared/layout.js';
import type { ModuleHost } from '../shared/module-host.js';
import { kernelThreadId } from '../shared/thread-time.js';
import type { PoolThread } from './pool.js';
import type { Producer } from './record.js';
import type { Late } from './watchdog.js';

let consumers = 0;
const OWN_KERNEL_THREAD = kernelThreadId();

export class Slot {
  readonly index: number;
  /** The current incarnation's blocks. Each consumer block has a number of its own: see GateSpec. */
  consumer = ConsumerBlock.create();
  consumerId = consumers++;
  producer: Producer;
  /** What runs here, where this is the bus's own thread. */
  host: ModuleHost | undefined;
  thread: PoolThread | undefined;
  /** Whether the thread has been sent its set-up: what happens from then on must be sent to it too. */
  told = false;
  state: ThreadMetrics['state'] = 'starting';
  incarnation = 0;
  /** Incarnations in a row that have not come to run. */
  failedStarts = 0;
  readonly restarts: Record<RestartReason, number> = { timeout: 0, crash: 0 };
  /** Set when the main thread terminates the thread: the deliveries that were too slow. */
  late: readonly Late[] | undefined;
  /** Whether the last thread has exited, so that another may continue its lanes. */
  mayContinue = false;
  /** Resolves when the current incarnation runs; rejects when none could be started. */
  running: Promise<void> = Promise.resolve();

  constructor(index: number, producer: Producer) {
    this.index = index;
    this.producer = producer;
  }

  /** The kernel's number of the thread, where it is known. */
  get kernelThread(): number | undefined {
    return this.host === undefined ? this.thread?.kernelThread : OWN_KERNEL_THREAD;
  }

  /** Leaves the dead thread behind. The blocks for its successor are fresh. */
  succeed(reason: RestartReason): void {
    if (this.state === 'starting') this.failedStarts++;
    this.thread = undefined;
    this.told = false;
    this.late = undefined;
    this.state = 'starting';
    this.incarnation++;
    this.restarts[reason]++;
    this.consumer = ConsumerBlock.create();
    this.consumerId = consumers++;
  }

  /** Whether the current incarnation runs, once that is decided. */
  async isRunning(): Promise<boolean> {
    return this.running.then(
      () => true,
      () => false,
    );
  }

  /** Calls the thread's engine. @throws THREAD_LOST when the thread ends before it has answered. */
  async ask<K extends keyof WorkerControl>(
    method: K,
    ...args: Parameters<WorkerControl[K]>
  ): Promise<Awaited<ReturnType<WorkerControl[K]>>> {
    if (this.host !== undefined) {
      return (await this.host.call(method, args)) as Awaited<ReturnType<WorkerControl[K]>>;
    }
    if (this.thread === undefined || !this.told) {
      throw new LanebusError(ErrorCode.THREAD_LOST, `pool thread ${this.index} is not running`);
    }
    return this.thread.call(method, ...args);
  }

  /** Sends news that a thread which is lost need not hear: its successor is told how everything stands. */
  async tell<K extends keyof WorkerControl>(method: K, ...args: Parameters<WorkerControl[K]>): Promise<void> {
    await this.ask(method, ...args).catch(rethrowUnlessLost);
  }

  metrics(): ThreadMetrics {
    const { index, state, incarnation, restarts } = this;
    const { stats } = this.consumer;
    const time = realNow();
    const started = stats[ConsumerWord.STARTED_F64];
    const since = stats[ConsumerWord.BUSY_SINCE_F64];
    const busy = stats[ConsumerWord.BUSY_F64] + (since > 0 ? Math.max(0, time - since) : 0);
    const busyShare = started === 0 || time <= started ? 0 : Math.min(1, busy / (time - started));
    const threadId = this.host === undefined ? this.thread?.worker?.threadId : 0;
    return { thread: index, state, threadId, incarnation, busyShare, restarts: { ...restarts } };
  }
}

export function isLost(error: unknown): boolean {
  return error instanceof LanebusError && error.code === ErrorCode.THREAD_LOST;
}

export function rethrowUnlessLost(error: unknown): void {
  if (!isLost(error)) throw error;
}
