/**
 * `npm run check:package`: the package as it would be published. Packs it into build/package for the tools that look at the
 * tarball after this, tells its size, and fails when something is in it that should not be, or the other way round.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

interface Packed {
  readonly filename: string;
  /** Bytes of the tarball. */
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
}

/** Above what it takes, so that growth is noticed, not forbidden. */
const MAX_PACKED_BYTES = 470_000;
const MAX_UNPACKED_BYTES = 1_750_000;

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const FOLDER = join(ROOT, 'build', 'package');
const WORKER = 'dist/workers/entry.cjs';

const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
const packed = pack();
const inside = new Set(packed.files.map(({ path }) => path));
const imports = new Map(
  [...inside].filter((path) => /\.(c?js|d\.c?ts)$/.test(path)).map((path) => [path, importsOf(path)] as const),
);
const programs = new Map([...imports].filter(([path]) => !/\.d\.c?ts$/.test(path)));

const kB = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
process.stdout.write(`packed ${kB(packed.size)}, unpacked ${kB(packed.unpackedSize)}, ${inside.size} files\n`);

const problems = [...sizeProblems(), ...fileProblems(), ...dependencyProblems(), ...peerProblems()];
for (const problem of problems) process.stderr.write(`${problem}\n`);
if (problems.length > 0) process.exitCode = 1;

function pack(): Packed {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', FOLDER];
  const [result] = JSON.parse(execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8' })) as [Packed];
  renameSync(join(FOLDER, result.filename), join(FOLDER, 'lanebus.tgz'));
  return result;
}

function sizeProblems(): string[] {
  return [
    ...(packed.size > MAX_PACKED_BYTES ? [`packed, it is larger than ${kB(MAX_PACKED_BYTES)}`] : []),
    ...(packed.unpackedSize > MAX_UNPACKED_BYTES ? [`unpacked, it is larger than ${kB(MAX_UNPACKED_BYTES)}`] : []),
  ];
}

/** Each source as compiled and its types, the documents, nothing else: no tests, no maps, nothing left from an older build. */
function fileProblems(): string[] {
  const below = (folder: string): string[] =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length).replaceAll('\\', '/'));
  const built = below('src')
    .filter((path) => /\.c?ts$/.test(path))
    .flatMap((path) => {
      const name = path.replace(/^src/, 'dist');
      return [name.replace(/ts$/, 'js'), name.replace(/(c?ts)$/, 'd.$1')];
    });
  const wanted = new Set(['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', ...below('docs'), ...built]);
  return [
    ...[...inside]
      .filter((path) => !wanted.has(path))
      .map((path) => `${path} should not be in the package (if it is from an older build: npm run prepack)`),
    ...[...wanted].filter((path) => !inside.has(path)).map((path) => `${path} is missing in the package`),
  ];
}

/** What is imported is installed with the package, and what is installed with it is imported. */
function dependencyProblems(): string[] {
  const { dependencies, peerDependencies } = manifest;
  const used = new Set([...programs.values()].flat().map(packageOf));
  const unknown = [...imports].flatMap(([path, specifiers]) =>
    specifiers
      .filter((name) => !name.startsWith('.') && !(isBuiltin(name) && name.startsWith('node:')))
      .filter((name) => !(packageOf(name) in dependencies) && !(packageOf(name) in peerDependencies))
      .map((name) => `${path} imports ${name}, which is no dependency`),
  );
  const idle = [...Object.keys(dependencies), ...Object.keys(peerDependencies)].filter((name) => !used.has(name));
  return [...unknown, ...idle.map((name) => `${name} is a dependency that nothing imports`)];
}

/** A peer is optional: only the entry that has its name comes to it, by whatever way. */
function peerProblems(): string[] {
  const entries = Object.entries(manifest.exports).flatMap(([name, entry]) =>
    typeof entry === 'string' ? [] : [[name, posix.normalize(entry.default)]],
  );
  return [...entries, ['the pool', WORKER]].flatMap(([entry, file]) => {
    const reached = new Set([file]);
    const problems: string[] = [];
    for (const path of reached) {
      const specifiers = programs.get(path);
      if (specifiers === undefined) problems.push(`${path} is imported, but not in the package`);
      for (const name of specifiers ?? []) {
        if (name.startsWith('.')) reached.add(posix.join(posix.dirname(path), name));
        const isPeer = packageOf(name) in manifest.peerDependencies;
        if (isPeer && !entry.includes(name))
          problems.push(`${path}, which ${entry} needs, imports the optional ${name}`);
      }
    }
    return problems;
  });
}

function importsOf(path: string): string[] {
  const { importedFiles } = ts.preProcessFile(readFileSync(join(ROOT, path), 'utf8'), true, true);
  return importedFiles.map(({ fileName }) => fileName);
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}
