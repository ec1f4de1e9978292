import type { Mutant } from '../mutant.js';

const ABORTS =
  'At `timeoutMs` from the start of its handler the `signal` of a delivery aborts, with a `TimeoutError`, not earlier.';

export const timeouts: readonly Mutant[] = [
  {
    id: 'deadline-at-half-time',
    rule: ABORTS,
    file: 'main/watchdog.js',
    text: 'return since + member.record.options.timeoutMs +',
    becomes: 'return since + member.record.options.timeoutMs / 2 +',
  },
  {
    id: 'aborts-by-another-name',
    rule: ABORTS,
    file: 'shared/delivery.js',
    text: "'TimeoutError'",
    becomes: "'AbortError'",
  },
  {
    id: 'no-grace',
    rule: 'A handler that ends within `graceMs` after its deadline has its own outcome, and keeps its thread.',
    file: 'main/watchdog.js',
    text: '>= watch.member.record.options.graceMs;',
    becomes: '>= 0;',
  },
  {
    id: 'nobody-is-too-late',
    rule: 'A delivery whose promise does not settle ends `timedOut`, not before `timeoutMs` and `graceMs` have passed.',
    file: 'main/watchdog.js',
    text: 'if (late.length > 0)',
    becomes: 'if (false)',
  },
  {
    id: 'no-limit-is-a-limit',
    rule: 'With `timeoutMs: 0` a delivery may take any time.',
    file: 'main/watchdog.js',
    text: 'return watch.member.record.options.timeoutMs > 0 && time',
    becomes: 'return time',
  },
  {
    id: 'late-goes-unpunished',
    rule: 'A handler that never gives its thread back is ended with the thread, and its delivery ends `timedOut`.',
    file: 'main/inheritance.js',
    text: 'if (isLate)',
    becomes: 'if (false)',
    backend: 'parallel',
  },
  {
    id: 'successor-is-not-told-of',
    rule: 'The notice `threadRestarted` tells of each successor, and of why its thread was lost.',
    file: 'main/succession.js',
    text: "const reason = slot.late === undefined ? 'crash' : 'timeout';",
    becomes: "const reason = 'crash';",
    backend: 'parallel',
  },
];
