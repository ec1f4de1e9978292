/** Conflation without threads: a block with a lane, and the steps of its writer and its reader as actors. */
import {
  ConflationBlock,
  ConflationProgress,
  ConflationWord,
  ProgressWord,
  SlotState,
} from '../../src/shared/conflation-block.js';
import { HEADER_BYTES, LENGTH_SHIFT } from '../../src/shared/layout.js';
import { Memory } from '../../src/shared/memory.js';
import type { Actor } from './interleavings.js';

/** A record: header, key, number of the event. */
export const RECORD_BYTES = 24;
export const RECORD_I32 = RECORD_BYTES >> 2;
const TYPE = 1;
/** Positions of the queue and sequences wrap on the way, and each slot has counted almost 2^32 events. */
const START = 2 ** 31 - 2;
const COUNTED = 2 ** 32 - 2;

export const keyOf = (_: number, memory: Memory, at: number): number => memory.i32[at >> 2];
const sequenceOf = (event: number): number => (START + event) | 0;

/** A block in which slot n belongs to key n, and what happens to it. */
export class World {
  readonly block: ConflationBlock;
  readonly progress: ConflationProgress;
  /** The lane: event n is its record n. */
  readonly lane = new Memory(new SharedArrayBuffer(RECORD_BYTES * 8));
  readonly counts: number[];
  /** Key by event. */
  readonly committed: number[] = [];
  /** Events by key, as they were delivered, repetitions included. */
  readonly delivered: number[][];
  /** Entries that the queue may have: one of each key, and one more of the key that is being delivered. */
  longest: number;
  /** The reader's counters. */
  processed = 0;
  conflated = 0;

  constructor(keys: number) {
    this.block = ConflationBlock.create({ keys, recordBytes: RECORD_BYTES });
    this.progress = ConflationProgress.create(keys);
    this.longest = keys + 1;
    this.counts = Array.from({ length: keys }, () => COUNTED);
    this.delivered = Array.from({ length: keys }, () => []);
    this.block.memory.u8.fill(0xee);
    this.block.words[ConflationWord.TAIL_INDEX] = START;
    this.progress.words[ProgressWord.HEAD_INDEX] = START;
    this.progress.delivered.fill(COUNTED);
    for (let key = 0; key < keys; key++) {
      this.block.memory.f64[this.block.countF64(key, 0)] = COUNTED;
      this.block.memory.i32[(this.block.recordAt(key, 0) + HEADER_BYTES) >> 2] = key;
    }
  }

  get tail(): number {
    return Atomics.load(this.block.words, ConflationWord.TAIL_INDEX);
  }

  commit(key: number): number {
    const event = this.committed.push(key) - 1;
    const header = ((RECORD_BYTES >> 3) << LENGTH_SHIFT) | TYPE;
    this.lane.i32.set([header, sequenceOf(event), 0, 0, key, event], event * RECORD_I32);
    return event;
  }

  /** The record that a dead producer committed last. */
  get last(): { memory: Memory; at: number } {
    return { memory: this.lane, at: (this.committed.length - 1) * RECORD_BYTES };
  }

  entry(position: number): number {
    return this.block.queue[position & (this.block.queue.length - 1)];
  }

  /** What holds when all is over: nothing pending, each event accounted for once, the newest of each key delivered. */
  expectSettled(progress: ConflationProgress): void {
    const pending = (this.tail - progress.words[ProgressWord.HEAD_INDEX]) | 0;
    if (pending !== 0) throw new Error(`${pending} keys are pending`);
    this.expectLastDelivered();
    const accounted = this.processed + this.conflated;
    if (accounted !== this.committed.length) {
      throw new Error(`${accounted} events are accounted for, ${this.committed.length} were committed`);
    }
  }

  expectLastDelivered(): void {
    this.delivered.forEach((events, key) => {
      const last = this.committed.lastIndexOf(key);
      if (last >= 0 && events.at(-1) !== last)
        throw new Error(`event ${last}, the last of key ${key}, is not delivered`);
    });
  }
}

/** Runs an actor with nobody in between. */
export function finish(actor: Actor): void {
  while (actor.next().done !== true);
}

export type WriterStep = 'commit' | 'W1' | 'W2a' | 'W2b' | 'W3' | 'W4' | 'W5';
/** Steps between which nobody interferes stand in one group. */
export type Groups<S extends string> = readonly (readonly S[])[];

/** Offers events of these keys. `forgetful`: does not write the redo record again when its CAS has failed. */
export function* write(world: World, keys: readonly number[], groups: Groups<WriterStep>, forgetful = false): Actor {
  const { block, lane, counts } = world;
  const { words, states, memory } = block;
  for (const key of keys) {
    let event = groups[0][0] === 'commit' ? -1 : world.commit(key);
    let state = Atomics.load(states, key);
    let tail = words[ConflationWord.TAIL_INDEX];
    const copy = (from: number, to: number): void => {
      const at = block.recordAt(key, SlotState.back(state)) >> 2;
      for (let i = from; i < to; i++) memory.i32[at + i] = lane.i32[event * RECORD_I32 + i];
    };
    const steps: Record<Exclude<WriterStep, 'W3'>, () => void> = {
      commit: () => (event = world.commit(key)),
      W1: () => {
        state = Atomics.load(states, key);
        tail = words[ConflationWord.TAIL_INDEX];
        words[ConflationWord.REDO_STATE_INDEX] = state;
        words[ConflationWord.REDO_TAIL_INDEX] = tail;
        words[ConflationWord.REDO_SEQUENCE_INDEX] = sequenceOf(event);
        words[ConflationWord.REDO_SLOT_INDEX] = key + 1;
      },
      W2a: () => {
        memory.f64[block.countF64(key, SlotState.back(state))] = ++counts[key];
        copy(0, 4);
      },
      W2b: () => {
        copy(4, RECORD_I32);
      },
      W4: () => (block.queue[tail & (block.queue.length - 1)] = key),
      W5: () => Atomics.store(words, ConflationWord.TAIL_INDEX, (tail + 1) | 0),
    };
    for (const group of groups) {
      // W4 and W5 are left out when the key is queued already; W3 tells.
      const isDue = (step: WriterStep): boolean => (step !== 'W4' && step !== 'W5') || !SlotState.isFresh(state);
      if (!group.some(isDue)) continue;
      yield group.join(', ');
      for (const step of group) {
        if (step !== 'W3') {
          if (isDue(step)) steps[step]();
          continue;
        }
        let found: number;
        while ((found = Atomics.compareExchange(states, key, state, SlotState.published(state))) !== state) {
          state = found;
          if (groups.flat().includes('W1')) {
            if (!forgetful) {
              yield 'W1 again';
              words[ConflationWord.REDO_STATE_INDEX] = state;
            }
            yield 'W3 again';
          }
        }
      }
    }
  }
}

export type ReaderStep = 'R3a' | 'R3b' | 'D1' | 'D3' | 'D4' | 'R4' | 'R5' | 'D6';

/** The words of a delivery in flight, as in delivery.ts. */
export interface Flight {
  position: number;
  phase: 'none' | 'running' | 'decided';
  before: { processed: number; conflated: number };
  skipped: number;
}
export const noFlight = (): Flight => ({
  position: 0,
  phase: 'none',
  before: { processed: 0, conflated: 0 },
  skipped: 0,
});

export interface Reading {
  readonly progress: ConflationProgress;
  readonly flight?: Flight;
  /** Which rule it breaks: takes newer events while front is not settled; ignores the fence; reads without a swap. */
  readonly breaks?: 'repeat' | 'fence' | 'swap';
  /** A thread that lingers: what it sees is of no interest any more, and it counts nothing. */
  readonly lingering?: boolean;
}

/** R1 and R2, then the groups, for each delivery; waits for more in the end. */
export function* read(world: World, groups: Groups<ReaderStep>, reading: Reading): Actor {
  const { block } = world;
  const { memory, states } = block;
  const { progress, breaks, lingering = false, flight = noFlight() } = reading;
  const { words, delivered } = progress;
  for (;;) {
    yield { step: 'R1, R2', when: () => world.tail !== words[ProgressWord.HEAD_INDEX] };
    const position = words[ProgressWord.HEAD_INDEX];
    const slot = world.entry(position);
    const state = Atomics.load(states, slot);
    if (breaks !== 'fence' && SlotState.epoch(state) !== progress.words[ProgressWord.EPOCH_INDEX]) return;
    let front = SlotState.front(state);
    if (breaks === 'repeat' || memory.f64[block.countF64(slot, front)] === delivered[slot]) {
      if (SlotState.isFresh(state)) {
        const taken = SlotState.taken(state);
        front = SlotState.front(taken);
        Atomics.store(states, slot, breaks === 'swap' ? state & ~(SlotState.published(0) & ~0x3f) : taken);
      }
      if (memory.f64[block.countF64(slot, front)] === delivered[slot]) {
        Atomics.store(words, ProgressWord.HEAD_INDEX, (position + 1) | 0);
        continue;
      }
    }
    const at = block.recordAt(slot, front) >> 2;
    const count = memory.f64[block.countF64(slot, front)];
    const skipped = count - delivered[slot] - 1;
    let sequence = 0;
    let event = 0;
    const steps: Record<ReaderStep, () => void> = {
      D1: () => Object.assign(flight, { position, phase: 'running' }),
      R3a: () => (sequence = memory.i32[at + 1]),
      R3b: () => {
        event = memory.i32[at + 5];
        if (lingering) return;
        if (sequence !== sequenceOf(event)) throw new Error(`event ${event} is read with the sequence ${sequence}`);
        const before = world.delivered[slot].at(-1) ?? -1;
        if (event < before) throw new Error(`event ${event} is delivered after event ${before}`);
        world.delivered[slot].push(event);
      },
      D3: () => {
        const { processed, conflated } = world;
        Object.assign(flight, { phase: 'decided', before: { processed, conflated }, skipped });
      },
      D4: () => {
        world.processed++;
        world.conflated += skipped;
      },
      R4: () => (delivered[slot] = count),
      R5: () => Atomics.store(words, ProgressWord.HEAD_INDEX, (position + 1) | 0),
      D6: () => (flight.phase = 'none'),
    };
    for (const group of groups) {
      yield group.join(', ');
      const pending = (world.tail - words[ProgressWord.HEAD_INDEX]) | 0;
      if (pending > world.longest && !lingering) throw new Error(`the queue has ${pending} entries`);
      for (const step of group) steps[step]();
    }
  }
}

/** A reader that goes on from where it has a delivery in flight, and reads its first group. */
export function begun(reader: Actor): Actor {
  reader.next(); // to R1
  reader.next(); // to the first group
  return reader;
}
