/**
 * The programs that the pages show. In one section, the blocks with a file name are the files of one program, and its
 * last file is the one that is run; a block without a file name is a program by itself. A program may import the files
 * that stand above it on the same page, as a reader who follows the page has them.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import type { CodeBlock, Page } from './markdown.js';

export interface Program {
  /** Page and line, such as `README.md:40`. */
  readonly name: string;
  /** Its own files and those from above it, by name. */
  readonly files: ReadonlyMap<string, CodeBlock>;
  /** The file to run; undefined for what is compiled only. */
  readonly entry: string | undefined;
  /** What it prints, where the page shows that. */
  readonly output: string | undefined;
  /** Folder for its files, relative to that of all programs. */
  readonly folder: string;
  readonly page: string;
}

const CODE_LANGUAGES = ['ts', 'mts', 'js', 'mjs'];
const OUTPUT_LANGUAGE = 'text';
/** What a page may have code blocks of: each has a check. */
export const LANGUAGES = [...CODE_LANGUAGES, OUTPUT_LANGUAGE, 'sh', 'json'];
/** A program of a page is done in a second or two; one that something keeps alive is ended here, and fails. */
const LIMIT_MS = 20_000;

export function programsOf({ path, blocks }: Page): Program[] {
  const programs: Program[] = [];
  const above = new Map<string, CodeBlock>();
  const add = (entry: string, block: CodeBlock, files: ReadonlyMap<string, CodeBlock>): void => {
    const next = blocks.at(blocks.indexOf(block) + 1);
    programs.push({
      name: `${path}:${block.line}`,
      files,
      entry: block.noRun === undefined ? entry : undefined,
      output: next?.language === OUTPUT_LANGUAGE && next.section === block.section ? next.text : undefined,
      folder: join(path.replace(/[^A-Za-z0-9]+/g, '-'), String(block.line)),
      page: path,
    });
  };
  for (const block of blocks) {
    if (!CODE_LANGUAGES.includes(block.language) || block.declaration !== undefined) continue;
    if (block.file === undefined) {
      const entry = `block.${block.language}`;
      add(entry, block, new Map([...above, [entry, block]]));
      continue;
    }
    above.set(block.file, block);
    const isLast = !blocks.some(
      ({ file, section, line }) => file !== undefined && section === block.section && line > block.line,
    );
    if (isLast) add(block.file, block, new Map(above));
  }
  return programs;
}

export class CompiledPrograms {
  readonly #sources: string;
  readonly #compiled: string;
  readonly #problems = new Map<string, string[]>();

  /**
   * Writes all programs into a folder and compiles them in one go, as strictly as a user's project may.
   * @param folder Emptied first. Lies in this package, so that its programs can import the package by its name.
   */
  constructor(programs: readonly Program[], root: string, folder: string) {
    this.#sources = join(folder, 'source');
    this.#compiled = join(folder, 'compiled');
    rmSync(folder, { recursive: true, force: true });
    const origins = new Map<string, { program: Program; block: CodeBlock }>();
    for (const program of programs) {
      for (const [file, block] of program.files) {
        const path = join(this.#sources, program.folder, file);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, block.text);
        origins.set(path, { program, block });
      }
    }
    const compilation = ts.createProgram([...origins.keys()], {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      rootDir: this.#sources,
      outDir: this.#compiled,
      allowJs: true,
      checkJs: true,
      strict: true,
      noImplicitReturns: true,
      noUncheckedIndexedAccess: true,
      exactOptionalPropertyTypes: true,
      verbatimModuleSyntax: true,
      skipLibCheck: true,
      types: ['node'],
      typeRoots: [join(root, 'node_modules', '@types')],
    });
    for (const diagnostic of [...ts.getPreEmitDiagnostics(compilation), ...compilation.emit().diagnostics]) {
      const message = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n');
      const { file, start } = diagnostic;
      const path = file?.fileName.replaceAll('/', sep) ?? '';
      const origin = origins.get(path);
      if (file === undefined || start === undefined || origin === undefined) {
        throw new Error(`${relative(root, path)}: ${message}`);
      }
      const line = origin.block.line + file.getLineAndCharacterOfPosition(start).line;
      const { name, page } = origin.program;
      this.#problems.set(name, [...(this.#problems.get(name) ?? []), `${page}:${line}: ${message}`]);
    }
  }

  /** What the compiler says about a program, with the lines of its page. */
  problemsOf({ name }: Program): readonly string[] {
    return this.#problems.get(name) ?? [];
  }

  /** Runs a program as compiled. @returns What it printed. Rejects unless it ends by itself with exit code 0. */
  async run({ folder, entry }: Program): Promise<{ stdout: string; stderr: string }> {
    if (entry === undefined) throw new Error('it is compiled only');
    return runNode([entry.replace(/\.(m?)ts$/, '.$1js')], join(this.#compiled, folder));
  }

  /** Runs a file of a program as written. */
  async runSource({ folder }: Program, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    return runNode(args, join(this.#sources, folder));
  }
}

async function runNode(args: readonly string[], cwd: string): Promise<{ stdout: string; stderr: string }> {
  // Vitest's own settings are not those of the reader.
  const env = { ...process.env, NODE_OPTIONS: '' };
  return promisify(execFile)(process.execPath, args, { cwd, env, timeout: LIMIT_MS });
}
