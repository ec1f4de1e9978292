import type { Mutant } from '../mutant.js';

const LEDGER =
  'The ledger adds up, per subscription and per lane: `owed = processed + failed + timedOut + conflated + discarded + filtered + pending`.';
const FILTER = 'What the filter of a subscription refuses is not delivered, and ends `filtered`.';

export const delivery: readonly Mutant[] = [
  {
    id: 'promises-are-not-awaited',
    rule: 'A delivery is `processed` when its handler has returned, and what it returned has settled, not before.',
    file: 'shared/dispatch.js',
    text: "return typeof value?.then === 'function';",
    becomes: 'return false;',
  },
  {
    id: 'filter-bounds-are-open',
    rule: FILTER,
    file: 'shared/filters.js',
    text: 'const inside = `v${i} ${beyond}= ${low}`;',
    becomes: 'const inside = `v${i} ${beyond} ${low}`;',
  },
  {
    id: 'first-condition-only',
    rule: FILTER,
    file: 'shared/filters.js',
    text: "${tests.join('\\n  ')}",
    becomes: '${tests[0]}',
  },
  {
    id: 'filtered-is-not-counted',
    rule: LEDGER,
    file: 'main/record.js',
    text: 'filtered: count(Outcome.filtered),',
    becomes: 'filtered: 0,',
    tryFirst: FILTER,
  },
  {
    id: 'owed-from-the-beginning',
    rule: 'A subscription made while the bus runs is owed every event that is published after its `ready` has resolved.',
    file: 'main/record.js',
    text: 'sum + published[type.index] - reading.baseline[type.index]',
    becomes: 'sum + published[type.index]',
  },
  {
    id: 'ending-is-delivered',
    rule: 'What has not started when its subscription ends is not delivered any more, and ends `discarded`.',
    file: 'main/record.js',
    text: 'this.#setMode(SubscriptionMode.ending);',
    becomes: '',
  },
];
