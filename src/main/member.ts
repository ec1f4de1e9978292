/**
 * One thread's share of a subscription, over all the threads that run it in turn: its block, its place in each lane, what
 * it has in flight. A subscription has one member for each thread that shares it.
 */
import type { RestartReason } from '../shared/api.js';
import { Claims } from '../shared/claims.js';
import { ConflationBlock, ConflationProgress, ConflationWord, ProgressWord } from '../shared/conflation-block.js';
import { fence, type RecordPlace, repairConflation, succeed } from '../shared/conflation-repair.js';
import { ConflationReader, offeredEvents, pendingKeys, settleDelivery, settleSkipped } from '../shared/conflation.js';
import { keysOf } from '../shared/conflator.js';
import type { Life, ReadSpec } from '../shared/control.js';
import { type InFlight, inFlightIn, recover } from '../shared/delivery.js';
import { type Division, ownership, singly } from '../shared/division.js';
import type { RecordTest } from '../shared/filters.js';
import { compileKeyHash, ownerOf } from '../shared/keys.js';
import { causeOf, LaneView, type Origin } from '../shared/lane.js';
import {
  HEADER_BYTES,
  LaneWord,
  Outcome,
  ProducerBlock,
  SubscriptionBlock,
  SubscriptionWord,
  TYPE_MASK,
} from '../shared/layout.js';
import { trailerOf } from '../shared/retries.js';
import { returnCapacity, ReturnReader } from '../shared/returns.js';
import { distance, later, unwrap } from '../shared/sequence.js';
import type { FailureSetup } from '../shared/subscription.js';
import { SymbolReader } from '../shared/symbols.js';
import { frozen, type Memory } from '../shared/memory.js';
import { Checkpoints } from './checkpoints.js';
import { type Parcel, parcelOf } from './parcel.js';
import { isRetries, type Producer, type SubscriptionRecord } from './record.js';

/** A delivery whose thread died under it. */
export interface Redelivery {
  readonly address: number;
  readonly position: number;
  readonly attempt: number;
  /** How many of the deaths were the thread's own, not a time-out of another delivery. */
  readonly crashes: number;
  /** In how many it was one of several that may have been the cause. */
  readonly doubts: number;
  /** Whether it may have been the cause of the last one. */
  readonly suspect: boolean;
}

interface Conflation {
  readonly producer: Producer;
  readonly block: ConflationBlock;
  progress: ConflationProgress;
}

/** An event that was delivered, and where it comes from. */
export interface Published {
  readonly rank: number;
  readonly parcel: Parcel;
  /** Hash of the key behind which events are held, where they are. */
  readonly key: number | undefined;
  /** Index of the thread. */
  readonly publisher: number;
  readonly sequence: number;
  /** On the bus's clock, in ms. */
  readonly publishedAt: number;
  readonly cause: Origin | undefined;
}

/** One for each table: it remembers what it has read. */
const symbolReaders = new WeakMap<Producer, SymbolReader>();

function symbolsOf(producer: Producer): SymbolReader {
  let symbols = symbolReaders.get(producer);
  if (symbols === undefined) symbolReaders.set(producer, (symbols = new SymbolReader(producer.block.symbols)));
  return symbols;
}

let members = 0;

export class Member {
  /** Among all members of all subscriptions. */
  readonly id = ++members;
  readonly record: SubscriptionRecord;
  readonly thread: number;
  readonly division: Division;
  block: SubscriptionBlock;
  /** What the current incarnation claims with, and those before it that may still run. */
  claimant: number;
  fenced: readonly number[] = [];
  redeliveries: readonly Redelivery[] = [];
  /** Its module's `teardown` has cost a thread: it is not called again. */
  forgoesTeardown = false;
  #incarnation = 0;
  #lastEnd: RestartReason | undefined;
  /** What its thread gives back to main. */
  returns: ReturnReader;
  /** Undefined where it has none. */
  readonly checkpoints: Checkpoints | undefined;
  /** Whether the thread that is being taken over from may still write. */
  #lingers = false;
  /** CURSOR of its returns, as of the moment that counts, if it does. */
  #returned: number | undefined;
  readonly #shape: { readonly lanes: number; readonly addresses: number; readonly flights: number };
  /** By address. */
  readonly #conflations = new Map<number, Conflation>();

  constructor(record: SubscriptionRecord, thread: number, division: Division) {
    this.record = record;
    this.thread = thread;
    this.division = division;
    this.claimant = record.newClaimant();
    const lanes = record.lanes.length;
    this.#shape = { lanes, addresses: (record.retriesIndex + 1) * lanes, flights: record.options.concurrency };
    this.returns = this.#newReturns();
    const { checkpointEvery, maxCheckpointBytes } = record.options;
    if (checkpointEvery !== undefined) {
      this.checkpoints = new Checkpoints(checkpointEvery, maxCheckpointBytes, this.#shape.addresses);
    }
    this.block = SubscriptionBlock.create(this.#shape);
  }

  #newReturns(): ReturnReader {
    const { typeCount, maxEventBytes, desk } = this.record;
    return new ReturnReader(typeCount, returnCapacity(maxEventBytes), desk);
  }

  /** How a lane is read. */
  #modeOf(producer: Producer): Division['mode'] {
    return isRetries(producer) ? singly(this.division).mode : this.division.mode;
  }

  #modeAt(address: number): Division['mode'] {
    return address < this.record.retriesIndex * this.record.lanes.length
      ? this.division.mode
      : singly(this.division).mode;
  }

  /** What the handler's module is told when it is set up. */
  get life(): Life {
    const { id, name, types } = this.record;
    const subscription = { id, name, types: types.map((type) => type.name) };
    return {
      subscription,
      incarnation: this.#incarnation,
      lastEnd: this.#lastEnd,
      stateLost: this.checkpoints?.isLost ?? false,
    };
  }

  /** What its thread must know to let deliveries fail. */
  get failureSetup(): FailureSetup {
    const { circuitBlock, options, heldKeys } = this.record;
    const { index, of, holds } = this.division;
    return {
      member: index,
      circuit: circuitBlock.source,
      maxFailures: options.maxFailures,
      returns: this.returns.spec,
      keepsOrder: holds !== undefined,
      // Those of its own keys.
      held: [...heldKeys].filter(([key]) => of === 1 || ownerOf(key, of) === index),
    };
  }

  /** Its thread has died: another life begins. */
  liveAgain(reason: RestartReason): void {
    this.#incarnation++;
    this.#lastEnd = reason;
  }

  address(producer: Producer, rank: number): number {
    return producer.index * this.record.lanes.length + rank;
  }

  /** Makes what it needs to read a producer's lanes. */
  prepare(producer: Producer): void {
    if (this.#modeOf(producer) !== 'conflated') return;
    for (const rank of this.record.ranks) {
      if (this.#conflations.get(this.address(producer, rank))?.producer === producer) continue;
      const block = ConflationBlock.create(this.record.conflationShape(rank));
      const progress = ConflationProgress.create(block.keys);
      this.#conflations.set(this.address(producer, rank), { producer, block, progress });
    }
  }

  /** Reads a producer from where its lanes are now. */
  seed(producer: Producer): void {
    for (const rank of this.record.ranks) {
      const records = producer.block.stats[rank][LaneWord.RECORDS_F64] | 0;
      this.block.seed(this.address(producer, rank), producer.block.control[rank][LaneWord.CURSOR_INDEX], records);
    }
  }

  /** What it reads of a producer, for its thread. */
  readSpec(producer: Producer): ReadSpec {
    const { ranks } = this.record;
    const byRank = <V>(of: (rank: number) => V): Record<number, V> =>
      Object.fromEntries(ranks.map((rank) => [rank, of(rank)]));
    switch (this.#modeOf(producer)) {
      case 'ordered':
        return { producer: producer.index };
      case 'claimed':
        return { producer: producer.index, claims: byRank((rank) => this.record.claims(producer, rank).source) };
      case 'conflated':
        return {
          producer: producer.index,
          conflations: byRank((rank) => {
            const { block, progress } = this.#conflation(this.address(producer, rank));
            return { block: block.source, progress: progress.source };
          }),
        };
    }
  }

  /** Conflation blocks by address, for the producers that fill them. */
  get conflationSources(): Record<number, SharedArrayBuffer> {
    return Object.fromEntries([...this.#conflations].map(([address, { block }]) => [address, block.source]));
  }

  /** Whether everything up to a position of a lane (all there is, where it conflates) has its outcome. */
  hasReached(producer: Producer, rank: number, end: number): boolean {
    const address = this.address(producer, rank);
    if (this.#modeOf(producer) === 'conflated') {
      const { block, progress } = this.#conflation(address);
      return pendingKeys(block, progress) === 0;
    }
    return this.#read(address) === end;
  }

  /**
   * Whether nothing before a position of a lane is needed any more. With checkpoints that is later than `hasReached`: the
   * lane is the log from which a successor is shown what has happened since the last one.
   */
  hasLetGo(producer: Producer, rank: number, end: number): boolean {
    if (this.checkpoints === undefined) return this.hasReached(producer, rank, end);
    return Atomics.load(this.block.words, this.block.gatingIndex(this.address(producer, rank))) === end;
  }

  /** Up to where every delivery has its outcome: GATING, unless a checkpoint holds that back. */
  #read(address: number): number {
    const { block, checkpoints } = this;
    return Atomics.load(
      block.words,
      checkpoints === undefined ? block.gatingIndex(address) : block.settledIndex(address),
    );
  }

  /** How far it has come in a lane; undefined where it conflates. */
  progress(producer: Producer, rank: number): { readonly position: number; readonly sequence: number } | undefined {
    if (this.checkpoints === undefined) return this.gating(producer, rank);
    const { block } = this;
    const address = this.address(producer, rank);
    return { position: this.#read(address), sequence: block.words[block.readSequenceIndex(address)] };
  }

  /** How far it holds a lane back; undefined where it does not. */
  gating(producer: Producer, rank: number): { readonly position: number; readonly sequence: number } | undefined {
    if (this.#modeOf(producer) === 'conflated') return undefined;
    const { words } = this.block;
    const index = this.block.gatingIndex(this.address(producer, rank));
    return { position: Atomics.load(words, index), sequence: words[index + 1] };
  }

  /** Events refused by lanes, as far as it has read of them: what handlers have been told, and what the next one is told. */
  get missed(): number {
    let missed = this.block.stats[SubscriptionWord.MISSED_F64];
    for (const producer of this.record.reads) {
      for (const rank of this.record.ranks) {
        missed += this.block.untoldAt(this.address(producer, rank), this.settled(producer, rank));
      }
    }
    return missed;
  }

  /** Events that it has lost because too many keys were pending. They count as discarded. */
  lost(producer: Producer, rank: number): number {
    return this.#conflations.get(this.address(producer, rank))?.block.stats[ConflationWord.LOST_F64] ?? 0;
  }

  /** Events that a producer has put aside for it, the lost ones among them. */
  offered(producer: Producer, rank: number): number {
    const conflation = this.#conflations.get(this.address(producer, rank));
    return conflation === undefined ? 0 : offeredEvents(conflation.block) + this.lost(producer, rank);
  }

  retire(producer: Producer): void {
    const first = this.address(producer, 0);
    for (const rank of this.record.ranks) this.#conflations.delete(first + rank);
    this.redeliveries = this.redeliveries.filter(
      ({ address }) => address < first || address >= first + this.record.lanes.length,
    );
  }

  /** What is in flight. Exact once the thread has exited. */
  get inFlight(): InFlight[] {
    return inFlightIn(this.block);
  }

  /** Completes what a dead producer has left half-done: see conflation.ts. @param last Its last record by rank. */
  repair(producer: Producer, last: readonly (RecordPlace | undefined)[]): void {
    const { types } = this.record;
    const keyOf = keysOf(types, this.division, new SymbolReader(producer.block.symbols));
    for (const rank of this.record.ranks) {
      const conflation = this.#conflations.get(this.address(producer, rank));
      if (conflation === undefined) continue;
      const record = last[rank];
      repairConflation(conflation.block, keyOf, record && this.#isOurs(producer, record) ? record : undefined);
    }
  }

  /**
   * Takes over from a thread that has ended: nothing is claimed by it any more, what it had decided is completed.
   * @param lingers Whether it may still run and write: then its words count as they are at one moment (claims.ts,
   * conflation.ts), and what it writes later is read by nobody.
   * @returns What was in flight and has no outcome.
   */
  finish(lingers: boolean): InFlight[] {
    this.#lingers = lingers;
    const dead = this.claimant;
    this.claimant = this.record.newClaimant();
    this.#inheritClaims(dead);
    if (lingers) {
      this.fenced = [...this.fenced, dead];
      this.block.fence();
      for (const { block, progress } of this.#conflations.values()) fence(block, progress);
      do this.#freeze();
      while (this.#inheritClaims(dead) > 0);
    }
    const returned = this.#returned ?? this.returns.cursor;
    const found = recover(this.block, this.#shape.lanes, returned, (address, position, outcome) => {
      this.pass(address, position, outcome);
    });
    // Behind the last lane's address: it was not a delivery that its thread ended under.
    const inFlight = found.filter(({ address }) => address < this.#shape.addresses);
    this.checkpoints?.end(inFlight.length < found.length);
    return inFlight;
  }

  /** @returns How many records the dead claimant had. */
  #inheritClaims(dead: number): number {
    return this.record.allClaims.reduce(
      (found, block) => found + new Claims(block, this.claimant).inherit(dead, this.#lingers),
      0,
    );
  }

  /** Goes on with what the thread's words are now, whatever it writes later. */
  #freeze(): void {
    const { checkpoints } = this;
    const conflations = [...this.#conflations.values()];
    const [block, returns, ...others] = frozen([
      this.block.source,
      this.returns.spec.lane,
      ...conflations.map(({ progress }) => progress.source),
      ...(checkpoints === undefined ? [] : [checkpoints.words]),
    ]);
    this.block = new SubscriptionBlock(block);
    this.#returned = new LaneView(new ProducerBlock(returns), 0).end();
    this.returns.cut(this.#returned);
    this.block.unfence();
    conflations.forEach((conflation, index) => (conflation.progress = new ConflationProgress(others[index])));
    checkpoints?.freeze(others[conflations.length]);
  }

  /** D5 in the place of a thread that is gone. */
  pass(address: number, position: number, outcome: Outcome | undefined): void {
    switch (this.#modeAt(address)) {
      case 'ordered':
        this.block.words[this.block.settledIndex(address)] = this.#view(address).next(position);
        break;
      case 'claimed': {
        const { producer, rank } = this.#lane(address);
        const number = this.#numberOf(address, position);
        if (number !== undefined) new Claims(this.record.claims(producer, rank), this.claimant).done(number);
        break;
      }
      case 'conflated': {
        const { block, progress } = this.#conflation(address);
        (outcome === Outcome.conflated ? settleSkipped : settleDelivery)(block, progress, position);
        break;
      }
    }
  }

  /** A delivery in flight, with its event as it was published. The bytes are whole: the lane is held by that very delivery. */
  published(address: number, position: number): Published | { readonly ticket: number } {
    const { producer, rank } = this.#lane(address);
    const { memory, at } = this.#recordAt(address, position);
    if (isRetries(producer)) return trailerOf(memory, at);
    const sequence = unwrap(memory.i32[(at >> 2) + 1], producer.block.stats[rank][LaneWord.RECORDS_F64]);
    return this.publishedAs(address, memory, at, sequence);
  }

  /** The event of a record, header first, that a delivery from a lane has had. */
  publishedAs(address: number, memory: Memory, at: number, sequence: number): Published {
    const { producer, rank } = this.#lane(address);
    const typeIndex = memory.i32[at >> 2] & TYPE_MASK;
    const type = this.record.types.find(({ index }) => index === typeIndex);
    if (type === undefined) throw new RangeError(`subscription "${this.record.name}" wants no type ${typeIndex}`);
    const symbols = symbolsOf(producer);
    const holds = this.division.holds;
    return {
      rank,
      parcel: parcelOf(type, memory, at, symbols),
      key: holds && compileKeyHash(type, holds[typeIndex], symbols)(memory, at + HEADER_BYTES),
      publisher: producer.thread,
      sequence,
      publishedAt: memory.f64[(at >> 3) + 1],
      cause: causeOf(memory, at),
    };
  }

  #recordAt(address: number, position: number): RecordPlace {
    if (this.#modeAt(address) !== 'conflated') {
      const view = this.#view(address);
      return { memory: view.memory, at: view.offset(position) };
    }
    const { block, progress } = this.#conflation(address);
    const reader = new ConflationReader(block, progress);
    reader.next(); // the same one, until it is settled
    return { memory: reader.memory, at: reader.at };
  }

  /** Moves to a fresh block, for the next incarnation. The old one is never written again. */
  moveOn(): void {
    const old = this.block;
    const block = SubscriptionBlock.create(this.#shape);
    for (const producer of this.record.reads) {
      for (const rank of this.record.ranks) {
        const address = this.address(producer, rank);
        const sequence = old.words[old.gatingIndex(address) + 1];
        const settled = this.settled(producer, rank);
        const untold = old.untoldAt(address, settled);
        block.seed(address, settled, sequence, old.numberAt(address));
        block.noteUntold(address, settled, untold);
        if (this.checkpoints !== undefined) this.#holdBack(this.checkpoints, producer, rank, block);
      }
    }
    for (const conflation of this.#conflations.values()) {
      conflation.progress = succeed(conflation.block, conflation.progress);
    }
    Atomics.store(block.words, SubscriptionWord.STATE_INDEX, old.words[SubscriptionWord.STATE_INDEX]);
    block.stats[SubscriptionWord.MISSED_F64] = old.stats[SubscriptionWord.MISSED_F64];
    this.block = block;
    if (this.#lingers) this.returns = this.#newReturns();
    this.#returned = undefined;
    this.checkpoints?.moveOn(this.#lingers, (place) => this.isStillDue(place));
  }

  /** Lets a fresh block hold back a lane as far as its successor is to be shown it again. */
  #holdBack(checkpoints: Checkpoints, producer: Producer, rank: number, block: SubscriptionBlock): void {
    const old = this.block;
    const address = this.address(producer, rank);
    const gating = old.gatingIndex(address);
    block.words[block.readSequenceIndex(address)] = old.words[old.readSequenceIndex(address)];
    if (checkpoints.hasGivenUp) return;
    const { serial } = producer.block;
    const start = checkpoints.startOf(address, serial, {
      position: old.words[gating],
      sequence: old.words[gating + 1],
    });
    block.words[block.gatingIndex(address) + 1] = start.sequence;
    Atomics.store(block.words, block.gatingIndex(address), start.position);
  }

  /** Whether a delivery has its outcome, and was in flight because it was shown again. */
  isReplay({ address, position }: Pick<Redelivery, 'address' | 'position'>): boolean {
    return this.checkpoints !== undefined && distance(this.block.words[this.block.settledIndex(address)], position) > 0;
  }

  /** Position from which a lane has not been finished. Exact once the thread has exited. */
  settled(producer: Producer, rank: number): number {
    const { words } = this.block;
    const address = this.address(producer, rank);
    const gating = words[this.block.gatingIndex(address)];
    // Claims say themselves what is done behind GATING, and only GATING has its claim number with it.
    if (this.#modeOf(producer) === 'claimed') return gating;
    // SETTLED moves with deliveries only, GATING also over records that the subscription does not want.
    return later(words[this.block.settledIndex(address)], gating);
  }

  /** Whether a redelivery has not been made: its lane is not settled behind it, or, with checkpoints, not given back. */
  isStillDue({ address, position }: Pick<Redelivery, 'address' | 'position'>): boolean {
    if (this.checkpoints !== undefined) {
      return distance(position, this.block.words[this.block.gatingIndex(address)]) >= 0;
    }
    if (this.#modeAt(address) === 'conflated') {
      return this.#conflation(address).progress.words[ProgressWord.HEAD_INDEX] === position;
    }
    return later(position, this.block.words[this.block.settledIndex(address)]) === position;
  }

  /** Ends everything that is left up to a position of a lane `discarded`. No thread runs the subscription any more. */
  discardRest(producer: Producer, rank: number, end: number): void {
    const { record } = this;
    const address = this.address(producer, rank);
    if (this.#modeOf(producer) === 'conflated') {
      const { block, progress } = this.#conflation(address);
      const reader = new ConflationReader(block, progress);
      while (reader.next()) {
        record.count(rank, Outcome.conflated, reader.skipped);
        record.count(rank, Outcome.discarded);
        reader.settleSkipped();
        reader.settle();
      }
      return;
    }
    const lane = new LaneView(producer.block, rank);
    const claims =
      this.#modeOf(producer) === 'claimed'
        ? new Claims(record.claims(producer, rank), this.claimant, this.fenced)
        : undefined;
    const owns = this.#ownership(producer, isRetries(producer));
    let number = this.block.numberAt(address);
    lane.walk(this.settled(producer, rank), end, (typeIndex, position) => {
      if (!record.wants(typeIndex)) return;
      const claim = number;
      number = (number + 1) | 0;
      if (owns !== null && !owns[typeIndex](lane.memory, lane.offset(position) + HEADER_BYTES)) return;
      if (claims !== undefined && !claims.take(claim)) return;
      claims?.done(claim);
      if (isRetries(producer) && trailerOf(lane.memory, lane.offset(position)).releases) return;
      record.count(rank, Outcome.discarded);
    });
    this.block.seed(address, end, producer.block.stats[rank][LaneWord.RECORDS_F64] | 0, number);
  }

  /** Claim number of the wanted record at a position. */
  #numberOf(address: number, position: number): number | undefined {
    const { producer, rank } = this.#lane(address);
    const lane = new LaneView(producer.block, rank);
    const from = this.block.words[this.block.gatingIndex(address)];
    let number = this.block.numberAt(address);
    let found: number | undefined;
    lane.walk(from, lane.next(position), (typeIndex, at) => {
      if (!this.record.wants(typeIndex)) return;
      if (at === position) found = number;
      number = (number + 1) | 0;
    });
    return found;
  }

  #isOurs(producer: Producer, { memory, at }: RecordPlace): boolean {
    const typeIndex = memory.i32[at >> 2] & TYPE_MASK;
    if (!this.record.isOwed(producer, typeIndex)) return false;
    const owns = this.#ownership(producer, true);
    return owns === null || owns[typeIndex](memory, at + HEADER_BYTES);
  }

  #ownership(producer: Producer, conflated = false): readonly RecordTest[] | null {
    const { types, typeCount } = this.record;
    const division: Division = conflated ? { ...this.division, mode: 'ordered' } : this.division;
    return ownership(types, typeCount, division, new SymbolReader(producer.block.symbols));
  }

  /** The lane that the subscription reads at an address. */
  #lane(address: number): { producer: Producer; rank: number } {
    const lanes = this.record.lanes.length;
    const index = Math.floor(address / lanes);
    const producer = this.record.reads.find((read) => read.index === index);
    if (producer === undefined) throw new RangeError(`subscription "${this.record.name}" reads no producer ${index}`);
    return { producer, rank: address % lanes };
  }

  #view(address: number): LaneView {
    const { producer, rank } = this.#lane(address);
    return new LaneView(producer.block, rank);
  }

  #conflation(address: number): Conflation {
    const conflation = this.#conflations.get(address);
    if (conflation === undefined)
      throw new RangeError(`subscription "${this.record.name}" conflates no lane ${address}`);
    return conflation;
  }
}
