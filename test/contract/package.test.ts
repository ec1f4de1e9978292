// What a user's tools may rely on: both ways to load the package, no effect of loading it, bundles without what is unused.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const { exports } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  exports: Record<string, unknown>;
};
const ENTRIES = Object.keys(exports)
  .filter((path) => !path.endsWith('.json'))
  .map((path) => path.replace(/^\./, 'lanebus'));

/** Runs a program in a process of its own, which has to end by itself. @returns The JSON that it prints. */
function run(type: 'module' | 'commonjs', source: string): unknown {
  const args = [`--input-type=${type}`, '--no-warnings', '--eval', source];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8', timeout: 20_000 }));
}

describe.each(ENTRIES)('%s', (entry) => {
  it('can be required, as no module behind it awaits anything at its top', () => {
    const names = 'process.stdout.write(JSON.stringify(Object.keys(entry).sort()));';
    const required = run('commonjs', `const entry = require('${entry}'); ${names}`);
    expect(required).toEqual(run('module', `import * as entry from '${entry}'; ${names}`));
    expect(required).not.toEqual([]);
  });

  it('leaves nothing behind when it is imported', () => {
    // Looked at when nothing keeps the process alive, before and after: msgpackr asks the file system something first.
    const program = `
      import { createHook } from 'node:async_hooks';
      const open = new Map();
      createHook({ init: (id, type) => open.set(id, type), destroy: (id) => open.delete(id) }).enable();
      const look = () => ({
        // What is collected some time: promises, and the files of modules, which are closed.
        open: [...open.values()].filter((type) => type !== 'PROMISE' && type !== 'FILEHANDLE'),
        listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
        prototypes: [Object, Array, Function, Promise, Error, Map].map(({ prototype }) => Reflect.ownKeys(prototype).length),
        globals: Reflect.ownKeys(globalThis).map(String),
        environment: Object.keys(process.env),
      });
      void [process.stdout, process.stderr];
      const looks = [];
      process.on('beforeExit', async () => {
        looks.push(look());
        if (looks.length === 1) await import('${entry}');
        if (looks.length === 2) process.stdout.write(JSON.stringify(looks));
      });
    `;
    const [before, after] = run('module', program) as [Record<'globals', string[]>, Record<'globals', string[]>];
    // Of zod and lmdb, which are one for a process whoever imports them.
    const globals = after.globals.filter((name) => !/^__(zod|lmdb)_/.test(name));
    expect({ ...after, globals }).toEqual(before);
  });

  it('is left out of a bundle that uses nothing of it', async () => {
    expect(await bundled(`import '${entry}';`)).toEqual([]);
  });
});

it('a bundle that uses one name has its module only', async () => {
  expect(await bundled(`import { u32 } from 'lanebus'; console.log(u32());`)).toEqual(['dist/shared/fields.js']);
});

/** The modules of which something is in the bundle of a program, besides the program. */
async function bundled(contents: string): Promise<string[]> {
  const { metafile } = await build({
    stdin: { contents, resolveDir: ROOT, sourcefile: 'program.js' },
    absWorkingDir: ROOT,
    bundle: true,
    external: ['lmdb'],
    platform: 'node',
    format: 'esm',
    metafile: true,
    write: false,
    logLevel: 'error',
  });
  return Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.keys(inputs).filter((name) => name !== 'program.js' && inputs[name].bytesInOutput > 0),
  );
}
