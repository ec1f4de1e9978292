/** What a mutant is, and how a build of the package is made one. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { backends } from 'lanebus';

/** One rule, broken at one place in the built package. */
export interface Mutant {
  /** What the package does then, in a few words. */
  readonly id: string;
  /** The sentence of docs/contract.md that is broken, word by word. Its cases are tried first. */
  readonly rule: string;
  /** In `dist`. */
  readonly file: string;
  /** Found there exactly once, as it is built. */
  readonly text: string;
  readonly becomes: string;
  /** What it is run on. Default: `inline`, which is fast; where it says `parallel`, only threads show it. */
  readonly backend?: keyof typeof backends;
  /** Text in the titles of cases that are tried first, where those of the rule are not the ones that find it. */
  readonly tryFirst?: string;
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const BUILT = join(ROOT, 'dist');
/** Within the repository: there Node finds what the package depends on. */
const COPIES = join(ROOT, 'build', 'mutants');

/** What is wrong with mutants: one line for each problem. */
export function problemsOf(mutants: readonly Mutant[], sentences: ReadonlySet<string>): string[] {
  const ids = new Set<string>();
  return mutants.flatMap(({ id, rule, file, text, becomes }) => {
    const problems: string[] = [];
    if (ids.has(id)) problems.push('another mutant has this id');
    ids.add(id);
    if (!sentences.has(rule)) problems.push(`its rule is no sentence of docs/contract.md: "${rule}"`);
    const found = textOf(file)?.split(text).length;
    if (found === undefined) problems.push(`there is no dist/${file}`);
    else if (found !== 2) problems.push(`expected its text once in dist/${file}, found ${found - 1}: ${text}`);
    if (text === becomes) problems.push('its text becomes itself');
    return problems.map((problem) => `mutant ${id}: ${problem}`);
  });
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(join(BUILT, file), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Copies the package as it is built, and changes the copy; all files, since handler modules and threads load their own. */
export function copyOf(name: string, mutant?: Mutant): string {
  const copy = join(COPIES, name);
  rmSync(copy, { recursive: true, force: true });
  cpSync(BUILT, copy, { recursive: true, filter: (path) => extname(path) !== '.ts' });
  if (mutant !== undefined) {
    const { file, text, becomes } = mutant;
    const path = join(copy, file);
    // A function: `$` has no meaning in what it returns.
    writeFileSync(
      path,
      readFileSync(path, 'utf8').replace(text, () => becomes),
    );
  }
  return copy;
}
