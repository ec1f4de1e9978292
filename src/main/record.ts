/**
 * A subscription as the bus knows it, over all the threads that run it in turn: where it reads, what it is owed, and
 * what of its outcomes was counted in the blocks of threads that are gone.
 */
import type {
  CheckpointMetrics,
  HandlerFunction,
  Ledger,
  SubscriptionMetrics,
  SubscriptionState,
  Timing,
  WorkerHandler,
} from '../shared/api.js';
import type { EventType } from '../shared/catalog.js';
import { Circuit } from '../shared/circuit.js';
import { claimSlots, MAX_CLAIMANT } from '../shared/claims.js';
import type { ConflationShape } from '../shared/conflation-block.js';
import { LaneView } from '../shared/lane.js';
import {
  CAUSE_BYTES,
  CircuitBlock,
  ClaimBlock,
  HEADER_BYTES,
  LaneWord,
  Outcome,
  OUTCOMES,
  type ProducerBlock,
  type SubscriptionBlock,
  SubscriptionMode,
  SubscriptionWord,
  TimingWord,
} from '../shared/layout.js';
import { laneOf, type ProducerSnapshot } from '../shared/outbox.js';
import { RETRIES_THREAD } from '../shared/retries.js';
import type { ResolvedLane } from './lane-options.js';
import { sumCheckpoints } from './checkpoints.js';
import { Member } from './member.js';
import type { RetryLanes } from './retry-lanes.js';
import type { ResolvedSubscribeOptions } from './subscribe-options.js';

/** One incarnation of a publishing thread. */
export interface Producer {
  readonly index: number;
  readonly thread: number;
  readonly block: ProducerBlock;
  /** Its thread is gone, or was given up: nobody comes to read its lanes any more. */
  dead: boolean;
  /** The thread has exited, and its counts have been repaired: what its lanes hold is all that there will be. */
  final: boolean;
}

/** Whether these are lanes of main's for one subscription: what is delivered from there again was owed before. */
export function isRetries({ thread }: Producer): boolean {
  return thread === RETRIES_THREAD;
}

/** Which of a producer's events are owed to a subscription: those after `baseline`, up to `cut` if it has ended. */
interface Reading {
  readonly baseline: readonly number[];
  cut: ProducerSnapshot | undefined;
  /** Whether it is those that it has put aside, whatever it has published. */
  byOffered?: boolean;
}

export interface RecordSetup {
  readonly id: number;
  readonly name: string;
  readonly types: readonly EventType[];
  /** Number of types in the catalog. */
  readonly typeCount: number;
  readonly handler: HandlerFunction | WorkerHandler;
  /** The threads that share it; 0 is the bus's own. */
  readonly threads: readonly number[];
  readonly lanes: readonly ResolvedLane[];
  /** Number of publishing threads' blocks that its own have room for. */
  readonly producers: number;
  /** Block whose doorbell wakes main for what comes back from its threads. */
  readonly desk: SharedArrayBuffer;
  readonly options: ResolvedSubscribeOptions;
}

export class SubscriptionRecord {
  readonly id: number;
  readonly name: string;
  readonly types: readonly EventType[];
  readonly typeCount: number;
  readonly handler: HandlerFunction | WorkerHandler;
  readonly options: ResolvedSubscribeOptions;
  readonly members: readonly Member[];
  /** Ranks of the lanes that carry its types. */
  readonly ranks: readonly number[];
  readonly lanes: readonly ResolvedLane[];
  /** Index of the lanes from which main makes deliveries again. */
  readonly retriesIndex: number;
  readonly desk: SharedArrayBuffer;
  readonly circuitBlock = CircuitBlock.create();
  readonly circuit: Circuit;
  state: SubscriptionState = 'starting';
  /** Keys of which main has deliveries that their threads wait for, and how many: what a successor is told. */
  readonly heldKeys = new Map<number, number>();
  /** From where main makes deliveries again, once it has. */
  retries: RetryLanes | undefined;
  /** Deliveries that have come back and have no outcome yet: they wait for another try, for its end, or for their letter. */
  returned = 0;
  /** Of those, the ones that wait for another try; and tries that were made. */
  waiting = 0;
  retried = 0;
  readonly #reads = new Map<Producer, Reading>();
  /** Claims on a producer's records, by rank. */
  readonly #claims = new Map<Producer, Map<number, ClaimBlock>>();
  readonly #indexes: ReadonlySet<number>;
  /** Counted outside the current blocks: by former incarnations, or by the main thread. [rank][outcome] */
  readonly #carried: Float64Array[];
  /** Owed by producers that are gone. By rank. */
  readonly #owedBefore: Float64Array;
  #claimants = 0;
  #redelivered = 0;
  readonly #timings = { handler: new Float64Array(4), wait: new Float64Array(4) };

  constructor(setup: RecordSetup) {
    const { options, types, lanes, threads } = setup;
    this.id = setup.id;
    this.name = setup.name;
    this.types = types;
    this.typeCount = setup.typeCount;
    this.handler = setup.handler;
    this.options = options;
    this.lanes = lanes;
    this.retriesIndex = setup.producers;
    this.desk = setup.desk;
    this.circuit = new Circuit(this.circuitBlock, options.maxFailures);
    this.ranks = [...new Set(types.map((type) => laneOf(lanes, type.priority)))].sort((a, b) => a - b);
    this.#indexes = new Set(types.map(({ index }) => index));
    this.#carried = lanes.map(() => new Float64Array(OUTCOMES));
    this.#owedBefore = new Float64Array(lanes.length);
    const { mode, keys, holds } = options;
    this.members = threads.map(
      (thread, index) => new Member(this, thread, { index, of: threads.length, mode, keys, holds }),
    );
  }

  /** Bytes of the largest record of its types. */
  get maxEventBytes(): number {
    return Math.max(
      ...this.types.map(({ priority, fixedWidth, fixedBytes }) => {
        const { maxRecordBytes } = this.lanes[laneOf(this.lanes, priority)];
        return fixedWidth ? HEADER_BYTES + fixedBytes + CAUSE_BYTES : maxRecordBytes;
      }),
    );
  }

  get reads(): readonly Producer[] {
    return [...this.#reads.keys()];
  }

  get ended(): boolean {
    return this.state === 'ended';
  }

  wants(typeIndex: number): boolean {
    return this.#indexes.has(typeIndex);
  }

  /** The member that a thread runs. */
  memberOn(thread: number): Member | undefined {
    return this.members.find((member) => member.thread === thread);
  }

  newClaimant(): number {
    this.#claimants = (this.#claimants % MAX_CLAIMANT) + 1;
    return this.#claimants;
  }

  get allClaims(): readonly ClaimBlock[] {
    return [...this.#claims.values()].flatMap((byRank) => [...byRank.values()]);
  }

  claims(producer: Producer, rank: number): ClaimBlock {
    const block = this.#claims.get(producer)?.get(rank);
    if (block === undefined) throw new RangeError(`subscription "${this.name}" claims nothing of ${producer.index}`);
    return block;
  }

  /** Room for the newest event of each key of a lane. */
  conflationShape(rank: number): ConflationShape {
    const bytes = this.#typesOn(rank).map(({ fixedBytes }) => HEADER_BYTES + fixedBytes + CAUSE_BYTES);
    return { keys: this.options.maxKeys, recordBytes: Math.max(...bytes) };
  }

  /** Makes what its members need to read a producer, before they or the producer are told. */
  prepare(producer: Producer): void {
    for (const member of this.members) member.prepare(producer);
    if (this.options.mode !== 'claimed' || this.#claims.has(producer)) return;
    const block = (rank: number): ClaimBlock => {
      const smallest = Math.min(...this.#typesOn(rank).map(({ fixedBytes }) => HEADER_BYTES + fixedBytes));
      return ClaimBlock.create(claimSlots(producer.block.rings[rank].u8.length, smallest));
    };
    this.#claims.set(producer, new Map(this.ranks.map((rank) => [rank, block(rank)])));
  }

  /** Takes the events that a producer publishes from now on; `baseline` is what it had published by type index. */
  read(producer: Producer, baseline: readonly number[]): void {
    this.#reads.set(producer, { baseline, cut: undefined });
  }

  /** Reads a producer from where it is now: it publishes nothing meanwhile. */
  readFromStart(producer: Producer): void {
    this.prepare(producer);
    for (const member of this.members) member.seed(producer);
    this.read(producer, [...producer.block.published]);
  }

  /**
   * Nothing that the producer publishes later is owed. Where it is asked twice, because a thread was lost meanwhile, the first
   * answer holds: what is conflated was put aside up to there.
   * @returns What holds.
   */
  cut(producer: Producer, at: ProducerSnapshot): ProducerSnapshot {
    const reading = this.#reads.get(producer);
    if (reading === undefined) return at;
    reading.cut ??= at;
    return reading.cut;
  }

  /**
   * A publisher of a conflating subscription that ends has died. It may have closed its gate, and have published more
   * since, before it could say so: what is owed is what it has put aside.
   */
  cutAtOffered(producer: Producer, at: ProducerSnapshot): void {
    const reading = this.#reads.get(producer);
    if (reading === undefined || reading.cut !== undefined) return;
    reading.cut = at;
    reading.byOffered = true;
  }

  /** Whether the newest event of a type that the producer has published is owed to this subscription. */
  isOwed(producer: Producer, typeIndex: number): boolean {
    const reading = this.#reads.get(producer);
    if (reading === undefined || !this.wants(typeIndex)) return false;
    const published = producer.block.published[typeIndex];
    return published > reading.baseline[typeIndex] && published <= (reading.cut?.published[typeIndex] ?? Infinity);
  }

  /** Whether everything that it is owed from the producer has its outcome. */
  hasDrained(producer: Producer): boolean {
    return this.#hasAll(producer, (member, rank, end) => member.hasReached(producer, rank, end));
  }

  #hasAll(producer: Producer, isAt: (member: Member, rank: number, end: number) => boolean): boolean {
    const cut = this.#reads.get(producer)?.cut;
    return this.ranks.every((rank) => {
      const end = cut?.cursors[rank] ?? Atomics.load(producer.block.control[rank], LaneWord.CURSOR_INDEX);
      return this.members.every((member) => isAt(member, rank, end));
    });
  }

  /** Whether nothing of the producer's lanes is needed any more. */
  hasLetGo(producer: Producer): boolean {
    return this.#hasAll(producer, (member, rank, end) => member.hasLetGo(producer, rank, end));
  }

  /**
   * Whether nothing is pending. A delivery that goes back to main does so before its lane's position says that it has ended:
   * so whoever sees the lanes read, and then nothing come back, has missed none.
   */
  get drained(): boolean {
    if (!this.reads.every((producer) => this.hasDrained(producer))) return false;
    return this.returned === 0 && this.members.every(({ returns }) => returns.isEmpty);
  }

  /** Owes deliveries that no publisher has brought: dead letters that are replayed. */
  owe(rank: number, deliveries: number): void {
    this.#owedBefore[rank] += deliveries;
  }

  /** Is owed nothing, because it has never been delivered anything: its handler could not be loaded. */
  disown(): void {
    this.#reads.clear();
  }

  /** Leaves a producer whose lanes it has read to their end. */
  retire(producer: Producer): void {
    for (const rank of this.ranks) {
      this.#owedBefore[rank] += this.#owedFrom(producer, rank);
      for (const member of this.members) this.count(rank, Outcome.discarded, member.lost(producer, rank));
    }
    for (const member of this.members) member.retire(producer);
    this.#reads.delete(producer);
    this.#claims.delete(producer);
  }

  /** Leaves all producers: its ledger is final, and takes no more memory than its numbers do. */
  close(): void {
    for (const producer of this.reads) this.retire(producer);
    this.retries = undefined;
  }

  /** Counts outcomes that the main thread decides, in the place of a thread that is gone. */
  count(rank: number, outcome: Outcome, deliveries = 1): void {
    this.#carried[rank][outcome] += deliveries;
  }

  /** Keeps what an incarnation has counted, and moves its member to a fresh block. */
  moveOn(member: Member): void {
    this.#carry(member.block);
    member.moveOn();
  }

  /** Ends everything that is left `discarded`. No thread runs the subscription any more. */
  discardRest(): void {
    for (const member of this.members) this.discardRestOf(member);
  }

  discardRestOf(member: Member): void {
    for (const [producer, { cut }] of this.#reads) {
      for (const rank of this.ranks) {
        member.discardRest(producer, rank, cut?.cursors[rank] ?? new LaneView(producer.block, rank).end());
      }
    }
  }

  /** Delivers from now on, unless it has been paused before. */
  activate(): void {
    this.state = this.#mode === SubscriptionMode.paused ? 'paused' : 'active';
  }

  pause(paused: boolean): void {
    this.#setMode(paused ? SubscriptionMode.paused : SubscriptionMode.active);
    if (this.state !== 'starting') this.activate();
  }

  /** Starts no delivery any more, though it has not been taken from its thread yet. */
  silence(): void {
    this.#setMode(SubscriptionMode.ending);
  }

  /** Delivers nothing more: what is left will be discarded. */
  end(): void {
    this.state = 'ending';
    this.silence();
  }

  /** Whether the one delivery that it was made for has its outcome. */
  get isSpent(): boolean {
    if (!this.options.once) return false;
    const { processed, failed, timedOut } = this.#ledger(this.ranks);
    return processed + failed + timedOut > 0;
  }

  get #mode(): number {
    return this.members[0].block.words[SubscriptionWord.STATE_INDEX];
  }

  #setMode(mode: SubscriptionMode): void {
    for (const { block } of this.members) Atomics.store(block.words, SubscriptionWord.STATE_INDEX, mode);
  }

  metrics(): SubscriptionMetrics {
    const blocks = this.members.map(({ block }) => block);
    const stat = (word: number): number[] => blocks.map(({ stats }) => stats[word]);
    return {
      id: this.id,
      name: this.name,
      types: this.types.map((type) => type.name),
      state: this.state,
      threads: this.members.map(({ thread }) => thread),
      ...this.#ledger(this.ranks),
      lanes: Object.fromEntries(this.ranks.map((rank) => [this.lanes[rank].name, this.#ledger([rank])])),
      consecutiveFailures: this.circuit.failures,
      circuit: this.circuit.state === 'probing' ? 'halfOpen' : this.circuit.state,
      retries: this.retried,
      retrying: this.waiting,
      redelivered: sum(stat(SubscriptionWord.REDELIVERED_F64)) + this.#redelivered,
      // Each thread is told of each gap.
      missed: Math.max(...this.members.map((member) => member.missed)),
      checkpoints: this.#checkpoints,
      handler: toTiming(blocks, SubscriptionWord.HANDLER_F64, this.#timings.handler),
      queueWait: toTiming(blocks, SubscriptionWord.WAIT_F64, this.#timings.wait),
    };
  }

  get #checkpoints(): CheckpointMetrics | undefined {
    const all = this.members.flatMap(({ checkpoints }) => checkpoints?.metrics() ?? []);
    return all.length === 0 ? undefined : sumCheckpoints(all);
  }

  #ledger(ranks: readonly number[]): Ledger {
    const count = (outcome: Outcome): number =>
      sum(
        ranks.map((rank) => {
          const blocks = this.members.map(({ block }) => block.stats[block.outcomeF64(rank, outcome)]);
          return this.#carried[rank][outcome] + sum(blocks);
        }),
      );
    const lost = ranks.flatMap((rank) =>
      this.reads.flatMap((producer) => this.members.map((member) => member.lost(producer, rank))),
    );
    // Outcomes first: what is owed may grow while we read, and then only looks pending.
    const outcomes = {
      processed: count(Outcome.processed),
      failed: count(Outcome.failed),
      timedOut: count(Outcome.timedOut),
      conflated: count(Outcome.conflated),
      discarded: count(Outcome.discarded) + sum(lost),
      filtered: count(Outcome.filtered),
    };
    const drained = this.drained;
    const owed = ranks.reduce((total, rank) => total + this.#owed(rank), 0);
    const ended = Object.values(outcomes).reduce((total, count) => total + count, 0);
    const pending = drained ? 0 : Math.max(0, owed - ended);
    return { owed, ...outcomes, pending, exact: owed === ended + pending };
  }

  #owed(rank: number): number {
    return this.reads.reduce((sum, producer) => sum + this.#owedFrom(producer, rank), this.#owedBefore[rank]);
  }

  #owedFrom(producer: Producer, rank: number): number {
    const reading = this.#reads.get(producer);
    if (reading === undefined || isRetries(producer)) return 0;
    if (reading.byOffered === true) return sum(this.members.map((member) => member.offered(producer, rank)));
    const published = reading.cut?.published ?? producer.block.published;
    return this.#typesOn(rank).reduce((sum, type) => sum + published[type.index] - reading.baseline[type.index], 0);
  }

  #typesOn(rank: number): EventType[] {
    return this.types.filter((type) => laneOf(this.lanes, type.priority) === rank);
  }

  #carry(block: SubscriptionBlock): void {
    const { stats } = block;
    for (const rank of this.ranks) {
      for (const outcome of Object.values(Outcome)) this.count(rank, outcome, stats[block.outcomeF64(rank, outcome)]);
    }
    this.#redelivered += stats[SubscriptionWord.REDELIVERED_F64];
    for (const [timing, from] of [
      [this.#timings.handler, SubscriptionWord.HANDLER_F64],
      [this.#timings.wait, SubscriptionWord.WAIT_F64],
    ] as const) {
      for (const word of [TimingWord.SUM, TimingWord.WEIGHT, TimingWord.SAMPLES]) timing[word] += stats[from + word];
      timing[TimingWord.MAX] = Math.max(timing[TimingWord.MAX], stats[from + TimingWord.MAX]);
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

/** The timing of all threads, with what those that are gone had measured. */
function toTiming(blocks: readonly SubscriptionBlock[], from: number, carried: Float64Array): Timing {
  const all = [...blocks.map(({ stats }) => stats.subarray(from, from + carried.length)), carried];
  const total = (word: number): number => sum(all.map((timing) => timing[word]));
  const weight = total(TimingWord.WEIGHT);
  return {
    meanMs: weight === 0 ? 0 : total(TimingWord.SUM) / weight,
    maxMs: Math.max(...all.map((timing) => timing[TimingWord.MAX])),
    samples: total(TimingWord.SAMPLES),
  };
}
