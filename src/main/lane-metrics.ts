import type { BusNotices, LaneMetrics } from '../shared/api.js';
import type { Catalog } from '../shared/catalog.js';
import { now } from '../shared/clock.js';
import { LaneWord } from '../shared/layout.js';
import { laneOf } from '../shared/outbox.js';
import { distance } from '../shared/sequence.js';
import type { ResolvedLane } from './lane-options.js';
import type { Producer, SubscriptionRecord } from './record.js';

/** A lane that was told to be high is low again below this share of its watermark. */
const LOW_SHARE = 0.5;

/** Reads the lanes' counters, and keeps what only repeated looks can tell: their high watermarks. */
export class LaneMeter {
  readonly #catalog: Catalog;
  readonly #lanes: readonly ResolvedLane[];
  readonly #watermarks: number[];
  /** Told of each lane that has passed its high watermark since the last sample. */
  onHigh: (notice: BusNotices['laneHighWatermark']) => void = () => undefined;
  /** Ranks of the lanes that were told to be high. */
  readonly #high = new Map<Producer, Set<number>>();
  /** Counts of producers that are gone. */
  readonly #retired: { published: number; dropped: number; rejected: number; blockedMs: number }[];

  constructor(catalog: Catalog, lanes: readonly ResolvedLane[]) {
    this.#catalog = catalog;
    this.#lanes = lanes;
    this.#watermarks = lanes.map(() => 0);
    this.#retired = lanes.map(() => ({ published: 0, dropped: 0, rejected: 0, blockedMs: 0 }));
  }

  /** Takes over the counts of lanes that are about to be forgotten. */
  retire(producer: Producer): void {
    this.#high.delete(producer);
    this.#retired.forEach((retired, rank) => {
      const { published, dropped, rejected, blockedMs } = this.#counts(producer, rank);
      retired.published += published;
      retired.dropped += dropped;
      retired.rejected += rejected;
      retired.blockedMs += blockedMs;
    });
  }

  /** A sample of the depths, for the high watermarks. */
  sample(producers: readonly Producer[], records: readonly SubscriptionRecord[]): void {
    for (const producer of producers) {
      this.#lanes.forEach(({ name, highWatermark }, rank) => {
        const depthBytes = this.#depth(producer, rank, records).bytes;
        const capacityBytes = producer.block.rings[rank].u8.length;
        this.#watermarks[rank] = Math.max(this.#watermarks[rank], depthBytes);
        const high = this.#high.get(producer) ?? new Set<number>();
        const mark = highWatermark * capacityBytes;
        if (depthBytes >= mark && !high.has(rank)) {
          this.#high.set(producer, high.add(rank));
          this.onHigh({ lane: name, thread: producer.thread, depthBytes, capacityBytes });
        } else if (depthBytes < mark * LOW_SHARE) high.delete(rank);
      });
    }
  }

  read(producers: readonly Producer[], records: readonly SubscriptionRecord[]): Record<string, LaneMetrics> {
    this.sample(producers, records);
    return Object.fromEntries(
      this.#lanes.map((lane, rank): [string, LaneMetrics] => {
        const counts = producers.map((producer) => this.#counts(producer, rank));
        const depths = producers.map((producer) => this.#depth(producer, rank, records));
        const sum = (key: 'published' | 'dropped' | 'rejected' | 'blockedMs'): number =>
          counts.reduce((total, count) => total + count[key], this.#retired[rank][key]);
        const stat = (word: 'WAITING_F64' | 'SPILLED_F64'): number =>
          producers.reduce((total, { block }) => total + block.stats[rank][LaneWord[word]], 0);
        const spilled = stat('SPILLED_F64');
        return [
          lane.name,
          {
            published: sum('published') + spilled,
            dropped: sum('dropped'),
            rejected: sum('rejected'),
            depthEvents: depths.reduce((total, depth) => total + depth.events, 0),
            depthBytes: depths.reduce((total, depth) => total + depth.bytes, 0),
            capacityBytes: producers.reduce((total, { block }) => total + block.rings[rank].u8.length, 0),
            highWatermarkBytes: producers.reduce(
              (max, { block }) => Math.max(max, block.stats[rank][LaneWord.WATERMARK_F64]),
              this.#watermarks[rank],
            ),
            blockedMs: sum('blockedMs'),
            waiting: stat('WAITING_F64'),
            spilled,
          },
        ];
      }),
    );
  }

  #counts(
    { block }: Producer,
    rank: number,
  ): { published: number; dropped: number; rejected: number; blockedMs: number } {
    const stats = block.stats[rank];
    const since = stats[LaneWord.BLOCKED_SINCE_F64];
    return {
      published: this.#catalog.types
        .filter((type) => laneOf(this.#lanes, type.priority) === rank)
        .reduce((sum, type) => sum + block.published[type.index], 0),
      dropped: stats[LaneWord.DROPPED_F64],
      rejected: stats[LaneWord.REJECTED_F64],
      blockedMs: stats[LaneWord.BLOCKED_MS_F64] + (since > 0 ? now() - since : 0),
    };
  }

  /** Between the newest record and the slowest subscription. */
  #depth(producer: Producer, rank: number, records: readonly SubscriptionRecord[]): { bytes: number; events: number } {
    const depth = { bytes: 0, events: 0 };
    for (const record of records) {
      if (record.ended || !record.ranks.includes(rank) || !record.reads.includes(producer)) continue;
      for (const member of record.members) {
        // The reader's side first: the producer may move on meanwhile, which never makes a depth negative.
        const read = member.progress(producer, rank);
        if (read === undefined) continue;
        const end = Atomics.load(producer.block.control[rank], LaneWord.CURSOR_INDEX);
        const records = producer.block.stats[rank][LaneWord.RECORDS_F64] | 0;
        depth.bytes = Math.max(depth.bytes, distance(end, read.position));
        depth.events = Math.max(depth.events, distance(records, read.sequence));
      }
    }
    return depth;
  }
}
