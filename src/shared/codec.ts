import { isVariableLength, type EventType, type FieldLayout } from './catalog.js';
import * as refusals from './codec-refusals.js';
import * as values from './codec-values.js';
import type { Lane, Publisher } from './lane.js';
import { HEADER_BYTES, LENGTH_SHIFT } from './layout.js';
import type { Memory } from './memory.js';
import type { SymbolNames, SymbolWriter } from './symbols.js';

export { unknownTypeError } from './codec-refusals.js';

/** Where an encoder puts its record: the publishing thread's lane. */
export interface RecordSink {
  readonly memory: Memory;
  /**
   * Reserves a record and returns the byte offset of its payload in `memory` (a multiple of 8), or -1 if there is no
   * room. Throws `ERR_LANEBUS_RECORD_TOO_LARGE`.
   */
  claim(payloadBytes: number, typeIndex: number): number;
}

/** Checks the event, claims and writes; returns what `claim` returned. Nothing is claimed or written for a bad event. */
export type Encoder = (event: object) => number;

/** A new event object from the payload at `at`. Nothing in it is a view of `memory`. */
export type Decoder = (memory: Memory, at: number) => object;

// Both are generated as source, once a type: a loop over the fields would cost a look-up by name and a switch by kind
// for every field of every event. Names and enum members enter the source as JSON strings only.

/**
 * The encoder of a type into a sink, for the thread that owns the table of `symbols`.
 *
 * The event is somebody else's object: a getter or a Proxy may answer differently each time, or change another field's
 * buffer. So E1 reads each field once, E2 runs the last code that can be the event's own, and everything that decides
 * how much is claimed comes after: what E4 writes is exactly what E3 measured. Test: test/unit/codec.
 */
export function compileEncoder(type: EventType, symbols: SymbolWriter, sink: RecordSink): Encoder {
  const { state, check, measure, write, payloadBytes } = encoderParts(type);
  const source = `'use strict';
${state}
return function encode(event) {
  ${check}
  ${measure}
  const at = sink.claim(${payloadBytes}, ${type.index});
  if (at < 0) return at;
  ${write}
  return at;
};`;
  return instantiate(source, { type, symbols, sink, ...refusals, ...values }, `encode-${type.index}`) as Encoder;
}

/** Encodes an event into a lane and commits it. @returns False if there was no room. */
export type PublishFunction = (event: object) => boolean;

/** The same as an encoder and `Lane.commit` in one, for a lane of this thread: see OpenGroup for what it need not look at. */
export function compilePublish(
  type: EventType,
  symbols: SymbolWriter,
  lane: Lane,
  publisher: Publisher,
): PublishFunction {
  const { state, check, measure, write, payloadBytes } = encoderParts(type);
  const { group } = lane;
  const { clock } = publisher;
  const source = `'use strict';
${state}
return function publish(event) {
  ${check}
  ${measure}
  const payloadBytes = ${payloadBytes};
  const length = (payloadBytes + ${HEADER_BYTES + 7}) & -8;
  const isOpen =
    group.type === ${type.index} && length <= group.room && payloadBytes <= ${lane.maxPayloadBytes} && publisher.origin === undefined;
  let at = 0;
  if (isOpen) {
    const head = group.head & ${lane.memory.u8.length - 1};
    const { i32, f64 } = lane.memory;
    const sequence = group.sequence;
    i32[head >> 2] = ((length >> 3) << ${LENGTH_SHIFT}) | ${type.index};
    i32[(head >> 2) + 1] = sequence;
    f64[(head >> 3) + 1] = clock.stamp;
    at = head + ${HEADER_BYTES};
  } else {
    at = lane.claim(payloadBytes, ${type.index});
    if (at < 0) return false;
  }
  ${write.replaceAll('sink.', 'lane.')}
  if (isOpen) {
    group.head = (group.head + length) | 0;
    group.sequence = (group.sequence + 1) | 0;
    group.room -= length;
    if (--group.left === 0) lane.flush();
  } else {
    lane.commit(${type.index});
  }
  return true;
};`;
  const scope = { type, symbols, lane, group, clock, publisher, ...refusals, ...values };
  return instantiate(source, scope, `publish-${type.index}`) as PublishFunction;
}

function encoderParts(type: EventType) {
  const required = type.fields.filter((field) => !field.optional).length;
  const optionals = type.fields.filter((field) => field.optional);
  const variable = type.fields.filter((field) => isVariableLength(field.kind));
  const fields = type.fields.map((field, i) => encodeField(field, i));
  return {
    state: fields.map((field) => field.state).join('\n'),
    check: `if (typeof event !== 'object' || event === null) refuseNonObject(type, event);
  // E1: read and check
  ${fields.map((field) => field.read).join('\n  ')}
  // E2: nothing but the fields, and what packing calls
  let count = ${1 + required}${optionals.map((field) => ` + (v${type.fields.indexOf(field)} !== undefined ? 1 : 0)`).join('')};
  for (const name in event) count--;
  if (count !== 0) refuseExtraFields(type, event);
  ${fields.map((field) => field.pack).join('\n  ')}`,
    measure: `// E3: measure, intern, claim
  ${fields.map((field) => field.measure).join('\n  ')}`,
    payloadBytes: [type.fixedBytes, ...variable.map((field) => `n${type.fields.indexOf(field)}`)].join(' + '),
    write: `// E4: write
  const memory = sink.memory, f64 = memory.f64, i64 = memory.i64, u64 = memory.u64, i32 = memory.i32, u32 = memory.u32, u8 = memory.u8;
  const at8 = at >> 3, at4 = at >> 2;
  ${variable.length > 0 ? `let end = at + ${type.fixedBytes};` : ''}
  ${fields.map((field) => field.write).join('\n  ')}
  ${writePresence(type, optionals)}`,
  };
}

/** Source of one field's part in an encoder; `v0` is its value, `n0` its variable length, `w0` the word written for it. */
interface FieldSource {
  /** Variables that live from event to event. */
  readonly state?: string;
  readonly read: string;
  readonly pack?: string;
  readonly measure?: string;
  readonly write: string;
}

function encodeField(field: FieldLayout, i: number): FieldSource {
  const v = `v${i}`;
  const name = JSON.stringify(field.name);
  // Every object inherits a `constructor` and a `toString`, which are not the event's.
  const value =
    field.name in Object.prototype ? `(Object.hasOwn(event, ${name}) ? event[${name}] : undefined)` : `event[${name}]`;
  const refuse = `refuseField(type, ${i}, ${v}, event)`;
  const present = field.optional ? `${v} !== undefined` : 'true';
  /** Reads, and refuses by a condition that holds for every bad value. */
  const read = (bad: string): string =>
    `const ${v} = ${value}; if (${field.optional ? `${v} !== undefined && (${bad})` : bad}) ${refuse};`;
  const write = (target: string): string => (field.optional ? `if (${present}) ${target}` : target);
  const word4 = `[at4 + ${field.offset >> 2}]`;
  const word8 = `[at8 + ${field.offset >> 3}]`;
  const byte = `u8[at + ${field.offset}]`;
  switch (field.kind) {
    case 'f64':
      return { read: read(`typeof ${v} !== 'number'`), write: write(`f64${word8} = ${v};`) };
    case 'i64':
      return {
        read: read(`typeof ${v} !== 'bigint' || BigInt.asIntN(64, ${v}) !== ${v}`),
        write: write(`i64${word8} = ${v};`),
      };
    case 'u64':
      return {
        read: read(`typeof ${v} !== 'bigint' || BigInt.asUintN(64, ${v}) !== ${v}`),
        write: write(`u64${word8} = ${v};`),
      };
    case 'i32':
      return { read: read(`typeof ${v} !== 'number' || (${v} | 0) !== ${v}`), write: write(`i32${word4} = ${v};`) };
    case 'u32':
      return { read: read(`typeof ${v} !== 'number' || (${v} >>> 0) !== ${v}`), write: write(`u32${word4} = ${v};`) };
    case 'u8':
      return { read: read(`typeof ${v} !== 'number' || (${v} & 255) !== ${v}`), write: write(`${byte} = ${v};`) };
    case 'bool':
      return {
        read: read(`${v} !== true && ${v} !== false`),
        write: write(`${byte} = ${v} ? 1 : 0;`),
      };
    case 'enum':
      return encodeEnum(field, i, read, write);
    case 'symbol':
      // A new one is interned only when the whole event has proved good.
      return {
        read: `${read(`typeof ${v} !== 'string'`)}
  let w${i} = ${field.optional ? `${v} === undefined ? 0 : ` : ''}symbols.find(${v});
  if (w${i} < 0 && !${v}.isWellFormed()) ${refuse};`,
        measure: `if (w${i} < 0) w${i} = symbols.intern(${v});`,
        write: write(`i32${word4} = w${i};`),
      };
    case 'text':
      return {
        read: `${read(`typeof ${v} !== 'string'`)}
  const n${i} = ${field.optional ? `${v} === undefined ? 0 : ` : ''}textBytes(${v});
  if (n${i} < 0) ${refuse};`,
        write: write(`{ u32${word4} = textWord(${v}, n${i}); writeText(memory, end, ${v}, n${i}); end += n${i}; }`),
      };
    case 'bytes':
      return {
        read: read(`!isBytes(${v})`),
        measure: `const n${i} = ${field.optional ? `${v} === undefined ? 0 : ` : ''}bytesLength(${v});`,
        write: write(`{ u32${word4} = n${i}; writeBytes(memory, end, ${v}, n${i}); end += n${i}; }`),
      };
    case 'any':
      return {
        read: field.optional ? `const ${v} = ${value};` : read(`${v} === undefined`),
        pack: `let b${i}; if (${present}) try { b${i} = packValue(${v}); } catch (cause) { refuseUnpackable(type, ${i}, ${v}, cause); }`,
        measure: `const n${i} = ${field.optional ? `b${i} === undefined ? 0 : ` : ''}b${i}.length;`,
        write: write(`{ u32${word4} = n${i}; writeBytes(memory, end, b${i}, n${i}); end += n${i}; }`),
      };
  }
}

/** From this many members on, a look-up in an object beats a chain of comparisons. */
const LONG_ENUM = 16;

function encodeEnum(
  field: FieldLayout,
  i: number,
  read: (bad: string) => string,
  write: (target: string) => string,
): FieldSource {
  const members = (field.members ?? []).map((member) => JSON.stringify(member));
  const v = `v${i}`;
  const isShort = members.length < LONG_ENUM;
  const number = isShort
    ? `${members.map((member, n) => `${v} === ${member} ? ${n} : `).join('')}-1`
    : `${v} === last${i} ? lastNumber${i} : typeof ${v} === 'string' ? numbers${i}[${v}] ?? -1 : -1`;
  return {
    state: isShort
      ? ''
      : `let last${i} = '', lastNumber${i} = -1;
const numbers${i} = Object.create(null);
${members.map((member, n) => `numbers${i}[${member}] = ${n};`).join(' ')}`,
    read: `${read('false')}
  const w${i} = ${number};
  if (w${i} < 0${field.optional ? ` && ${v} !== undefined` : ''}) refuseField(type, ${i}, ${v}, event);
  ${isShort ? '' : `last${i} = ${v}; lastNumber${i} = w${i};`}`,
    write: write(`u8[at + ${field.offset}] = w${i};`),
  };
}

// A value that is absent leaves its place in the record as it was: the bit says not to read it.
function writePresence(type: EventType, optionals: readonly FieldLayout[]): string {
  const bits = new Map<number, string[]>();
  for (const field of optionals) {
    const bit = `(v${type.fields.indexOf(field)} !== undefined ? ${field.presenceMask} : 0)`;
    bits.set(field.presenceOffset, [...(bits.get(field.presenceOffset) ?? []), bit]);
  }
  return [...bits].map(([offset, terms]) => `u8[at + ${offset}] = ${terms.join(' | ')};`).join('\n  ');
}

/** The decoder of a type, for records of the thread whose table `symbols` reads. */
export function compileDecoder(type: EventType, symbols: SymbolNames): Decoder {
  const isFixed = (field: FieldLayout): boolean => !isVariableLength(field.kind);
  const guarded = (field: FieldLayout, value: string, absent: string): string =>
    field.optional
      ? `((u8[at + ${field.presenceOffset}] & ${field.presenceMask}) !== 0 ? ${value} : ${absent})`
      : value;
  const variable = type.fields.flatMap((field, i) => (isFixed(field) ? [] : [decodeVariable(field, i, guarded)]));
  // One literal in the order of the definition, so that all events of a type have one hidden class.
  const properties = type.fields.map((field, i) => {
    const value = isFixed(field) ? guarded(field, fixedValue(field, i), 'undefined') : `v${i}`;
    return `    ${JSON.stringify(field.name)}: ${value},`;
  });
  const source = `'use strict';
${type.fields.map((field, i) => (field.kind === 'enum' ? `const members${i} = ${JSON.stringify(field.members)};` : '')).join('\n')}
return function decode(memory, at) {
  const f64 = memory.f64, i64 = memory.i64, u64 = memory.u64, i32 = memory.i32, u32 = memory.u32, u8 = memory.u8;
  const at8 = at >> 3, at4 = at >> 2;
  ${variable.length > 0 ? `let end = at + ${type.fixedBytes};` : ''}
  ${variable.join('\n  ')}
  return {
    type: ${JSON.stringify(type.name)},
${properties.join('\n')}
  };
};`;
  return instantiate(source, { symbols, ...values }, `decode-${type.index}`) as Decoder;
}

function fixedValue(field: FieldLayout, i: number): string {
  switch (field.kind) {
    case 'f64':
    case 'i64':
    case 'u64':
      return `${field.kind}[at8 + ${field.offset >> 3}]`;
    case 'symbol':
      return `symbols.nameOf(i32[at4 + ${field.offset >> 2}])`;
    case 'bool':
      return `u8[at + ${field.offset}] !== 0`;
    case 'enum':
      return `members${i}[u8[at + ${field.offset}]]`;
    case 'u8':
      return `u8[at + ${field.offset}]`;
    default:
      return `${field.kind}[at4 + ${field.offset >> 2}]`;
  }
}

type Guard = (field: FieldLayout, value: string, absent: string) => string;

function decodeVariable(field: FieldLayout, i: number, guarded: Guard): string {
  const read = { text: 'readText', bytes: 'readBytes', any: 'unpackValue' }[field.kind as 'text' | 'bytes' | 'any'];
  const length = field.kind === 'text' ? `textLength(n${i})` : `n${i}`;
  return `const n${i} = ${guarded(field, `u32[at4 + ${field.offset >> 2}]`, '0')};
  const v${i} = ${guarded(field, `${read}(memory, end, n${i})`, 'undefined')};
  end += ${length};`;
}

/** Runs generated source with each name of `scope` as a constant. @param name What stack traces and profiles call it. */
export function instantiate(source: string, scope: Readonly<Record<string, unknown>>, name: string): unknown {
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- this is the code generation; see above for what enters
  const factory = new Function(...Object.keys(scope), `${source}\n//# sourceURL=lanebus:${name}`) as (
    ...values: unknown[]
  ) => unknown;
  return factory(...Object.values(scope));
}
