/** A server of another project, on this machine's loopback for as long as this process lives. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Absence } from './scenario.js';

/** Ends the server when its standard input ends, which it does with this process, however that goes. */
const WATCH = '"$@" & server=$!; cat > /dev/null; kill "$server"; wait "$server"';
const START_LIMIT_MS = 10_000;

export interface Server {
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Starts a program that says on which port it listens, in a line that `ready` captures it from.
 * @param origin Where one gets it, for who does not have it.
 */
export async function startServer(
  command: readonly string[],
  ready: RegExp,
  origin: string,
): Promise<Server | Absence> {
  const [program] = command;
  const probe = spawn('sh', ['-c', 'command -v "$1"', 'sh', program], { stdio: 'ignore' });
  const [code] = (await once(probe, 'close')) as [number | null];
  if (code !== 0) return { absent: `there is no ${program} on this machine: ${origin}` };

  const shell = spawn('sh', ['-c', WATCH, 'sh', ...command], { stdio: ['pipe', 'ignore', 'pipe'] });
  const ended = once(shell, 'close');
  const stop = async (): Promise<void> => {
    shell.stdin.end();
    await ended;
  };
  let told = '';
  const limit = setTimeout(() => shell.stdin.end(), START_LIMIT_MS);
  const lines = createInterface(shell.stderr);
  try {
    for await (const line of lines) {
      told += `${line}\n`;
      const port = ready.exec(line)?.[1];
      if (port === undefined) continue;
      shell.stderr.resume(); // whatever it says later is not to fill the pipe
      return { port: Number(port), stop };
    }
  } finally {
    clearTimeout(limit);
  }
  await stop();
  throw new Error(`${program} has not started\n${told.trim()}`);
}
