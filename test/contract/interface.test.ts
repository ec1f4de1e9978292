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
  const blockOf = (key: string): string => `\`\`\`ts declaration=${key}\n${built.get(key) ?? ''}\`\`\`\n`;

  it('writes a changed declaration anew, and leaves the sentences alone', async () => {
    const changed = source.replace('stop(options?: StopOptions)', 'stop(timeoutMs?: number)');
    expect(changed).not.toBe(source);
    expect(await regenerate(changed, names)).toBe(source);
  });

  it('takes a name away that is exported no more, with its sentence', async () => {
    const block = 'It was.\nAnd it was said.\n\n```ts declaration=Gone\nexport interface Gone {}\n```\n\n';
    for (const before of ['### Metrics\n', 'What `metrics` returns']) {
      const [head, tail] = source.split(before);
      expect(await regenerate(`${head}${block}${before}${tail}`, names)).toBe(source);
    }
  });

  it('keeps one of two blocks of a name', async () => {
    expect(await regenerate(`${source}\nAgain.\n\n${blockOf('Cause')}`, names)).toBe(`${source}\n`);
  });

  it('adds a new name under its entry, with the first sentence of its comment', async () => {
    const [, sentence] = /\n\n([^\n]+)\n\n```ts declaration=LogLevel\n/.exec(source) ?? [];
    const without = source.replace(`${sentence}\n\n${blockOf('LogLevel')}\n`, '');
    expect(without).not.toBe(source);
    const added = `### From \`lanebus\`\n\nThe least that is logged; \`'silent'\` = nothing.\n\n${blockOf('LogLevel')}`;
    expect(await regenerate(without, names)).toBe(`${without}\n${added}`);
    const next = '## Another section\n\nIts text.\n';
    const twice = await regenerate(`${without}\n### From \`lanebus\`\n\n${next}`, names);
    expect(twice).toBe(`${without}\n${added}\n${next}`);
  });
});
