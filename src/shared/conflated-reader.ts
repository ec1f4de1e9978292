import type { ConflationBlock, ConflationProgress } from './conflation-block.js';
import { ConflationReader } from './conflation.js';
import { LaneView } from './lane.js';
import type { Place, Reader, Selection } from './reader.js';
import type { LocalSubscription } from './subscription.js';

/** Takes the newest event of each key, where the subscription conflates; the lane itself is never read. */
export class ConflatedReader {
  readonly subscription: LocalSubscription;
  readonly lane: LaneView;
  readonly laneName: string;
  readonly rank: number;
  readonly producer: number;
  readonly publisher: number;
  readonly address: number;
  readonly tag: number;
  readonly decoders: Selection['decoders'];
  readonly accepts: Selection['accepts'];
  readonly claims = null;
  readonly holds = null;
  readonly isRetries = false;
  readonly outcomesF64: number;
  readonly queue: ConflationReader;
  /** By position in the queue. */
  repeats: Reader['repeats'];
  /** Never above 0: newest events have no gaps. */
  missed = 0;
  former: Reader['former'];

  constructor(
    subscription: LocalSubscription,
    place: Place,
    selection: Selection,
    repeats: Reader['repeats'],
    block: ConflationBlock,
    progress: ConflationProgress,
  ) {
    this.subscription = subscription;
    this.lane = new LaneView(place.block, place.rank);
    this.laneName = place.name;
    this.rank = place.rank;
    this.producer = place.producer;
    this.publisher = place.publisher;
    this.address = place.producer * place.lanes + place.rank;
    this.tag = this.address + 1;
    this.decoders = selection.decoders;
    this.accepts = selection.accepts;
    this.outcomesF64 = subscription.block.outcomesF64(place.rank);
    this.queue = new ConflationReader(block, progress);
    this.repeats = repeats;
  }

  get hasNews(): boolean {
    return this.queue.hasNews;
  }

  get canRun(): boolean {
    return this.hasNews && this.subscription.ready && !this.waits;
  }

  get waits(): boolean {
    const { former } = this;
    return former !== undefined && (former.hasNews || former.waits);
  }

  get isAwaited(): boolean {
    return false;
  }

  /** D5. */
  settle(): void {
    this.queue.settle();
  }

  keepMissed(): void {
    // Nothing to keep.
  }

  forgetMissed(): void {
    // Nothing to forget.
  }

  giveBack(): void {
    // Nothing: it holds no room.
  }

  skip(): void {
    // Nothing: only what it wants is queued.
  }
}
