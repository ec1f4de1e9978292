// Makes the bundles with the very programs that the package's page shows, into folders without any node_modules.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const here = import.meta.dirname;
const lanebus = dirname(createRequire(import.meta.url).resolve('lanebus/package.json'));
const page = readFileSync(join(lanebus, 'docs', 'bundling.md'), 'utf8');
const programs = [...page.matchAll(/^```js file=(\S+).*?\n(.*?)^```$/gms)];
if (programs.length !== 2) throw new Error(`docs/bundling.md shows ${programs.length} programs, not 2`);
for (const [, file, text] of programs) {
  writeFileSync(join(here, file), text);
  process.stdout.write(execFileSync(process.execPath, [file], { cwd: here, encoding: 'utf8' }));
}
