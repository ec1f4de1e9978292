/**
 * Everything Lanebus on one thread: the lanes it publishes on, the subscriptions it runs, the pump that moves them. The
 * bus's own thread and each pool thread have one; what differs between them is only how a handler is found.
 *
 * Its methods are called between events: by the main thread directly, in pool threads through the control port.
 */
import type { HandlerLogger } from './api.js';
import { catalogFrom, type EventType } from './catalog.js';
import { compileDecoder, type Decoder } from './codec.js';
import type { EngineControl, EngineSetup, GateSpec, ProducerSpec, SubscriptionSpec } from './control.js';
import type { Gate } from './lane.js';
import { ConsumerBlock, ConsumerWord, LaneWord, ProducerBlock, SubscriptionBlock } from './layout.js';
import { laneOf, Outbox, type ProducerSnapshot } from './outbox.js';
import { rouse } from './parking.js';
import { Pump } from './pump.js';
import { type AnyHandler, LocalSubscription, Reader } from './reader.js';
import { SymbolReader } from './symbols.js';

interface KnownProducer {
  readonly spec: ProducerSpec;
  readonly block: ProducerBlock;
  /** In the catalog's order: type index - 1. */
  readonly decoders: readonly Decoder[];
}

export class Engine implements EngineControl {
  readonly outbox: Outbox;
  readonly pump: Pump;
  readonly #setup: EngineSetup;
  readonly #types: readonly EventType[];
  readonly #ownBlock: ProducerBlock;
  readonly #producers = new Map<number, KnownProducer>();
  readonly #subscriptions = new Map<number, LocalSubscription>();
  readonly #consumers = new Map<number, Int32Array>();
  /** Producers that a subscription will read whose module is still being imported. */
  readonly #expected = new Map<number, Set<number>>();

  constructor(setup: EngineSetup, warn: (fields: object, message: string) => void) {
    const catalog = catalogFrom(setup.catalog);
    this.#setup = setup;
    this.#types = catalog.types;
    this.#ownBlock = new ProducerBlock(setup.own.block);
    this.outbox = new Outbox(
      catalog,
      this.#ownBlock,
      setup.lanes,
      `thread ${setup.own.thread}`,
      setup.thread !== 0,
      warn,
    );
    const flush = (): void => {
      this.outbox.flush();
    };
    // Only the bus's own thread puts commits off.
    this.pump = new Pump(new ConsumerBlock(setup.consumer), setup.pump, setup.thread === 0 ? flush : undefined);
    for (const producer of setup.producers) this.#know(producer);
    this.openGates(setup.gates, false);
  }

  /** Announces a subscription before its module is imported: producers may come and go meanwhile. */
  expect({ id, reads }: SubscriptionSpec): void {
    if (!this.#expected.has(id)) this.#expected.set(id, new Set(reads));
  }

  /** Starts to run a subscription, from where its block says. */
  attach(spec: SubscriptionSpec, handler: AnyHandler, log: HandlerLogger): void {
    const subscription = new LocalSubscription(spec, handler, this.outbox, log, this.#setup.thread);
    this.#subscriptions.set(spec.id, subscription);
    const reads = this.#expected.get(spec.id) ?? spec.reads;
    this.#expected.delete(spec.id);
    for (const index of reads) {
      const producer = this.#producers.get(index);
      if (producer !== undefined) this.#read(subscription, producer, spec.redeliveries);
    }
  }

  /** Resolves when nothing of an ending subscription is in flight; from then on it reads nothing. */
  async halt(id: number): Promise<void> {
    const subscription = this.#subscriptions.get(id);
    if (subscription?.inFlight !== undefined) await this.pump.ended(subscription);
  }

  /** Ends what a halted subscription has not read, up to a position for each lane address, and forgets it. */
  detach(id: number, cuts: ReadonlyMap<number, number>): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) return;
    for (const reader of subscription.readers) {
      const cut = cuts.get(reader.tag - 1);
      if (cut !== undefined) this.pump.dispatcher.discard(reader, cut);
      this.pump.remove(reader);
    }
    this.#subscriptions.delete(id);
  }

  /**
   * Lets the lanes of this thread wait for these readers too, or for their new incarnations.
   * @param seed Whether they start here: their blocks are told the end of each lane.
   * @returns Where the lanes stood.
   */
  openGates(specs: readonly GateSpec[], seed: boolean): ProducerSnapshot {
    const { lanes, own } = this.#setup;
    this.outbox.flush();
    const gates: Gate[][] = lanes.map(() => []);
    for (const spec of specs) {
      const block = new SubscriptionBlock(spec.block);
      let consumer = this.#consumers.get(spec.consumerId);
      if (consumer === undefined) {
        consumer = new ConsumerBlock(spec.consumer).words;
        this.#consumers.set(spec.consumerId, consumer);
      }
      for (const rank of spec.ranks) {
        const address = own.index * lanes.length + rank;
        if (seed) {
          const records = this.#ownBlock.stats[rank][LaneWord.RECORDS_F64] | 0;
          block.seed(address, this.outbox.lanes[rank].cursor, records);
        }
        const { id, name, types } = spec;
        gates[rank].push({ id, name, types, words: block.words, index: block.gatingIndex(address), consumer });
      }
    }
    const snapshot = this.outbox.openGates(gates);
    // What was committed before the gate was there rang somebody else: let the reader look for itself.
    for (const consumer of new Set(gates.flat().map((gate) => gate.consumer))) nudge(consumer);
    return snapshot;
  }

  closeGates(id: number): void {
    this.outbox.closeGates(id);
  }

  snapshot(): ProducerSnapshot {
    return this.outbox.snapshot();
  }

  /** Lets the subscriptions with these ids read another thread's lanes. Their blocks are seeded. */
  addProducer(spec: ProducerSpec, readers: readonly number[]): void {
    const producer = this.#know(spec);
    for (const id of readers) {
      const subscription = this.#subscriptions.get(id);
      if (subscription !== undefined) this.#read(subscription, producer, []);
      else this.#expected.get(id)?.add(spec.index);
    }
  }

  /** Forgets a dead thread's lanes; everything in them has been read. */
  removeProducer(index: number): void {
    this.#producers.delete(index);
    for (const reads of this.#expected.values()) reads.delete(index);
    for (const subscription of this.#subscriptions.values()) {
      const gone = subscription.readers.filter((reader) => reader.producer === index);
      for (const reader of gone) {
        this.pump.remove(reader);
        subscription.readers.splice(subscription.readers.indexOf(reader), 1);
      }
    }
  }

  /** Tells a delivery that waits for a promise that its time is up. */
  abort(id: number): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription?.inFlight === undefined) return;
    subscription.controller ??= new AbortController();
    subscription.controller.abort(new DOMException('the delivery has passed its timeoutMs', 'TimeoutError'));
  }

  /** Ends a delivery that waits for a promise `timedOut`, where the thread cannot be terminated: the bus's own. */
  giveUp(id: number): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription !== undefined) this.pump.dispatcher.giveUp(subscription);
  }

  /** Lets no promise that is still pending count any more: the bus has stopped. */
  forsake(): void {
    for (const subscription of this.#subscriptions.values()) subscription.serial++;
  }

  /** Every publishing thread knows this thread's doorbell. */
  wired(): void {
    this.pump.wired = true;
  }

  /** Ends the pump at the next event boundary. */
  stop(): void {
    this.pump.stop();
  }

  #know(spec: ProducerSpec): KnownProducer {
    const block = new ProducerBlock(spec.block);
    const symbols = new SymbolReader(block.symbols);
    const decoders = this.#types.map((type) => compileDecoder(type, symbols));
    const known = { spec, block, decoders };
    this.#producers.set(spec.index, known);
    return known;
  }

  #read(
    subscription: LocalSubscription,
    producer: KnownProducer,
    redeliveries: SubscriptionSpec['redeliveries'],
  ): void {
    const { lanes } = this.#setup;
    lanes.forEach((lane, rank) => {
      const wanted = this.#types.filter(
        (type) => subscription.types.has(type.index) && laneOf(lanes, type.priority) === rank,
      );
      if (wanted.length === 0) return;
      const decoders: (Decoder | null)[] = Array.from({ length: this.#types.length + 1 }, () => null);
      for (const type of wanted) decoders[type.index] = producer.decoders[type.index - 1];
      const address = producer.spec.index * lanes.length + rank;
      const reader = new Reader(
        subscription,
        {
          block: producer.block,
          rank,
          name: lane.name,
          producer: producer.spec.index,
          publisher: producer.spec.thread,
          lanes: lanes.length,
        },
        decoders,
        redeliveries.find((redelivery) => redelivery.address === address)?.attempt ?? 1,
      );
      subscription.readers.push(reader);
      this.pump.add(reader);
    });
  }
}

/** Makes a thread that runs handlers look at its lanes and its subscriptions' states again, wherever it is. */
export function nudge(consumer: Int32Array): void {
  Atomics.add(consumer, ConsumerWord.BELL_INDEX, 1);
  rouse(consumer, ConsumerWord.DOORBELL_INDEX);
}
