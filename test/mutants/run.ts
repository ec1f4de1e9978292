/** The suite against one build, in a process of its own that may die or hang. */
import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { backends } from 'lanebus';
import type { Told } from './child.js';
import { copyOf, type Mutant } from './mutant.js';

/** How a build was found out: a case has failed, or its process has died or hung in it. */
export type Verdict = 'failed' | 'crashed' | 'hung' | 'survived' | 'does not load';

export interface Result {
  readonly verdict: Verdict;
  /** The case that found it, by its title. */
  readonly by: string | undefined;
  /** What it said, or how the process has ended. */
  readonly why: string | undefined;
  readonly ms: number;
}

const CHILD = fileURLToPath(new URL('child.js', import.meta.url));
/** How long a case waits for what must happen, in ms: on an idle machine all that does is there after a tenth of that. */
const PATIENCE_MS = { inline: 2_000, parallel: 4_000 } as const;
/** A case gives up by itself after three times its patience, and its buses stop after that: who tells nothing then, hangs. */
const HANGS_AFTER_PATIENCES = 5;

/** @param mutant None: the build as it is. */
export async function run(name: keyof typeof backends, mutant?: Mutant): Promise<Result> {
  const begun = performance.now();
  const folder = copyOf(mutant?.id ?? `none-${name}`, mutant);
  try {
    const first = [mutant?.tryFirst, mutant?.rule].filter((text) => text !== undefined);
    return { ...(await outcomeOf(folder, name, first)), ms: Math.round(performance.now() - begun) };
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function outcomeOf(folder: string, name: keyof typeof backends, first: readonly string[]): Promise<Omit<Result, 'ms'>> {
  const patienceMs = PATIENCE_MS[name];
  const child = fork(CHILD, [folder, name, String(patienceMs), ...first], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let by: string | undefined;
  let last = '';
  child.stderr?.on('data', (text: Buffer) => (last = (last + text.toString()).slice(-1_000)));
  return new Promise((resolve) => {
    let limit: NodeJS.Timeout | undefined;
    const end = (verdict: Verdict, why?: string): void => {
      clearTimeout(limit);
      child.kill('SIGKILL');
      resolve({ verdict, by: verdict === 'survived' ? undefined : by, why });
    };
    const watch = (): void => {
      clearTimeout(limit);
      limit = setTimeout(end, HANGS_AFTER_PATIENCES * patienceMs, 'hung');
    };
    watch();
    child.on('message', (told: Told) => {
      watch();
      if ('runs' in told) by = told.runs;
      else if (told.failed === undefined) end('survived');
      else end('failed', told.failed);
    });
    child.once('error', (error) => {
      end('does not load', error.message);
    });
    child.once('exit', (code, signal) => {
      const why = /^\w*Error.*$/m.exec(last)?.[0] ?? `exit code ${code}, signal ${signal}`;
      end(by === undefined ? 'does not load' : 'crashed', why);
    });
  });
}
