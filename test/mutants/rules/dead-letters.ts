import type { Mutant } from '../mutant.js';

const REPLAY =
  'A replay goes to the subscription that has failed only, with the event as it was published; once that is processed, the letter is gone.';
const KEPT = 'Every delivery that ends `failed` or `timedOut` is kept as a dead letter, exactly once.';
const LISTED = 'Letters are listed oldest first, by type, subscription, reason, time and page.';
const BOUND = 'In memory there are at most `maxDeadLetters`; the oldest go, and are counted in `evicted`.';
const OFFICE = 'main/dead-letters.js';
const STORE = 'main/dead-letter-store.js';
const CASE = 'main/case.js';

export const deadLetters: readonly Mutant[] = [
  {
    id: 'timed-out-counts-as-failed',
    rule: KEPT,
    file: 'main/failure-desk.js',
    text: "reason === 'timedOut' ? Outcome.timedOut : Outcome.failed, letterFor",
    becomes: 'Outcome.failed, letterFor',
  },
  {
    id: 'letter-counts-a-try-too-many',
    rule: 'A letter has the subscription, the reason, the error with its stack and code, how many tries there were, and when.',
    file: CASE,
    text: 'attempts: one.failures,',
    becomes: 'attempts: one.failures + 1,',
  },
  {
    id: 'letter-is-not-told-of',
    rule: 'The notice `deadLetter` tells of each letter.',
    file: OFFICE,
    text: 'this.#onKept(letter);',
    becomes: 'void letter;',
  },
  {
    id: 'page-begins-at-its-cursor',
    rule: LISTED,
    file: OFFICE,
    text: 'this.#matching(page, cursor + 1)',
    becomes: 'this.#matching(page, cursor)',
  },
  {
    id: 'since-is-not-asked',
    rule: LISTED,
    file: OFFICE,
    text: 'if (since === undefined || letter.setAsideAt >= since)',
    becomes: 'if (true)',
  },
  {
    id: 'replayed-letter-stays',
    rule: REPLAY,
    file: 'main/failure-desk.js',
    text: 'void this.#office.drop([letter.id]).then(count);',
    becomes: 'count();',
  },
  {
    id: 'replay-is-not-owed',
    rule: REPLAY,
    file: 'main/failure-desk.js',
    text: 'record.owe(rank, 1);',
    becomes: '',
  },
  {
    id: 'letter-forgets-its-history',
    rule: 'A letter whose replay fails stays, with its history.',
    file: CASE,
    text: '[...letter.history, failureOf(letter)]',
    becomes: 'letter.history',
  },
  {
    id: 'letter-for-all-stays',
    rule: "A replay `{ to: 'all' }` publishes the event again, for every subscription, and the letter is gone.",
    file: 'main/bus.js',
    text: 'await this.#incarnations.deadLetters.drop([letter.id]);',
    becomes: '',
  },
  {
    id: 'newest-letters-go',
    rule: BOUND,
    file: STORE,
    text: 'for (const id of this.#letters.keys()) {',
    becomes: 'for (const id of [...this.#letters.keys()].reverse()) {',
  },
  {
    id: 'evicted-is-not-counted',
    rule: BOUND,
    file: STORE,
    text: 'this.#evicted++;',
    becomes: '',
  },
];
