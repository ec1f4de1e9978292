/** A server of another project, on this machine alone, for as long as this process lives. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Absence } from './scenario.js';

/**
 * Ends the server when its standard input ends, which it does with this process, however that goes. Then nothing is left of
 * the server's folder, either.
 */
const WATCH =
  'folder=$1; shift; "$@" 2>&1 & server=$!; cat > /dev/null; kill "$server"; wait "$server"; rm -rf "$folder"';
const START_LIMIT_MS = 10_000;

export interface Server {
  /** Its working folder, which is removed in the end. */
  readonly folder: string;
  /** What the line was that said that it is ready. */
  readonly ready: RegExpExecArray;
  readonly stop: () => Promise<void>;
}

/**
 * Starts a program that says when it is ready.
 * @param origin The package that one gets it from.
 */
export async function startServer(
  command: readonly string[],
  readyLine: RegExp,
  origin: string,
): Promise<Server | Absence> {
  const [program] = command;
  const probe = spawn('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' });
  const [code] = (await once(probe, 'close')) as [number | null];
  if (code !== 0) return { absent: `${program} is not installed: apt-get install ${origin}` };

  const folder = await mkdtemp(join(tmpdir(), `lanebus-bench-${program}-`));
  const shell = spawn('sh', ['-c', WATCH, 'sh', folder, ...command], {
    cwd: folder,
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true, // who kills this process with all of its group leaves the watch to do its work
  });
  const ended = once(shell, 'close');
  const stop = async (): Promise<void> => {
    shell.stdin.end();
    await ended;
  };
  let told = '';
  const limit = setTimeout(() => shell.stdin.end(), START_LIMIT_MS);
  const lines = createInterface(shell.stdout);
  try {
    for await (const line of lines) {
      told += `${line}\n`;
      const ready = readyLine.exec(line);
      if (ready === null) continue;
      shell.stdout.resume(); // whatever it says later is not to fill the pipe
      return { folder, ready, stop };
    }
  } finally {
    clearTimeout(limit);
  }
  await stop();
  throw new Error(`${program} has not started\n${told.trim()}`);
}
