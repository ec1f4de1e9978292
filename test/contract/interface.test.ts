/** docs/interface_definitions.md holds the public interface as it is built, and one command brings it up to date. */
import { beforeAll, describe, expect, it } from 'vitest';
import { type PublicName, publicNames, signatureOf } from '../support/documents/interface.js';
import { INTERFACE_PAGE, regenerate } from '../support/documents/interface-page.js';
import { pageAt, readText } from '../support/documents/pages.js';

const source = readText(INTERFACE_PAGE);
const declared = pageAt(INTERFACE_PAGE).blocks.flatMap(({ declaration, text, line }) =>
  declaration === undefined ? [] : [{ key: declaration, text, line }],
);
let names: readonly PublicName[];
let built: ReadonlyMap<string, string>;

beforeAll(async () => {
  names = publicNames();
  built = new Map(await Promise.all(names.map(async (name) => [name.key, await signatureOf(name)] as const)));
});

describe('the page of the interface', () => {
  it('has every name that can be imported, once, in its section 2.13', () => {
    expect(declared.map(({ key }) => key).sort()).toEqual([...built.keys()].sort());
    const section = source.split('\n').indexOf('## 2.13 Interface: EventBus');
    expect(section).toBeGreaterThan(0);
    expect(declared[0].line).toBeGreaterThan(section);
  });

  it('has each signature as it is built', () => {
    expect(Object.fromEntries(declared.map(({ key, text }) => [key, text]))).toEqual(Object.fromEntries(built));
  });

  it('says something about each', () => {
    const lines = source.split('\n');
    // The line of the code is counted from 1; above it are its fence, an empty line, and the sentence.
    for (const { key, line } of declared) expect(lines[line - 4], key).toMatch(/^[^#`|].*[.:]$/);
  });

  it('is what npm run docs:interface would write', async () => {
    expect(await regenerate(source, names)).toBe(source);
  });
});

describe('npm run docs:interface', () => {
  const some = (...keys: string[]): PublicName[] => names.filter(({ key }) => keys.includes(key));
  const blockOf = (key: string): string => `\`\`\`ts declaration=${key}\n${built.get(key) ?? ''}\`\`\`\n`;
  const head = '# Page\n\n## 2.13 Interface: EventBus\n\n### Reports\n';
  const reports = () =>
    `${head}\nOf drain,\nthat is.\n\n${blockOf('DrainReport')}\nOf stop.\n\n${blockOf('StopReport')}`;
  const both = () => some('DrainReport', 'StopReport');

  it('leaves a page alone that says how things are', async () => {
    expect(await regenerate(reports(), both())).toBe(reports());
  });

  it('writes a changed declaration anew, and leaves the sentences alone', async () => {
    const changed = reports().replace('durationMs: number', 'durationMs: bigint');
    expect(changed).not.toBe(reports());
    expect(await regenerate(changed, both())).toBe(reports());
  });

  it('takes a name away that is exported no more, with its sentence', async () => {
    expect(await regenerate(reports(), some('StopReport'))).toBe(`${head}\nOf stop.\n\n${blockOf('StopReport')}`);
    expect(await regenerate(reports(), some('DrainReport'))).toBe(
      `${head}\nOf drain,\nthat is.\n\n${blockOf('DrainReport')}\n`,
    );
  });

  it('keeps the first of two blocks of a name', async () => {
    expect(await regenerate(`${reports()}\nAgain.\n\n${blockOf('StopReport')}`, both())).toBe(`${reports()}\n`);
  });

  it('adds a new name under its entry, with the first sentence of its comment', async () => {
    const level = `The least that is logged; \`'silent'\` = nothing.\n\n${blockOf('LogLevel')}`;
    const cause = `Which event a derived event comes from: its place in its own lane.\n\n${blockOf('Cause')}`;
    const once = await regenerate(reports(), [...both(), ...some('LogLevel')]);
    expect(once).toBe(`${reports()}\n### From \`lanebus\`\n\n${level}`);
    const next = '\n## Another section\n\nIts text.\n';
    const twice = await regenerate(`${once}${next}`, [...both(), ...some('LogLevel', 'Cause')]);
    expect(twice).toBe(`${once}\n${cause}${next}`);
  });

  it('gives another entry a place of its own', async () => {
    const key = 'lanebus/dead-letters-lmdb#LmdbDeadLetterOptions';
    const page = await regenerate(reports(), [...both(), ...some(key)]);
    expect(page).toBe(
      `${reports()}\n### From \`lanebus/dead-letters-lmdb\`\n\nThe options of \`lmdbDeadLetters\`.\n\n${blockOf(key)}`,
    );
  });
});
