/**
 * The page that holds the public interface. Its code blocks, ```` ```ts declaration=NAME ````, are the built declarations;
 * the sentences around are written by hand.
 */
import { commentOf, signatureOf, type PublicName } from './interface.js';

export const INTERFACE_PAGE = 'docs/interface_definitions.md';

const BLOCK = /```ts declaration=(\S+)\n(.*?)```\n/gs;

/** The page with each declaration as it is built now. */
export async function regenerate(page: string, names: readonly PublicName[]): Promise<string> {
  const missing = new Map(names.map((name) => [name.key, name]));
  const signatures = new Map(
    await Promise.all(names.map(async (name) => [name.key, await signatureOf(name)] as const)),
  );
  let text = page.replace(BLOCK, (_, key: string) => {
    const signature = signatures.get(key);
    // A second block of one name goes as well.
    return signature !== undefined && missing.delete(key) ? blockOf(key, signature) : REMOVED;
  });
  // With the sentence that explained it.
  text = text.replace(new RegExp(`(?:^[^\\n#\`|][^\\n]*\\n)+\\n${REMOVED}\\n?|${REMOVED}\\n?`, 'gm'), '');
  for (const name of missing.values()) {
    text = append(text, name, `${firstSentence(name)}\n\n${blockOf(name.key, signatures.get(name.key) ?? '')}`);
  }
  return text;
}

/** No page has a control character. */
const REMOVED = '\u0001';

function blockOf(key: string, signature: string): string {
  return `\`\`\`ts declaration=${key}\n${signature}\`\`\`\n`;
}

/** At the end of what the page has of the name's entry. */
function append(page: string, { entry }: PublicName, addition: string): string {
  const heading = `### From \`${entry}\``;
  const at = page.indexOf(`${heading}\n`);
  if (at < 0) return `${page.trimEnd()}\n\n${heading}\n\n${addition}`;
  const next = page.indexOf('\n#', at + heading.length);
  const end = next < 0 ? page.length : next + 1;
  return `${page.slice(0, end).trimEnd()}\n\n${addition}${next < 0 ? '' : '\n'}${page.slice(end)}`;
}

/** To begin with: of the name's comment. */
function firstSentence({ key, declarations }: PublicName): string {
  const [comment = ''] = declarations.map(commentOf).filter((text) => text !== '');
  return /^.*?[.](?= |$)/.exec(comment)?.[0] ?? `\`${key}\`.`;
}
