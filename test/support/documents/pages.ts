/** The project's pages and its manifest, as they are on disk. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parsePage, type Page } from './markdown.js';

/** Vitest runs the sources, npm scripts what they are compiled to: both are started in the project's root. */
export const ROOT = process.cwd();

export const readText = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
export const pageAt = (path: string): Page => parsePage(path, readText(path));
export const filesBelow = (folder: string, ending: RegExp): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => ending.test(file))
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`);

export const pages: readonly Page[] = [
  'README.md',
  'CONTRIBUTING.md',
  'CHANGELOG.md',
  'native-bench/README.md',
  ...filesBelow('docs', /\.md$/),
].map(pageAt);

export const manifest = JSON.parse(readText('package.json')) as {
  readonly name: string;
  readonly version: string;
  readonly bin: { readonly lanebus: string };
  readonly scripts: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
};
