/**
 * Shows a module, after `restore`, the deliveries since its checkpoint again, in the order in which they were made. They
 * have their outcomes: nothing is counted a second time, and nothing they publish goes anywhere.
 *
 * A delivery that is shown again is in flight like any other (D1, D6 of delivery.ts), so the watchdog sees it, and whoever
 * takes over finds it. It is told from the others by its position, which is before SETTLED; and it moves neither SETTLED
 * nor a counter, so a death anywhere leaves what was there before.
 */
import type { CheckpointBlock } from './checkpoint-block.js';
import { CheckpointWord } from './checkpoint-block.js';
import type { CheckpointedReader } from './checkpointed-reader.js';
import { realNow } from './clock.js';
import type { Decoder } from './codec.js';
import type { Delivery } from './delivery.js';
import { ConsumerWord, HEADER_BYTES, TYPE_MASK, WAITING_BIT } from './layout.js';
import type { BurstControl } from './dispatch.js';
import { distance } from './sequence.js';
import type { LocalSubscription } from './subscription.js';

/** Deliveries between two looks at the clock. */
const LOOK_EVERY = 16;

/** A delivery that is not shown again: it has killed its thread. */
export interface Skipped {
  readonly address: number;
  readonly position: number;
}

/** Deliveries in a row from one lane, up to a position. */
interface Run {
  readonly reader: CheckpointedReader;
  readonly to: number;
}

export class Replay {
  readonly #subscription: LocalSubscription;
  readonly #readers: readonly CheckpointedReader[];
  readonly #block: CheckpointBlock;
  readonly #skipped: ReadonlySet<string>;
  readonly #onEnd: (deliveries: number, last: number | undefined) => void;
  readonly #runs: readonly Run[];
  #run = 0;
  #deliveries = 0;

  /** @param onEnd Told how many there were, and the address of the last one's lane. */
  constructor(
    subscription: LocalSubscription,
    readers: readonly CheckpointedReader[],
    block: CheckpointBlock,
    skipped: readonly Skipped[],
    onEnd: (deliveries: number, last: number | undefined) => void,
  ) {
    this.#subscription = subscription;
    this.#readers = readers;
    this.#block = block;
    this.#skipped = new Set(skipped.map(keyOf));
    this.#onEnd = onEnd;
    this.#runs = runsOf(readers, block);
  }

  /** The one that is read now. */
  get reader(): CheckpointedReader {
    return this.#runs.at(Math.min(this.#run, this.#runs.length - 1))?.reader ?? this.#readers[0];
  }

  /** As Dispatcher.burst, over all lanes. @returns How many were shown. */
  burst(limit: number, control: BurstControl, words: Int32Array): number {
    const { bell } = control;
    let count = 0;
    while (count < limit && this.#subscription.resumes) {
      const reader = this.#seek();
      if (reader === undefined) return count;
      this.#show(reader, control);
      count++;
      if (count % LOOK_EVERY === 0 && realNow() >= control.sliceEnd) control.sliceOver = true;
      if (control.sliceOver || Atomics.load(words, ConsumerWord.BELL_INDEX) !== bell) break;
      if (control.overtaken(reader.rank)) break;
    }
    return count;
  }

  /** The reader that is at the next delivery; undefined when there is none left, and the subscription goes on. */
  #seek(): CheckpointedReader | undefined {
    for (; this.#run < this.#runs.length; this.#run++) {
      const { reader, to } = this.#runs[this.#run];
      while (reader.seek(to)) {
        if (!this.#skipped.has(keyOf(reader))) return reader;
        reader.goPast(reader.lane.offset(reader.position));
      }
    }
    for (const reader of this.#readers) {
      while (reader.seek(reader.settled)) reader.goPast(reader.lane.offset(reader.position));
    }
    this.#subscription.log.info({ deliveries: this.#deliveries }, 'state restored: deliveries since were shown again');
    this.#onEnd(this.#deliveries, this.#runs.at(-1)?.reader.address);
    return undefined;
  }

  #show(reader: CheckpointedReader, control: BurstControl): void {
    const [delivery] = this.#subscription.deliveries;
    const { words } = delivery;
    const { position, lane } = reader;
    this.#deliveries++;
    delivery.reader = reader;
    delivery.memory = lane.memory;
    delivery.position = position;
    delivery.at = lane.offset(position);
    delivery.attempt = reader.repeats?.get(position) ?? 1;
    delivery.missed = reader.missed;
    delivery.replays = true;
    delivery.readTrailer();
    words[delivery.attemptIndex] = delivery.attempt;
    words[delivery.positionIndex] = position;
    words[delivery.laneIndex] = reader.tag; // D1
    try {
      const result = this.#call(delivery, reader);
      if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function') {
        void this.#await(delivery, result, control);
        return;
      }
    } catch (error) {
      this.#note(error);
    }
    this.#end(delivery);
  }

  #call(delivery: Delivery, reader: CheckpointedReader): unknown {
    const { handler, predicate } = this.#subscription;
    const { memory, at } = delivery;
    const type = memory.i32[at >> 2] & TYPE_MASK;
    if (reader.accepts !== null && !reader.accepts[type](memory, at + HEADER_BYTES)) return undefined;
    const event = (reader.decoders[type] as Decoder)(memory, at + HEADER_BYTES);
    if (predicate !== undefined && !predicate(event as never)) return undefined;
    reader.missed = 0;
    this.#block.stats[CheckpointWord.REPLAYED_F64] += 1;
    return handler(event as never, delivery.context as never);
  }

  async #await(delivery: Delivery, result: unknown, control: BurstControl): Promise<void> {
    const { idle } = this.#subscription;
    const serial = ++delivery.serial;
    idle.splice(idle.indexOf(delivery), 1);
    delivery.words[delivery.laneIndex] |= WAITING_BIT;
    control.deliveryStarted();
    try {
      await result;
    } catch (error) {
      this.#note(error);
    }
    if (serial !== delivery.serial) return;
    this.#end(delivery);
    idle.push(delivery);
    control.deliveryEnded();
  }

  #end(delivery: Delivery): void {
    delivery.words[delivery.laneIndex] = 0; // D6
    delivery.words[delivery.attemptIndex] = 1;
    delivery.serial++;
    delivery.attempt = 1;
    delivery.missed = 0;
    delivery.replays = false;
    delivery.trailer = undefined;
    delivery.controller = undefined;
    (delivery.reader as CheckpointedReader).goPast(delivery.at);
  }

  /** It has failed before, and was counted and logged then. */
  #note(error: unknown): void {
    this.#subscription.log.debug({ err: error }, 'a delivery that is shown again failed');
  }
}

/**
 * The order log as runs. An entry's run ends where the same lane's next one begins, and the last one of a lane where the
 * subscription is settled. What lies between is for nobody here: entries begin at records that were delivered.
 */
function runsOf(readers: readonly CheckpointedReader[], { current }: CheckpointBlock): Run[] {
  const byAddress = new Map(readers.map((reader) => [reader.address, reader]));
  const ends = new Map(readers.map(({ address, settled }) => [address, settled]));
  const runs: Run[] = [];
  for (let index = current.logged - 1; index >= 0; index--) {
    const { address, position } = current.entryAt(index);
    const reader = byAddress.get(address);
    const to = ends.get(address);
    if (reader === undefined || to === undefined) continue; // its lane is drained and gone
    runs.push({ reader, to });
    // A last entry may stand for a delivery that has no outcome: nothing behind SETTLED is shown.
    if (distance(to, position) > 0) ends.set(address, position);
  }
  return runs.reverse();
}

function keyOf({ address, position }: Skipped): string {
  return `${address} ${position}`;
}
