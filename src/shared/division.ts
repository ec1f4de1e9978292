/**
 * How a subscription's deliveries are divided among the threads that share it, and which of a lane's records are whose.
 */
import type { EventType } from './catalog.js';
import { compileFilter, type FilterSpec, type RecordTest } from './filters.js';
import type { Decoder } from './codec.js';
import { compileKeyHash, type KeyHash, ownerOf } from './keys.js';
import type { Selection } from './reader.js';
import type { SymbolReader } from './symbols.js';

/** Plain data, for another thread. */
export interface Division {
  /** This thread's number among those that share the subscription, and how many there are. */
  readonly index: number;
  readonly of: number;
  /**
   * `'ordered'`: one delivery after the other. `'claimed'`: taken from each other, or several at a time.
   * `'conflated'`: the newest of each key.
   */
  readonly mode: 'ordered' | 'claimed' | 'conflated';
  /** Name of the key field by type index, where keys are kept in order or conflated. */
  readonly keys: Readonly<Record<number, string>> | undefined;
  /** The same, where a key's events are held while one is tried again. */
  readonly holds: Readonly<Record<number, string>> | undefined;
}

/** The same, without passing over any event. */
export function singly(division: Division): Division {
  return division.mode === 'conflated' ? { ...division, mode: 'ordered' } : division;
}

/** The wanted types of one lane, as a reader on this thread looks at them. */
export function select(
  wanted: readonly EventType[],
  /** Number of types in the catalog. */
  types: number,
  decoderOf: (type: EventType) => Decoder,
  division: Division,
  filter: FilterSpec | undefined,
  symbols: SymbolReader,
): Selection {
  const { mode, keys, holds } = division;
  const hashes = (fields: Readonly<Record<number, string>>): KeyHash[] =>
    compile((type) => compileKeyHash(type, fields[type.index], symbols)) as KeyHash[];
  const compile = <V>(make: (type: EventType) => V): (V | null)[] => byIndex(wanted, types, make);
  return {
    decoders: compile(decoderOf),
    owns: ownership(wanted, types, division, symbols),
    accepts: filter === undefined ? null : (compile((type) => compileFilter(type, filter, symbols)) as RecordTest[]),
    keys: keys !== undefined && mode === 'claimed' ? hashes(keys) : null,
    holds: holds === undefined ? null : hashes(holds),
  };
}

/** Whether a record is this thread's, by type index; null where every record is, or may be claimed. */
export function ownership(
  wanted: readonly EventType[],
  types: number,
  { index, of, mode, keys }: Division,
  symbols: SymbolReader,
): readonly RecordTest[] | null {
  if (keys === undefined || of === 1 || mode === 'conflated') return null;
  return byIndex(wanted, types, (type): RecordTest => {
    const hash = compileKeyHash(type, keys[type.index], symbols);
    return (memory, at) => ownerOf(hash(memory, at), of) === index;
  }) as RecordTest[];
}

/** By type index, one more at each end: padding, and the gap notice. */
function byIndex<V>(wanted: readonly EventType[], types: number, make: (type: EventType) => V): (V | null)[] {
  const made = Array.from({ length: types + 2 }, (): V | null => null);
  for (const type of wanted) made[type.index] = make(type);
  return made;
}
