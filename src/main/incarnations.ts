/**
 * The threads of a bus, over all their incarnations: which blocks are in use, who reads whom, and what happens when a
 * thread dies.
 *
 * Take-over: a dead thread's blocks are final once it has exited. From them the main thread finishes what the thread had
 * decided but not written (`recover`, `repair`), seeds fresh blocks, and starts a successor on them. The old blocks are
 * never written again; the lanes among them are read until they are drained, then their index is free for another.
 */
import type { RestartReason, SubscriptionState, ThreadMetrics } from '../shared/api.js';
import type { Catalog } from '../shared/catalog.js';
import type { EngineSetup, GateSpec, ProducerSpec, WorkerSubscriptionSpec } from '../shared/control.js';
import { Engine, nudge } from '../shared/engine.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import { repair } from '../shared/lane.js';
import { type ConsumerBlock, ConsumerWord, LaneWord, Outcome, ProducerBlock } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import { snapshotOf } from '../shared/outbox.js';
import { ring, rouse } from '../shared/parking.js';
import type { AnyHandler } from '../shared/reader.js';
import { type Death, finish, inherit } from './inheritance.js';
import { LaneMeter } from './lane-metrics.js';
import type { ResolvedOptions } from './options.js';
import { after, Pool, type PoolThread, tooLate } from './pool.js';
import { type Producer, type RecordSetup, SubscriptionRecord } from './record.js';
import { isLost, rethrowUnlessLost, Slot } from './slot.js';
import type { Late } from './watchdog.js';

/** Blocks of lanes that may be in use at once: each thread's, and those of its predecessors that are not drained yet. */
const producersFor = (threads: number): number => 1 + threads * 4;
/** A successor that cannot start is tried again after this time, doubled each time. In ms. */
const RETRY_MS = 100;
const RETRIES = 5;
/** Subscriptions that have ended and are still shown in the metrics. */
const MAX_ENDED = 100;

export class Incarnations {
  readonly records: SubscriptionRecord[] = [];
  readonly engine: Engine;
  readonly producers: Producer[] = [];
  readonly meter: LaneMeter;
  readonly #catalog: Catalog;
  readonly #options: ResolvedOptions;
  readonly #log: Logger;
  readonly #pool: Pool;
  readonly #slots: Slot[] = [];
  /** Indexes of blocks that are neither in use nor still known to a thread. */
  readonly #freeIndexes: number[];
  /** Sum of all lanes' ends when somebody last asked. */
  #published = 0;
  #started = false;
  #closing = false;

  constructor(catalog: Catalog, options: ResolvedOptions, log: Logger) {
    this.#catalog = catalog;
    this.#options = options;
    this.#log = log;
    this.meter = new LaneMeter(catalog, options.lanes);
    this.#freeIndexes = Array.from({ length: producersFor(options.threads) }, (_, index) => index);
    this.#pool = new Pool(options);
    for (let index = 0; index <= options.threads; index++) this.#slots.push(new Slot(index, this.#newProducer(index)));
    const [own] = this.#slots;
    this.engine = new Engine(this.#engineSetup(own), log.warn.bind(log));
    this.engine.wired();
    own.engine = this.engine;
    own.told = true;
  }

  get pool(): readonly Slot[] {
    return this.#slots.slice(1);
  }

  /** A thread with the fewest subscriptions. */
  leastLoaded(): number {
    const load = (slot: Slot): number =>
      this.records.filter((record) => !record.ended && record.thread === slot.index).length;
    return this.pool.reduce((least, slot) => (load(slot) < load(least) ? slot : least)).index;
  }

  newRecord(setup: Omit<RecordSetup, 'lanes' | 'producers'>): SubscriptionRecord {
    const record = new SubscriptionRecord({
      ...setup,
      lanes: this.#options.lanes,
      producers: producersFor(this.#options.threads),
    });
    this.records.push(record);
    return record;
  }

  /** Starts all threads at once. Rejects with the first error; the caller stops what has started. */
  async start(): Promise<void> {
    const records = this.records.filter((record) => !record.ended);
    for (const record of records) {
      for (const producer of this.producers) record.readFromStart(producer);
      record.activate();
    }
    this.engine.openGates(
      records.map((record) => this.#gate(record)),
      false,
    );
    for (const record of records) if (record.thread === 0) this.#attachHere(record);
    void this.engine.pump.run();
    for (const slot of this.pool) slot.running = this.#launch(slot);
    await Promise.all(this.pool.map((slot) => slot.running));
    this.#started = true;
    for (const slot of this.pool) void slot.tell('wired');
  }

  /** Brings a subscription made while the bus runs to its thread. Resolves when it is owed everything from then on. */
  async attach(record: SubscriptionRecord): Promise<void> {
    const slot = this.#slots[record.thread];
    const { consumerId } = slot;
    const gate = this.#gate(record);
    const opened = this.#slots.map(async (publisher) => {
      const { producer } = publisher;
      if (publisher.told) record.read(producer, (await publisher.ask('openGates', [gate], true)).published);
      else if (!producer.dead) record.readFromStart(producer);
    });
    // A thread that is lost meanwhile has published its last, and its successor knows of us: nothing later is missed.
    await Promise.all(opened.map((open) => open.catch(rethrowUnlessLost)));
    record.activate();
    if (slot.consumerId !== consumerId) this.#rewire(slot, [record]);
    if (slot.index === 0) this.#attachHere(record);
    else if (slot.told) await slot.tell('attach', this.#subscriptionSpec(record));
    // If the thread was not told, or is lost by now, the subscription is part of its (successor's) set-up.
    await slot.running;
  }

  /**
   * Ends a subscription: what has not started ends `discarded`.
   * @returns Whether it has ended; false when the bus stopped first, which ends the rest.
   */
  async detach(record: SubscriptionRecord): Promise<boolean> {
    record.end();
    const slot = this.#slots[record.thread];
    nudge(slot.consumer.words);
    for (;;) {
      try {
        if (!(await slot.isRunning())) {
          await this.#cut(record);
          record.discardRest();
          break;
        }
        // Once it is halted it reads nothing more, so nothing behind a later cut can have been delivered.
        await slot.ask('halt', record.id);
        const cuts = await this.#cut(record);
        await slot.ask('detach', record.id, cuts);
        break;
      } catch (error) {
        rethrowUnlessLost(error);
        if (this.#closing) return false;
      }
    }
    this.forget(record);
    return true;
  }

  /** Closes a subscription's books: it reads nothing any more. */
  forget(record: SubscriptionRecord): void {
    record.state = 'ended';
    for (const slot of this.#slots) void slot.tell('closeGates', record.id);
    const [oldest, ...others] = this.records.filter(({ ended }) => ended);
    if (others.length >= MAX_ENDED) this.records.splice(this.records.indexOf(oldest), 1);
  }

  /** Lets the subscription's next delivery wait, or start again. Nothing happens to one that ends. */
  pause(record: SubscriptionRecord, paused: boolean): void {
    if (record.state === 'ending' || record.ended) return;
    record.pause(paused);
    nudge(this.#slots[record.thread].consumer.words);
  }

  /** Block of the thread that runs there now. */
  consumer(thread: number): ConsumerBlock {
    return this.#slots[thread].consumer;
  }

  /** Aborts the signal of the subscription's delivery. */
  abort(record: SubscriptionRecord): void {
    void this.#slots[record.thread].tell('abort', record.id);
  }

  /** Ends deliveries that have passed their deadline and their grace. */
  condemn(thread: number, late: readonly Late[]): void {
    if (thread === 0) {
      for (const { record } of late) this.engine.giveUp(record.id);
      return;
    }
    const slot = this.#slots[thread];
    if (slot.late !== undefined || slot.thread === undefined) return;
    slot.late = late;
    slot.thread.kill();
    const { thread: killed } = slot;
    // A thread in native code exits when it comes back from there; its subscriptions do not wait for that.
    void after(Math.max(1, this.#options.exitWaitMs), () => {
      this.#lost(slot, killed, undefined);
    });
  }

  /** Whether anything was published, or a dead thread's lanes wait to be drained, since the last call. */
  hasNews(): boolean {
    let published = 0;
    let dead = false;
    for (const producer of this.producers) {
      dead ||= producer.dead;
      for (const control of producer.block.control) published = (published + control[LaneWord.CURSOR_INDEX]) | 0;
    }
    const news = dead || published !== this.#published;
    this.#published = published;
    return news;
  }

  /** Wakes threads that sleep over records that are not for them: until they skip those, the records look pending. */
  wakeSkippers(): void {
    for (const { consumer, index } of this.#slots) {
      const behind = this.records.some(
        (record) => record.thread === index && record.state === 'active' && !record.drained,
      );
      if (behind) ring(consumer.words, ConsumerWord.DOORBELL_INDEX);
    }
  }

  /** Lets go of dead threads' lanes that everybody has read to the end. */
  recycle(): void {
    for (const producer of this.producers.filter(({ dead }) => dead)) {
      const readers = this.records.filter((record) => record.reads.includes(producer));
      if (!readers.every((record) => record.state !== 'starting' && record.hasDrained(producer))) continue;
      for (const record of readers) record.retire(producer);
      this.meter.retire(producer);
      this.producers.splice(this.producers.indexOf(producer), 1);
      const known = this.#slots.map((slot) => slot.tell('removeProducer', producer.index));
      void Promise.all(known).then(() => this.#freeIndexes.push(producer.index));
    }
  }

  /** Stops all threads at their next event boundary, or terminates those that do not come to one. */
  async stop(graceMs: number): Promise<void> {
    this.#closing = true;
    this.engine.pump.stop();
    await Promise.all(
      this.pool.map(async ({ thread }) => {
        if (thread === undefined) return;
        void thread.call('stop').catch(rethrowUnlessLost);
        const inTime = await Promise.race([thread.exited.then(() => true), after(Math.max(1, graceMs), () => false)]);
        if (!inTime) thread.kill();
        await Promise.race([thread.exited, after(Math.max(1, this.#options.exitWaitMs), () => undefined)]);
        thread.close();
      }),
    );
    for (const slot of this.pool) slot.state = 'stopped';
    await this.#pool.destroy();
  }

  /** Gives every delivery that is left its outcome, after `stop`. */
  discardRest(): void {
    this.engine.forsake();
    this.engine.outbox.abandon().forEach((types, rank) => {
      for (const record of this.records) {
        if (record.ended) continue;
        const wanted = types.filter((index) => record.types.some((type) => type.index === index));
        record.count(rank, Outcome.discarded, wanted.length);
      }
    });
    for (const slot of this.pool) this.#close(slot);
    for (const record of this.records) {
      if (record.ended) continue;
      finish(record);
      record.discardRest();
    }
  }

  threads(): ThreadMetrics[] {
    return this.#slots.map((slot) => slot.metrics());
  }

  set state(state: ThreadMetrics['state']) {
    this.#slots[0].state = state;
  }

  // ------------------------------------------------------------------------------------------------------ take-over

  #lost(slot: Slot, thread: PoolThread, error: unknown): void {
    if (slot.thread !== thread || this.#closing || !this.#started) return;
    const reason: RestartReason = slot.late === undefined ? 'crash' : 'timeout';
    const death: Death = { reason, late: slot.late ?? [], maxCrashes: this.#options.maxCrashes };
    this.#log.error(
      { thread: slot.index, reason, err: reason === 'crash' ? error : undefined },
      `pool thread ${slot.index} is replaced: ${reason}`,
    );
    this.#close(slot);
    slot.succeed(reason);
    // One that is still being attached has read nothing; publishers are seeding the very block that it has.
    const records = this.records.filter(({ thread: index, state }) => index === slot.index && settled(state));
    for (const record of records) inherit(record, death, this.#log);
    this.#rewire(slot, records);
    this.#rouseAll();
    slot.running = this.#relaunch(slot);
    // Nobody may be waiting for it; a failure has been logged.
    slot.running.catch(() => undefined);
  }

  /** Makes the books of a slot's lanes final: nobody publishes there any more. */
  #close(slot: Slot): void {
    const lost = repair(slot.producer.block);
    slot.producer.dead = true;
    if (lost > 0)
      this.#log.error({ thread: slot.index, dropped: lost }, 'events in the overflow died with their thread');
  }

  /** The dead thread may have been about to wake any of these: see parking.ts. */
  #rouseAll(): void {
    for (const { consumer } of this.#slots) rouse(consumer.words, ConsumerWord.DOORBELL_INDEX);
    for (const { block } of this.producers) for (const control of block.control) rouse(control, LaneWord.ROOM_INDEX);
  }

  /** Gives the slot lanes of its own, which everybody reads from their start. */
  async #supply(slot: Slot): Promise<void> {
    while (this.#freeIndexes.length === 0) {
      this.recycle();
      await after(this.#options.watchdogIntervalMs, () => undefined);
      if (this.#closing) return;
    }
    const producer = this.#newProducer(slot.index);
    slot.producer = producer;
    const readers = this.records.filter((record) => !record.ended);
    for (const record of readers) record.readFromStart(producer);
    const ids = readers.map(({ id }) => id);
    for (const other of this.#slots) void other.tell('addProducer', toProducerSpec(producer), ids);
  }

  /** Tells all producers which words hold them back now, and whom to ring. */
  #rewire(slot: Slot, records: readonly SubscriptionRecord[]): void {
    const gates = records.map((record) => this.#gate(record));
    const { consumerId } = slot;
    void Promise.all(this.#slots.map((publisher) => publisher.tell('openGates', gates, false))).then(async () => {
      if ((await slot.isRunning()) && slot.consumerId === consumerId) void slot.tell('wired');
    });
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
    if (failedStarts > RETRIES) {
      this.#log.fatal({ thread: index, err: error }, 'successor cannot start: its subscriptions stand still');
      throw error;
    }
    this.#log.error({ thread: index, err: error }, 'successor cannot start, trying again');
    await after(RETRY_MS * 2 ** (failedStarts - 1), () => undefined);
  }

  async #launch(slot: Slot): Promise<void> {
    slot.state = 'starting';
    const thread = await this.#pool.spawn(slot.index);
    slot.thread = thread;
    slot.told = true;
    void thread.exited.then((error) => {
      this.#lost(slot, thread, error);
    });
    try {
      const records = this.records.filter(({ thread: index, state }) => index === slot.index && settled(state));
      const ready = thread.call('setUp', {
        ...this.#engineSetup(slot),
        logger: this.#options.logger,
        subscriptions: records.map((record) => this.#subscriptionSpec(record)),
      });
      const what = `pool thread ${slot.index} did not import its handlers (${records.map(({ name }) => name).join(', ')})`;
      const late = await Promise.race([ready, tooLate(this.#options.startTimeoutMs, what)]);
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
  }

  // ------------------------------------------------------------------------------------------------------- plumbing

  #newProducer(thread: number): Producer {
    const index = this.#freeIndexes.shift();
    if (index === undefined)
      throw new LanebusError(ErrorCode.THREAD_LOST, 'too many dead threads whose lanes are not drained');
    const block = ProducerBlock.create({
      capacities: this.#options.lanes.map((lane) => lane.capacityBytes),
      types: this.#catalog.types.length,
      symbols: this.#options.symbols.max,
      nameBytes: this.#options.symbols.maxBytes,
    });
    const producer = { index, thread, block, dead: false };
    this.producers.push(producer);
    return producer;
  }

  #engineSetup(slot: Slot): EngineSetup {
    const { lanes, spinMicros, starvation } = this.#options;
    return {
      thread: slot.index,
      catalog: this.#catalog.description,
      lanes,
      // The bus's own thread has an event loop to turn for others: it never spins.
      pump: { urgent: lanes.map((lane) => lane.urgent), spinMicros: slot.index === 0 ? 0 : spinMicros, starvation },
      consumer: slot.consumer.source,
      own: toProducerSpec(slot.producer),
      producers: this.producers.map(toProducerSpec),
      gates: this.records
        .filter((record) => record.reads.includes(slot.producer) && !record.ended)
        .map((record) => this.#gate(record)),
    };
  }

  #gate(record: SubscriptionRecord): GateSpec {
    const { consumer, consumerId } = this.#slots[record.thread];
    const { id, name, ranks, block } = record;
    const types = record.types.map((type) => type.index);
    return { id, name, types, ranks, block: block.source, consumer: consumer.source, consumerId };
  }

  #subscriptionSpec(record: SubscriptionRecord): WorkerSubscriptionSpec {
    const { id, name, types, block, reads, redelivery } = record;
    return {
      id,
      name,
      types: types.map((type) => type.index),
      block: block.source,
      reads: reads.map((producer) => producer.index),
      redelivery,
      handler: record.handler as WorkerSubscriptionSpec['handler'],
    };
  }

  #attachHere(record: SubscriptionRecord): void {
    const log = this.#log.child({ thread: 0, subscription: record.name });
    const handler = record.handler as AnyHandler;
    this.engine.attach(this.#subscriptionSpec(record), handler, log);
  }

  /** Where all producers stand: nothing behind that is owed to the ending subscription. By lane address. */
  async #cut(record: SubscriptionRecord): Promise<Map<number, number>> {
    const cuts = new Map<number, number>();
    await Promise.all(
      record.reads.map(async (producer) => {
        const slot = this.#slots[producer.thread];
        const at = producer.dead || !slot.told ? snapshotOf(producer.block) : await slot.ask('snapshot');
        record.cut(producer, at);
        for (const rank of record.ranks) cuts.set(record.address(producer, rank), at.cursors[rank]);
      }),
    );
    return cuts;
  }
}

/** Whether the subscription reads somewhere: all but one that is being attached, and one that has ended. */
function settled(state: SubscriptionState): boolean {
  return state !== 'starting' && state !== 'ended';
}

function toProducerSpec({ index, thread, block }: Producer): ProducerSpec {
  return { index, thread, block: block.source };
}
