import { inspect } from 'node:util';
import { closest, distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { ErrorCode, LanebusError } from '../shared/errors.js';

/** The longest delay of a Node timer (2^31 - 1 ms, almost 25 days): a longer one would fire at once. */
export const MAX_TIMER_MS = 2_147_483_647;

export function grouped(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: 20 });
}

/** An object whose options may all be left out. Its error text lists its options: `describe` finds the nearest name there. */
export function section<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape, { error: () => Object.keys(shape).join(', ') }).partial();
}

export function orFalse<S extends z.ZodType>(schema: S, expected: string) {
  return z.union([z.literal(false), schema], { error: expected });
}

export function integer(unit: string, min: number, max: number, note = '') {
  const error = `an integer of ${unit} from ${grouped(min)} to ${grouped(max)}${note}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
}

/** What is accepted, for whoever says it in units of so many of the option's own: configuration by key has seconds. */
export type ExpectedIn = (unit: string, size: number) => string;

export function duration(min = 0, max = MAX_TIMER_MS, note = '') {
  const expectedIn: ExpectedIn = (unit, size) =>
    `a number of ${unit} from ${grouped(min / size)} to ${grouped(max / size)}${note}`;
  return z.custom<number>((value) => typeof value === 'number' && value >= min && value <= max, {
    error: expectedIn('ms', 1),
    params: { expectedIn },
  });
}

/** What was given, without the options that were given as undefined. */
export function withoutUndefined<T extends object>(given: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/** What breaks a rule, as one line of the error. */
export interface Problem {
  readonly path: readonly PropertyKey[];
  readonly value: unknown;
  readonly expected: string;
  /** Of durations. */
  readonly expectedIn?: ExpectedIn | undefined;
  readonly line: string;
}

export function problem(path: readonly PropertyKey[], value: unknown, expected: string): Problem {
  return { path, value, expected, line: `${formatPath(path)}: got ${formatValue(value)}; expected ${expected}` };
}

/** All problems of one value against its schema, each as `path: got VALUE; expected WHAT`. A rule that fails twice is one line. */
export function findProblems(schema: z.ZodType, value: unknown): Problem[] {
  const result = schema.safeParse(value);
  if (result.success) return [];
  const byLine = new Map<string, Problem>();
  for (const found of result.error.issues.flatMap((issue) => describe(issue, [], value))) byLine.set(found.line, found);
  return [...byLine.values()];
}

export function throwProblems(problems: readonly Problem[], what: string): void {
  const lines = problems.map(({ line }) => line);
  throwLines(lines, `the options of ${what}`);
}

export function throwLines(lines: readonly string[], where: string): void {
  if (lines.length === 0) return;
  const head = `${lines.length} ${lines.length === 1 ? 'problem' : 'problems'} in ${where}`;
  throw new LanebusError(ErrorCode.OPTIONS, [head, ...lines].join('\n'));
}

/** `", did you mean …"` when one of the names is a likely misspelling of the name given, else nothing. */
export function didYouMean(name: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const nearest = closest(name, names);
  return distance(name, nearest) <= Math.min(2, (name.length - 1) / 2) ? `; did you mean "${nearest}"?` : '';
}

function describe(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[], root: unknown): Problem[] {
  const path = [...prefix, ...issue.path];
  const value = valueAt(root, path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const names = issue.message.split(', ');
      return issue.keys.map((key) =>
        problem([...path, key], valueAt(value, [key]), `a known option, the nearest is "${closest(key, names)}"`),
      );
    }
    case 'invalid_union': {
      // The alternative that got past the value's own type is the one that was meant: its issues say more.
      const meant = issue.errors.find((issues) =>
        issues.every(({ code, path: inner }) => inner.length > 0 || code === 'unrecognized_keys'),
      );
      if (meant !== undefined) return meant.flatMap((inner) => describe(inner, path, root));
      return [problem(path, value, issue.message)];
    }
    case 'invalid_key':
      return [problem(path, path.at(-1), issue.issues[0].message)];
    case 'invalid_type':
      // Only a section's own text is a list of names.
      if (issue.expected === 'object') return [problem(path, value, `an object of: ${issue.message}`)];
      return [problem(path, value, issue.message)];
    case 'custom':
      return [
        { ...problem(path, value, issue.message), expectedIn: issue.params?.expectedIn as ExpectedIn | undefined },
      ];
    default:
      return [problem(path, value, issue.message)];
  }
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], root);
}

export function formatPath(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'options';
  return path
    .map((key, at) => {
      if (typeof key === 'string' && /^[A-Za-z_$][\w$]*$/.test(key)) return at === 0 ? key : `.${key}`;
      return typeof key === 'string' ? `[${JSON.stringify(key)}]` : `[${String(key)}]`;
    })
    .join('');
}

/** One line, whatever the value is: an error's stack or a long text must not break the list of problems. */
export function formatValue(value: unknown): string {
  const text = inspect(value, { depth: 1, breakLength: Infinity, maxArrayLength: 5, maxStringLength: 60 });
  const line = text.replace(/\s+/g, ' ');
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}
