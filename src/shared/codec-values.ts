import { types } from 'node:util';
import { Packr } from 'msgpackr';
import type { Memory } from './memory.js';

// Values of variable length, both directions: how many bytes one takes, how it is written and how it is read back.
// What is read is a copy: the lane overwrites its bytes as soon as the consumer's cursor has passed them.

/** Characters up to which a loop over them beats a call into Node's string functions (20 ns to measure, 45 to write). */
const SHORT_TEXT = 32;

/**
 * In the length word of a text: its bytes are not one per character, so they must be read as UTF-8. Without it they are
 * ASCII, which Node reads as Latin-1 several times faster. No string is long enough to need the bit for its length.
 */
export const MULTI_BYTE_FLAG = 0x8000_0000;
const LENGTH_MASK = 0x7fff_ffff;

/** Bytes of the string's UTF-8; -1 if it has a lone surrogate, which UTF-8 cannot hold. */
export function textBytes(text: string): number {
  const length = text.length;
  if (length <= SHORT_TEXT) {
    for (let i = 0; i < length; i++) {
      if (text.charCodeAt(i) > 0x7f) return multiByteTextBytes(text);
    }
    return length;
  }
  const bytes = Buffer.byteLength(text, 'utf8');
  // As many bytes as characters is ASCII, which has no surrogates.
  return bytes === length || text.isWellFormed() ? bytes : -1;
}

function multiByteTextBytes(text: string): number {
  return text.isWellFormed() ? Buffer.byteLength(text, 'utf8') : -1;
}

/** The length word of a text that takes `bytes`. */
export function textWord(text: string, bytes: number): number {
  return bytes === text.length ? bytes : bytes + MULTI_BYTE_FLAG;
}

export function writeText(memory: Memory, at: number, text: string, bytes: number): void {
  if (bytes !== text.length) {
    memory.buffer.write(text, at, bytes, 'utf8');
  } else if (bytes > SHORT_TEXT) {
    memory.buffer.write(text, at, bytes, 'latin1');
  } else {
    const u8 = memory.u8;
    for (let i = 0; i < bytes; i++) u8[at + i] = text.charCodeAt(i);
  }
}

/** Bytes of a text by its length word. */
export function textLength(word: number): number {
  return word & LENGTH_MASK;
}

export function readText(memory: Memory, at: number, word: number): string {
  if (word === 0) return '';
  return word < MULTI_BYTE_FLAG
    ? memory.buffer.toString('latin1', at, at + word)
    : memory.buffer.toString('utf8', at, at + textLength(word));
}

export const isBytes: (value: unknown) => boolean = types.isUint8Array;

interface TypedArrayGetters {
  readonly buffer: { readonly get: (this: Uint8Array) => ArrayBufferLike };
  readonly byteOffset: { readonly get: (this: Uint8Array) => number };
  readonly byteLength: { readonly get: (this: Uint8Array) => number };
}

// The language's own getters: a subclass or an own property may claim another length than the array has.
const typedArray = Object.getOwnPropertyDescriptors(
  Object.getPrototypeOf(Uint8Array.prototype),
) as unknown as TypedArrayGetters;
const getBuffer = typedArray.buffer.get;
const getByteOffset = typedArray.byteOffset.get;
const getByteLength = typedArray.byteLength.get;

export function bytesLength(value: Uint8Array): number {
  return getByteLength.call(value);
}

/** Up to here copying one by one beats making a view, which costs about 50 ns. */
const SHORT_BYTES = 64;

/**
 * Writes `length` bytes, whatever the array is by now: one over a growable shared buffer may have grown since it was
 * measured, and writing all of it would run past the end of the record. It cannot have shrunk: none of the event's code
 * has run since.
 */
export function writeBytes(memory: Memory, at: number, value: Uint8Array, length: number): void {
  const u8 = memory.u8;
  if (length <= SHORT_BYTES) {
    for (let i = 0; i < length; i++) u8[at + i] = value[i];
  } else {
    u8.set(new Uint8Array(getBuffer.call(value), getByteOffset.call(value), length), at);
  }
}

export function readBytes(memory: Memory, at: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(memory.u8.subarray(at, at + length));
  return copy;
}

// Records are on (the default) because without them msgpackr cannot tell a Map from an object. It starts a new list of
// record shapes with every value, so each value can be read by itself.
const packr = new Packr({ structuredClone: true });

// msgpackr would silently write `undefined`.
(packr as { writeFunction?: (lost: unknown) => never }).writeFunction = () => {
  throw new TypeError('a function cannot be sent to another thread');
};

/** The value's bytes; throws for one that has no copy on the other side. */
export function packValue(value: unknown): Uint8Array {
  if (types.isPromise(value) || types.isWeakMap(value) || types.isWeakSet(value)) {
    throw new TypeError('a Promise, WeakMap or WeakSet cannot be sent to another thread');
  }
  return packr.pack(value);
}

export function unpackValue(memory: Memory, at: number, length: number): unknown {
  return unpackCopy(readBytes(memory, at, length));
}

/** @param bytes The caller's no more: what msgpackr unpacks may be a view of them. */
export function unpackCopy(bytes: Uint8Array): unknown {
  return packr.unpack(bytes);
}
