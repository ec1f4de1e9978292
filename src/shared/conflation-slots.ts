import type { KeyValue } from './keys.js';

/**
 * Which key of which type has which slot of a conflation block, in the memory of the thread that writes the block; and which slot was
 * queued longest ago. The reader takes slots in the order in which they were queued. So if it has not taken that one, it
 * has taken none that is in use: whether a slot can be given to another key is one look, however many there are.
 * (Rejected: a clock hand. With every slot pending it would go round once for each event that is lost.)
 */
export class KeySlots {
  readonly #capacity: number;
  /** By type index: events of two types do not replace each other, on one lane as little as on two. */
  readonly #slots: Map<KeyValue, number>[] = [];
  /** By slot. */
  readonly #keys: KeyValue[] = [];
  readonly #types: number[] = [];
  /** A ring of the slots in the order in which they were queued; the element behind the last slot joins its ends. */
  readonly #later: Int32Array;
  readonly #earlier: Int32Array;

  constructor(capacity: number) {
    this.#capacity = capacity;
    // A slot that is not in the ring is a ring of its own.
    this.#later = new Int32Array(capacity + 1);
    for (let slot = 0; slot <= capacity; slot++) this.#later[slot] = slot;
    this.#earlier = this.#later.slice();
  }

  get full(): boolean {
    return this.#keys.length === this.#capacity;
  }

  /** The slot that was queued longest ago. */
  get oldest(): number {
    return this.#later[this.#capacity];
  }

  slotOf(typeIndex: number, key: KeyValue): number | undefined {
    return this.#slots[typeIndex]?.get(key);
  }

  /** Gives a new key the next unused slot; there is one. */
  add(typeIndex: number, key: KeyValue): number {
    const slot = this.#keys.length;
    this.#give(slot, typeIndex, key);
    return slot;
  }

  /** Gives a slot to another key. */
  replace(slot: number, typeIndex: number, key: KeyValue): void {
    this.#slots[this.#types[slot]].delete(this.#keys[slot]);
    this.#give(slot, typeIndex, key);
  }

  /** Puts a slot behind all others: it has just been queued. */
  queued(slot: number): void {
    const later = this.#later;
    const earlier = this.#earlier;
    const end = this.#capacity;
    const last = earlier[end];
    if (last === slot) return;
    later[earlier[slot]] = later[slot];
    earlier[later[slot]] = earlier[slot];
    later[last] = slot;
    earlier[slot] = last;
    later[slot] = end;
    earlier[end] = slot;
  }

  #give(slot: number, typeIndex: number, key: KeyValue): void {
    this.#keys[slot] = key;
    this.#types[slot] = typeIndex;
    (this.#slots[typeIndex] ??= new Map<KeyValue, number>()).set(key, slot);
  }
}
