/**
 * A record's key, read from its payload in shared memory without decoding the event: its hash, which decides the thread
 * that has it, and its value, which tells one key from another.
 *
 * Threads must agree on the hash of a key, whoever published it and whatever kind the field has. So it depends on the
 * value alone: values that are `===` hash equal, -0 like 0, and every NaN like every other (a Map does not tell those
 * apart either). The number of a symbol differs from thread to thread; its string does not.
 *
 * The hash is MurmurHash3_x86_32 with seed 0 (Austin Appleby, public domain) over the bytes of the value: UTF-8 for a
 * string, one word for an int32, two for any other number or a bigint. Every bit of the key changes every bit of the
 * hash, so neither sequential numbers nor tickers that differ in one letter crowd on one thread.
 */
import { isVariableLength, type EventType, type FieldLayout } from './catalog.js';
import { readText, textLength } from './codec-values.js';
import { ErrorCode, LanebusError } from './errors.js';
import type { Memory } from './memory.js';
import { describeValue } from './refusal.js';
import { SymbolMemo } from './symbol-memo.js';
import type { SymbolReader } from './symbols.js';

/** The key of the record with its payload at byte `at`, as an int32. */
export type KeyHash = (memory: Memory, at: number) => number;

/** A key as a Map can hold it: -0 is 0. */
export type KeyValue = number | string | bigint | boolean;

/** Which of so many members has the keys of this hash, from 0: exact up to 2^21 members. */
export function ownerOf(hash: number, members: number): number {
  // Lemire's fastrange: multiply, keep what is above 2^32. It needs no division, and shares out the hash's whole range.
  return Math.floor(((hash >>> 0) * members) / 2 ** 32);
}

/**
 * The hash of `field`, a required field of any kind but any and bytes.
 * @param symbols Reads the table of the thread whose records these are.
 */
export function compileKeyHash(type: EventType, field: string, symbols: SymbolReader): KeyHash {
  const layout = keyField(type, field);
  const { kind, offset, members = [] } = layout;
  switch (kind) {
    case 'f64':
      return (memory, at) => hashNumber(memory.f64[(at + offset) >> 3]);
    case 'u32':
      return (memory, at) => hashNumber(memory.u32[(at + offset) >> 2]);
    case 'i32':
      return (memory, at) => hashWord(memory.i32[(at + offset) >> 2]);
    case 'u8':
    case 'bool':
      return (memory, at) => hashWord(memory.u8[at + offset]);
    case 'i64':
    case 'u64':
      // As words, because reading a bigint allocates it. One bit pattern may stand for two values; equal ones have one.
      return (memory, at) => {
        const word = (at + offset) >> 2;
        return hashWords(memory.i32[word], memory.i32[word + 1]);
      };
    case 'enum': {
      const hashes = Int32Array.from(members, hashString);
      return (memory, at) => hashes[memory.u8[at + offset]];
    }
    case 'symbol': {
      const hashes = symbolHashes(symbols);
      return (memory, at) => hashes.of(memory.i32[(at + offset) >> 2]);
    }
    case 'text': {
      const startOf = compileStart(type, layout);
      return (memory, at) => hashBytes(memory.u8, startOf(memory, at), textLength(memory.u32[(at + offset) >> 2]));
    }
    case 'bytes':
    case 'any':
      throw notAKey(type, field);
  }
}

/** The value of `field`; arguments as for `compileKeyHash`. */
export function compileKey(
  type: EventType,
  field: string,
  symbols: SymbolReader,
): (memory: Memory, at: number) => KeyValue {
  const layout = keyField(type, field);
  const { kind, offset, members = [] } = layout;
  switch (kind) {
    case 'f64':
      return (memory, at) => memory.f64[(at + offset) >> 3] + 0;
    case 'u32':
      return (memory, at) => memory.u32[(at + offset) >> 2];
    case 'i32':
      return (memory, at) => memory.i32[(at + offset) >> 2];
    case 'u8':
      return (memory, at) => memory.u8[at + offset];
    case 'bool':
      return (memory, at) => memory.u8[at + offset] !== 0;
    case 'i64':
      return (memory, at) => memory.i64[(at + offset) >> 3];
    case 'u64':
      return (memory, at) => memory.u64[(at + offset) >> 3];
    case 'enum':
      return (memory, at) => members[memory.u8[at + offset]];
    case 'symbol':
      return (memory, at) => symbols.nameOf(memory.i32[(at + offset) >> 2]);
    case 'text': {
      const startOf = compileStart(type, layout);
      return (memory, at) => readText(memory, startOf(memory, at), memory.u32[(at + offset) >> 2]);
    }
    case 'bytes':
    case 'any':
      throw notAKey(type, field);
  }
}

function keyField(type: EventType, name: string): FieldLayout {
  const field = type.fields.find((candidate) => candidate.name === name);
  if (field === undefined || field.optional) throw notAKey(type, name);
  return field;
}

function notAKey(type: EventType, name: string): LanebusError {
  return new LanebusError(
    ErrorCode.OPTIONS,
    `event type ${describeValue(type.name)} cannot have the key ${describeValue(name)}; ` +
      'accepted: a required field that is neither any() nor bytes()',
  );
}

/** Where the bytes of a variable-length field start: behind those of the fields before it that the event has. */
function compileStart(type: EventType, field: FieldLayout): (memory: Memory, at: number) => number {
  const { fixedBytes, fields } = type;
  const before = fields.slice(0, fields.indexOf(field)).filter(({ kind }) => isVariableLength(kind));
  if (before.length === 0) return (_memory, at) => at + fixedBytes;
  return (memory, at) => {
    let start = at + fixedBytes;
    for (const { optional, presenceOffset, presenceMask, offset } of before) {
      if (optional && (memory.u8[at + presenceOffset] & presenceMask) === 0) continue;
      // A length of bytes() or any() is below the bit that textLength takes away.
      start += textLength(memory.u32[(at + offset) >> 2]);
    }
    return start;
  };
}

// One for each table: all its types, and all subscriptions of this thread, share the hashes of its symbols.
const hashesByTable = new WeakMap<SymbolReader, SymbolMemo>();

function symbolHashes(symbols: SymbolReader): SymbolMemo {
  let hashes = hashesByTable.get(symbols);
  if (hashes === undefined) {
    hashes = new SymbolMemo(symbols, hashString);
    hashesByTable.set(symbols, hashes);
  }
  return hashes;
}

const scratch = new Float64Array(1);
const scratchWords = new Int32Array(scratch.buffer);
const NAN_HASH = hashWords(0, 0x7ff8_0000);

function hashNumber(value: number): number {
  // -0 passes too, as 0.
  if ((value | 0) === value) return hashWord(value);
  if (Number.isNaN(value)) return NAN_HASH;
  scratch[0] = value;
  return hashWords(scratchWords[0], scratchWords[1]);
}

function hashString(text: string): number {
  const bytes = Buffer.from(text);
  return hashBytes(bytes, 0, bytes.length);
}

function hashWord(word: number): number {
  return finish(mix(0, word), 4);
}

function hashWords(first: number, second: number): number {
  return finish(mix(mix(0, first), second), 8);
}

function hashBytes(bytes: Uint8Array, start: number, length: number): number {
  const end = start + length;
  let hash = 0;
  let i = start;
  for (; i + 4 <= end; i += 4) {
    hash = mix(hash, bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24));
  }
  let rest = 0;
  for (let last = end - 1; last >= i; last--) rest = (rest << 8) | bytes[last];
  return finish(hash ^ scramble(rest), length);
}

function scramble(word: number): number {
  const multiplied = Math.imul(word, 0xcc9e_2d51);
  return Math.imul((multiplied << 15) | (multiplied >>> 17), 0x1b87_3593);
}

function mix(hash: number, word: number): number {
  const mixed = hash ^ scramble(word);
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe654_6b64) | 0;
}

function finish(hash: number, lengthBytes: number): number {
  let mixed = hash ^ lengthBytes;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return mixed ^ (mixed >>> 16);
}
