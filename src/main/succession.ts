/**
 * One thread after the other in each place.
 *
 * Take-over: a dead thread's blocks are final once it has exited. From them the main thread finishes what the thread had
 * decided but not written (`recover`, `repair`), seeds fresh blocks, and starts a successor on them. The old blocks are
 * never written again; the lanes among them are read until they are drained, then their index is free for another.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { RestartReason } from '../shared/api.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import { repair } from '../shared/lane.js';
import { ConsumerWord, LaneWord } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import { snapshotOf } from '../shared/outbox.js';
import { rouse } from '../shared/parking.js';
import type { FailureDesk } from './failure-desk.js';
import { type Death, inherit, suspect } from './inheritance.js';
import type { ResolvedOptions } from './options.js';
import { after, backOffMs, inTime, Pool, type PoolThread, STARTS, ThreadDied } from './pool.js';
import type { Member } from './member.js';
import type { NoticeBoard } from './notices.js';
import type { Producer } from './record.js';
import { isLost, rethrowUnlessLost, type Slot } from './slot.js';
import { Spares } from './spares.js';
import type { Late } from './watchdog.js';
import { isClosed, readsAlready, toProducerSpec, type Wiring } from './wiring.js';

/** `start` tries a thread so often that dies meanwhile: a module that ends each thread is to fail it soon. */
const FIRST_STARTS = 3;
/** Next spare after one has been taken. In ms. */
const REFILL_MS = 20;

export class Succession {
  readonly #wiring: Wiring;
  readonly #options: ResolvedOptions;
  readonly #log: Logger;
  readonly #pool: Pool;
  readonly spares: Spares;
  #started = false;
  #closing = false;

  readonly #notices: NoticeBoard;
  readonly #desk: FailureDesk;
  readonly #onTakeOver: () => void;

  constructor(
    wiring: Wiring,
    options: ResolvedOptions,
    log: Logger,
    notices: NoticeBoard,
    desk: FailureDesk,
    onTakeOver: () => void,
  ) {
    this.#wiring = wiring;
    this.#desk = desk;
    this.#options = options;
    this.#log = log;
    this.#notices = notices;
    this.#onTakeOver = onTakeOver;
    this.#pool = new Pool(options);
    this.spares = new Spares(this.#pool, options, wiring, log);
  }

  /** Whether no thread is replaced any more. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Starts all threads at once. Rejects with the first error of a module, or when a thread dies each time. */
  async start(): Promise<void> {
    const { pool } = this.#wiring;
    for (const slot of pool) slot.running = this.#launchFirst(slot);
    await Promise.all(pool.map((slot) => slot.running));
    this.#started = true;
    // One that has died since its own set-up was answered.
    for (const slot of pool) if (slot.thread?.hasExited) this.#lost(slot, slot.thread, undefined);
    for (const slot of pool) void slot.tell('wired');
    this.#refill();
  }

  /** Terminates a thread, to go on without the deliveries that were too slow. */
  condemn(slot: Slot, late: readonly Late[]): void {
    const { thread } = slot;
    if (slot.late !== undefined || thread === undefined) return;
    slot.late = late;
    thread.kill();
    // A thread in native code exits when it comes back from there; its subscriptions do not wait for that.
    void after(Math.max(1, this.#options.exitWaitMs), () => {
      this.#lost(slot, thread, undefined);
    });
  }

  /** Stops all threads at their next event boundary, or terminates those that do not come to one. */
  async stop(graceMs: number): Promise<void> {
    this.#closing = true;
    await Promise.all(
      this.#wiring.pool.map(async ({ thread }) => {
        if (thread === undefined) return;
        void thread.call('stop').catch(rethrowUnlessLost);
        const inTime = await Promise.race([thread.exited.then(() => true), after(Math.max(1, graceMs), () => false)]);
        if (!inTime) thread.kill();
        await Promise.race([thread.exited, after(Math.max(1, this.#options.exitWaitMs), () => undefined)]);
        thread.close();
      }),
    );
    for (const slot of this.#wiring.pool) slot.state = 'stopped';
    await this.spares.close();
    await this.#pool.destroy();
  }

  /** Makes the books of a thread's lanes final: it has exited, nobody publishes there any more. */
  close(producer: Producer): void {
    const { lost, last } = repair(producer.block);
    for (const record of this.#wiring.records) {
      if (record.options.mode !== 'conflated' || !record.reads.includes(producer)) continue;
      for (const member of record.members) member.repair(producer, last);
    }
    producer.dead = true;
    producer.final = true;
    const { thread } = producer;
    if (lost > 0) this.#log.error({ thread, dropped: lost }, 'events in the overflow died with their thread');
  }

  /** Tells all producers which words hold them back now, and whom to ring. */
  rewire(slot: Slot, members: readonly Member[]): void {
    const open = members.filter(({ record }) => !isClosed(record));
    const gates = open.map((member) => this.#wiring.gate(member));
    const { consumerId } = slot;
    for (const { record } of members) record.retries?.setGates(this.#wiring.slots);
    void Promise.all(this.#wiring.slots.map((publisher) => publisher.tell('openGates', gates, false))).then(
      async () => {
        if ((await slot.isRunning()) && slot.consumerId === consumerId) void slot.tell('wired');
      },
    );
  }

  #lost(slot: Slot, thread: PoolThread, error: unknown): void {
    if (slot.thread !== thread || this.#closing || !this.#started) return;
    const reason: RestartReason = slot.late === undefined ? 'crash' : 'timeout';
    const running = this.#wiring.membersOn(slot.index);
    const death: Death = {
      reason,
      late: slot.late ?? [],
      maxCrashes: this.#options.maxCrashes,
      lingers: !thread.hasExited,
      suspicion: suspect(running.flatMap((member) => member.inFlight)),
    };
    this.#log.error(
      { thread: slot.index, reason, err: reason === 'crash' ? error : undefined },
      `pool thread ${slot.index} is replaced: ${reason}`,
    );
    thread.forsake();
    this.#bury(slot.producer, thread);
    slot.mayContinue = thread.hasExited;
    slot.succeed(reason);
    // One that is still being attached has read nothing; publishers are seeding the very block that it has.
    const members = running.filter(({ record }) => readsAlready(record));
    for (const member of members) inherit(member, death, this.#log, this.#desk);
    // While it lingers it may still have taken a probe.
    if (death.lingers) {
      void thread.exited.then(() => {
        for (const { record, division } of members) record.circuit.orphaned(division.index);
        this.#desk.wake();
      });
    }
    this.rewire(slot, members);
    this.#rouseAll();
    this.#onTakeOver();
    const { index, incarnation } = slot;
    slot.running = this.#relaunch(slot);
    slot.running.then(
      () => {
        if (slot.incarnation !== incarnation || this.#closing) return; // it has died since: the one after it will tell
        this.#notices.post('threadRestarted', { thread: index, reason, incarnation });
      },
      () => undefined, // a failure has been logged
    );
  }

  /** Nobody new reads a lost thread's lanes. If it lingers it may still write: what it leaves is completed when it has exited. */
  #bury(producer: Producer, thread: PoolThread): void {
    producer.dead = true;
    if (thread.hasExited) this.close(producer);
    else
      void thread.exited.then(() => {
        if (!producer.final) this.close(producer);
        this.#rouseAll(); // for what has been put aside only now
      });
    this.cutOff(producer);
  }

  /** Nobody will tell any more when a thread has closed its gates to subscriptions that end. */
  cutOff(producer: Producer): void {
    for (const record of this.#wiring.records) {
      if (isClosed(record)) record.cutAtOffered(producer, snapshotOf(producer.block));
    }
  }

  /** The dead thread may have been about to wake any of these: see parking.ts. */
  #rouseAll(): void {
    const { desk, slots } = this.#wiring;
    for (const { words } of [desk, ...slots.map(({ consumer }) => consumer)]) rouse(words, ConsumerWord.DOORBELL_INDEX);
    for (const { block } of this.#wiring.producers)
      for (const control of block.control) rouse(control, LaneWord.ROOM_INDEX);
  }

  /** Gives the slot lanes of its own, which everybody reads from their start. */
  async #supply(slot: Slot): Promise<void> {
    if (!this.#wiring.hasFreeIndex) {
      this.#log.fatal({ thread: slot.index }, 'a successor waits until somebody has read what dead threads published');
    }
    const mayContinue = (): boolean => slot.mayContinue && this.#wiring.producers.includes(slot.producer);
    while (!this.#wiring.hasFreeIndex && !mayContinue()) {
      this.#wiring.recycle();
      await after(this.#options.watchdogIntervalMs, () => undefined);
      if (this.#closing) return;
    }
    // With no index left, the lanes of its predecessor go on: that has exited, so they still have one writer. Waiting
    // instead could be for ever: what holds the indexes may be lanes that only this thread's subscriptions can drain.
    const producer = this.#wiring.hasFreeIndex ? this.#wiring.newProducer(slot.index) : slot.producer;
    producer.dead = false;
    producer.final = false;
    slot.producer = producer;
    // One that ends is owed nothing that is published from here on, and its cut may have been made already.
    const readers = this.#wiring.records.filter(
      (record) => !record.ended && record.state !== 'ending' && !record.reads.includes(producer),
    );
    for (const record of readers) record.readFromStart(producer);
    const members = readers.flatMap((record) => record.members);
    const reads = members.map((member) => ({ id: member.id, read: member.readSpec(producer) }));
    for (const other of this.#wiring.slots) void other.tell('addProducer', toProducerSpec(producer), reads);
  }

  /** Nothing was published yet, so a thread that dies leaves its blocks as they were made. */
  async #launchFirst(slot: Slot): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#launch(slot);
        return;
      } catch (error) {
        if (!(error instanceof ThreadDied) || attempt === FIRST_STARTS || this.#closing) throw error;
        this.#log.error({ thread: slot.index, err: error }, 'a thread has died while it started, trying again');
        await sleep(backOffMs(attempt) + 1); // keeps the process alive: somebody awaits `start`, and no thread runs
      }
    }
  }

  async #relaunch(slot: Slot): Promise<void> {
    const { incarnation } = slot;
    await this.#backOff(slot, 'its thread died while it started');
    await this.#supply(slot);
    for (;;) {
      try {
        await this.#launch(slot);
        return;
      } catch (error) {
        if (this.#closing) return;
        // It died while it was starting: `#lost` has seen to that, on fresh blocks.
        if (slot.incarnation !== incarnation) return slot.running;
        slot.failedStarts++;
        await this.#backOff(slot, error);
      }
    }
  }

  /** Lets time pass between attempts to start a thread, ever more. @throws THREAD_LOST when there were too many. */
  async #backOff(slot: Slot, cause: unknown): Promise<void> {
    const { index, failedStarts } = slot;
    if (failedStarts === 0) return;
    const error = new LanebusError(ErrorCode.THREAD_LOST, `pool thread ${index} cannot be started`, { cause });
    if (failedStarts >= STARTS) {
      this.#log.fatal({ thread: index, err: error }, 'successor cannot start: its subscriptions stand still');
      throw error;
    }
    this.#log.error({ thread: index, err: error }, 'successor cannot start, trying again');
    const wait = backOffMs(failedStarts);
    if (wait > 0) await after(wait, () => undefined);
  }

  async #launch(slot: Slot): Promise<void> {
    slot.state = 'starting';
    const name = `pool thread ${slot.index}`;
    const spare = this.#started ? await this.spares.take() : undefined;
    // Whoever takes over goes first.
    if (spare !== undefined)
      void after(REFILL_MS, () => {
        this.#refill();
      });
    const thread = spare ?? (await this.#pool.spawn(name));
    thread.name = name;
    this.cutOff(slot.producer); // it is told of no gate of theirs, so it puts nothing aside
    slot.thread = thread;
    slot.told = true;
    void thread.exited.then((error) => {
      this.#lost(slot, thread, error);
    });
    try {
      const members = this.#wiring.membersOn(slot.index).filter(({ record }) => readsAlready(record));
      const ready = thread.call('setUp', {
        ...this.#wiring.engineSetup(slot),
        logger: this.#options.logger,
        subscriptions: members.map((member) => this.#wiring.subscriptionSpec(member)),
      });
      const what = `${name} did not import its handlers (${members.map(({ record }) => record.name).join(', ')})`;
      const late = await inTime(ready, this.#options.startTimeoutMs, what);
      if (late !== undefined) {
        ready.catch(() => undefined); // it is about to be killed, and says so
        throw late;
      }
    } catch (error) {
      // If it has died, or may do so at any moment, it may have run before: then these blocks are done with.
      thread.kill();
      if (isLost(error)) this.#lost(slot, thread, error);
      if (slot.thread === thread) {
        slot.thread = undefined;
        slot.told = false;
      }
      throw error;
    }
    slot.state = 'running';
    slot.failedStarts = 0;
    if (this.#started) this.spares.encourage();
  }

  /** Makes ready what the next take-over needs. */
  #refill(): void {
    if (this.#closing) return;
    this.#wiring.prepareBlocks(this.#options.spares);
    this.spares.fill();
  }
}
