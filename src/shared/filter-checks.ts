/**
 * Declarative filters, before they reach a record: what the user wrote is checked once, all problems at a time, and
 * becomes plain data. filters.ts makes it a function.
 *
 * A value equals another as a Set sees it: NaN equals NaN, and -0 equals 0. No range holds NaN.
 */
import { isVariableLength, type EventType, type FieldLayout } from './catalog.js';
import { acceptedBy } from './codec-refusals.js';
import { FIELD_KINDS } from './fields.js';
import { didYouMean, listNames } from './refusal.js';

export type FilterValue = number | bigint | string | boolean;

/** Holds if the field is one of `values`; or if it is from `min` to `max`, both included, where they are given. */
export type FieldCondition =
  | { readonly field: string; readonly values: readonly FilterValue[] }
  | { readonly field: string; readonly min: number | bigint | undefined; readonly max: number | bigint | undefined };

/** A filter as plain data, for another thread: conditions that must all hold. */
export type FilterSpec = readonly FieldCondition[];

export interface FilterProblem {
  /** From the filter inwards: field, then index of a set or bound of a range. Empty for the filter itself. */
  readonly path: readonly (string | number)[];
  readonly value: unknown;
  readonly expected: string;
}

/** What stands for a condition on several types: the field, in each of them. */
interface TypeField {
  readonly type: EventType;
  readonly field: FieldLayout;
}

/** Everything that is wrong with a filter for these types; nothing if it can be normalised. */
export function filterProblems(filter: unknown, types: readonly EventType[]): readonly FilterProblem[] {
  if (!isPlainObject(filter)) {
    return [{ path: [], value: filter, expected: 'an object of conditions by field' }];
  }
  return Object.entries(filter).flatMap(([name, condition]) => {
    const path = [name];
    const owners = types.flatMap((type) => {
      const field = type.fields.find((candidate) => candidate.name === name);
      return field === undefined ? [] : [{ type, field }];
    });
    const misfit = fieldMisfit(name, types, owners);
    if (misfit !== undefined) return [{ path, value: condition, expected: misfit }];
    if (condition === undefined) return [];
    if (Array.isArray(condition)) return setProblems(path, condition, owners);
    if (typeof condition === 'object' && condition !== null) return rangeProblems(path, condition, owners);
    return valueProblems(path, condition, [{ path, value: condition }], owners);
  });
}

/** The filter as data. `filterProblems` must have found none. */
export function normaliseFilter(filter: object): FilterSpec {
  return Object.entries(filter).flatMap(([field, condition]: [string, unknown]): FieldCondition[] => {
    if (condition === undefined) return [];
    if (typeof condition === 'object' && !Array.isArray(condition)) {
      const { min, max } = condition as { min?: number | bigint; max?: number | bigint };
      return [{ field, min, max }];
    }
    const values = (Array.isArray(condition) ? condition : [condition]) as FilterValue[];
    return [{ field, values: [...new Set(values)] }];
  });
}

/** Whether an event can have the value in this field. */
export function canHold(field: FieldLayout, value: unknown): boolean {
  switch (field.kind) {
    case 'f64':
      return typeof value === 'number';
    case 'i32':
      return typeof value === 'number' && (value | 0) === value;
    case 'u32':
      return typeof value === 'number' && value >>> 0 === value;
    case 'u8':
      return typeof value === 'number' && (value & 255) === value;
    case 'i64':
      return typeof value === 'bigint' && BigInt.asIntN(64, value) === value;
    case 'u64':
      return typeof value === 'bigint' && BigInt.asUintN(64, value) === value;
    case 'bool':
      return typeof value === 'boolean';
    case 'enum':
      return typeof value === 'string' && field.members?.includes(value) === true;
    case 'symbol':
      return typeof value === 'string' && value.isWellFormed();
    case 'text':
    case 'bytes':
    case 'any':
      return false;
  }
}

const COMPARABLE_KINDS = FIELD_KINDS.filter((kind) => !isVariableLength(kind));
const ORDERED_KINDS: readonly string[] = ['f64', 'i64', 'u64', 'i32', 'u32', 'u8'];

/** Why the name is not that of a field with which every type can be filtered. */
function fieldMisfit(name: string, types: readonly EventType[], owners: readonly TypeField[]): string | undefined {
  if (owners.length === 0) {
    const names = filterable(types);
    const which = types.length === 1 ? `a field of ${quote(types[0].name)}` : 'a field that every type has and';
    return `${which} that can be compared: ${listNames(names) || 'there is none'}${didYouMean(name, names)}`;
  }
  const lacking = types.filter((type) => !owners.some((owner) => owner.type === type)).map((type) => type.name);
  if (lacking.length > 0) return `a field that every type has; ${listNames(lacking)} lacks it`;
  const opaque = owners.find(({ field }) => isVariableLength(field.kind));
  if (opaque === undefined) return undefined;
  return `a field of a kind that can be compared (${COMPARABLE_KINDS.join(', ')}); in ${quote(opaque.type.name)} it is of kind ${opaque.field.kind}`;
}

function filterable(types: readonly EventType[]): string[] {
  const [first = [], ...others] = types.map((type) =>
    type.fields.filter(({ kind }) => !isVariableLength(kind)).map(({ name }) => name),
  );
  return first.filter((name) => others.every((names) => names.includes(name)));
}

function setProblems(path: readonly string[], set: readonly unknown[], owners: readonly TypeField[]): FilterProblem[] {
  if (set.length === 0) return [{ path, value: set, expected: 'at least one value in the array' }];
  // Array.from, because a hole must be refused like any other undefined.
  const values = Array.from(set, (value, i) => ({ path: [...path, i], value }));
  return valueProblems(path, set, values, owners);
}

/**
 * Types may differ in what their fields hold. A value is wrong if no type has it; and a type of which no event can pass
 * is refused too, because that looks like silence. `condition`, at `path`, is what all the values stand in.
 */
function valueProblems(
  path: readonly string[],
  condition: unknown,
  values: readonly Omit<FilterProblem, 'expected'>[],
  owners: readonly TypeField[],
): FilterProblem[] {
  const unknown = values.filter(({ value }) => !owners.some(({ field }) => canHold(field, value)));
  if (unknown.length > 0) return unknown.map((found) => ({ ...found, expected: expectedBy(owners, found.value) }));
  const silent = owners.find(({ field }) => !values.some(({ value }) => canHold(field, value)));
  if (silent === undefined) return [];
  const expected = `${acceptedBy(silent.field, undefined)}, as ${quote(silent.type.name)} has, or nothing of that type passes`;
  return [{ path, value: condition, expected }];
}

const BOUNDS = ['min', 'max'];

function rangeProblems(path: readonly string[], range: object, owners: readonly TypeField[]): FilterProblem[] {
  const unordered = owners.find(({ field }) => !ORDERED_KINDS.includes(field.kind));
  if (unordered !== undefined || !isPlainObject(range)) {
    const alternatives = unordered === undefined ? 'several in an array, or { min, max }' : 'or several in an array';
    return [{ path, value: range, expected: `${expectedBy(owners, undefined)}, ${alternatives}` }];
  }
  const problems = Object.keys(range)
    .filter((name) => !BOUNDS.includes(name))
    .map((name): FilterProblem => {
      return { path: [...path, name], value: range[name], expected: `min or max${didYouMean(name, BOUNDS)}` };
    });
  const bounds = BOUNDS.filter((name) => range[name] !== undefined);
  for (const name of bounds) {
    const value = range[name];
    const misfits = owners.filter(({ field }) => Number.isNaN(value) || !canHold(field, value));
    if (misfits.length === 0) continue;
    const but = Number.isNaN(value) ? ' other than NaN' : '';
    problems.push({ path: [...path, name], value, expected: `${expectedBy(misfits, value)}${but}` });
  }
  if (problems.length > 0) return problems;
  const { min, max } = range as { min?: number | bigint; max?: number | bigint };
  if (bounds.length === 0) problems.push({ path, value: range, expected: 'min, max or both' });
  else if (min !== undefined && max !== undefined && min > max) {
    problems.push({ path, value: range, expected: 'a min that is not above max' });
  }
  return problems;
}

function expectedBy(owners: readonly TypeField[], value: unknown): string {
  const accepted = new Set(owners.map(({ field }) => acceptedBy(field, value)));
  return [...accepted].join(', or ');
}

function quote(name: string): string {
  return JSON.stringify(name);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
