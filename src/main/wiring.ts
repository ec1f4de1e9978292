/**
 * Who reads whom: the blocks that are in use, the threads and the subscriptions that use them, and what each is told of the
 * others.
 */
import type { WorkerHandler } from '../shared/api.js';
import type { Catalog } from '../shared/catalog.js';
import type { EngineSetup, GateSpec, ProducerSpec, WorkerSubscriptionSpec } from '../shared/control.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import { ConsumerBlock, ConsumerWord, LaneWord, ProducerBlock } from '../shared/layout.js';
import { rouse } from '../shared/parking.js';
import { LaneMeter } from './lane-metrics.js';
import type { ResolvedOptions } from './options.js';
import type { Member } from './member.js';
import { isRetries, type Producer, type RecordSetup, SubscriptionRecord } from './record.js';
import { Slot } from './slot.js';
import { isWorkerHandler } from './worker-handlers.js';

/**
 * Blocks of lanes that may be in use at once: each thread's, one more for its successor, and those of threads that died
 * while somebody had not read what they published. A subscription's block has room for so many.
 */
const UNDRAINED = 16;
const producersFor = (threads: number): number => 1 + threads * 2 + UNDRAINED;

export class Wiring {
  readonly records: SubscriptionRecord[] = [];
  readonly producers: Producer[] = [];
  /** By thread: the bus's own first. */
  readonly slots: readonly Slot[];
  readonly meter: LaneMeter;
  /** Its doorbell wakes main for what comes back from the threads: see failure-desk.ts. */
  readonly desk = ConsumerBlock.create();
  readonly #catalog: Catalog;
  readonly #options: ResolvedOptions;
  /** Indexes of blocks that are neither in use nor still known to a thread. */
  readonly #freeIndexes: number[];
  readonly #prepared: ProducerBlock[] = [];
  /** Sum of all lanes' ends when somebody last asked. */
  #published = 0;

  constructor(catalog: Catalog, options: ResolvedOptions) {
    this.#catalog = catalog;
    this.#options = options;
    this.meter = new LaneMeter(catalog, options.lanes);
    this.#freeIndexes = Array.from({ length: producersFor(options.poolThreads) }, (_, index) => index);
    this.slots = Array.from(
      { length: options.poolThreads + 1 },
      (_, index) => new Slot(index, this.newProducer(index)),
    );
  }

  get pool(): readonly Slot[] {
    return this.slots.slice(1);
  }

  /** Whether another block of lanes may be made. */
  get hasFreeIndex(): boolean {
    return this.#freeIndexes.length > 0;
  }

  /** So many threads for worker handlers, those with the fewest subscriptions. Without a pool that is the bus's own. */
  leastLoaded(threads: number): number[] {
    if (this.pool.length === 0) return [0];
    const load = new Map(this.pool.map(({ index }) => [index, this.membersOn(index).length]));
    const byLoad = [...load].sort(([, a], [, b]) => a - b);
    return byLoad.slice(0, threads).map(([index]) => index);
  }

  /** What a thread runs. */
  membersOn(thread: number): Member[] {
    return this.records.flatMap((record) => (record.ended ? [] : (record.memberOn(thread) ?? [])));
  }

  /** What threads may be asked to run. */
  get workerHandlers(): WorkerHandler[] {
    const references = this.records.flatMap(({ ended, handler, options }) =>
      ended ? [] : [handler, options.predicate],
    );
    return references.filter((reference) => isWorkerHandler(reference));
  }

  newRecord(setup: Omit<RecordSetup, 'lanes' | 'producers' | 'typeCount' | 'desk'>): SubscriptionRecord {
    const record = new SubscriptionRecord({
      ...setup,
      typeCount: this.#catalog.types.length,
      lanes: this.#options.lanes,
      producers: producersFor(this.#options.poolThreads),
      desk: this.desk.source,
    });
    this.records.push(record);
    return record;
  }

  /** Fresh lanes for a thread. There must be a free index. */
  newProducer(thread: number): Producer {
    const index = this.#freeIndexes.shift();
    if (index === undefined)
      throw new LanebusError(ErrorCode.THREAD_LOST, 'too many dead threads whose lanes are not drained');
    const block = this.#prepared.shift() ?? this.#newBlock(); // oldest first: their serial numbers tell who came later
    const producer = { index, thread, block, dead: false, final: false };
    this.producers.push(producer);
    return producer;
  }

  /** Makes blocks ahead: to clear megabytes takes milliseconds, which a take-over need not wait for. */
  prepareBlocks(count: number): void {
    while (this.#prepared.length < count) this.#prepared.push(this.#newBlock());
  }

  /**
   * Makes ready what nobody uses any more. All of it, which is as much as was in use at once: the garbage collector does not
   * see how much there is behind shared memory, so it would come late.
   */
  #reuse({ index, block }: Producer): void {
    this.#freeIndexes.push(index);
    this.#prepared.push(this.#newBlock(block.source));
  }

  /** What holds for every thread. */
  get rules(): Pick<EngineSetup, 'catalog' | 'lanes' | 'pump'> {
    const { lanes, spinMicros, starvation } = this.#options;
    const urgent = lanes.map((lane) => lane.urgent);
    return { catalog: this.#catalog.description, lanes, pump: { urgent, spinMicros, starvation } };
  }

  /** All that a thread's engine is told when it is made. */
  engineSetup(slot: Slot): EngineSetup {
    const { catalog, lanes, pump } = this.rules;
    return {
      thread: slot.index,
      catalog,
      lanes,
      // The bus's own thread has an event loop to turn for others: it never spins.
      pump: slot.index === 0 ? { ...pump, spinMicros: 0 } : pump,
      consumer: slot.consumer.source,
      own: toProducerSpec(slot.producer),
      producers: this.producers.map(toProducerSpec),
      gates: this.records
        .filter((record) => record.reads.includes(slot.producer) && !record.ended && !isClosed(record))
        .flatMap((record) => record.members.map((member) => this.gate(member))),
    };
  }

  #newBlock(memory?: SharedArrayBuffer): ProducerBlock {
    const { lanes, symbols } = this.#options;
    const capacities = lanes.map((lane) => lane.capacityBytes);
    const shape = { capacities, types: this.#catalog.types.length, symbols: symbols.max, nameBytes: symbols.maxBytes };
    return ProducerBlock.create(shape, memory);
  }

  /** A subscription on one thread, as the producers whom it holds back are told of it. */
  gate(member: Member): GateSpec {
    const { id, record, block, division, conflationSources } = member;
    const { consumer, consumerId } = this.slots[member.thread];
    return {
      id,
      name: record.name,
      types: record.types.map((type) => type.index),
      ranks: record.ranks,
      block: block.source,
      consumer: consumer.source,
      consumerId,
      division,
      conflations: conflationSources,
    };
  }

  /** A subscription on one thread, as that thread is told of it. */
  subscriptionSpec(member: Member): WorkerSubscriptionSpec {
    const { id, record, block, division, claimant, fenced, redeliveries } = member;
    const { name, types, options, handler, retries } = record;
    const { startTimeoutMs } = this.#options;
    const publishers = record.reads.filter((producer) => !isRetries(producer));
    return {
      id,
      name,
      types: types.map((type) => type.index),
      block: block.source,
      division,
      claimant,
      fenced,
      filter: options.filter,
      once: options.once,
      reads: publishers.map((producer) => member.readSpec(producer)),
      retries: retries?.specFor(member),
      failures: member.failureSetup,
      checkpoints: member.checkpoints?.spec,
      redeliveries: redeliveries.map(({ address, position, attempt, suspect }) => ({
        address,
        position,
        attempt,
        suspect,
      })),
      handler: handler as WorkerSubscriptionSpec['handler'],
      predicate: options.predicate as WorkerSubscriptionSpec['predicate'],
      life: member.life,
      setupMs: startTimeoutMs,
      teardownMs: member.forgoesTeardown ? undefined : options.graceMs,
    };
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
    for (const { consumer, index } of this.slots) {
      const behind = this.membersOn(index).some(({ record }) => readsAlready(record) && !record.drained);
      if (behind) rouse(consumer.words, ConsumerWord.DOORBELL_INDEX);
    }
  }

  /** Everything in a dead thread's lanes was read, and checkpoints still hold it: its index would be kept for ever. */
  #askForCheckpoints(readers: readonly SubscriptionRecord[]): void {
    for (const { id, thread, checkpoints } of readers.flatMap(({ members }) => members)) {
      if (checkpoints !== undefined) void this.slots[thread].tell('checkpoint', id);
    }
  }

  /** Lets go of dead threads' lanes that everybody has read to the end. */
  recycle(): void {
    for (const producer of this.producers.filter(({ final }) => final)) {
      const readers = this.records.filter((record) => record.reads.includes(producer));
      if (!readers.every((record) => record.state !== 'starting' && record.hasDrained(producer))) continue;
      // What has failed in there is read from it until main has taken it. In this order: it came back before it was drained.
      if (!readers.every(({ members }) => members.every(({ returns }) => returns.isEmpty))) continue;
      if (!readers.every((record) => record.hasLetGo(producer))) {
        this.#askForCheckpoints(readers);
        continue;
      }
      for (const record of readers) record.retire(producer);
      this.meter.retire(producer);
      this.producers.splice(this.producers.indexOf(producer), 1);
      const known = this.slots.map((slot) => slot.tell('removeProducer', producer.index));
      void Promise.all(known).then(() => {
        this.#reuse(producer);
      });
    }
  }
}

/** A publishing thread's lanes, as others are told of them. */
export function toProducerSpec({ index, thread, block }: Producer): ProducerSpec {
  return { index, thread, block: block.source };
}

/**
 * Whether publishers are told of the subscription no more. What is conflated is cut off where a publisher closes its gate:
 * opened again, for a successor that is only to discard what there is, it would put aside what is not owed.
 */
export function isClosed({ state, options }: SubscriptionRecord): boolean {
  return state === 'ending' && options.mode === 'conflated';
}

/** Whether the subscription reads somewhere: all but one that is being attached, and one that has ended. */
export function readsAlready({ state }: SubscriptionRecord): boolean {
  return state !== 'starting' && state !== 'ended';
}
