/**
 * Main's side of one subscription's retries: lanes of their own, one for each rank that carries its types, with a queue that
 * waits for room. Written by main's thread only, which outlives them; nobody waits for what is queued.
 */
import Queue from 'yocto-queue';
import { PublishClock } from '../shared/clock.js';
import type { RetriesSpec } from '../shared/control.js';
import { type Gate, Lane } from '../shared/lane.js';
import { LaneWord, MAX_RECORD_BYTES, MIN_CAPACITY_BYTES, ProducerBlock } from '../shared/layout.js';
import { Parker } from '../shared/parking.js';
import { RETRIES_IN_RING, RETRIES_THREAD, type Trailer, TRAILER_BYTES, withTrailer } from '../shared/retries.js';
import { SymbolWriter } from '../shared/symbols.js';
import type { Member } from './member.js';
import { type Parcel, payloadOf } from './parcel.js';
import type { Producer, SubscriptionRecord } from './record.js';
import type { Slot } from './slot.js';
import { toProducerSpec } from './wiring.js';

const MIN_RING_BYTES = 65_536;

/** What is to be delivered: with the same parcel, a try or the notice that frees a key. */
export interface Retry {
  readonly parcel: Parcel;
  readonly trailer: Trailer;
}

interface Exit {
  readonly lane: Lane;
  readonly parker: Parker;
  readonly queue: Queue<Retry>;
  flowing: boolean;
}

export class RetryLanes {
  readonly producer: Producer;
  readonly #record: SubscriptionRecord;
  readonly #symbols: SymbolWriter;
  readonly #exits: readonly Exit[];
  readonly #onMisfit: (retry: Retry, error: unknown) => void;

  /** @param onMisfit Told of one that cannot be sent: the table of symbols is full. */
  constructor(
    record: SubscriptionRecord,
    symbols: { readonly max: number; readonly maxBytes: number },
    onMisfit: (retry: Retry, error: unknown) => void,
  ) {
    const ringBytes = 2 ** Math.ceil(Math.log2(RETRIES_IN_RING * (record.maxEventBytes + TRAILER_BYTES + 8)));
    const block = ProducerBlock.create({
      capacities: record.lanes.map((_, rank) =>
        record.ranks.includes(rank) ? Math.max(MIN_RING_BYTES, ringBytes) : MIN_CAPACITY_BYTES,
      ),
      types: record.typeCount,
      symbols: symbols.max,
      nameBytes: symbols.maxBytes,
    });
    this.producer = { index: record.retriesIndex, thread: RETRIES_THREAD, block, dead: false, final: false };
    this.#record = record;
    this.#onMisfit = onMisfit;
    this.#symbols = new SymbolWriter(block.symbols, `the retries of subscription "${record.name}"`);
    const publisher = { clock: new PublishClock(), mortal: true, origin: undefined };
    this.#exits = record.lanes.map(({ name, urgent }, rank) => {
      const lane = new Lane(block, rank, { name, maxRecordBytes: MAX_RECORD_BYTES, urgent }, publisher);
      return { lane, parker: new Parker(lane.control, LaneWord.ROOM_INDEX), queue: new Queue<Retry>(), flowing: false };
    });
  }

  /** What a member's thread is told of it. */
  specFor(member: Member): RetriesSpec {
    return { producer: toProducerSpec(this.producer), read: member.readSpec(this.producer) };
  }

  /** Whom they hold room for, and whom to wake: anew after each take-over. */
  setGates(slots: readonly Slot[]): void {
    const { members, name, types, ranks } = this.#record;
    for (const rank of ranks) {
      const { lane } = this.#exits[rank];
      lane.setGates(
        members.map((member): Gate => {
          const { id, block, thread } = member;
          const index = block.gatingIndex(member.address(this.producer, rank));
          const consumer = slots[thread].consumer.words;
          const indexes = types.map((type) => type.index);
          return { id, name, types: indexes, words: block.words, index, consumer, conflator: undefined };
        }),
      );
      lane.wakeForRoom();
    }
  }

  send(rank: number, retry: Retry): void {
    const exit = this.#exits[rank];
    exit.queue.enqueue(retry);
    if (!exit.flowing) void this.#flow(exit);
  }

  /** Gives up what has found no room yet, and returns it: what is in the lanes is all there will be. */
  abandon(): Retry[] {
    return this.#exits.flatMap(({ queue }) => {
      const left = [...queue];
      queue.clear();
      return left;
    });
  }

  async #flow(exit: Exit): Promise<void> {
    exit.flowing = true;
    while (!this.#admit(exit)) {
      exit.parker.announce();
      if (this.#admit(exit)) {
        exit.parker.cancel();
        break;
      }
      await exit.parker.wait();
    }
    exit.flowing = false;
  }

  /** @returns Whether nothing is queued any more. */
  #admit({ lane, queue }: Exit): boolean {
    for (let retry = queue.peek(); retry !== undefined; retry = queue.peek()) {
      const { parcel, trailer } = retry;
      try {
        const payload = withTrailer(
          payloadOf(parcel, (name) => this.#symbols.intern(name)),
          trailer,
        );
        const at = lane.claim(payload.length, parcel.type.index);
        if (at < 0) return false;
        lane.memory.u8.set(payload, at);
        lane.commit(parcel.type.index);
        queue.dequeue();
      } catch (error) {
        queue.dequeue();
        this.#onMisfit(retry, error);
      }
    }
    return true;
  }
}
