/**
 * Everything Lanebus on one thread: the lanes it publishes on, the subscriptions it runs, the pump that moves them. The
 * bus's own thread and each pool thread have one; what differs between them is only how a handler is found.
 *
 * Its methods are called between events: by the main thread directly, in pool threads through the control port.
 */
import type { HandlerLogger } from './api.js';
import { catalogFrom, type EventType } from './catalog.js';
import { compileDecoder, type Decoder } from './codec.js';
import { CheckpointBlock } from './checkpoint-block.js';
import { CheckpointedReader } from './checkpointed-reader.js';
import { Checkpointer, holdBytesOf } from './checkpointer.js';
import { ClaimedReader } from './claimed-reader.js';
import { Claims } from './claims.js';
import { ConflatedReader } from './conflated-reader.js';
import { ConflationBlock, ConflationProgress } from './conflation-block.js';
import { KeyConflator } from './conflator.js';
import type {
  EngineControl,
  EngineSetup,
  GateSpec,
  ProducerSpec,
  ReadSpec,
  RetriesSpec,
  SubscriptionSpec,
} from './control.js';
import type { Delivery } from './delivery.js';
import { type Division, select, singly } from './division.js';
import { ErrorCode, LanebusError } from './errors.js';
import type { Conflator, Gate } from './lane.js';
import { ClaimBlock, ConsumerBlock, ConsumerWord, LaneWord, ProducerBlock, SubscriptionBlock } from './layout.js';
import { laneOf, Outbox, type ProducerSnapshot } from './outbox.js';
import { rouse } from './parking.js';
import { Pump } from './pump.js';
import { Quarantine } from './quarantine.js';
import { type AnyReader, type Place, Reader } from './reader.js';
import { RETRIES_IN_RING, RETRIES_THREAD } from './retries.js';
import { type Handling, LocalSubscription } from './subscription.js';
import { SymbolReader } from './symbols.js';

interface KnownProducer {
  readonly spec: ProducerSpec;
  readonly block: ProducerBlock;
  readonly symbols: SymbolReader;
  /** Compiled for those types only that somebody on this thread wants. */
  readonly decoderOf: (type: EventType) => Decoder;
}

interface Attached {
  readonly local: LocalSubscription;
  readonly spec: SubscriptionSpec;
  readonly checkpointer: Checkpointer | undefined;
}

export class Engine implements EngineControl {
  readonly outbox: Outbox;
  readonly pump: Pump;
  readonly #setup: EngineSetup;
  readonly #types: readonly EventType[];
  readonly #ownBlock: ProducerBlock;
  readonly #producers = new Map<number, KnownProducer>();
  readonly #subscriptions = new Map<number, Attached>();
  readonly #quarantine = new Quarantine(
    () => [...this.#subscriptions.values()].map(({ local }) => local),
    () => {
      this.pump.wake();
    },
  );
  readonly #consumers = new Map<number, Int32Array>();
  /** By subscription and rank. They outlive the incarnations of those who read. */
  readonly #conflators = new Map<number, Map<number, Conflator>>();
  /** What a subscription will read whose module is still being imported, by producer. */
  readonly #expected = new Map<number, Map<number, ReadSpec>>();
  /** The same of main's retries. */
  readonly #retries = new Map<number, RetriesSpec>();

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
  expect({ id, reads, retries }: SubscriptionSpec): void {
    if (this.#expected.has(id)) return;
    this.#expected.set(id, new Map(reads.map((read) => [read.producer, read])));
    if (retries !== undefined) this.#retries.set(id, retries);
  }

  /** Takes the announcement back. */
  forgetExpected(id: number): void {
    this.#expected.delete(id);
    this.#retries.delete(id);
  }

  /** Starts to run a subscription, from where its block says. */
  attach(spec: SubscriptionSpec, handling: Handling, log: HandlerLogger): void {
    const { lanes, thread } = this.#setup;
    const laneNames = lanes.map(({ name }) => name);
    const local = new LocalSubscription(spec, handling, this.outbox, log, thread, laneNames, this.#quarantine);
    const checkpointer = checkpointerFor(local, spec, handling);
    this.#subscriptions.set(spec.id, { local, spec, checkpointer });
    this.expect(spec);
    const reads = this.#expected.get(spec.id)?.values() ?? [];
    this.#expected.delete(spec.id);
    for (const read of reads) {
      const producer = this.#producers.get(read.producer);
      if (producer !== undefined) this.#read({ local, spec, checkpointer }, producer, read);
    }
    const retries = this.#retries.get(spec.id);
    this.#retries.delete(spec.id);
    if (retries !== undefined) this.addRetries(spec.id, retries);
    checkpointer?.start(spec.checkpoints?.skipped ?? []);
  }

  /** Resolves when nothing of an ending subscription is in flight; from then on it reads nothing. */
  async halt(id: number): Promise<void> {
    const subscription = this.#subscriptions.get(id);
    if (subscription !== undefined) await this.pump.ended(subscription.local);
  }

  /** Ends what a halted subscription has not read, up to a position for each lane address, and forgets it. */
  detach(id: number, cuts: ReadonlyMap<number, number>): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription === undefined) return;
    for (const reader of subscription.local.readers) {
      const cut = cuts.get(reader.address);
      if (cut !== undefined) this.pump.dispatcher.discard(reader, cut);
      this.pump.remove(reader);
      this.#quarantine.forget(reader);
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
        if (seed && spec.division.mode !== 'conflated') {
          const records = this.#ownBlock.stats[rank][LaneWord.RECORDS_F64] | 0;
          block.seed(address, this.outbox.lanes[rank].cursor, records);
        }
        const { id, name, types } = spec;
        const conflator = this.#conflator(spec, rank, address);
        gates[rank].push({
          id,
          name,
          types,
          words: block.words,
          index: block.gatingIndex(address),
          consumer,
          conflator,
        });
      }
    }
    const snapshot = this.outbox.openGates(gates);
    this.#forgetConsumers();
    // What was committed before the gate was there rang somebody else: let the reader look for itself.
    for (const consumer of new Set(gates.flat().map((gate) => gate.consumer))) nudge(consumer);
    return snapshot;
  }

  /** Those of incarnations that are gone: nobody is to be rung there. */
  #forgetConsumers(): void {
    const used = new Set(this.outbox.lanes.flatMap(({ gates }) => gates.map(({ consumer }) => consumer)));
    for (const [id, words] of this.#consumers) if (!used.has(words)) this.#consumers.delete(id);
  }

  /** Lets the lanes wait for readers no longer, nor put anything aside for them. @returns Where the lanes stood. */
  closeGates(ids: readonly number[]): ProducerSnapshot {
    const snapshot = this.outbox.closeGates(ids);
    for (const id of ids) this.#conflators.delete(id);
    return snapshot;
  }

  snapshot(): ProducerSnapshot {
    return this.outbox.snapshot();
  }

  /** Lets these subscriptions read another thread's lanes. Their blocks are seeded. */
  addProducer(spec: ProducerSpec, readers: readonly { readonly id: number; readonly read: ReadSpec }[]): void {
    const producer = this.#know(spec);
    for (const { id, read } of readers) {
      const subscription = this.#subscriptions.get(id);
      if (subscription !== undefined) this.#read(subscription, producer, read);
      else this.#expected.get(id)?.set(spec.index, read);
    }
  }

  /** Lets a subscription read what main makes again for it. */
  addRetries(id: number, retries: RetriesSpec): void {
    const subscription = this.#subscriptions.get(id);
    if (subscription !== undefined) this.#read(subscription, this.#open(retries.producer), retries.read);
    else if (this.#expected.has(id)) this.#retries.set(id, retries);
  }

  /** Forgets a dead thread's lanes; everything in them has been read. */
  removeProducer(index: number): void {
    this.#producers.delete(index);
    for (const reads of this.#expected.values()) reads.delete(index);
    for (const { local } of this.#subscriptions.values()) {
      const gone = local.readers.filter((reader) => reader.producer === index);
      for (const reader of gone) {
        this.#quarantine.forget(reader);
        this.pump.remove(reader);
        local.readers.splice(local.readers.indexOf(reader), 1);
      }
      for (const reader of gone) this.#order(local, reader); // and nobody keeps its memory
    }
  }

  /** Takes a checkpoint as soon as nothing of the subscription is in flight: a dead thread's lanes wait for it. */
  checkpoint(id: number): void {
    this.#subscriptions.get(id)?.checkpointer?.ask();
  }

  /** Tells a delivery that waits for a promise that its time is up. */
  abort(id: number, flight: number): void {
    this.#waiting(id, flight)?.abort();
  }

  /** Ends a delivery that waits for a promise `timedOut`, where the thread cannot be terminated: the bus's own. */
  giveUp(id: number, flight: number): void {
    const delivery = this.#waiting(id, flight);
    if (delivery !== undefined) this.pump.dispatcher.giveUp(delivery);
  }

  /** Refuses what a delivery's handler has published and what waits for room. */
  refuse(id: number, flight: number, position: number, reason: string): void {
    const delivery = this.#waiting(id, flight);
    if (delivery?.position === position) this.outbox.refuseFor(delivery, new LanebusError(ErrorCode.DEADLOCK, reason));
  }

  /** Lets no promise that is still pending count any more: the bus has stopped. */
  forsake(): void {
    for (const { local } of this.#subscriptions.values()) for (const delivery of local.deliveries) delivery.serial++;
  }

  /** Every publishing thread knows this thread's doorbell. */
  wired(): void {
    this.pump.wired = true;
  }

  /** Ends the pump at the next event boundary. */
  stop(): void {
    this.pump.stop();
  }

  #waiting(id: number, flight: number): Delivery | undefined {
    const local = this.#subscriptions.get(id)?.local;
    const delivery = local?.deliveries[flight];
    return delivery === undefined || local?.idle.includes(delivery) ? undefined : delivery;
  }

  #know(spec: ProducerSpec): KnownProducer {
    const known = this.#open(spec);
    this.#producers.set(spec.index, known);
    return known;
  }

  #open(spec: ProducerSpec): KnownProducer {
    const block = new ProducerBlock(spec.block);
    const symbols = new SymbolReader(block.symbols);
    const decoders = new Map<EventType, Decoder>();
    const decoderOf = (type: EventType): Decoder => {
      const decoder = decoders.get(type) ?? compileDecoder(type, symbols);
      decoders.set(type, decoder);
      return decoder;
    };
    return { spec, block, symbols, decoderOf };
  }

  #conflator(spec: GateSpec, rank: number, address: number): Conflator | undefined {
    if (!(address in spec.conflations)) return undefined;
    let conflators = this.#conflators.get(spec.id);
    if (conflators === undefined) this.#conflators.set(spec.id, (conflators = new Map<number, Conflator>()));
    let conflator = conflators.get(rank);
    if (conflator === undefined) {
      const block = new ConflationBlock(spec.conflations[address]);
      const wanted = this.#types.filter(({ index }) => spec.types.includes(index));
      conflator = new KeyConflator(block, wanted, spec.division, new SymbolReader(this.#ownBlock.symbols));
      conflators.set(rank, conflator);
    }
    return conflator;
  }

  #read(subscription: Attached, producer: KnownProducer, read: ReadSpec): void {
    const { lanes } = this.#setup;
    const { local } = subscription;
    lanes.forEach(({ name }, rank) => {
      const wanted = this.#types.filter(
        ({ index, priority }) => local.types.has(index) && laneOf(lanes, priority) === rank,
      );
      if (wanted.length === 0) return;
      const { index, thread } = producer.spec;
      const place = {
        block: producer.block,
        rank,
        name,
        producer: index,
        publisher: thread,
        lanes: lanes.length,
        isRetries: thread === RETRIES_THREAD,
      };
      const reader = this.#reader(subscription, place, wanted, producer, read);
      const suspects = subscription.spec.redeliveries.filter(
        ({ address, suspect }) => suspect && address === reader.address,
      );
      this.#quarantine.add(
        reader,
        suspects.map(({ position }) => position),
      );
      local.readers.push(reader);
      this.#order(local, reader);
      this.pump.add(reader);
    });
  }

  /** Lets the lanes of one publisher's incarnations be read one after the other. */
  #order({ readers }: LocalSubscription, { publisher, rank }: AnyReader): void {
    const serialOf = ({ producer }: AnyReader): number => this.#producers.get(producer)?.block.serial ?? 0;
    const same = readers.filter((reader) => reader.publisher === publisher && reader.rank === rank);
    same.sort((a, b) => serialOf(a) - serialOf(b));
    same.forEach((reader, index) => (reader.former = index === 0 ? undefined : same[index - 1]));
  }

  #reader(
    { local: subscription, spec, checkpointer }: Attached,
    place: Place,
    wanted: readonly EventType[],
    { decoderOf, symbols }: KnownProducer,
    { claims, conflations }: ReadSpec,
  ): AnyReader {
    const { rank } = place;
    // What main makes again for a subscription that conflates is not conflated.
    const division: Division = place.isRetries ? singly(spec.division) : spec.division;
    const selection = select(wanted, this.#types.length, decoderOf, division, spec.filter, symbols);
    const due = spec.redeliveries.filter(({ address }) => address === place.producer * place.lanes + rank);
    const repeats = due.length === 0 ? undefined : new Map(due.map(({ position, attempt }) => [position, attempt]));
    if (claims !== undefined) {
      const claimed = new Claims(new ClaimBlock(claims[rank]), spec.claimant, spec.fenced);
      return new ClaimedReader(subscription, place, selection, repeats, claimed);
    }
    if (conflations !== undefined) {
      const block = new ConflationBlock(conflations[rank].block);
      const progress = new ConflationProgress(conflations[rank].progress);
      return new ConflatedReader(subscription, place, selection, repeats, block, progress);
    }
    if (checkpointer !== undefined) {
      const ringBytes = place.block.rings[rank].u8.length;
      const largest = place.isRetries ? ringBytes / RETRIES_IN_RING : this.outbox.lanes[rank].maxRecordBytes;
      const holdBytes = holdBytesOf(ringBytes, largest);
      return new CheckpointedReader(subscription, place, selection, repeats, checkpointer, holdBytes);
    }
    return new Reader(subscription, place, selection, repeats);
  }
}

function checkpointerFor(
  subscription: LocalSubscription,
  { checkpoints }: SubscriptionSpec,
  handling: Handling,
): Checkpointer | undefined {
  if (checkpoints === undefined || handling.checkpoints === undefined) return undefined;
  return new Checkpointer(subscription, new CheckpointBlock(checkpoints), checkpoints, handling.checkpoints);
}

/** Makes a thread that runs handlers look at its lanes and its subscriptions' states again, wherever it is. */
export function nudge(consumer: Int32Array): void {
  Atomics.add(consumer, ConsumerWord.BELL_INDEX, 1);
  rouse(consumer, ConsumerWord.DOORBELL_INDEX);
}
