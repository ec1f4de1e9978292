/**
 * Runs the suite against one build of the package, until a case fails: `node child.js FOLDER BACKEND PATIENCE_MS FIRST…`. The
 * cases whose titles have one of the texts FIRST come first. It tells its parent of each case before it starts.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What a child tells: which case runs now, and in the end how it went. */
export type Told = { readonly runs: string } | { readonly failed: string | undefined; readonly cases: number };

const [folder, name, patienceMs, ...first] = process.argv.slice(2);
const load = (file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href);
const { backends } = (await load('main/index.js')) as typeof import('lanebus');
const { conformanceCases } = (await load('testing/index.js')) as typeof import('lanebus/testing');

const tell = (told: Told): Promise<void> =>
  new Promise((resolve) => {
    process.send?.(told, undefined, undefined, () => {
      resolve();
    });
  });

const backend = backends[name as keyof typeof backends];
const all = conformanceCases(backend.capabilities);
const isFirst = ({ title }: { title: string }): boolean => first.some((text) => title.includes(text));
const cases = [...all.filter(isFirst), ...all.filter((one) => !isFirst(one))];

let failed: string | undefined;
for (const one of cases) {
  await tell({ runs: one.title });
  try {
    await one.run(backend, { patienceMs: Number(patienceMs) });
  } catch (error) {
    failed = String(error);
    break;
  }
}
await tell({ failed, cases: cases.length });
process.exit();
