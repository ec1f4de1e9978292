import { ErrorCode, LanebusError } from './errors.js';
import { fieldProblem, type Field, type FieldKind, type ValueOf } from './fields.js';
import { describeValue, didYouMean, listNames } from './refusal.js';

/** The number of a type takes 11 bits of a record's header; 0 marks padding, and one more marks gap notices. */
export const MAX_TYPES = 2046;
const MAX_PRIORITY = 1_000_000;

/** The fields of an event type, by name; any name but `type`, which every event has. */
export type Payload = Readonly<Record<string, Field>>;

/** One event type: how urgent it is, what it carries, and which field names the entity whose events stay in order. */
export interface EventDefinition {
  /** An integer from 0 to 1,000,000; lower is more urgent. Decides the lane. */
  readonly priority: number;
  /** Name of a required field, not `any()` or `bytes()`: events with equal values there stay in order, and conflate. Default: none. */
  readonly key?: string | undefined;
  /** What its events carry besides their `type`; `{}` for nothing. */
  readonly payload: Payload;
}

/** What `defineEvents` takes: each event type by its name, up to 2,046 of them. */
export type EventDefinitions = Readonly<Record<string, EventDefinition>>;

/** The fields that can be a key: required, and with values that compare by `===`. */
type KeyFieldOf<P> = {
  [N in keyof P]: P[N] extends { readonly optional: true } | { readonly kind: 'any' | 'bytes' } ? never : N;
}[keyof P];

type Checked<D extends EventDefinitions> = {
  readonly [N in keyof D]: {
    readonly key?: KeyFieldOf<D[N]['payload']> | undefined;
    readonly payload: { readonly type?: never };
  };
};

/** Where a field lies in the fixed part of a payload; a variable-length field has the length of its bytes there. */
export interface FieldLayout {
  /** The field's name in its event. */
  readonly name: string;
  /** How its values are checked and written. */
  readonly kind: FieldKind;
  /** The values of an enum, in the order of their numbers; undefined for other kinds. */
  readonly members: readonly string[] | undefined;
  /** Whether an event may leave it out. */
  readonly optional: boolean;
  /** Bytes from the start of the payload, a multiple of the value's width. */
  readonly offset: number;
  /** Of an optional field: the byte of the presence bitmap, from the start of the payload. */
  readonly presenceOffset: number;
  /** Of an optional field: its bit in that byte; 0 for a required one. */
  readonly presenceMask: number;
}

/** An event type as a catalog has it: its definition, checked, and where its fields lie in a record. */
export interface EventType {
  /** What its events have as `type`. */
  readonly name: string;
  /** Position in the catalog, from 1; 0 is reserved for padding. */
  readonly index: number;
  /** From 0 to 1,000,000; lower is more urgent. */
  readonly priority: number;
  /** Name of its key field, if it has one. */
  readonly key: string | undefined;
  /** In the order of the definition. */
  readonly fields: readonly FieldLayout[];
  /** Bytes of the payload's fixed part, a multiple of 8. */
  readonly fixedBytes: number;
  /** Whether the fixed part is the whole payload of every event. */
  readonly fixedWidth: boolean;
}

/** A catalog as plain data, for another thread. */
export interface CatalogDescription {
  /** In the order of their numbers. */
  readonly types: readonly TypeDescription[];
}

/** An event type as plain data: all that its layout follows from. */
export interface TypeDescription extends Pick<EventType, 'name' | 'priority' | 'key'> {
  /** In the order of the definition. */
  readonly fields: readonly FieldDescription[];
}

/** A field of an event type as plain data. */
export interface FieldDescription {
  /** The field's name in its event. */
  readonly name: string;
  /** What it can hold. */
  readonly field: Field;
}

declare const definitionsType: unique symbol;

/** The event types of a bus. `D` is what `defineEvents` was given, and exists for the compiler only. */
export interface Catalog<D extends EventDefinitions = EventDefinitions> {
  /** In the order of definition; `types[i].index` is `i + 1`. */
  readonly types: readonly EventType[];
  /** The type of this name; undefined if the catalog has none. Never throws. */
  typeNamed(name: string): EventType | undefined;
  /** The same as plain data, which crosses to other threads. */
  readonly description: CatalogDescription;
  /** For the compiler only, never there: the definitions, from which the events' types follow. */
  readonly [definitionsType]?: D;
}

type DefinitionsOf<C> = C extends { readonly [definitionsType]?: infer D extends EventDefinitions } ? D : never;

/** The names of a catalog's event types. */
export type TypeOf<C extends Catalog> = keyof DefinitionsOf<C> & string;

type IsOptional<F> = F extends { readonly optional: true } ? true : false;

type PayloadValues<P> = {
  -readonly [N in keyof P as IsOptional<P[N]> extends true ? never : N]: ValueOf<P[N]>;
} & {
  -readonly [N in keyof P as IsOptional<P[N]> extends true ? N : never]?: ValueOf<P[N]> | undefined;
};

// Maps once over the parts, so that an editor shows one flat object.
type EventObject<N, P> = { [K in keyof ({ type: N } & PayloadValues<P>)]: ({ type: N } & PayloadValues<P>)[K] };

/** The event objects of a catalog: of all its types, or of `T`. One flat object each: `{ type: 'TICK', price: 1 }`. */
export type EventOf<C extends Catalog, T extends TypeOf<C> = TypeOf<C>> = T extends unknown
  ? EventObject<T, DefinitionsOf<C>[T]['payload']>
  : never;

/** Names the event types of a bus. @throws ERR_LANEBUS_CATALOG for a definition that breaks a rule */
export function defineEvents<const D extends EventDefinitions>(definitions: D & Checked<D>): Catalog<D> {
  if (!isPlainObject(definitions)) {
    throw catalogError(
      `defineEvents got ${describeValue(definitions)}; accepted: an object of event definitions by name`,
    );
  }
  const entries = Object.entries(definitions as Readonly<Record<string, unknown>>);
  return buildCatalog({ types: entries.map(([name, definition]) => describeType(name, definition)) }) as Catalog<D>;
}

type MergedDefinitions<L extends readonly Catalog[]> = L extends readonly [
  infer First extends Catalog,
  ...infer Rest extends readonly Catalog[],
]
  ? DefinitionsOf<First> & MergedDefinitions<Rest>
  : // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- adds no name to the intersection
    {};

/** One catalog with the types of all, in order. @throws ERR_LANEBUS_CATALOG if two have a type of one name */
export function mergeEvents<const L extends readonly Catalog[]>(...catalogs: L): Catalog<MergedDefinitions<L>> {
  const types = catalogs.flatMap((catalog) => catalog.description.types);
  return buildCatalog({ types }) as Catalog<MergedDefinitions<L>>;
}

/** The catalog on the other side of a thread boundary: the same types with the same numbers and layouts. */
export function catalogFrom(description: CatalogDescription): Catalog {
  return buildCatalog(description);
}

function buildCatalog(description: CatalogDescription): Catalog {
  if (description.types.length > MAX_TYPES) {
    throw catalogError(`the catalog has ${description.types.length} types; accepted: up to ${MAX_TYPES}`);
  }
  const byName = new Map<string, EventType>();
  for (const type of description.types) {
    if (byName.has(type.name)) {
      throw catalogError(`two event types have the name ${describeValue(type.name)}; accepted: one type of each name`);
    }
    byName.set(type.name, layOut(type, byName.size + 1));
  }
  const types = [...byName.values()];
  return { types, typeNamed: (name) => byName.get(name), description };
}

const DEFINITION_PROPERTIES = ['priority', 'key', 'payload'];

function describeType(name: string, definition: unknown): TypeDescription {
  if (name === '') throw catalogError('an event type has an empty name; accepted: a string of one character or more');
  const label = `event type ${describeValue(name)}`;
  if (!name.isWellFormed())
    throw catalogError(`${label} has a lone surrogate in its name; accepted: a well-formed string`);
  if (!isPlainObject(definition)) {
    throw catalogError(`${label} is ${describeValue(definition)}; accepted: { priority, key?, payload }`);
  }
  for (const property of Object.keys(definition)) {
    if (DEFINITION_PROPERTIES.includes(property)) continue;
    throw catalogError(
      `${label} has the unknown property ${describeValue(property)}; accepted: ${listNames(DEFINITION_PROPERTIES)}` +
        didYouMean(property, DEFINITION_PROPERTIES),
    );
  }
  const { priority, key, payload } = definition;
  if (typeof priority !== 'number' || !Number.isInteger(priority) || priority < 0 || priority > MAX_PRIORITY) {
    throw catalogError(
      `${label} has priority ${describeValue(priority)}; accepted: an integer from 0 to ${MAX_PRIORITY}`,
    );
  }
  const fields = describePayload(label, payload);
  return { name, priority, key: checkedKey(label, key, fields), fields };
}

type FieldDescriptions = readonly FieldDescription[];

function describePayload(label: string, payload: unknown): FieldDescriptions {
  // `{ __proto__: f64() }` does not define a field: it sets the prototype.
  if (!isPlainObject(payload) || Object.hasOwn(payload, '__proto__')) {
    throw catalogError(
      `${label} has the payload ${describeValue(payload)}; accepted: a plain object of fields by name (none may be called "__proto__")`,
    );
  }
  return Object.entries(payload).map(([name, candidate]) => {
    if (name === 'type') {
      throw catalogError(
        `${label}, field "type": every event has its type's name there; accepted: any other field name`,
      );
    }
    if (!name.isWellFormed()) {
      throw catalogError(
        `${label}, field ${describeValue(name)}: lone surrogate in the name; accepted: a well-formed string`,
      );
    }
    const problem = fieldProblem(candidate);
    if (problem !== undefined) throw catalogError(`${label}, field ${describeValue(name)}: ${problem}`);
    const { kind, members, optional } = candidate as Field;
    const field = { kind, ...(members && { members: [...members] }), ...(optional === true && { optional }) };
    return { name, field };
  });
}

function checkedKey(label: string, key: unknown, fields: FieldDescriptions): string | undefined {
  if (key === undefined) return undefined;
  const usable = fields.filter(({ field }) => isKeyField(field)).map(({ name }) => name);
  const accepted = `accepted: a required field that is neither any() nor bytes() (here: ${listNames(usable) || 'none'})`;
  const found = fields.find(({ name }) => name === key);
  if (found === undefined) {
    throw catalogError(
      `${label} has the key ${describeValue(key)}, which is no field of its payload; ${accepted}${didYouMean(key, usable)}`,
    );
  }
  if (!isKeyField(found.field)) {
    const trait = found.field.optional === true ? 'is optional' : `is of kind ${found.field.kind}`;
    throw catalogError(`${label} has the key ${describeValue(key)}, which ${trait}; ${accepted}`);
  }
  return found.name;
}

function isKeyField(field: Field): boolean {
  return field.optional !== true && field.kind !== 'any' && field.kind !== 'bytes';
}

/** Bytes of a field in the fixed part: its value, or the length of a variable-length one. */
const WIDTHS: Readonly<Record<FieldKind, 8 | 4 | 1>> = {
  f64: 8,
  i64: 8,
  u64: 8,
  i32: 4,
  u32: 4,
  symbol: 4,
  text: 4,
  bytes: 4,
  any: 4,
  u8: 1,
  bool: 1,
  enum: 1,
};

export function isVariableLength(kind: FieldKind): boolean {
  return kind === 'text' || kind === 'bytes' || kind === 'any';
}

/**
 * A payload, from its start (8-byte aligned) to its end:
 *
 *   8-byte values │ 4-byte values, lengths │ 1-byte values │ presence bitmap │ padding to 8 │ variable-length bytes
 *   └──────────────────────────── fixed part: fixedBytes ───────────────────────────────┘
 *
 * Widest first, so that everything is aligned without gaps; equal widths and the variable-length bytes in field order,
 * the latter unaligned and back to back.
 */
function layOut(description: TypeDescription, index: number): EventType {
  const offsets = new Map<string, number>();
  let end = 0;
  for (const width of [8, 4, 1] as const) {
    for (const { name, field } of description.fields) {
      if (WIDTHS[field.kind] !== width) continue;
      offsets.set(name, end);
      end += width;
    }
  }
  let optionals = 0;
  const fields = description.fields.map(({ name, field }): FieldLayout => {
    const optional = field.optional === true;
    const bit = optional ? optionals++ : 0;
    return {
      name,
      kind: field.kind,
      members: field.members,
      optional,
      offset: offsets.get(name) ?? 0,
      presenceOffset: end + (bit >> 3),
      presenceMask: optional ? 1 << (bit & 7) : 0,
    };
  });
  const { name, priority, key } = description;
  const fixedBytes = Math.ceil((end + Math.ceil(optionals / 8)) / 8) * 8;
  const fixedWidth = !fields.some((field) => isVariableLength(field.kind));
  return { name, index, priority, key, fields, fixedBytes, fixedWidth };
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function catalogError(message: string): LanebusError {
  return new LanebusError(ErrorCode.CATALOG, message);
}
