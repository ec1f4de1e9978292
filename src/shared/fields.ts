import { ErrorCode, LanebusError } from './errors.js';
import { describeValue } from './refusal.js';

/** What a field can hold. The kind decides how the value is checked, and how it lies in a record. */
export type FieldKind =
  'f64' | 'i64' | 'u64' | 'i32' | 'u32' | 'u8' | 'bool' | 'enum' | 'symbol' | 'text' | 'bytes' | 'any';

export const FIELD_KINDS = [
  'f64',
  'i64',
  'u64',
  'i32',
  'u32',
  'u8',
  'bool',
  'enum',
  'symbol',
  'text',
  'bytes',
  'any',
] as const satisfies readonly FieldKind[];

/** An enum's value takes one byte of a record. */
const MAX_ENUM_MEMBERS = 256;

declare const valueType: unique symbol;

/**
 * One payload field of an event type: plain data, so that a catalog can be sent to another thread. `T` is the type of
 * its values and exists for the compiler only.
 */
export interface Field<T = unknown, K extends FieldKind = FieldKind> {
  /** How its values are checked, and how they lie in a record. */
  readonly kind: K;
  /** The values an enum accepts, in the order of their numbers. */
  readonly members?: readonly string[];
  /** Whether an event may leave it out. Default false. */
  readonly optional?: boolean;
  /** For the compiler only, never there: in a tuple, so that inferring T does not strip its `undefined`. */
  readonly [valueType]?: readonly [T];
}

/** A field that every event has. */
export interface RequiredField<T = unknown, K extends FieldKind = FieldKind> extends Field<T, K> {
  /** It is not. */
  readonly optional?: false;
}

/** A field that an event may leave out. */
export interface OptionalField<T = unknown, K extends FieldKind = FieldKind> extends Field<T, K> {
  /** It is. */
  readonly optional: true;
}

/** The type of a field's values. */
export type ValueOf<F> = F extends Field<infer T> ? T : never;

/** Any number, with NaN, infinities and -0: 8 bytes. */
export function f64(): RequiredField<number, 'f64'> {
  return { kind: 'f64' };
}

/** An integer from -2,147,483,648 to 2,147,483,647: 4 bytes. */
export function i32(): RequiredField<number, 'i32'> {
  return { kind: 'i32' };
}

/** An integer from 0 to 4,294,967,295: 4 bytes. */
export function u32(): RequiredField<number, 'u32'> {
  return { kind: 'u32' };
}

/** An integer from 0 to 255: 1 byte. */
export function u8(): RequiredField<number, 'u8'> {
  return { kind: 'u8' };
}

/** `true` or `false`: 1 byte. */
export function bool(): RequiredField<boolean, 'bool'> {
  return { kind: 'bool' };
}

/** A bigint from -2^63 to 2^63 - 1: 8 bytes. */
export function i64(): RequiredField<bigint, 'i64'> {
  return { kind: 'i64' };
}

/** A bigint from 0 to 2^64 - 1: 8 bytes. */
export function u64(): RequiredField<bigint, 'u64'> {
  return { kind: 'u64' };
}

/**
 * One of the given strings: 1 byte.
 * @param members 1 to 256 different, well-formed strings.
 * @throws ERR_LANEBUS_CATALOG for others
 */
export function enumOf<const M extends readonly [string, ...string[]]>(
  ...members: M
): RequiredField<M[number], 'enum'> {
  const problem = enumProblem(members);
  if (problem !== undefined) throw new LanebusError(ErrorCode.CATALOG, `enumOf: ${problem}`);
  return { kind: 'enum', members: [...members] };
}

/**
 * A string from a small vocabulary that grows slowly, such as an instrument's name: 4 bytes, the number of the string
 * in its thread's symbol table. A table never forgets a symbol, so use `text()` for strings without bound.
 */
export function symbol(): RequiredField<string, 'symbol'> {
  return { kind: 'symbol' };
}

/** Any well-formed string: 4 bytes and its UTF-8. */
export function text(): RequiredField<string, 'text'> {
  return { kind: 'text' };
}

/** A `Uint8Array`, copied: 4 bytes and its contents. A `Buffer` is accepted and arrives as a `Uint8Array`. */
export function bytes(): RequiredField<Uint8Array, 'bytes'> {
  return { kind: 'bytes' };
}

/**
 * Any other value, packed with msgpackr: objects, arrays, Map, Set, Date, Error, RegExp, typed arrays and bigints, with
 * cycles and shared references. The slowest field by far. Not checked against `T` at run time. Instances of classes
 * arrive as plain objects (or as what their `toJSON` returns), errors with name, message and cause only; -0 arrives as
 * 0, a hole in an array as undefined, and a lone surrogate is replaced. Functions and symbols are refused.
 */
export function any<T = unknown>(): RequiredField<T, 'any'> {
  return { kind: 'any' };
}

/**
 * The field may be left out of an event or be `undefined`. `null` does not count as left out: only `any()` accepts it.
 * @throws ERR_LANEBUS_CATALOG for what is no field, or optional already
 */
export function optional<T, K extends FieldKind>(field: RequiredField<T, K>): OptionalField<T, K> {
  const problem = fieldProblem(field);
  if (problem !== undefined) throw new LanebusError(ErrorCode.CATALOG, `optional: ${problem}`);
  if ((field as Field).optional === true) {
    throw new LanebusError(
      ErrorCode.CATALOG,
      'optional: the field is optional already; accepted: one optional(...) around a field',
    );
  }
  return { ...(field as Field<T, K>), optional: true };
}

/** What is wrong with a value that stands where a field is wanted, or undefined if it is one. */
export function fieldProblem(candidate: unknown): string | undefined {
  const accepted = 'accepted: a call of a field function such as f64() or symbol()';
  if (typeof candidate === 'function') {
    return `got the function ${describeValue(candidate.name)}, which must be called; ${accepted}`;
  }
  if (typeof candidate !== 'object' || candidate === null) return `got ${describeValue(candidate)}; ${accepted}`;
  const { kind, members, optional: isOptional } = candidate as Record<string, unknown>;
  const isKnown = FIELD_KINDS.some((known) => known === kind);
  if (!isKnown || (isOptional !== undefined && typeof isOptional !== 'boolean')) {
    return `got ${describeValue(candidate)}; ${accepted}`;
  }
  return kind === 'enum' ? enumProblem(members) : undefined;
}

function enumProblem(members: unknown): string | undefined {
  const accepted = `accepted: 1 to ${MAX_ENUM_MEMBERS} different strings`;
  if (!Array.isArray(members) || members.length === 0) return `an enum has no members; ${accepted}`;
  if (members.length > MAX_ENUM_MEMBERS) return `an enum has ${members.length} members; ${accepted}`;
  const seen = new Set<unknown>();
  for (const member of members as readonly unknown[]) {
    if (typeof member !== 'string') return `an enum has the member ${describeValue(member)}; ${accepted}`;
    if (!member.isWellFormed())
      return `an enum has the member ${describeValue(member)} with a lone surrogate; ${accepted}`;
    if (seen.has(member)) return `an enum has the member ${describeValue(member)} twice; ${accepted}`;
    seen.add(member);
  }
  return undefined;
}
