/**
 * An event apart from any lane, byte for byte as it was published, with the names of its symbols, whose numbers mean something
 * in their publisher's table only. What waits for another try, and what is kept as a dead letter, is a parcel.
 */
import type { EventType, FieldLayout } from '../shared/catalog.js';
import { compileDecoder, type Decoder } from '../shared/codec.js';
import { recordBytes } from '../shared/lane.js';
import { CAUSE_BYTES, DERIVED_BIT, HEADER_BYTES } from '../shared/layout.js';
import { Memory } from '../shared/memory.js';
import type { SymbolNames } from '../shared/symbols.js';

export interface Parcel {
  readonly type: EventType;
  /** In place of each symbol's number stands its index among the names. */
  readonly payload: Uint8Array;
  readonly symbols: readonly string[];
}

/** @param at Byte offset of the record, header first. @param symbols Of its publisher. */
export function parcelOf(type: EventType, { u8, i32 }: Memory, at: number, symbols: SymbolNames): Parcel {
  const header = i32[at >> 2];
  const end = at + recordBytes(header) - ((header & DERIVED_BIT) === 0 ? 0 : CAUSE_BYTES);
  const payload = u8.slice(at + HEADER_BYTES, end);
  const names: string[] = [];
  const words = new DataView(payload.buffer);
  for (const { offset } of symbolsIn(type, payload)) {
    names.push(symbols.nameOf(words.getInt32(offset, true)));
    words.setInt32(offset, names.length - 1, true);
  }
  return { type, payload, symbols: names };
}

/** The payload as a thread writes it that has these numbers for its symbols. @throws SYMBOL_TABLE_FULL */
export function payloadOf({ type, payload, symbols }: Parcel, intern: (name: string) => number): Uint8Array {
  const copy = payload.slice();
  const words = new DataView(copy.buffer);
  symbolsIn(type, copy).forEach(({ offset }, index) => {
    words.setInt32(offset, intern(symbols[index]), true);
  });
  return copy;
}

/** The event's object; undefined for one that cannot be decoded. */
export function eventOf({ type, payload, symbols }: Parcel): Readonly<Record<string, unknown>> | undefined {
  const { decode, names } = decoderOf(type);
  names.current = symbols;
  // Decoders read words: the copy starts where those may.
  const memory = new Memory(payload.slice().buffer, 0, payload.length);
  try {
    return decode(memory, 0) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

function symbolsIn({ fields }: EventType, payload: Uint8Array): FieldLayout[] {
  return fields.filter(
    ({ kind, optional, presenceOffset, presenceMask }) =>
      kind === 'symbol' && (!optional || (payload[presenceOffset] & presenceMask) !== 0),
  );
}

/** The names that a compiled decoder looks up. */
class Names implements SymbolNames {
  current: readonly string[] = [];

  nameOf(id: number): string {
    return this.current[id];
  }
}

const decoders = new WeakMap<EventType, { readonly decode: Decoder; readonly names: Names }>();

function decoderOf(type: EventType): { readonly decode: Decoder; readonly names: Names } {
  let found = decoders.get(type);
  if (found === undefined) {
    const names = new Names();
    found = { decode: compileDecoder(type, names), names };
    decoders.set(type, found);
  }
  return found;
}
