/** The API reference, `npm run docs:api`: of every entry point that the package exports, without a name that is not explained. */
import { readFileSync } from 'node:fs';

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  name: 'Lanebus',
  // From `dist/main/index.d.ts` to the source that it is built from.
  entryPoints: Object.values(exports)
    .filter(({ types }) => types !== undefined)
    .map(({ types }) => types.replace(/^\.\/dist\/(.*)\.d\.ts$/, 'src/$1.ts')),
  tsconfig: 'src/tsconfig.json',
  out: 'build/api',
  readme: 'none',
  disableSources: true,
  githubPages: false,
  // For the compiler only: what they come to is shown where they are used.
  intentionallyNotExported: ['Checked', 'DefinitionsOf', 'EventObject', 'FilterableValue', 'MergedDefinitions'],
  validation: { notExported: true, invalidLink: true, invalidPath: true, notDocumented: true },
  treatWarningsAsErrors: true,
};
