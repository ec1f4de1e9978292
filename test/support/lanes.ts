/** Lanes and their readers without threads, for tests that are both sides at once. */
import { PublishClock } from '../../src/shared/clock.js';
import { type Gate, Lane, LaneView, type Publisher } from '../../src/shared/lane.js';
import { ConsumerBlock, ProducerBlock, SubscriptionBlock } from '../../src/shared/layout.js';

/** Each reading of a clock of its own would leave an immediate behind; a test that makes lanes by the thousand shares one. */
const clock = new PublishClock();

/** A clock that says: this turn has published so much already that commits are put off and made visible in groups. */
export function burstingClock(): PublishClock {
  const bursting = new PublishClock();
  bursting.bursting = true;
  bursting.left = 2 ** 30;
  return bursting;
}

export interface LaneShape {
  readonly capacity: number;
  readonly types?: number;
  /** Where positions and sequences start; a position is a multiple of 8. */
  readonly position?: number;
  readonly sequence?: number;
  readonly maxRecordBytes?: number;
  readonly urgent?: boolean;
  /** Default: a thread that dies without its process, and so puts no commit off. */
  readonly publisher?: Publisher;
}

/** A block with one lane, and that lane. `seenBy` replaces the block that the producer works on. */
export function laneOf(shape: LaneShape, seenBy: (block: ProducerBlock) => ProducerBlock = (block) => block) {
  const { capacity, types = 1, position = 0, sequence = 0, maxRecordBytes = capacity, urgent = false } = shape;
  const { publisher = { clock, mortal: true, origin: undefined } } = shape;
  const block = ProducerBlock.create({ capacities: [capacity], types, symbols: 1, nameBytes: 8 });
  block.startLaneAt(0, position, sequence);
  const lane = new Lane(seenBy(block), 0, { name: 'market', maxRecordBytes, urgent }, publisher);
  return { block, lane, view: new LaneView(block, 0) };
}

/** A reader of a lane: the words of a subscription block, and the doorbell of a thread of its own. */
export class Gatekeeper {
  readonly block = SubscriptionBlock.create({ lanes: 1, addresses: 1, flights: 1 });
  readonly consumer = new ConsumerBlock(ConsumerBlock.create().source).words;
  readonly gate: Gate;

  /** Starts where the lane stands. */
  constructor(lane: Lane, id = 1, types: readonly number[] = [1]) {
    this.block.seed(0, lane.cursor, 0);
    const index = this.block.gatingIndex(0);
    this.gate = {
      id,
      name: `reader ${id}`,
      types,
      words: this.block.words,
      index,
      consumer: this.consumer,
      conflator: undefined,
    };
  }

  get position(): number {
    return this.gate.words[this.gate.index];
  }

  /** C3: everything below the position has been read. */
  moveTo(position: number): void {
    Atomics.store(this.gate.words, this.gate.index, position);
  }
}
