import type { EventType } from './catalog.js';
import type { ConflationBlock } from './conflation-block.js';
import { ConflationWriter, type KeyOf } from './conflation.js';
import type { Division } from './division.js';
import { compileKey, compileKeyHash, type KeyHash, ownerOf } from './keys.js';
import type { Conflator } from './lane.js';
import { HEADER_BYTES } from './layout.js';
import type { Memory } from './memory.js';
import type { SymbolReader } from './symbols.js';

/** Puts a lane's events where one thread of a conflating subscription finds the newest of each of its keys. */
export class KeyConflator implements Conflator {
  readonly #keyOf: KeyOf;
  readonly #writer: ConflationWriter;
  readonly #hashes: readonly (KeyHash | undefined)[];
  readonly #division: Division;

  /** @param symbols Of the publishing thread. */
  constructor(block: ConflationBlock, types: readonly EventType[], division: Division, symbols: SymbolReader) {
    this.#division = division;
    this.#keyOf = keysOf(types, division, symbols);
    this.#writer = new ConflationWriter(block, this.#keyOf);
    this.#hashes = division.of === 1 ? [] : byType(types, division, (type, key) => compileKeyHash(type, key, symbols));
  }

  offer(typeIndex: number, memory: Memory, at: number): void {
    const { of, index } = this.#division;
    const hash = this.#hashes[typeIndex];
    if (hash !== undefined && ownerOf(hash(memory, at + HEADER_BYTES), of) !== index) return;
    this.#writer.offer(this.#keyOf(typeIndex, memory, at + HEADER_BYTES), memory, at);
  }
}

/** The key of a record of any of the types that have one. */
export function keysOf(types: readonly EventType[], division: Division, symbols: SymbolReader): KeyOf {
  const keys = byType(types, division, (type, key) => compileKey(type, key, symbols));
  return (typeIndex, memory, at) => {
    const key = keys[typeIndex];
    if (key === undefined) throw new RangeError(`type ${typeIndex} is not conflated`);
    return key(memory, at);
  };
}

function byType<V>(
  types: readonly EventType[],
  { keys }: Division,
  compile: (type: EventType, key: string) => V,
): (V | undefined)[] {
  const compiled: (V | undefined)[] = [];
  for (const type of types) {
    const key = keys?.[type.index];
    if (key !== undefined) compiled[type.index] = compile(type, key);
  }
  return compiled;
}
