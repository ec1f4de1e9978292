import type { Mutant } from '../mutant.js';

const MISSED =
  'The next delivery after such a gap says in `context.missed` how many events it has cost the subscription, once.';
const CONFLATES =
  "A subscription with `lag: 'conflate'` gets, when it is behind, the newest event of each key only; `context.skipped` says how many older ones it replaces.";
const MAX_KEYS = 'A conflating subscription keeps at most `maxKeys` keys; an event of one more ends `discarded`.';
const REFUSED =
  'A handler whose `context.publish` is refused fails its delivery, unless it has dealt with the refusal.';

export const backpressure: readonly Mutant[] = [
  {
    id: 'waiting-is-overtaken',
    rule: 'With `block`, the default, `publish` waits while the lane is full; who came first is admitted first.',
    file: 'shared/admission.js',
    text: 'this.idle = this.#held.size === 0 && this.#gap.size === 0',
    becomes: 'this.idle = this.#gap.size === 0',
  },
  {
    id: 'gap-is-overtaken',
    rule: MISSED,
    file: 'shared/admission.js',
    text: 'this.idle = this.#held.size === 0 && this.#gap.size === 0',
    becomes: 'this.idle = this.#held.size === 0',
  },
  {
    id: 'gap-counts-once',
    rule: MISSED,
    file: 'shared/reader.js',
    text: 'this.missed += readGaps(memory, at, this.subscription.types);',
    becomes: 'this.missed += 1;',
  },
  {
    id: 'publish-waits-for-ever',
    rule: 'With `timeoutMs` for the lane, `publish` waits no longer than that, and is refused with `ERR_LANEBUS_LANE_FULL`.',
    file: 'shared/admission.js',
    text: 'timeoutMs === 0 ? Infinity : now() + timeoutMs',
    becomes: 'Infinity',
  },
  {
    id: 'reject-waits',
    rule: 'With `reject`, `publish` is refused at once, with the same error.',
    file: 'shared/outbox.js',
    text: 'throw admission.fullError();',
    becomes: 'return this.#wait(admission, [this.#hold(route, event)]);',
  },
  {
    id: 'dropped-is-not-counted',
    rule: 'No policy loses an event without counting it.',
    file: 'shared/admission.js',
    text: "this.count('DROPPED_F64', 1);",
    becomes: '',
  },
  {
    id: 'spilled-is-not-published',
    rule: 'With `spill` the event waits in memory without bound, and the order is kept.',
    file: 'main/lane-metrics.js',
    text: "sum('published') + spilled",
    becomes: "sum('published')",
  },
  {
    id: 'lane-waits-for-nobody',
    rule: 'A lane waits for its slowest subscription, and is free again when that ends.',
    file: 'shared/lane.js',
    text: 'behind = Math.max(behind, distance(',
    becomes: 'behind = Math.min(behind, distance(',
  },
  {
    id: 'conflating-holds-the-lane',
    rule: 'A conflating subscription never holds a lane back.',
    file: 'shared/lane.js',
    text: 'gates.filter(({ conflator }) => conflator === undefined)',
    becomes: 'gates',
  },
  {
    id: 'conflation-knows-one-key',
    rule: CONFLATES,
    file: 'shared/conflator.js',
    text: 'this.#writer.offer(this.#keyOf(typeIndex, memory, at + HEADER_BYTES), memory, at);',
    becomes: 'this.#writer.offer(0, memory, at);',
  },
  {
    id: 'skipped-counts-itself',
    rule: CONFLATES,
    file: 'shared/conflation.js',
    text: '- delivered[slot] - 1;',
    becomes: '- delivered[slot];',
  },
  {
    id: 'conflated-counts-one',
    rule: 'What a conflating subscription skips ends `conflated`, and is counted.',
    file: 'shared/dispatch.js',
    text: '+ skipped; // D4',
    becomes: '+ 1; // D4',
  },
  {
    id: 'key-too-many-takes-a-place',
    rule: MAX_KEYS,
    file: 'shared/conflation.js',
    text: 'if (SlotState.isFresh(Atomics.load(this.#block.states, oldest)))',
    becomes: 'if (false)',
  },
  {
    id: 'key-too-many-is-not-counted',
    rule: MAX_KEYS,
    file: 'shared/conflation.js',
    text: 'stats[LOST_F64] = lost + 1;',
    becomes: '',
  },
  {
    id: 'ends-before-it-is-admitted',
    rule: 'A delivery ends only when everything that it published was admitted, whether or not its handler awaits that.',
    file: 'shared/publishes.js',
    text: 'return this.#waiting.length > 0;',
    becomes: 'return false;',
  },
  {
    id: 'refusal-is-overlooked',
    rule: REFUSED,
    file: 'shared/publishes.js',
    text: 'refusal ??= error;',
    becomes: 'void error;',
  },
  {
    id: 'refusal-fails-all-the-same',
    rule: REFUSED,
    file: 'shared/publishes.js',
    text: 'if (!admission.observed)',
    becomes: 'if (true)',
  },
  {
    id: 'deadlock-is-not-seen',
    rule: 'Handlers that wait for room in lanes that only they can empty do not wait for ever: one is refused with `ERR_LANEBUS_DEADLOCK`.',
    file: 'main/deadlocks.js',
    text: 'return cycle !== undefined && look(wiring).print === first.print ? cycle : undefined;',
    becomes: 'return undefined;',
  },
];
