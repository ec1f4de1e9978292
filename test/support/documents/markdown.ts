/**
 * What the tests need to know of a Markdown page: its code blocks, tables, headings, links and the names in backticks.
 * Not a Markdown parser: the pages of this project use fences of three backticks and tables with outer bars.
 */

export interface CodeBlock {
  readonly language: string;
  /** From `file=NAME` in the info string: the block is a file of its section's program. */
  readonly file: string | undefined;
  /** From `declaration=NAME`: the block is a built declaration, and compared with it (interface-page.ts). */
  readonly declaration: string | undefined;
  /** From `no-run=REASON`: the block is compiled, never run. */
  readonly noRun: string | undefined;
  /** Other words of the info string: mistyped ones, that is. */
  readonly unknown: readonly string[];
  readonly text: string;
  /** Line of the page on which the code starts, from 1. */
  readonly line: number;
  /** Text of the heading above. */
  readonly section: string;
}

export interface Table {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Link {
  readonly target: string;
  readonly line: number;
}

export interface Page {
  /** From the project's root. */
  readonly path: string;
  readonly blocks: readonly CodeBlock[];
  readonly tables: readonly Table[];
  readonly headings: readonly string[];
  readonly links: readonly Link[];
  /** What stands in single backticks outside of code blocks. */
  readonly names: readonly Link[];
}

const FENCE = '```';
const INFO_WORDS = ['file', 'declaration', 'no-run'];

export function parsePage(path: string, source: string): Page {
  const blocks: CodeBlock[] = [];
  const tables: { header: string[]; rows: string[][] }[] = [];
  const headings: string[] = [];
  const links: Link[] = [];
  const names: Link[] = [];
  const lines = source.split('\n');
  let inTable = false;

  for (let at = 0; at < lines.length; at++) {
    const text = lines[at];
    if (text.startsWith(FENCE)) {
      const end = lines.findIndex((line, index) => index > at && line === FENCE);
      if (end < 0) throw new Error(`${path}:${at + 1}: a code block that is not closed`);
      const [language, ...words] = text.slice(FENCE.length).trim().split(/\s+/);
      const said = new Map(words.map((word): [string, string | undefined] => [word.split('=')[0], word.split('=')[1]]));
      blocks.push({
        language,
        file: said.get('file'),
        declaration: said.get('declaration'),
        noRun: said.has('no-run') ? (said.get('no-run') ?? '') : undefined,
        unknown: [...said.keys()].filter((word) => !INFO_WORDS.includes(word)),
        text: `${lines.slice(at + 1, end).join('\n')}\n`,
        line: at + 2,
        section: headings.at(-1) ?? '',
      });
      at = end;
      inTable = false;
      continue;
    }
    const heading = /^#+ (.+)$/.exec(text)?.[1];
    if (heading !== undefined) headings.push(heading);
    for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) links.push({ target, line: at + 1 });
    for (const [, name] of text.matchAll(/`([^`]+)`/g)) names.push({ target: name, line: at + 1 });

    if (!text.startsWith('|')) {
      inTable = false;
    } else if (!inTable) {
      inTable = true;
      tables.push({ header: cellsOf(text), rows: [] });
    } else if (!/^\|[\s:|-]+\|$/.test(text)) {
      tables.at(-1)?.rows.push(cellsOf(text));
    }
  }
  return { path, blocks, tables, headings, links, names };
}

/** The page's only table whose first column has this title. */
export function tableOf({ path, tables }: Page, title: string): Table {
  const found = tables.filter(({ header }) => header[0] === title);
  if (found.length !== 1) throw new Error(`${path} has ${found.length} tables of "${title}", expected 1`);
  return found[0];
}

/** The rows of a table by their first cell, each as an object of its other cells by column title. */
export function rowsOf({ header, rows }: Table): Map<string, Readonly<Record<string, string>>> {
  const byName = new Map<string, Record<string, string>>();
  for (const [name, ...cells] of rows) {
    if (byName.has(name)) throw new Error(`the table of "${header[0]}" has two rows of ${name}`);
    byName.set(name, Object.fromEntries(cells.map((cell, column) => [header[column + 1], cell])));
  }
  return byName;
}

/** The fragment by which a heading is linked. */
export function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, line.lastIndexOf('|'))
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}
