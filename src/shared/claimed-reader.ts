/**
 * Reads a lane whose records are claimed (claims.ts): by several threads, by several deliveries of one thread that are in
 * flight together, or both. Deliveries end in any order; the lane gets its room back up to the oldest without an outcome.
 */
import Queue from 'yocto-queue';
import type { Claims } from './claims.js';
import { HEADER_BYTES, TYPE_MASK } from './layout.js';
import { type Open, type Place, Reader, type Selection } from './reader.js';
import { distance } from './sequence.js';
import type { LocalSubscription } from './subscription.js';

/**
 * Records that are put off because their key is in flight, before the lane is read no further. A bound of the lane's own:
 * a key that waits for room must not keep the thread from reading the lane that is to have the room.
 */
const MAX_PUT_OFF = 1024;

export class ClaimedReader extends Reader {
  declare readonly claims: Claims;
  readonly keys: Selection['keys'];
  /** Claim number of the record at `position`. */
  number: number;
  /** Taken and without an outcome: in flight, or put off because its key is. In the lane's order. */
  readonly open = new Queue<Open>();
  /** Put off before; their keys are free now, and kept for them. */
  readonly resumed: Open[] = [];
  /** Sequence of the record at `position`. */
  #sequence: number;
  #putOff = 0;

  constructor(
    subscription: LocalSubscription,
    place: Place,
    selection: Selection,
    repeats: Reader['repeats'],
    claims: Claims,
  ) {
    super(subscription, place, selection, repeats, claims);
    this.keys = selection.keys;
    this.number = subscription.block.numberAt(this.address);
    this.#sequence = subscription.words[this.gatingIndex + 1];
  }

  override get canRun(): boolean {
    const { subscription } = this;
    if (this.resumed.length > 0 && subscription.resumes) return true;
    return this.#putOff < MAX_PUT_OFF && this.hasNews && subscription.ready && !this.waits;
  }

  /** @returns The next record to deliver, or undefined when there is none before `end`. */
  take(end: number): Open | undefined {
    const { subscription, lane, keys } = this;
    const { memory } = lane;
    const resumed = this.resumed.shift();
    if (resumed !== undefined) return resumed;
    while (this.position !== end && this.#putOff < MAX_PUT_OFF && subscription.isFree) {
      const { position } = this;
      const at = lane.offset(position);
      const type = memory.i32[at >> 2] & TYPE_MASK;
      this.position = lane.next(position);
      this.#sequence = (memory.i32[(at >> 2) + 1] + 1) | 0;
      if (this.decoders[type] === null) {
        this.pass(at);
        continue;
      }
      const number = this.number;
      this.number = (number + 1) | 0;
      if (this.owns !== null && !this.owns[type](memory, at + HEADER_BYTES)) continue;
      if (!this.claims.take(number)) continue;
      const open = {
        reader: this,
        position,
        number,
        key: keys === null ? 0 : keys[type](memory, at + HEADER_BYTES),
        done: false,
      };
      this.open.enqueue(open);
      if (keys === null) return open;
      const waiting = subscription.keys.get(open.key);
      if (waiting === undefined) {
        subscription.keys.set(open.key, []);
        return open;
      }
      waiting.push(open);
      this.#putOff++;
    }
    return undefined;
  }

  override skip(): void {
    const { lane } = this;
    const end = lane.end();
    while (this.position !== end) {
      const at = lane.offset(this.position);
      const type = lane.memory.i32[at >> 2] & TYPE_MASK;
      if (this.wants(at)) break;
      if (this.decoders[type] === null) this.pass(at);
      else this.number = (this.number + 1) | 0; // another thread's key
      this.#sequence = (lane.memory.i32[(at >> 2) + 1] + 1) | 0;
      this.position = lane.next(this.position);
    }
    this.giveBack();
  }

  override keepMissed(): void {
    // Nothing: it goes with GATING, which `giveBack` moves.
  }

  override settle(): void {
    // K2 was before D4.
  }

  /** After D6: the next one of the same key may go on. */
  release(open: Open): void {
    const { subscription } = this;
    open.done = true;
    if (this.keys === null) return;
    const next = subscription.keys.get(open.key)?.shift();
    if (next === undefined) {
      subscription.keys.delete(open.key);
    } else {
      next.reader.resume(next);
    }
  }

  /** One that was put off has its key. */
  resume(open: Open): void {
    this.#putOff--;
    this.resumed.push(open);
  }

  /** C3, up to the oldest record without an outcome. */
  override giveBack(): void {
    const { open, lane, subscription } = this;
    while (open.peek()?.done === true) open.dequeue();
    const oldest = open.peek();
    const position = oldest?.position ?? this.position;
    if (position === this.flushed) return;
    const sequence = oldest === undefined ? this.#sequence : lane.memory.i32[(lane.offset(position) >> 2) + 1];
    const { words, block } = subscription;
    block.number(this.address, position, oldest?.number ?? this.number);
    // Those behind the oldest are read again.
    if (oldest === undefined && this.missed !== 0) block.noteUntold(this.address, position, this.missed);
    words[this.settledIndex] = position;
    this.free(position, sequence);
  }

  /** All that is left up to a position, to be discarded: what was put off, then what nobody has claimed yet. */
  *drain(end: number): Generator<Pick<Open, 'position' | 'number'>> {
    const { subscription, lane, open } = this;
    this.resumed.length = 0;
    subscription.keys.clear();
    this.#putOff = 0;
    const putOff = [...open].filter(({ done }) => !done);
    open.clear();
    yield* putOff;
    while (distance(end, this.position) > 0) {
      const { position } = this;
      const at = lane.offset(position);
      const { i32 } = lane.memory;
      this.position = lane.next(position);
      this.#sequence = (i32[(at >> 2) + 1] + 1) | 0;
      if (this.decoders[i32[at >> 2] & TYPE_MASK] === null) continue;
      const number = this.number;
      this.number = (number + 1) | 0;
      if (this.wants(at) && this.claims.take(number)) yield { position, number };
    }
  }
}
