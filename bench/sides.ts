/** Two packages of this repository, each in a folder of its own with a copy of this bench, so that `lanebus` is that one. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const ROOT = join(import.meta.dirname, '..', '..');
const run = promisify(execFile);

export async function commitOf(ref: string): Promise<string> {
  try {
    const given = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`];
    const { stdout } = await run('git', given, { cwd: ROOT });
    return stdout.trim();
  } catch (error) {
    throw new Error(`--base ${ref} is no commit of this repository`, { cause: error });
  }
}

/** @param use Gets the folders with the bench of each side, which are there until it has ended. */
export async function withSides<T>(
  commit: string,
  signal: AbortSignal,
  onProgress: (text: string) => void,
  use: (folders: Readonly<Record<'head' | 'base', string>>) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'lanebus-compare-'));
  const source = join(folder, 'source');
  try {
    onProgress(`building ${commit.slice(0, 12)}`);
    await run('git', ['worktree', 'add', '--detach', source, commit], { cwd: ROOT, signal });
    await install(source, signal);
    await build(source, signal);
    return await use({
      head: await makeSide(join(folder, 'head'), ROOT),
      base: await makeSide(join(folder, 'base'), source),
    });
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    await run('git', ['worktree', 'prune'], { cwd: ROOT });
  }
}

async function install(source: string, signal: AbortSignal): Promise<void> {
  const [own, others] = await Promise.all(
    [ROOT, source].map((root) => readFile(join(root, 'package-lock.json'), 'utf8')),
  );
  if (own === others) await symlink(join(ROOT, 'node_modules'), join(source, 'node_modules'));
  else await run('npm', ['ci', '--no-audit', '--no-fund'], { cwd: source, signal });
}

async function build(source: string, signal: AbortSignal): Promise<void> {
  try {
    await run(process.execPath, [join(source, 'node_modules', 'typescript', 'bin', 'tsc'), '-b', 'src'], {
      cwd: source,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    const { stdout } = error as Error & { stdout: string };
    throw new Error(`the base does not build: ${stdout.trim().split('\n')[0]}`, { cause: error });
  }
}

/** Copies, since Node resolves links to where they lead, and `lanebus` from there. */
async function makeSide(side: string, root: string): Promise<string> {
  await mkdir(join(side, 'build'), { recursive: true });
  await cp(join(root, 'package.json'), join(side, 'package.json'));
  await cp(join(root, 'dist'), join(side, 'dist'), { recursive: true });
  for (const name of ['bench', 'examples']) {
    await cp(join(ROOT, 'build', name), join(side, 'build', name), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(side, 'node_modules'));
  // The feed's day lies beside the repository.
  const shared = join(ROOT, '..', 'shared');
  const beside = join(side, '..', 'shared');
  if (existsSync(shared) && !existsSync(beside)) await symlink(shared, beside);
  return join(side, 'build', 'bench');
}
