/**
 * Declarative filters on the handler's thread: conditions on fields, tested in shared memory before an event is decoded.
 * Every record of the type is tested, most of them in vain, so a test is generated as source, as the codec is: closures
 * over the conditions took 2 to 3 times as long. It allocates nothing: 64-bit integers are compared as two words, since
 * reading a bigint allocates it.
 */
import type { EventType, FieldLayout } from './catalog.js';
import { instantiate } from './codec.js';
import { canHold, type FieldCondition, type FilterSpec, type FilterValue } from './filter-checks.js';
import type { Memory } from './memory.js';
import { SymbolMemo } from './symbol-memo.js';
import type { SymbolReader } from './symbols.js';

export { filterProblems, normaliseFilter, type FilterSpec } from './filter-checks.js';

/** Whether the record with its payload at byte `at` passes. */
export type RecordTest = (memory: Memory, at: number) => boolean;

/**
 * The test of a type's records.
 * @param filter Has no problems with this type.
 * @param symbols Reads the table of the thread whose records these are.
 */
export function compileFilter(type: EventType, filter: FilterSpec, symbols: SymbolReader): RecordTest {
  const scope: Record<string, unknown> = { isMember };
  const tests = filter.map((condition, i) => {
    const field = type.fields.find(({ name }) => name === condition.field);
    if (field === undefined) return 'return false;';
    const absent = field.optional ? `(u8[at + ${field.presenceOffset}] & ${field.presenceMask}) === 0 || ` : '';
    const { operand, holds } = testField(field, condition, i, scope, symbols);
    return `${operand}\n  if (${absent}!(${holds})) return false;`;
  });
  const source = `'use strict';
return (memory, at) => {
  const f64 = memory.f64, i32 = memory.i32, u32 = memory.u32, u8 = memory.u8;
  const at8 = at >> 3, at4 = at >> 2;
  ${tests.join('\n  ')}
  return true;
};`;
  return instantiate(source, scope, `filter-${type.index}`) as RecordTest;
}

/** From about this many values on, a search (10 ns) beats a chain of comparisons. */
const LONG_SET = 24;

/** Source of one condition; only numbers enter it. An absent field's place has anything in it, which is read in vain. */
interface TestSource {
  /** Declares what is compared: `v0`, or the words `h0` and `v0` of a 64-bit integer. */
  readonly operand: string;
  readonly holds: string;
}

function testField(
  field: FieldLayout,
  condition: FieldCondition,
  i: number,
  scope: Record<string, unknown>,
  symbols: SymbolReader,
): TestSource {
  if (field.kind === 'symbol') {
    const names = new Set<unknown>('values' in condition ? condition.values : []);
    scope[`passing${i}`] = new SymbolMemo(symbols, (name) => (names.has(name) ? 1 : 0));
    // Looked up only where it is present: what lies in an absent one's place is no symbol of the table.
    return { operand: '', holds: `passing${i}.of(i32[at4 + ${field.offset >> 2}]) === 1` };
  }
  const isWide = field.kind === 'i64' || field.kind === 'u64';
  const operand = isWide ? readWords(field, i) : `const v${i} = ${readNumber(field)};`;
  if (!('values' in condition)) {
    const min = condition.min === undefined ? 'true' : bound('>', i, isWide, wordsOf(field, condition.min));
    const max = condition.max === undefined ? 'true' : bound('<', i, isWide, wordsOf(field, condition.max));
    return { operand, holds: `${min} && ${max}` };
  }
  const holdable = condition.values.filter((value) => canHold(field, value));
  const values = holdable.filter((value) => !Number.isNaN(value)).map((value) => wordsOf(field, value));
  const alternatives = values.map(([high, low]) =>
    isWide ? `(h${i} === ${high} && v${i} === ${low})` : `v${i} === ${low}`,
  );
  if (values.length >= LONG_SET) {
    values.sort(([high, low], [otherHigh, otherLow]) => high - otherHigh || low - otherLow);
    scope[`set${i}`] = Float64Array.from(values.flat());
    alternatives.splice(0, values.length, `isMember(set${i}, ${isWide ? `h${i}` : 0}, v${i})`);
  }
  if (values.length < holdable.length) alternatives.push(`v${i} !== v${i}`);
  return { operand, holds: alternatives.join(' || ') || 'false' };
}

/** Which of a 64-bit integer's two words in memory is the lower. */
const LOW_WORD = new Int32Array(BigInt64Array.of(1n).buffer)[0] === 1 ? 0 : 1;

function readWords(field: FieldLayout, i: number): string {
  const word = field.offset >> 2;
  const high = field.kind === 'i64' ? 'i32' : 'u32';
  return `const h${i} = ${high}[at4 + ${word + 1 - LOW_WORD}], v${i} = u32[at4 + ${word + LOW_WORD}];`;
}

function readNumber(field: FieldLayout): string {
  switch (field.kind) {
    case 'f64':
      return `f64[at8 + ${field.offset >> 3}]`;
    case 'i32':
    case 'u32':
      return `${field.kind}[at4 + ${field.offset >> 2}]`;
    default:
      return `u8[at + ${field.offset}]`;
  }
}

function bound(beyond: '<' | '>', i: number, isWide: boolean, [high, low]: Words): string {
  const inside = `v${i} ${beyond}= ${low}`;
  return isWide ? `(h${i} ${beyond} ${high} || (h${i} === ${high} && ${inside}))` : inside;
}

/** A value as numbers that compare as it does, the higher first; one that fits a number has 0 there. */
type Words = readonly [high: number, low: number];

function wordsOf(field: FieldLayout, value: FilterValue): Words {
  switch (typeof value) {
    case 'bigint':
      return [Number(value >> 32n), Number(value & 0xffff_ffffn)];
    case 'string':
      return [0, field.members?.indexOf(value) ?? -1];
    default:
      return [0, Number(value)];
  }
}

/** Whether the words are in a sorted list of pairs. Searched, because a Set would box every number that it is asked for. */
function isMember(pairs: Float64Array, high: number, low: number): boolean {
  let from = 0;
  let to = pairs.length >> 1;
  while (from < to) {
    const middle = (from + to) >>> 1;
    const candidate = pairs[2 * middle];
    if (candidate < high || (candidate === high && pairs[2 * middle + 1] < low)) from = middle + 1;
    else to = middle;
  }
  return pairs[2 * from] === high && pairs[2 * from + 1] === low;
}
