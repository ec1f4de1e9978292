/**
 * A member's checkpoints over its lives: the block of the current one, and what the next one starts from. The steps K1 to
 * K3, and what a death between them leaves, stand in checkpointer.ts.
 */
import type { CheckpointMetrics } from '../shared/api.js';
import { CheckpointBlock, type CheckpointShape, CheckpointWord, claimRegion } from '../shared/checkpoint-block.js';
import type { CheckpointSpec } from '../shared/control.js';
import type { Skipped } from '../shared/replay.js';
import { distance } from '../shared/sequence.js';

/** Entries of the order log: up to 128 KiB for each of two places; and some to go on with where a checkpoint fails. */
const MAX_ENTRIES = 16_384;
const MIN_ENTRIES = 1_024;

/** A place in a lane. */
interface Mark {
  readonly position: number;
  readonly sequence: number;
}

export class Checkpoints {
  readonly #shape: CheckpointShape;
  readonly #every: number;
  readonly #maxBytes: number;
  #block: CheckpointBlock;
  #isLost = false;
  #skipped: readonly Skipped[] = [];
  /** Lives in a row that ended while a checkpoint was taken, and had taken none before. */
  #deaths = 0;
  #isBarred = false;
  /** Of lives that have ended. */
  readonly #carried = { taken: 0, failed: 0, lastBytes: 0, totalMs: 0, maxMs: 0, replayed: 0 };

  /** @param addresses Number of rings that the member may read. */
  constructor(every: number, maxBytes: number, addresses: number) {
    // A delivery makes one entry at most, so the log is not full before a checkpoint is due, unless that is very late.
    this.#shape = { addresses, entries: Math.max(MIN_ENTRIES, Math.min(every, MAX_ENTRIES)) };
    this.#every = every;
    this.#maxBytes = maxBytes;
    this.#block = CheckpointBlock.create(this.#shape, [claimRegion(maxBytes), claimRegion(maxBytes)]);
  }

  get spec(): CheckpointSpec {
    return { ...this.#block.source, every: this.#every, skipped: this.#skipped, isBarred: this.#isBarred };
  }

  /** What the thread writes of its checkpoints, but for the states. */
  get words(): SharedArrayBuffer {
    return this.#block.source.block;
  }

  /** Goes on with a copy of `words`, whatever the thread writes later. */
  freeze(block: SharedArrayBuffer): void {
    this.#block = new CheckpointBlock({ block, regions: this.#block.source.regions });
  }

  /** Whether the state of the life before was lost, and none has been kept since. */
  get isLost(): boolean {
    return this.#isLost && !this.#block.hasState;
  }

  /** Whether the current life has given up its state: nothing of it can be shown again. */
  get hasGivenUp(): boolean {
    return this.#block.isLost;
  }

  /** Where a successor starts to read a lane of which everything before GATING is gone. */
  startOf(address: number, serial: number, gating: Mark): Mark {
    const mark = this.#block.current.laneAt(address, serial);
    return mark === undefined || distance(gating.position, mark.position) >= 0 ? gating : mark;
  }

  /** A life has ended. @param taking Whether a checkpoint was being taken. */
  end(taking: boolean): void {
    if (this.#block.stats[CheckpointWord.TAKEN_F64] > 0) this.#deaths = 0;
    if (!taking) return;
    this.#deaths++;
    this.#carried.failed++;
  }

  /** Whether there are to be no more, from now on: taking one has ended so many threads. */
  bar(maxDeaths: number): boolean {
    if (this.#isBarred || this.#deaths < maxDeaths) return false;
    this.#isBarred = true;
    return true;
  }

  /** A delivery that was in flight when its thread died has an outcome: it is not shown again. */
  skip(place: Skipped): void {
    this.#skipped = [...this.#skipped, place];
  }

  /**
   * Moves to a fresh block, for the next life.
   * @param lingers Whether the dead thread may still write, to the region that is not current.
   * @param isHeld Whether a delivery would still be shown again.
   */
  moveOn(lingers: boolean, isHeld: (place: Skipped) => boolean): void {
    const old = this.#block;
    this.#carry(old);
    this.#isLost = old.isLost || (this.#isLost && !old.hasState);
    this.#skipped = this.#skipped.filter(isHeld);
    const free = lingers ? claimRegion(this.#maxBytes) : old.next.region;
    this.#block = CheckpointBlock.create(this.#shape, [old.current.region, free]);
    if (!old.isLost) this.#block.inherit(old);
  }

  metrics(): CheckpointMetrics {
    const { stats } = this.#block;
    const { taken, failed, lastBytes, totalMs, maxMs, replayed } = this.#carried;
    return {
      taken: taken + stats[CheckpointWord.TAKEN_F64],
      failed: failed + stats[CheckpointWord.FAILED_F64],
      lastBytes: stats[CheckpointWord.LAST_BYTES_F64] || lastBytes,
      totalMs: totalMs + stats[CheckpointWord.TOTAL_MS_F64],
      maxMs: Math.max(maxMs, stats[CheckpointWord.MAX_MS_F64]),
      replayed: replayed + stats[CheckpointWord.REPLAYED_F64],
    };
  }

  #carry({ stats }: CheckpointBlock): void {
    const carried = this.#carried;
    carried.taken += stats[CheckpointWord.TAKEN_F64];
    carried.failed += stats[CheckpointWord.FAILED_F64];
    carried.lastBytes = stats[CheckpointWord.LAST_BYTES_F64] || carried.lastBytes;
    carried.totalMs += stats[CheckpointWord.TOTAL_MS_F64];
    carried.maxMs = Math.max(carried.maxMs, stats[CheckpointWord.MAX_MS_F64]);
    carried.replayed += stats[CheckpointWord.REPLAYED_F64];
  }
}

/** Of all threads that share a subscription. */
export function sumCheckpoints(all: readonly CheckpointMetrics[]): CheckpointMetrics {
  const sum = (key: keyof CheckpointMetrics): number => all.reduce((total, one) => total + one[key], 0);
  return {
    taken: sum('taken'),
    failed: sum('failed'),
    lastBytes: sum('lastBytes'),
    totalMs: sum('totalMs'),
    maxMs: Math.max(...all.map(({ maxMs }) => maxMs)),
    replayed: sum('replayed'),
  };
}
