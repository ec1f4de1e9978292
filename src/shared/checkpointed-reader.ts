import type { LaneMark } from './checkpoint-block.js';
import type { Checkpointer } from './checkpointer.js';
import type { Delivery } from './delivery.js';
import { type Place, Reader, type Selection } from './reader.js';
import { distance } from './sequence.js';
import type { LocalSubscription } from './subscription.js';

/**
 * Reads a lane in order for a subscription with checkpoints. It has two positions to tell others: SETTLED, up to which
 * every delivery has its outcome, an Atomics word here, since `drain` looks at it; and GATING, up to which nothing need
 * be shown to a successor again. Records that are not for this thread, and those before the first that is, hold no room.
 */
export class CheckpointedReader extends Reader {
  readonly checkpointer: Checkpointer;
  /** The first record since the last checkpoint that a successor must see; GATING does not pass it. */
  held: number | undefined;
  /** Position that SETTLED and its sequence were last told of together. */
  #told: number;
  readonly #serial: number;
  readonly #holdBytes: number;
  readonly #readSequenceIndex: number;

  constructor(
    subscription: LocalSubscription,
    place: Place,
    selection: Selection,
    repeats: Reader['repeats'],
    checkpointer: Checkpointer,
    holdBytes: number,
  ) {
    super(subscription, place, selection, repeats);
    this.checkpointer = checkpointer;
    this.#serial = place.block.serial;
    this.#holdBytes = holdBytes;
    this.#readSequenceIndex = subscription.block.readSequenceIndex(this.address);
    const start = subscription.words[this.gatingIndex];
    this.position = start;
    this.flushed = start;
    this.#told = subscription.words[this.settledIndex];
    const mark = checkpointer.block.current.laneAt(this.address, this.#serial);
    if (mark !== undefined) this.missed = mark.missed;
    if (this.isBehind) this.held = start;
  }

  /** Where the subscription has been, whoever ran it. */
  get settled(): number {
    return this.subscription.words[this.settledIndex];
  }

  /** Whether a predecessor had read further, than where this reader has to start. */
  get isBehind(): boolean {
    return distance(this.settled, this.position) > 0;
  }

  /** Whether the lane is held back so far that no delivery should start. */
  get isShort(): boolean {
    return this.held !== undefined && distance(this.position, this.held) > this.#holdBytes;
  }

  /** For a checkpoint. */
  get mark(): LaneMark {
    const { address, position, missed } = this;
    return { address, serial: this.#serial, position, sequence: this.#sequence, missed };
  }

  override get canRun(): boolean {
    if (!this.checkpointer.allows(this)) return false;
    return this.checkpointer.replay === undefined ? super.canRun : this.subscription.ready;
  }

  /** Whether a delivery from here was in flight when its thread died, and has no outcome. */
  get hasRepeat(): boolean {
    const { settled } = this;
    return [...(this.repeats?.keys() ?? [])].some((position) => distance(position, settled) >= 0);
  }

  override get isAwaited(): boolean {
    return this.checkpointer.isAwaited(this);
  }

  override pass(at: number): void {
    const { missed } = this;
    super.pass(at);
    if (this.missed !== missed) this.hold();
  }

  /** A successor must be shown the record at the position. */
  hold(): void {
    if (!this.checkpointer.isLost) this.held ??= this.position;
  }

  override skip(): void {
    if (this.checkpointer.replay !== undefined) return;
    this.seek(this.lane.end());
    this.giveBack();
    // While it has deliveries to make, room comes by the quarter: a checkpoint for each record that waits would be dear.
    if (this.isAwaited && !this.canRun) this.checkpointer.ask();
  }

  /** D5. */
  override settle({ at }: Delivery): void {
    this.goPast(at);
    Atomics.store(this.subscription.words, this.settledIndex, this.position);
  }

  override giveBack(): void {
    // While it is shown again what it was delivered before, SETTLED is ahead of its position.
    if (this.checkpointer.replay !== undefined) return;
    this.#tell();
    this.checkpointer.look(this);
    this.#free();
  }

  /** K3: a checkpoint was taken here. */
  letGo(): void {
    this.held = undefined;
    this.#tell();
    this.#free();
  }

  /** The subscription ends: it goes on from where it was settled, and nothing is kept. */
  end(): void {
    this.checkpointer.stop();
    while (this.isBehind) this.goPast(this.lane.offset(this.position));
    this.held = undefined;
  }

  /** Everything before the position has its outcome, records that are not for this thread among it. */
  #tell(): void {
    const { position } = this;
    if (position === this.#told) return;
    const { words, block } = this.subscription;
    if (this.missed !== 0) block.noteUntold(this.address, position, this.missed);
    words[this.#readSequenceIndex] = this.#sequence;
    Atomics.store(words, this.settledIndex, position);
    this.#told = position;
  }

  /** C3, up to what a successor must see. */
  #free(): void {
    const { held, lane } = this;
    const target = held ?? this.position;
    if (target === this.flushed) return;
    this.free(target, held === undefined ? this.#sequence : lane.memory.i32[(lane.offset(held) >> 2) + 1]);
  }

  /** Sequence of the record at the position. The bytes before it may be overwritten once GATING is here. */
  get #sequence(): number {
    if (this.position === this.flushed) return this.subscription.words[this.gatingIndex + 1];
    return (this.lane.memory.i32[(this.last >> 2) + 1] + 1) | 0;
  }
}
