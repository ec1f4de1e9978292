/** A small market lane of one publishing thread, read by hand. */
import type { WhenFull } from '../../src/shared/admission.js';
import { LaneView, readGaps } from '../../src/shared/lane.js';
import { HEADER_BYTES, LaneWord, PADDING_TYPE, TYPE_MASK } from '../../src/shared/layout.js';
import type { Member } from '../../src/main/member.js';
import type { SubscriptionRecord } from '../../src/main/record.js';
import { bodyFor, CATALOG, lanesWith, TestEngine, type TestLane } from './engine.js';

export const MARKET = 1;
export const CAPACITY = 1024;
/** Four records with this body fill the lane. */
export const QUARTER = bodyFor(CAPACITY / 4);

/** Type index of gap notices. */
const GAP = CATALOG.types.length + 1;

const N_OFFSET = CATALOG.types[0].fields.find(({ name }) => name === 'n')?.offset ?? 0;

export class Market {
  readonly test: TestEngine;
  readonly record: SubscriptionRecord;
  /** Events that were dropped, as `read` was told. */
  missed = 0;
  readonly #stats: Float64Array;
  readonly #types: ReadonlySet<number>;

  constructor(whenFull: WhenFull, changes: Partial<TestLane> = {}, thread = 0) {
    const market = { whenFull, capacityBytes: CAPACITY, maxRecordBytes: CAPACITY / 2, ...changes };
    this.test = new TestEngine({ lanes: lanesWith({ market }), thread });
    this.record = this.test.register(['TICK', 'BAR']);
    this.#types = new Set(this.record.types.map(({ index }) => index));
    this.#stats = this.test.producer.block.stats[MARKET];
  }

  get member(): Member {
    return this.record.members[0];
  }

  get outbox(): TestEngine['engine']['outbox'] {
    return this.test.engine.outbox;
  }

  /** Ticks 1 to 4, which leave no room. */
  async fill(): Promise<void> {
    for (let n = 1; n <= 4; n++) await this.publish(n);
  }

  publish(n: number, body: Uint8Array = QUARTER): Promise<void> {
    return this.test.publish('TICK', n, body);
  }

  stat(word: Extract<keyof typeof LaneWord, `${string}_F64`>): number {
    return this.#stats[LaneWord[word]];
  }

  /** Reads so many events and gives their room back, as a reader's thread would. @returns Their numbers. */
  read(count = Infinity, ring = true): number[] {
    const view = new LaneView(this.test.producer.block, MARKET);
    const { block } = this.member;
    const { words } = block;
    const gating = block.gatingIndex(this.member.address(this.test.producer, MARKET));
    const numbers: number[] = [];
    let position = words[gating];
    const end = view.end();
    while (position !== end && numbers.length < count) {
      const at = view.offset(position);
      const { i32 } = view.memory;
      const type = i32[at >> 2] & TYPE_MASK;
      if (type === GAP) this.missed += readGaps(view.memory, at, this.#types);
      else if (type !== PADDING_TYPE) numbers.push(i32[(at + HEADER_BYTES + N_OFFSET) >> 2]);
      position = view.next(position);
    }
    Atomics.store(words, gating, position);
    if (ring) view.ringProducer();
    return numbers;
  }
}
