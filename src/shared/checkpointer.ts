/**
 * Checkpoints of a handler module's state on one thread: when one is taken, and how it survives the thread.
 *
 * The lanes of a subscription with checkpoints keep what it was delivered since the last one, so that a successor can be
 * shown the same again. A thread may be terminated between any two of these steps:
 *   K1 the place that is not CURRENT: state, lanes, an empty log        (checkpoint-block.ts)
 *   K2 Atomics.store(CURRENT)                                          the commit
 *   K3 Atomics.store(GATING) of each lane                              its room is free as far as the checkpoint reaches
 * Dead before K2: the former checkpoint is whole, and GATING has not passed it, so all that followed it is in the rings.
 * Dead after K2: the new one holds. GATING is at it or behind it, and the rings hold more than is needed: the successor
 * starts at the later of GATING and what the checkpoint says. K3 above K2 would let a producer overwrite what the former
 * checkpoint needs; K2 above K1 would commit half a state.
 *
 *   L1, L2 an entry of the order log       before D1 of a delivery that comes from another lane than the one before it
 * State depends on the order in which several lanes were read, which the lanes do not tell. Dead between L2 and D5: the
 * entry stands for no delivery that has ended, and a replay, which goes up to SETTLED, finds nothing there. The log is
 * the place's, so K2 empties it in the same instant.
 * Test: test/interleaving/checkpoints
 *
 * A delivery in flight keeps a checkpoint from being taken, and what it publishes may wait for room that only a
 * checkpoint gives back. So no delivery starts while a lane is held by more than it can do without: see `holdBytesOf`.
 */
import { types } from 'node:util';
import { type CheckpointBlock, CheckpointWord } from './checkpoint-block.js';
import type { CheckpointedReader } from './checkpointed-reader.js';
import { now } from './clock.js';
import { packValue } from './codec-values.js';
import type { CheckpointSpec } from './control.js';
import { FlightWord, LaneWord } from './layout.js';
import { Replay, type Skipped } from './replay.js';
import { distance } from './sequence.js';
import type { Handling, LocalSubscription } from './subscription.js';

/** No lane's address. */
const NONE = -1;

/**
 * How far a lane may be held back by a checkpoint while a delivery starts: a quarter of it, and never so far that the
 * largest record would not fit behind any padding in a lane that is read to its end.
 */
export function holdBytesOf(capacityBytes: number, maxRecordBytes: number): number {
  return Math.max(0, Math.min(capacityBytes / 4, capacityBytes - 2 * maxRecordBytes));
}

/** Why a checkpoint is taken: it is time, or something waits that only a checkpoint gives back. */
type Need = 'due' | 'short';

export class Checkpointer {
  readonly block: CheckpointBlock;
  /** Deliveries that a successor would be shown again. */
  #since = 0;
  readonly #every: number;
  readonly #isBarred: boolean;
  /** Value of `#since` from which on the next one is due. */
  #due: number;
  readonly #module: NonNullable<Handling['checkpoints']>;
  readonly #subscription: LocalSubscription;
  /** Address of the last delivery's lane. */
  #last = NONE;
  /** Whether the last attempt has failed: what fails again is logged once. */
  #failing = false;
  #asked = false;
  #ended = false;
  /** Has the delivery that was in flight when a predecessor died, until that is made again. */
  #first: CheckpointedReader | undefined;
  #replay: Replay | undefined;

  /** @param isBarred Whether none is taken any more, since each ends the thread. */
  constructor(
    subscription: LocalSubscription,
    block: CheckpointBlock,
    { every, isBarred }: Pick<CheckpointSpec, 'every' | 'isBarred'>,
    module: NonNullable<Handling['checkpoints']>,
  ) {
    this.block = block;
    this.#every = every;
    this.#isBarred = isBarred;
    this.#due = every;
    this.#module = module;
    this.#subscription = subscription;
  }

  /** What is being shown again; undefined once the subscription is where it was. */
  get replay(): Replay | undefined {
    return this.#replay;
  }

  /**
   * Whether a reader may run. Nothing comes between what a predecessor had delivered and what it had begun to: an answer to
   * what that had published, on a more urgent lane, would be seen before its question.
   */
  allows(reader: CheckpointedReader): boolean {
    if (this.#replay !== undefined) return this.#replay.reader === reader;
    return this.#first === undefined || this.#first === reader || this.#first.waits;
  }

  /** Whether room is given back without a checkpoint: there is nothing left that it could be used with. */
  get isLost(): boolean {
    return this.block.isLost;
  }

  /** Shows the deliveries since the checkpoint again, once all readers are there. @param skipped Those that are not. */
  start(skipped: readonly Skipped[]): void {
    const readers = this.#subscription.readers as CheckpointedReader[];
    this.#first = readers.find((reader) => reader.hasRepeat);
    if (!readers.some((reader) => reader.isBehind)) return;
    this.#replay = new Replay(this.#subscription, readers, this.block, skipped, (replayed, last) => {
      this.#replay = undefined;
      this.#since = replayed;
      this.#last = last ?? NONE;
    });
  }

  /** Nothing is shown again, nor kept any more: the subscription ends. */
  stop(): void {
    this.#ended = true;
    this.#first = undefined;
    this.#replay = undefined;
  }

  /** Before D1: takes a checkpoint if there has to be one, and notes where the delivery comes from. */
  begin(reader: CheckpointedReader): void {
    const { block } = this;
    this.#first = undefined;
    const turns = this.#last !== reader.address;
    const isLogFull = turns && !this.isLost && block.current.logged === block.entries;
    if (isLogFull || reader.isShort) this.#take('short');
    else if (this.#since >= this.#due) this.#take('due');
    this.#since++;
    if (this.isLost) return;
    // Whatever was taken above has emptied the log.
    if (this.#last !== reader.address) block.current.log(reader.address, reader.position);
    this.#last = reader.address;
    reader.hold();
  }

  /** Between deliveries, or while one waits: takes a checkpoint that is due, if nothing is in flight. */
  look(reader: CheckpointedReader): void {
    if (this.#ended || this.#subscription.waiting > 0 || this.#replay !== undefined) return;
    if (reader.isShort) this.#take('short');
    else if (this.#since >= this.#due) this.#take('due');
    else if (this.#asked && this.#holds) this.#take('short');
  }

  /** A lane's index, or its room, waits for a checkpoint. */
  ask(): void {
    this.#asked = this.#holds;
    for (const reader of this.#subscription.readers) reader.giveBack();
  }

  /** Whether anything is kept for a successor. */
  get #holds(): boolean {
    return (this.#subscription.readers as CheckpointedReader[]).some(({ held }) => held !== undefined);
  }

  /** Whether a publisher waits for room that this reader has left and its checkpoint holds. */
  isAwaited({ lane, flushed, held, position }: CheckpointedReader): boolean {
    const { waiting, skips } = this.#subscription;
    if (held === undefined || waiting > 0 || !skips || this.#replay !== undefined) return false;
    const required = Atomics.load(lane.control, LaneWord.REQUIRED_INDEX);
    // One that was met long ago may be anywhere by now: positions wrap.
    const wanted = distance(required, flushed);
    return wanted > 0 && wanted <= lane.mask + 1 && distance(position, required) >= 0;
  }

  /** @param need With `'short'` room is given back in any case. */
  #take(need: Need): void {
    this.#asked = false;
    const begun = now();
    const { block } = this;
    const { stats } = block;
    if (this.#isBarred) {
      this.#due = this.#since + this.#every;
      if (need === 'short') this.#giveUp();
      return;
    }
    const { words } = this.#subscription;
    const laneIndex = FlightWord.laneIndex(0);
    words[laneIndex] = block.addresses + 1; // no lane's: a snapshot that hangs is late, one that dies is found, see Member.finish
    const readers = this.#subscription.readers as CheckpointedReader[];
    let bytes: Uint8Array;
    try {
      bytes = packState(this.#module.snapshot());
      if (bytes.length > block.next.region.maxByteLength) {
        const [size, limit] = [bytes.length, block.next.region.maxByteLength].map((n) => n.toLocaleString('en-US'));
        throw new RangeError(`checkpoint of ${size} bytes exceeds maxCheckpointBytes (${limit})`);
      }
      block.next.writeState(bytes); // K1
    } catch (error) {
      words[laneIndex] = 0;
      this.#fail(error, need);
      return;
    }
    words[laneIndex] = 0;
    block.next.begin(readers.map((reader) => reader.mark));
    block.commit('whole'); // K2
    const ms = now() - begun;
    stats[CheckpointWord.TAKEN_F64] += 1;
    stats[CheckpointWord.LAST_BYTES_F64] = bytes.length;
    stats[CheckpointWord.TOTAL_MS_F64] += ms;
    if (ms > stats[CheckpointWord.MAX_MS_F64]) stats[CheckpointWord.MAX_MS_F64] = ms;
    this.#since = 0;
    this.#due = this.#every;
    this.#failing = false;
    this.#forgetHeld(); // K3, last: a publisher that goes on finds the checkpoint counted
  }

  #fail(error: unknown, need: Need): void {
    const { log } = this.#subscription;
    this.block.stats[CheckpointWord.FAILED_F64] += 1;
    if (!this.#failing) log.error({ err: error }, 'checkpoint failed');
    this.#failing = true;
    this.#due = this.#since + this.#every;
    if (need === 'due' || this.isLost) return;
    // A lane that stands still costs everybody; a state that cannot be kept costs its own module.
    this.#module.fatal(
      { err: error },
      'checkpoint failed and room has run short: if the thread dies before the next one, the state is lost',
    );
    this.#giveUp();
  }

  /** Room is given back without a checkpoint: nothing could be shown to a successor again. */
  #giveUp(): void {
    if (this.isLost) return;
    this.block.next.begin([]);
    this.block.commit('lost');
    this.#forgetHeld();
  }

  #forgetHeld(): void {
    this.#last = NONE;
    for (const reader of this.#subscription.readers as CheckpointedReader[]) reader.letGo();
  }
}

function packState(state: unknown): Uint8Array {
  if (types.isPromise(state)) {
    state.catch(() => undefined);
    throw new TypeError('snapshot() returned a promise; expected the state itself: events must not come in between');
  }
  return packValue(state);
}
