import { defineEvents, type EventType, type Payload } from '../../src/shared/catalog.js';
import { compileDecoder, compileEncoder, type RecordSink } from '../../src/shared/codec.js';
import { Memory } from '../../src/shared/memory.js';
import { SymbolReader, SymbolWriter, type SymbolTableViews } from '../../src/shared/symbols.js';

const UNTOUCHED = 0xa5;

/** A piece of shared memory that hands out one record at a time and notices every byte written outside of it. */
class GuardedSink implements RecordSink {
  readonly memory: Memory;
  /** Payload sizes claimed so far. */
  readonly claims: number[] = [];
  full = false;
  /** What happens elsewhere between the encoder's measuring and its writing. */
  meanwhile: (() => void) | undefined;
  #at = 0;

  constructor(sizeBytes: number) {
    this.memory = new Memory(new SharedArrayBuffer(sizeBytes));
    this.memory.u8.fill(UNTOUCHED);
  }

  claim(payloadBytes: number): number {
    if (this.full) return -1;
    this.claims.push(payloadBytes);
    this.meanwhile?.();
    return this.#at;
  }

  /** The next record starts here, and everything is untouched again. */
  reset(at: number): void {
    this.#at = at;
    this.memory.u8.fill(UNTOUCHED);
  }

  /** Offsets of the bytes that were written outside of the last claim. */
  strayBytes(): number[] {
    const end = this.#at + (this.claims.at(-1) ?? 0);
    const stray: number[] = [];
    this.memory.u8.forEach((byte, i) => {
      if (byte !== UNTOUCHED && (i < this.#at || i >= end)) stray.push(i);
    });
    return stray;
  }
}

export function symbolTable(max = 4096, maxBytes = 1 << 17): SymbolTableViews {
  return {
    state: new Int32Array(new SharedArrayBuffer(8)),
    ends: new Int32Array(new SharedArrayBuffer(4 * max)),
    names: new Uint8Array(new SharedArrayBuffer(maxBytes)),
  };
}

/** Encoder and decoder of one type `T` with this payload, over memory and a symbol table of their own. */
export function codecOf(payload: Payload, sizeBytes = 4096, table = symbolTable()) {
  const definitions: Record<string, { priority: number; payload: Payload }> = { T: { priority: 1, payload } };
  const type: EventType = defineEvents(definitions).types[0];
  const sink = new GuardedSink(sizeBytes);
  const encoder = compileEncoder(type, new SymbolWriter(table, 'main thread'), sink);
  const decoder = compileDecoder(type, new SymbolReader(table));
  return {
    type,
    sink,
    table,
    /** Takes anything, as untyped code does. */
    encode: (event: unknown): number => encoder(event as object),
    decode: (at = 0) => decoder(sink.memory, at) as Record<string, unknown>,
  };
}
