import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { moduleUrl, PATIENCE_MS } from './buses.js';
import { fileURLToPath } from 'node:url';

export interface Ended {
  readonly code: number | null;
  readonly errors: string;
  /** One JSON value a line. */
  readonly lines: readonly unknown[];
}

/** Runs a program of test/support/handlers/programs until it ends by itself; one that does not is killed after a while. */
export async function runProgram(name: string, args: readonly string[], flags: readonly string[] = []): Promise<Ended> {
  const path = fileURLToPath(moduleUrl(`programs/${name}`));
  const program = spawn(process.execPath, [...flags, path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const late = setTimeout(() => program.kill('SIGKILL'), PATIENCE_MS);
  let output = '';
  let errors = '';
  program.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  program.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const [code] = (await once(program, 'close')) as [number | null];
  clearTimeout(late);
  const lines = output.trim() === '' ? [] : output.trim().split('\n');
  return { code, errors, lines: lines.map((line) => JSON.parse(line) as unknown) };
}
