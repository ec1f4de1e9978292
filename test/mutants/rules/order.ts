import type { Mutant } from '../mutant.js';

const BOUNDARY =
  'Across lanes the more urgent one goes first, at every event boundary: the next event that runs is of the most urgent lane that has any.';
const BY_KEY =
  'With a key the events of one key are delivered one after the other, in order, and others overtake them.';
const STARVATION = 'With a `starvation` bound, a lane that waits has a turn after so many events of more urgent ones.';
const LANES =
  'The priority of a type decides its lane: control below 10, execution from 10, signal from 20, market from 30, log from 90.';

export const order: readonly Mutant[] = [
  {
    id: 'one-in-flight-too-many',
    rule: 'With `concurrency: n` a subscription has up to n deliveries in flight on a thread, and never more.',
    file: 'main/member.js',
    text: 'flights: record.options.concurrency }',
    becomes: 'flights: record.options.concurrency + 1 }',
  },
  {
    id: 'key-in-flight-twice',
    rule: BY_KEY,
    file: 'shared/claimed-reader.js',
    text: 'const waiting = subscription.keys.get(open.key);',
    becomes: 'const waiting = undefined;',
  },
  {
    id: 'all-symbols-are-one-key',
    rule: BY_KEY,
    file: 'shared/keys.js',
    text: 'return (memory, at) => hashes.of(memory.i32[(at + offset) >> 2]);',
    becomes: 'return () => 0;',
  },
  {
    id: 'key-keeps-order-anyway',
    rule: "With `order: 'none'` whatever is free takes the next event.",
    file: 'main/subscribe-options.js',
    text: "!isOneAtATime(asked) && order === 'key'",
    becomes: '!isOneAtATime(asked)',
  },
  {
    id: 'key-on-every-thread',
    rule: 'With `threads: n` and a key, each key has one thread, and its order.',
    file: 'shared/division.js',
    text: "if (keys === undefined || of === 1 || mode === 'conflated')",
    becomes: 'if (true)',
    backend: 'parallel',
  },
  {
    id: 'claimed-by-everybody',
    rule: "With `threads: n` and `order: 'none'`, a thread that is held up holds up no other.",
    file: 'shared/claims.js',
    text: 'return Atomics.compareExchange(slots, index, word, ours) === word || this.take(number);',
    becomes: 'return true;',
    backend: 'parallel',
  },
  {
    id: 'least-urgent-first',
    rule: 'Priority is strict: while a more urgent lane has events, a less urgent one has no turn.',
    file: 'shared/pump.js',
    text: 'starving ?? this.#nextGroup()',
    becomes: 'starving ?? this.#groups.findLast(hasWork)',
  },
  {
    id: 'urgent-rings-no-bell',
    rule: BOUNDARY,
    file: 'shared/lane.js',
    text: 'Atomics.add(words, ConsumerWord.BELL_INDEX, 1);',
    becomes: 'undefined;',
  },
  {
    id: 'bursts-are-not-overtaken',
    rule: BOUNDARY,
    file: 'shared/pump.js',
    text: 'return guards.some(hasWork);',
    becomes: 'return false;',
  },
  {
    id: 'starvation-for-ever',
    rule: STARVATION,
    file: 'shared/pump.js',
    text: 'this.#starvation === false ? undefined : this.#starving(this.#starvation)',
    becomes: 'undefined',
  },
  {
    id: 'starvation-bound-is-doubled',
    rule: STARVATION,
    file: 'shared/pump.js',
    text: 'waited >= events || time',
    becomes: 'waited >= 2 * events || time',
  },
  {
    id: 'lane-bounds-are-exclusive',
    rule: LANES,
    file: 'shared/outbox.js',
    text: 'priority <= lane.maxPriority',
    becomes: 'priority < lane.maxPriority || lane.maxPriority === Infinity',
  },
  {
    id: 'execution-from-eleven',
    rule: LANES,
    file: 'main/lane-options.js',
    text: 'control: { maxPriority: 9,',
    becomes: 'control: { maxPriority: 10,',
  },
  {
    id: 'capacity-by-name-only',
    rule: 'Lanes, their bounds and their capacities are configurable.',
    file: 'main/lane-options.js',
    text: 'const capacityBytes = options.capacityBytes ?? DEFAULT_LANES',
    becomes: 'const capacityBytes = DEFAULT_LANES',
  },
];
