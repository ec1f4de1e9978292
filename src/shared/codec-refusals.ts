import type { EventType, FieldLayout } from './catalog.js';
import { ErrorCode, LanebusError } from './errors.js';
import { describeValue, didYouMean, listNames } from './refusal.js';

// Why an event is refused, worked out only once it is: the encoder's own checks only say that something is wrong.

/** The error for an event whose type is none of the catalog's. */
export function unknownTypeError(name: unknown, catalog: { readonly types: readonly EventType[] }): LanebusError {
  const known = catalog.types.map((type) => type.name);
  return new LanebusError(
    ErrorCode.UNKNOWN_TYPE,
    `the catalog has no event type ${describeValue(name)}; accepted: ${listNames(known) || 'none, it is empty'}${didYouMean(name, known)}`,
  );
}

export function refuseNonObject(type: EventType, event: unknown): never {
  throw invalid(`event ${describeValue(type.name)}: got ${describeValue(event)}; accepted: an object`);
}

/** `value` is what the field was read as; it is not read again. */
export function refuseField(type: EventType, position: number, value: unknown, event: object): never {
  const field = type.fields[position];
  const accepted = acceptedBy(field, value);
  if (value === undefined) {
    const extra = extraFields(type, event).at(0);
    const instead = extra === undefined ? '' : `; the event has ${describeValue(extra)}, which the type does not`;
    throw invalid(`${label(type, field)}: missing; accepted: ${accepted}${instead}`);
  }
  const surrogate = typeof value === 'string' ? loneSurrogate(value) : '';
  throw invalid(`${label(type, field)}: got ${describeValue(value)}${surrogate}; accepted: ${accepted}`);
}

export function refuseUnpackable(type: EventType, position: number, value: unknown, cause: unknown): never {
  const reason = cause instanceof Error ? cause.message : describeValue(cause);
  throw invalid(
    `${label(type, type.fields[position])}: got ${describeValue(value)}, which cannot be packed (${reason}); ` +
      'accepted: what structured clone can copy',
    { cause },
  );
}

/** Throws if the event has enumerable properties of its own beyond the type's fields. Returns if the count was off for another reason. */
export function refuseExtraFields(type: EventType, event: object): void {
  const extra = extraFields(type, event).at(0);
  if (extra === undefined) return;
  const known = type.fields.map((field) => field.name);
  throw invalid(
    `event ${describeValue(type.name)}: unknown field ${describeValue(extra)}; ` +
      `accepted: ${listNames(known) || 'no fields'}${didYouMean(extra, known)}`,
  );
}

function extraFields(type: EventType, event: object): string[] {
  return Object.keys(event).filter((name) => name !== 'type' && !type.fields.some((field) => field.name === name));
}

export function acceptedBy(field: FieldLayout, value: unknown): string {
  switch (field.kind) {
    case 'f64':
      return 'a number';
    case 'i32':
      return 'an integer from -2147483648 to 2147483647';
    case 'u32':
      return 'an integer from 0 to 4294967295';
    case 'u8':
      return 'an integer from 0 to 255';
    case 'i64':
      return 'a bigint from -2^63 to 2^63 - 1';
    case 'u64':
      return 'a bigint from 0 to 2^64 - 1';
    case 'bool':
      return 'true or false';
    case 'enum':
      return `one of ${listNames(field.members ?? [])}${didYouMean(value, field.members ?? [])}`;
    case 'symbol':
    case 'text':
      return 'a well-formed string';
    case 'bytes':
      return 'a Uint8Array';
    case 'any':
      return 'what structured clone can copy';
  }
}

function loneSurrogate(text: string): string {
  const index = text.search(/\p{Surrogate}/u);
  return index < 0 ? '' : ` with a lone surrogate at index ${index}`;
}

function label(type: EventType, field: FieldLayout): string {
  return `event ${describeValue(type.name)}, field ${describeValue(field.name)}`;
}

function invalid(message: string, options?: ErrorOptions): LanebusError {
  return new LanebusError(ErrorCode.INVALID_EVENT, message, options);
}
