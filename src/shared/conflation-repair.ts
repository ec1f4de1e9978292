/**
 * What the main thread does about conflation blocks when one of their two threads has died; the argument is in
 * conflation.ts.
 */
import {
  type ConflationBlock,
  ConflationProgress,
  ConflationWord,
  LOST_REDO,
  ProgressWord,
  SlotState,
} from './conflation-block.js';
import { ConflationWriter, enqueue, type KeyOf } from './conflation.js';
import { HEADER_BYTES, TYPE_MASK } from './layout.js';
import type { Memory } from './memory.js';

const { REDO_SLOT_INDEX, REDO_STATE_INDEX, REDO_TAIL_INDEX, REDO_SEQUENCE_INDEX } = ConflationWord;
const { LOST_F64, REDO_LOST_F64 } = ConflationWord;
const { HEAD_INDEX, EPOCH_INDEX, PASSED_POSITION_INDEX, PASSED_F64 } = ProgressWord;
const EPOCHS = 2 ** 25;

/** A record: its header is at byte `at`. */
export interface RecordPlace {
  readonly memory: Memory;
  readonly at: number;
}

/** Lets a dead reader, which may linger, take nothing more. @returns The epoch of its successor. */
export function fence({ states, keys }: ConflationBlock, dead: ConflationProgress): number {
  const epoch = (dead.words[EPOCH_INDEX] + 1) % EPOCHS;
  for (let slot = 0; slot < keys; slot++) {
    let state = Atomics.load(states, slot);
    for (;;) {
      const found = Atomics.compareExchange(states, slot, state, SlotState.inEpoch(state, epoch));
      if (found === state) break;
      state = found;
    }
  }
  return epoch;
}

/** The progress block for the successor of a reader. Its decided outcomes have been completed before. */
export function succeed(block: ConflationBlock, dead: ConflationProgress): ConflationProgress {
  const epoch = fence(block, dead);
  const progress = ConflationProgress.create(block.keys);
  progress.words[EPOCH_INDEX] = epoch;
  // HEAD before DELIVERED, the other way round than R4 and R5: an entry may seem settled, but none is left out.
  progress.words[HEAD_INDEX] = Atomics.load(dead.words, HEAD_INDEX);
  progress.delivered.set(dead.delivered);
  progress.words[PASSED_POSITION_INDEX] = dead.words[PASSED_POSITION_INDEX];
  progress.stats[PASSED_F64] = dead.stats[PASSED_F64];
  return progress;
}

/**
 * Completes what a dead producer has left of an offer. Run by the main thread, when the producer has exited; may be run
 * again. Wake the reader afterwards.
 * @param last The last record that the producer has committed on the lane, if it was to be offered to this block.
 */
export function repairConflation(block: ConflationBlock, keyOf: KeyOf, last: RecordPlace | undefined): void {
  const { words, stats, states } = block;
  const redo = words[REDO_SLOT_INDEX];
  let done = false;
  if (redo === LOST_REDO) {
    stats[LOST_F64] = stats[REDO_LOST_F64] + 1;
    done = true;
  } else if (redo > 0) {
    const before = words[REDO_STATE_INDEX];
    done = SlotState.back(Atomics.load(states, redo - 1)) !== SlotState.back(before);
    // If W4 and W5 were made, this makes them again: nothing was queued since.
    if (done && !SlotState.isFresh(before)) enqueue(block, words[REDO_TAIL_INDEX], redo - 1);
  }
  if (last === undefined) return;
  const { memory, at } = last;
  if (done && words[REDO_SEQUENCE_INDEX] === memory.i32[(at >> 2) + 1]) return;
  new ConflationWriter(block, keyOf).offer(
    keyOf(memory.i32[at >> 2] & TYPE_MASK, memory, at + HEADER_BYTES),
    memory,
    at,
  );
}
