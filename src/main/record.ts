/**
 * A subscription as the bus knows it, over all the threads that run it in turn: where it reads, what it is owed, and
 * what of its outcomes was counted in the blocks of threads that are gone.
 */
import type {
  HandlerFunction,
  Ledger,
  SubscriptionMetrics,
  SubscriptionState,
  Timing,
  WorkerHandler,
} from '../shared/api.js';
import type { EventType } from '../shared/catalog.js';
import { LaneView } from '../shared/lane.js';
import {
  LaneWord,
  Outcome,
  OUTCOME_SHIFT,
  OUTCOMES,
  type ProducerBlock,
  SubscriptionBlock,
  SubscriptionMode,
  SubscriptionWord,
  TimingWord,
} from '../shared/layout.js';
import { laneOf, type LaneSpec } from '../shared/outbox.js';
import { later } from '../shared/sequence.js';
import type { ResolvedSubscribeOptions } from './options.js';

/** One incarnation of a publishing thread. */
export interface Producer {
  readonly index: number;
  readonly thread: number;
  readonly block: ProducerBlock;
  /** Its thread has exited: what its lanes hold is all that there will be. */
  dead: boolean;
}

/** Which of a producer's events are owed to a subscription: those after `baseline`, up to `cut` if it has ended. */
interface Reading {
  readonly baseline: readonly number[];
  cut: { readonly published: readonly number[]; readonly cursors: readonly number[] } | undefined;
}

/** A delivery whose thread died under it. */
export interface Redelivery {
  readonly address: number;
  readonly position: number;
  readonly attempt: number;
  /** How many of the deaths were the thread's own, not a time-out of another delivery. */
  readonly crashes: number;
}

export interface RecordSetup {
  readonly id: number;
  readonly name: string;
  readonly types: readonly EventType[];
  readonly handler: HandlerFunction | WorkerHandler;
  /** 0 is the bus's own thread. */
  readonly thread: number;
  readonly lanes: readonly LaneSpec[];
  /** Number of producers that its block has room for. */
  readonly producers: number;
  readonly options: ResolvedSubscribeOptions;
}

export class SubscriptionRecord {
  readonly id: number;
  readonly name: string;
  readonly types: readonly EventType[];
  readonly handler: HandlerFunction | WorkerHandler;
  readonly thread: number;
  readonly options: ResolvedSubscribeOptions;
  /** Ranks of the lanes that carry its types. */
  readonly ranks: readonly number[];
  readonly lanes: readonly LaneSpec[];
  readonly #producers: number;
  state: SubscriptionState = 'starting';
  block: SubscriptionBlock;
  /** At most one for each lane. */
  redeliveries: readonly Redelivery[] = [];
  readonly #reads = new Map<Producer, Reading>();
  /** Counted outside the current block: by former incarnations, or by the main thread. [rank][outcome] */
  readonly #carried: Float64Array[];
  /** Owed by producers that are gone. By rank. */
  readonly #owedBefore: Float64Array;
  #redelivered = 0;
  readonly #timings = { handler: new Float64Array(4), wait: new Float64Array(4) };

  constructor(setup: RecordSetup) {
    this.id = setup.id;
    this.name = setup.name;
    this.types = setup.types;
    this.handler = setup.handler;
    this.thread = setup.thread;
    this.options = setup.options;
    this.lanes = setup.lanes;
    this.ranks = [...new Set(setup.types.map((type) => laneOf(setup.lanes, type.priority)))].sort((a, b) => a - b);
    this.#producers = setup.producers;
    this.#carried = setup.lanes.map(() => new Float64Array(OUTCOMES));
    this.#owedBefore = new Float64Array(setup.lanes.length);
    this.block = this.#newBlock();
  }

  get reads(): readonly Producer[] {
    return [...this.#reads.keys()];
  }

  /** Whether its handler was running, in its synchronous part, when its thread was last seen. */
  get runs(): boolean {
    const lane = this.block.words[SubscriptionWord.LANE_INDEX];
    return lane !== 0 && lane >>> OUTCOME_SHIFT === 0;
  }

  get ended(): boolean {
    return this.state === 'ended';
  }

  address(producer: Producer, rank: number): number {
    return producer.index * this.lanes.length + rank;
  }

  /** Takes the events that a producer publishes from now on; `baseline` is what it had published by type index. */
  read(producer: Producer, baseline: readonly number[]): void {
    this.#reads.set(producer, { baseline, cut: undefined });
  }

  /** Reads a producer that has published nothing yet. */
  readFromStart(producer: Producer): void {
    for (const rank of this.ranks) {
      const records = producer.block.stats[rank][LaneWord.RECORDS_F64] | 0;
      this.block.seed(this.address(producer, rank), producer.block.control[rank][LaneWord.CURSOR_INDEX], records);
    }
    this.read(producer, [...producer.block.published]);
  }

  /** Nothing that the producer publishes later is owed. */
  cut(producer: Producer, at: { readonly published: readonly number[]; readonly cursors: readonly number[] }): void {
    const reading = this.#reads.get(producer);
    if (reading !== undefined) reading.cut = at;
  }

  /** Whether everything that it is owed from the producer has its outcome. */
  hasDrained(producer: Producer): boolean {
    const cut = this.#reads.get(producer)?.cut;
    return this.ranks.every((rank) => {
      const end = cut?.cursors[rank] ?? Atomics.load(producer.block.control[rank], LaneWord.CURSOR_INDEX);
      return Atomics.load(this.block.words, this.block.gatingIndex(this.address(producer, rank))) === end;
    });
  }

  get drained(): boolean {
    return this.reads.every((producer) => this.hasDrained(producer));
  }

  /** Is owed nothing, because it has never been delivered anything: its handler could not be loaded. */
  disown(): void {
    this.#reads.clear();
  }

  /** Leaves a producer whose lanes it has read to their end. */
  retire(producer: Producer): void {
    for (const rank of this.ranks) this.#owedBefore[rank] += this.#owedFrom(producer, rank);
    this.#reads.delete(producer);
    const first = this.address(producer, 0);
    this.redeliveries = this.redeliveries.filter(
      ({ address }) => address < first || address >= first + this.lanes.length,
    );
  }

  /** Counts outcomes that the main thread decides, in the place of a thread that is gone. */
  count(rank: number, outcome: Outcome, deliveries = 1): void {
    this.#carried[rank][outcome] += deliveries;
  }

  /**
   * Moves to a fresh block, for the next incarnation. The old one is never written again.
   * @param past A delivery that has got its outcome meanwhile: the next incarnation starts behind it.
   */
  moveOn(past: { readonly address: number; readonly next: number } | undefined): void {
    const old = this.block;
    const block = this.#newBlock();
    for (const producer of this.reads) {
      for (const rank of this.ranks) {
        const address = this.address(producer, rank);
        const from = past?.address === address ? past.next : this.settled(producer, rank);
        block.seed(address, from, old.words[old.gatingIndex(address) + 1]);
      }
    }
    this.#carry(old);
    Atomics.store(block.words, SubscriptionWord.STATE_INDEX, old.words[SubscriptionWord.STATE_INDEX]);
    block.words[SubscriptionWord.CONSECUTIVE_INDEX] = old.words[SubscriptionWord.CONSECUTIVE_INDEX];
    this.block = block;
  }

  /** Position from which a lane has not been finished. Exact once the thread has exited. */
  settled(producer: Producer, rank: number): number {
    const { words } = this.block;
    const address = this.address(producer, rank);
    // SETTLED moves with deliveries only, GATING also over records that the subscription does not want.
    return later(words[this.block.settledIndex(address)], words[this.block.gatingIndex(address)]);
  }

  /** Ends everything that is left `discarded`. No thread runs the subscription any more. */
  discardRest(): void {
    const wanted = new Set(this.types.map((type) => type.index));
    for (const [producer, { cut }] of this.#reads) {
      for (const rank of this.ranks) {
        const lane = new LaneView(producer.block, rank);
        const end = cut?.cursors[rank] ?? lane.end();
        lane.walk(this.settled(producer, rank), end, (typeIndex) => {
          if (wanted.has(typeIndex)) this.count(rank, Outcome.discarded);
        });
        this.block.seed(this.address(producer, rank), end, producer.block.stats[rank][LaneWord.RECORDS_F64] | 0);
      }
    }
  }

  /** Delivers from now on, unless it has been paused before. */
  activate(): void {
    this.state = this.block.words[SubscriptionWord.STATE_INDEX] === SubscriptionMode.paused ? 'paused' : 'active';
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

  /** Counts a failure that the main thread decides, after `moveOn`. */
  countFailure(rank: number, outcome: Outcome): void {
    this.count(rank, outcome);
    this.block.words[SubscriptionWord.CONSECUTIVE_INDEX] += 1;
  }

  #setMode(mode: SubscriptionMode): void {
    Atomics.store(this.block.words, SubscriptionWord.STATE_INDEX, mode);
  }

  metrics(): SubscriptionMetrics {
    const { words, stats } = this.block;
    return {
      id: this.id,
      name: this.name,
      types: this.types.map((type) => type.name),
      state: this.state,
      thread: this.thread,
      ...this.#ledger(this.ranks),
      lanes: Object.fromEntries(this.ranks.map((rank) => [this.lanes[rank].name, this.#ledger([rank])])),
      consecutiveFailures: words[SubscriptionWord.CONSECUTIVE_INDEX],
      redelivered: this.#redelivered + stats[SubscriptionWord.REDELIVERED_F64],
      handler: toTiming(stats, SubscriptionWord.HANDLER_F64, this.#timings.handler),
      queueWait: toTiming(stats, SubscriptionWord.WAIT_F64, this.#timings.wait),
    };
  }

  #ledger(ranks: readonly number[]): Ledger {
    const sum = (outcome: Outcome): number =>
      ranks.reduce(
        (total, rank) => total + this.#carried[rank][outcome] + this.block.stats[this.block.outcomeF64(rank, outcome)],
        0,
      );
    // Outcomes first: what is owed may grow while we read, and then only looks pending.
    const outcomes = {
      processed: sum(Outcome.processed),
      failed: sum(Outcome.failed),
      timedOut: sum(Outcome.timedOut),
      conflated: sum(Outcome.conflated),
      discarded: sum(Outcome.discarded),
      filtered: sum(Outcome.filtered),
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
    if (reading === undefined) return 0;
    const published = reading.cut?.published ?? producer.block.published;
    return this.types
      .filter((type) => laneOf(this.lanes, type.priority) === rank)
      .reduce((sum, type) => sum + published[type.index] - reading.baseline[type.index], 0);
  }

  #carry({ stats }: SubscriptionBlock): void {
    for (const rank of this.ranks) {
      for (const outcome of Object.values(Outcome))
        this.count(rank, outcome, stats[this.block.outcomeF64(rank, outcome)]);
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

  #newBlock(): SubscriptionBlock {
    return SubscriptionBlock.create(this.lanes.length, this.#producers * this.lanes.length);
  }
}

function toTiming(stats: Float64Array, from: number, carried: Float64Array): Timing {
  const weight = stats[from + TimingWord.WEIGHT] + carried[TimingWord.WEIGHT];
  return {
    meanMs: weight === 0 ? 0 : (stats[from + TimingWord.SUM] + carried[TimingWord.SUM]) / weight,
    maxMs: Math.max(stats[from + TimingWord.MAX], carried[TimingWord.MAX]),
    samples: stats[from + TimingWord.SAMPLES] + carried[TimingWord.SAMPLES],
  };
}
