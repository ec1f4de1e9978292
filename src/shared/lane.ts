/**
 * A lane: one producer, broadcast to any number of readers, variable-length records in a ring of a power of two.
 *
 * Publication: P1 must stay above P2.
 *   producer                                   reader
 *   P1 write the record's bytes (plain)        C1 Atomics.load(CURSOR) sees P2
 *   P2 Atomics.store(CURSOR, next)             C2 read the record's bytes (plain)
 * If C1 sees P2's value, P1 happened before C2: no record is seen half-written.
 *
 * Reuse: C3 must stay below C2, and P0 above P1.
 *   C3 Atomics.CAS(GATING, old → position)     after the last read of anything below position, handlers included
 *   P0 Atomics.load(GATING) of every reader    before writing into the room that this frees
 * If P0 sees C3's value, C2 happened before P1: no record is overwritten while it is read. The producer keeps the slowest
 * position it saw; a stale one only makes the lane look fuller than it is, never emptier.
 *
 * Death: a producer killed before P2 leaves bytes that nobody looks at; after P2, a whole record. Its count of published
 * events cannot change in the same instant as CURSOR, so `commit` writes a redo record first (unless the process dies
 * with the thread): whoever finds the block of a dead producer calls `repair`, which makes the count agree with CURSOR.
 * Tests: test/interleaving/publication, test/interleaving/redo
 */
import type { PublishClock } from './clock.js';
import type { RecordSink } from './codec.js';
import { ErrorCode, LanebusError } from './errors.js';
import {
  CAUSE_BYTES,
  ConsumerWord,
  DERIVED_BIT,
  HEADER_BYTES,
  LaneWord,
  LENGTH_SHIFT,
  MAX_RECORD_BYTES,
  PADDING_TYPE,
  type ProducerBlock,
  TYPE_MASK,
} from './layout.js';
import type { Memory } from './memory.js';
import { ring, rouse } from './parking.js';
import { distance } from './sequence.js';

const FULL = -1;
/**
 * Events of a burst that become visible together. Each store to CURSOR waits until the record's cache lines have come
 * over from the reader's core; one store for 16 events publishes 1.4 times as many a second. docs/decisions/0010
 */
const GROUP = 16;

/**
 * The group that a lane has open, as `publish` functions write into it that are compiled for one type (codec.ts): while an
 * event is of that type and there is room, everything that `claim` and `commit` would look at is as it was. Whoever
 * changes any of it closes the group first. Bench: one-to-one, 1.5 times as many events a second.
 */
class OpenGroup {
  /** Type index that every event of it has. */
  type = PADDING_TYPE;
  /** Bytes that may be written at `head` without a look at the gates or the ring's end; 0 = closed. */
  room = 0;
  /** Events that it takes before it becomes visible. */
  left = 0;
  /** End of what is claimed. */
  head = 0;
  /** Sequence of the next record, wraps. */
  sequence = 0;
}

/** Someone who is to get a lane's events: the word that holds the lane back, and the thread to wake. */
export interface Gate {
  /** The subscription, on one thread. */
  readonly id: number;
  readonly name: string;
  /** Indexes of the types that it wants: only for those is its thread woken. */
  readonly types: readonly number[];
  readonly words: Int32Array;
  readonly index: number;
  /** Words of the consumer's block. Readers on one thread share them. */
  readonly consumer: Int32Array;
  /** Where its events are put, if it conflates them: then it does not read the lane and does not hold it back. */
  readonly conflator: Conflator | undefined;
}

/** Takes the events of a conflating subscription, by key. */
export interface Conflator {
  /** @param at Byte offset of the record, header first. */
  offer(typeIndex: number, memory: Memory, at: number): void;
}

/** The event whose handler publishes: its place in the lane that it came from. */
export interface Origin {
  readonly publisher: number;
  readonly rank: number;
  readonly sequence: number;
}

export interface LaneConfig {
  readonly name: string;
  /** Largest record that the lane accepts in bytes, header included. */
  readonly maxRecordBytes: number;
  /** Whether a commit bumps the readers' BELL, so that they leave what is less urgent. */
  readonly urgent: boolean;
}

/** What a thread's lanes must know of it, and of what it is doing. */
export interface Publisher {
  readonly clock: PublishClock;
  /** Whether the process outlives the thread: then every commit leaves a redo record, and none is put off. */
  readonly mortal: boolean;
  /** What the record that is being claimed derives from. */
  origin: Origin | undefined;
  /** Called when an event has woken a thread that was parked. */
  onWake?: (() => void) | undefined;
}

/** The producer's side. Used by one thread only. */
export class Lane implements RecordSink {
  readonly name: string;
  readonly memory: Memory;
  readonly maxRecordBytes: number;
  /** The same without the header. */
  readonly maxPayloadBytes: number;
  readonly control: Int32Array;
  readonly stats: Float64Array;
  readonly #published: Float64Array;
  readonly #publisher: Publisher;
  readonly #clock: PublishClock;
  readonly #capacity: number;
  readonly #mask: number;
  readonly #urgent: boolean;
  readonly #mortal: boolean;
  readonly #groups: boolean;
  /** Those that hold the lane back, and those that conflate. */
  #gates: readonly Gate[] = [];
  #conflating: readonly Gate[] = [];
  #conflators: readonly (readonly Conflator[])[] | undefined;
  #consumers: readonly Int32Array[] = [];
  /** The threads to wake for an event, by its type index. A thread is not woken for records that it would only skip. */
  #wakes: readonly (readonly Int32Array[])[];
  readonly group = new OpenGroup();
  /** End of what is committed; CURSOR follows it at once, or with its group. */
  #tail: number;
  /** Byte offset of the record claimed last. */
  #last = 0;
  /** Runs when the publisher's run has ended. */
  readonly #endRun = (): void => {
    this.#flushIsDue = false;
    if (this.group.left === GROUP - 1) this.#clock.loneEvent();
    this.flush();
  };
  #flushIsDue = false;
  #isOpen = false;
  /** Position that `head` may reach without another look at the gates. */
  #limit: number;
  /** Records claimed but not committed yet, and their types. */
  #claimed = 0;

  constructor(block: ProducerBlock, rank: number, config: LaneConfig, publisher: Publisher) {
    const { clock, mortal } = publisher;
    this.name = config.name;
    this.memory = block.rings[rank];
    this.control = block.control[rank];
    this.stats = block.stats[rank];
    this.#published = block.published;
    this.#publisher = publisher;
    this.#clock = clock;
    this.#capacity = this.memory.u8.length;
    this.#mask = this.#capacity - 1;
    this.#urgent = config.urgent;
    this.#mortal = mortal;
    this.#groups = !mortal && !config.urgent;
    this.maxRecordBytes = Math.min(config.maxRecordBytes, this.#capacity >> 1, MAX_RECORD_BYTES) & -8;
    this.maxPayloadBytes = this.maxRecordBytes - HEADER_BYTES;
    this.#wakes = Array.from({ length: block.published.length }, () => []);
    this.#tail = this.group.head = this.control[LaneWord.CURSOR_INDEX];
    this.#limit = (this.#tail + this.#capacity) | 0;
    this.group.sequence = this.stats[LaneWord.RECORDS_F64] | 0;
    this.group.left = GROUP;
  }

  /** Position up to which everything is committed and visible. */
  get cursor(): number {
    return this.control[LaneWord.CURSOR_INDEX];
  }

  /** End of what is claimed: where CURSOR will be after the commit. */
  get claimed(): number {
    return this.group.head;
  }

  get gates(): readonly Gate[] {
    return [...this.#gates, ...this.#conflating];
  }

  /** Of those that hold the lane back, the one that is furthest behind. */
  get slowest(): Gate | undefined {
    return this.#gates.reduce<Gate | undefined>((slow, gate) => {
      if (slow === undefined) return gate;
      return distance(Atomics.load(slow.words, slow.index), Atomics.load(gate.words, gate.index)) > 0 ? gate : slow;
    }, undefined);
  }

  /** Replaces the readers. A new one's gating position must lie within what the ring still holds. */
  setGates(gates: readonly Gate[]): void {
    this.#close();
    this.#gates = gates.filter(({ conflator }) => conflator === undefined);
    this.#conflating = gates.filter(({ conflator }) => conflator !== undefined);
    this.#consumers = distinct(this.#gates);
    this.#wakes = this.#wakes.map((_, type) => distinct(gates.filter(({ types }) => types.includes(type))));
    const conflatorsOf = (type: number): Conflator[] =>
      this.#conflating.flatMap(({ types, conflator }) => (conflator && types.includes(type) ? [conflator] : []));
    this.#conflators = this.#conflating.length === 0 ? undefined : this.#wakes.map((_, type) => conflatorsOf(type));
    this.#look();
  }

  /**
   * Reserves a record behind those claimed already and writes its header. Nobody sees it before `commit`.
   * @returns Byte offset of the payload in `memory`, or -1 when there is no room.
   * @throws RECORD_TOO_LARGE
   */
  claim(payloadBytes: number, typeIndex: number): number {
    this.#close();
    const { group } = this;
    const { origin } = this.#publisher;
    const causeBytes = origin === undefined ? 0 : CAUSE_BYTES;
    if (payloadBytes + causeBytes > this.maxPayloadBytes) this.#refuse(payloadBytes + causeBytes);
    const length = (((payloadBytes + HEADER_BYTES + 7) & -8) + causeBytes) | 0;
    // `| 0` on what is read tells the compiler that it is an int32: sums that wrap are float64 arithmetic otherwise.
    const head = group.head | 0;
    let at = head & this.#mask;
    const toEnd = (this.#capacity - at) | 0;
    const padding = length > toEnd ? toEnd : 0;
    const next = (head + ((padding + length) | 0)) | 0;
    if (((next - (this.#limit | 0)) | 0) > 0 && !this.#look(next)) return this.#full(next);

    const { i32, f64 } = this.memory;
    const sequence = group.sequence | 0;
    if (padding > 0) {
      i32[at >> 2] = ((padding >> 3) << LENGTH_SHIFT) | PADDING_TYPE;
      i32[(at >> 2) + 1] = (sequence - 1) | 0;
      at = 0;
    }
    i32[at >> 2] = ((length >> 3) << LENGTH_SHIFT) | typeIndex;
    i32[(at >> 2) + 1] = sequence;
    const clock = this.#clock;
    const left = (clock.left - 1) | 0;
    clock.left = left;
    if (left < 0) clock.refresh();
    f64[(at >> 3) + 1] = clock.stamp;
    if (origin !== undefined) writeCause(this.memory, at, origin);
    group.sequence = (sequence + 1) | 0;
    this.#claimed++;
    this.#last = at;
    group.head = next;
    return at + HEADER_BYTES;
  }

  /** @throws RECORD_TOO_LARGE when the lane refuses a payload of this size. */
  checkSize(payloadBytes: number): void {
    const bytes = payloadBytes + (this.#publisher.origin === undefined ? 0 : CAUSE_BYTES);
    if (bytes > this.maxPayloadBytes) this.#refuse(bytes);
  }

  /** @throws INVALID_EVENT when not just these records are claimed; nothing is claimed then. */
  checkClaims(records: number): void {
    if (this.#claimed !== records) this.#refuseNested();
  }

  /**
   * Makes the one claimed record visible and wakes whoever is parked: at once, or, within a burst on a lane that is not
   * urgent, with the 16th event or when the publisher's synchronous run ends, whichever comes first.
   */
  commit(typeIndex: number): void {
    this.checkClaims(1);
    this.#claimed = 0;
    if (this.#groups && this.#clock.bursting) {
      const { group } = this;
      if (typeIndex !== group.type || !this.#flushIsDue) this.#startGroup(typeIndex);
      this.#tail = group.head;
      if (this.#conflators !== undefined) this.#conflate(typeIndex, this.#last);
      if (--group.left === 0) this.flush();
      else if (this.#conflators === undefined) this.#open();
      return;
    }
    this.flush();
    this.#tail = this.group.head;
    if (this.#mortal) this.#writeRedo(typeIndex);
    this.#count(typeIndex, 1);
    Atomics.store(this.control, LaneWord.CURSOR_INDEX, this.#tail);
    if (this.#conflators !== undefined) {
      this.#conflate(typeIndex, this.#last);
      if (this.#mortal) this.control[LaneWord.REDO_TYPE_INDEX] = PADDING_TYPE; // it need not be offered again
    }
    this.#wake(this.#wakes[typeIndex]);
  }

  /**
   * Commits a notice of events that were refused, if there is room.
   * @param counts Events by type index; what the notice tells of is removed.
   */
  noticeGap(counts: Map<number, number>): boolean {
    const { origin } = this.#publisher;
    this.#publisher.origin = undefined; // it is nobody's event
    const gapType = this.#published.length - 1;
    const pairs = [...counts].slice(0, this.maxPayloadBytes >> 3);
    const at = this.claim(pairs.length * 8, gapType);
    if (at >= 0) {
      const { i32 } = this.memory;
      pairs.forEach(([type, count], index) => {
        i32[(at >> 2) + index * 2] = type;
        i32[(at >> 2) + index * 2 + 1] = count;
        counts.delete(type);
      });
      this.commit(gapType);
    }
    this.#publisher.origin = origin;
    return at >= 0;
  }

  /**
   * Makes all claimed records visible at once. `types` holds the type index of each, in order. Only for a thread whose
   * death ends the process: the redo record has room for one type.
   */
  commitAll(types: readonly number[]): void {
    this.checkClaims(types.length);
    if (types.length === 0) return;
    this.flush();
    for (let from = 0, to = 1; from < types.length; from = to++) {
      while (types[to] === types[from]) to++;
      this.#count(types[from], to - from);
    }
    this.#claimed = 0;
    const first = this.#tail;
    this.#tail = this.group.head;
    Atomics.store(this.control, LaneWord.CURSOR_INDEX, this.#tail);
    if (this.#conflators !== undefined) {
      for (let position = first; position !== this.#tail; position = this.#next(position)) {
        const at = position & this.#mask;
        const typeIndex = this.memory.i32[at >> 2] & TYPE_MASK;
        if (typeIndex !== PADDING_TYPE) this.#conflate(typeIndex, at);
      }
    }
    let woken = PADDING_TYPE;
    for (const typeIndex of types) {
      if (typeIndex === woken) continue;
      woken = typeIndex;
      this.#wake(this.#wakes[typeIndex]);
    }
  }

  /** Makes visible what `commit` has put off. */
  flush(): void {
    this.#close();
    const { group } = this;
    if (group.left === GROUP) return;
    this.#count(group.type, GROUP - group.left);
    group.left = GROUP;
    Atomics.store(this.control, LaneWord.CURSOR_INDEX, this.#tail);
    this.#wake(this.#wakes[group.type]);
  }

  /** Lets events of the group's type be written without `claim` and `commit`. Their stamps are paid for in advance. */
  #open(): void {
    const { group } = this;
    const clock = this.#clock;
    if (clock.left < group.left) clock.refresh();
    clock.left -= group.left;
    const toEnd = (this.#capacity - (group.head & this.#mask)) | 0;
    group.room = Math.min(toEnd, distance(this.#limit, group.head));
    this.#isOpen = true;
  }

  #close(): void {
    if (!this.#isOpen) return;
    const { group } = this;
    this.#isOpen = false;
    this.#clock.left += group.left;
    this.#tail = group.head;
    group.room = 0;
  }

  #next(position: number): number {
    return (position + recordBytes(this.memory.i32[(position & this.#mask) >> 2])) | 0;
  }

  #conflate(typeIndex: number, at: number): void {
    for (const conflator of this.#conflators?.[typeIndex] ?? []) conflator.offer(typeIndex, this.memory, at);
  }

  /** Forgets what was claimed and not committed. */
  rollback(): void {
    this.#close();
    this.group.sequence = (this.group.sequence - this.#claimed) | 0;
    this.#claimed = 0;
    this.group.head = this.#tail;
  }

  /** Starts a group of one type, which does not outlast the publisher's run. */
  #startGroup(typeIndex: number): void {
    this.flush();
    this.group.type = typeIndex;
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    // A microtask for the one event of each run would cost more than it saves; this is behind all that await.
    if (this.#clock.chained) process.nextTick(this.#endRun);
    else queueMicrotask(this.#endRun);
  }

  #count(typeIndex: number, events: number): void {
    this.#published[typeIndex] += events;
    this.stats[LaneWord.RECORDS_F64] += events;
  }

  /** The redo record of the commit that follows, see `repair`. There is none while it is being written. */
  #writeRedo(typeIndex: number): void {
    const { control, stats } = this;
    control[LaneWord.REDO_TYPE_INDEX] = PADDING_TYPE;
    stats[LaneWord.REDO_COUNT_F64] = this.#published[typeIndex];
    stats[LaneWord.REDO_RECORDS_F64] = stats[LaneWord.RECORDS_F64];
    control[LaneWord.REDO_START_INDEX] = this.#last;
    control[LaneWord.REDO_END_INDEX] = this.#tail;
    control[LaneWord.REDO_TYPE_INDEX] = typeIndex;
  }

  /** Counts events that were admitted and will never enter the ring. */
  countUnsent(types: readonly number[]): void {
    for (const typeIndex of types) this.#published[typeIndex] += 1;
  }

  /** Lets held events try again: a reader has gone, perhaps between storing its position and ringing. */
  wakeForRoom(): void {
    rouse(this.control, LaneWord.ROOM_INDEX);
  }

  #wake(consumers: readonly Int32Array[]): void {
    for (const words of consumers) {
      if (this.#urgent) Atomics.add(words, ConsumerWord.BELL_INDEX, 1);
      if (ring(words, ConsumerWord.DOORBELL_INDEX)) this.#publisher.onWake?.();
    }
  }

  /** Who sleeps because nothing here was for it holds the room all the same: it must come and let it go. */
  #full(next: number): number {
    this.flush();
    Atomics.store(this.control, LaneWord.REQUIRED_INDEX, (next - this.#capacity) | 0);
    for (const words of this.#consumers) ring(words, ConsumerWord.DOORBELL_INDEX);
    return FULL;
  }

  /** Looks at every gate anew. @returns Whether `next` is within the room there is. */
  #look(next = this.group.head): boolean {
    // From the end of what is committed, not from CURSOR: without readers, a group that is put off holds no room.
    const tail = this.#tail;
    let behind = 0;
    for (const gate of this.#gates) {
      behind = Math.max(behind, distance(tail, Atomics.load(gate.words, gate.index)));
    }
    if (behind > this.stats[LaneWord.WATERMARK_F64]) this.stats[LaneWord.WATERMARK_F64] = behind;
    this.#limit = (tail - behind + this.#capacity) | 0;
    return distance(next, this.#limit) <= 0;
  }

  /** Only reachable from an event that publishes in a getter while its batch is being read. */
  #refuseNested(): never {
    this.rollback();
    throw new LanebusError(
      ErrorCode.INVALID_EVENT,
      `lane "${this.name}": an event of a batch published another one while it was being read; nothing was published`,
    );
  }

  #refuse(payloadBytes: number): never {
    const bytes = (payloadBytes + HEADER_BYTES).toLocaleString('en-US');
    throw new LanebusError(
      ErrorCode.RECORD_TOO_LARGE,
      `record of ${bytes} bytes exceeds lane "${this.name}" limit of ${this.maxRecordBytes.toLocaleString('en-US')} bytes`,
    );
  }
}

/** A reader's view of a lane; any number of threads hold one. */
export class LaneView {
  readonly memory: Memory;
  readonly mask: number;
  readonly control: Int32Array;
  readonly stats: Float64Array;

  constructor(block: ProducerBlock, rank: number) {
    this.memory = block.rings[rank];
    this.mask = this.memory.u8.length - 1;
    this.control = block.control[rank];
    this.stats = block.stats[rank];
  }

  /** C1: the position up to which records may be read. */
  end(): number {
    return Atomics.load(this.control, LaneWord.CURSOR_INDEX);
  }

  /** Byte offset of the record at a position. */
  offset(position: number): number {
    return position & this.mask;
  }

  /** Wakes the producer if it is parked for room. The caller has stored its gating position before. */
  ringProducer(): void {
    ring(this.control, LaneWord.ROOM_INDEX);
  }

  /** Calls `visit` with the type index of each record from one position to another, padding left out. */
  walk(from: number, to: number, visit: (typeIndex: number, position: number) => void): void {
    for (let position = from; position !== to; position = this.next(position)) {
      const typeIndex = this.memory.i32[this.offset(position) >> 2] & TYPE_MASK;
      if (typeIndex !== PADDING_TYPE) visit(typeIndex, position);
    }
  }

  /** Position behind the record at a position. */
  next(position: number): number {
    return (position + recordBytes(this.memory.i32[this.offset(position) >> 2])) | 0;
  }
}

function distinct(gates: readonly Gate[]): Int32Array[] {
  return [...new Set(gates.map((gate) => gate.consumer))];
}

/** Length in bytes of the record with this first header word. */
export function recordBytes(header: number): number {
  return (header >>> LENGTH_SHIFT) << 3;
}

function writeCause({ i32, f64 }: Memory, at: number, { publisher, rank, sequence }: Origin): void {
  i32[at >> 2] |= DERIVED_BIT;
  const end = at + recordBytes(i32[at >> 2]);
  i32[(end - CAUSE_BYTES) >> 2] = publisher;
  i32[(end - CAUSE_BYTES + 4) >> 2] = rank;
  f64[(end - 8) >> 3] = sequence;
}

/** What the record at a byte offset derives from. */
export function causeOf({ i32, f64 }: Memory, at: number): Origin | undefined {
  const header = i32[at >> 2];
  if ((header & DERIVED_BIT) === 0) return undefined;
  const end = at + recordBytes(header);
  const publisher = i32[(end - CAUSE_BYTES) >> 2];
  return { publisher, rank: i32[(end - CAUSE_BYTES + 4) >> 2], sequence: f64[(end - 8) >> 3] };
}

/** Events of the types that the gap notice at a byte offset tells of. */
export function readGaps({ i32 }: Memory, at: number, types: ReadonlySet<number>): number {
  let missed = 0;
  const end = (at + recordBytes(i32[at >> 2])) >> 2;
  for (let word = (at + HEADER_BYTES) >> 2; word < end; word += 2) if (types.has(i32[word])) missed += i32[word + 1];
  return missed;
}

/** A dead producer's lanes, once its counts are final. */
export interface Remains {
  /** Events that its `spill` lanes still held, in the dead thread's own memory: they count as dropped. */
  readonly lost: number;
  /** The record committed last, by rank, if the thread may have died before it was conflated. */
  readonly last: readonly ({ readonly memory: Memory; readonly at: number } | undefined)[];
}

/** Makes the counts of a dead producer's block final: they agree with what it committed (see `Lane.commit`), nobody waits. */
export function repair(block: ProducerBlock): Remains {
  let lost = 0;
  const last = block.rings.map((memory, rank) => {
    const control = block.control[rank];
    const stats = block.stats[rank];
    lost += stats[LaneWord.SPILLED_F64];
    stats[LaneWord.DROPPED_F64] += stats[LaneWord.SPILLED_F64];
    for (const word of [LaneWord.SPILLED_F64, LaneWord.WAITING_F64, LaneWord.BLOCKED_SINCE_F64]) stats[word] = 0;
    const redo = redoOf(block, rank, control[LaneWord.CURSOR_INDEX]);
    if (redo === undefined) return undefined;
    block.published[redo.typeIndex] = redo.published;
    stats[LaneWord.RECORDS_F64] = redo.records;
    return redo.committed ? { memory, at: control[LaneWord.REDO_START_INDEX] } : undefined;
  });
  return { lost, last };
}

/** What a mortal producer's counts are, by its last redo record; undefined when there is none. */
export function redoOf(
  block: ProducerBlock,
  rank: number,
  cursor: number,
):
  | { readonly typeIndex: number; readonly committed: boolean; readonly published: number; readonly records: number }
  | undefined {
  const control = block.control[rank];
  const stats = block.stats[rank];
  const typeIndex = control[LaneWord.REDO_TYPE_INDEX];
  if (typeIndex === PADDING_TYPE) return undefined;
  const committed = cursor === control[LaneWord.REDO_END_INDEX];
  const more = committed ? 1 : 0;
  return {
    typeIndex,
    committed,
    published: stats[LaneWord.REDO_COUNT_F64] + more,
    records: stats[LaneWord.REDO_RECORDS_F64] + more,
  };
}
