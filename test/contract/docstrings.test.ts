/**
 * What the comments of the public interface have to say: an effect, whether it waits, and of an option its unit, its range
 * and its default. The errors are in documented-errors.test.ts; that nothing is left without a comment, `npm run docs:api`
 * checks.
 */
import { describe, expect, it } from 'vitest';
import { docstringsOf, isAwaited, isCallable, typeOf } from '../support/documents/docstrings.js';
import { publicNames } from '../support/documents/interface.js';
import { rowsOf, tableOf } from '../support/documents/markdown.js';
import { pageAt } from '../support/documents/pages.js';

const docstrings = docstringsOf(publicNames());
const saying = (rule: RegExp) => expect.stringMatching(rule) as string;
/** Of all that fail, with what they say now. */
const expectEach = (kept: typeof docstrings, rule: RegExp): void => {
  expect(kept.length).toBeGreaterThan(0);
  expect(Object.fromEntries(kept.map(({ of, text }) => [of, text]))).toEqual(
    Object.fromEntries(kept.map(({ of }) => [of, saying(rule)])),
  );
};

const SECTIONS: Readonly<Record<string, string>> = {
  retry: 'RetryOptions',
  symbols: 'SymbolOptions',
  starvation: 'StarvationOptions',
  logger: 'LogOptions',
};
const UNITS: Readonly<Partial<Record<string, number>>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** In bytes where they have a unit of those. */
function numbersIn(text: string): number[] {
  return [...text.matchAll(/(\d[\d,]*(?:\.\d+)?)(?: ([KMG]iB))?/g)].map(
    ([, digits, unit]) => Number(digits.replaceAll(',', '')) * (UNITS[unit] ?? 1),
  );
}

/** Its numbers, the words in quotation marks, and whether it speaks of true or false. */
function factsIn(text: string): (number | string)[] {
  return [...numbersIn(text), ...[...text.matchAll(/'\w+'|\b(?:true|false)\b/g)].map(([word]) => word)];
}

describe('the comment of', () => {
  it('everything that can be called begins with its effect', () => {
    expectEach(
      docstrings.filter(({ of, node }) => isCallable(node) && !of.endsWith('.constructor')),
      /^[A-Z`*][^@]+\./,
    );
  });

  it('everything that promises says when the promise settles', () => {
    expectEach(
      docstrings.filter(({ node }) => isAwaited(node)),
      /\b[Rr]e(solves|jects)\b/,
    );
  });

  const options = docstrings.filter(({ of }) => /^[^.]*Options\./.test(of));
  const numbers = options.filter(({ node }) => /\bnumber\b/.test(typeOf(node)));

  it('an option that is a number says its range and its default', () => {
    expectEach(numbers, /\d(?: [KMG]iB)?–\d|\bfrom \d.* to \d|\babove 0\b|\ban integer\b|; 0 = no limit/);
    expectEach(numbers, /default/i);
  });

  it('an option that is a number of something with a unit says the unit', () => {
    const measured = numbers.filter(({ of }) => /(Ms|\.ms|Bytes|Mb|Micros)$/.test(of));
    expectEach(measured, /\bms\b|\bmilliseconds\b|\bMicroseconds\b|\bbytes\b|\bBytes\b|\b[KMG]iB\b/);
  });

  it('an option that is one of some words, or true or false, says its default', () => {
    const choices = options.filter(({ node }) => /^(boolean|'|WhenFull|OnMaxFailures|LogLevel)/.test(typeOf(node)));
    expectEach(choices, /default/i);
  });

  it.each([
    ['Bus option', 'BusOptions'],
    ['Lane option', 'LaneOptions'],
    ['Subscribe option', 'SubscribeOptions'],
  ])('each option has the limits and defaults that are used: %s', (title, type) => {
    // The README's table is compared with the code by documents.test.ts.
    for (const [name, { Accepts, Default }] of rowsOf(tableOf(pageAt('README.md'), title))) {
      const [option, section] = name.replaceAll('`', '').split('.').reverse() as [string, string?];
      const owners = section === undefined ? [type, 'FailureOptions'] : [SECTIONS[section]];
      const said = docstrings.find(({ of }) => owners.some((owner) => of === `${owner}.${option}`))?.text ?? '';
      expect(factsIn(said), `${name}: ${said}`).toEqual(expect.arrayContaining(numbersIn(Accepts)));
      expect(factsIn(said), `${name}: ${said}`).toEqual(expect.arrayContaining(factsIn(Default)));
    }
  });
});
