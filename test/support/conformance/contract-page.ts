/** docs/contract.md as the suite sees it: the sentences that are promises, under their headings. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { backends, type BackendCapabilities } from 'lanebus';

const CONTRACT = 'docs/contract.md';
export const CAPABILITIES = 'Capabilities';

export interface Promised {
  readonly sentence: string;
  readonly section: string;
  /** The capability whose list it stands in. */
  readonly needs: string | undefined;
}

export function contractText(): string {
  // Compiled, this file is two folders further down.
  const root = import.meta.url.includes('/build/') ? '../../../../' : '../../../';
  return readFileSync(fileURLToPath(new URL(`${root}${CONTRACT}`, import.meta.url)), 'utf8');
}

/**
 * Every sentence of every list. A sentence ends with a full stop before a space, or at the end of its item. A list that
 * follows "With `NAME`:" is promised with that capability.
 */
export function sentencesOf(text: string): readonly Promised[] {
  const found: Promised[] = [];
  let section = '';
  let needs: string | undefined;
  for (const block of text.replaceAll(/^```[^]*?^```$/gm, '').split(/\n{2,}|\n(?=- )/)) {
    const line = block.replaceAll(/\s+/g, ' ').trim();
    const heading = /^#+ (.+)$/.exec(line)?.[1];
    if (heading !== undefined) [section, needs] = [heading, undefined];
    else if (!line.startsWith('- ')) needs = /^With `(\w+)`:$/.exec(line)?.[1];
    else for (const sentence of line.slice(2).split(/(?<=\.) /)) found.push({ sentence, section, needs });
  }
  return found;
}

/** What each backend that comes with Lanebus can do, as the page has it. */
export function capabilityTable(): string[][] {
  const all = Object.values(backends);
  const names = Object.keys(all[0].capabilities) as (keyof BackendCapabilities)[];
  return [
    ['Capability', ...all.map(({ name }) => `\`${name}\``)],
    ...names.map((name) => [`\`${name}\``, ...all.map(({ capabilities }) => (capabilities[name] ? 'yes' : 'no'))]),
  ];
}
