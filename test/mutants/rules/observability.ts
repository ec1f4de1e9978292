import type { Mutant } from '../mutant.js';

const WAITING =
  'Per lane, the metrics tell how many publishers wait for room, and for how long publishers have waited.';
const LISTENERS = 'What `bus.on` returns takes the listener away; what a listener throws breaks nothing.';

export const observability: readonly Mutant[] = [
  {
    id: 'lanes-count-for-each-other',
    rule: 'Nothing of one lane is counted in another.',
    file: 'main/lane-metrics.js',
    text: '.filter((type) => laneOf(this.#lanes, type.priority) === rank)',
    becomes: '',
  },
  {
    id: 'depth-is-never-nothing',
    rule: 'Per lane, the metrics tell how deep it is, in events and bytes, and how deep it has been.',
    file: 'main/lane-metrics.js',
    text: 'distance(records, read.sequence)',
    becomes: 'records',
  },
  {
    id: 'nobody-seems-to-wait',
    rule: WAITING,
    file: 'shared/admission.js',
    text: '[LaneWord.WAITING_F64] = this.#waiters;',
    becomes: '[LaneWord.WAITING_F64] = 0;',
  },
  {
    id: 'waits-take-no-time',
    rule: WAITING,
    file: 'shared/admission.js',
    text: 'stats[LaneWord.BLOCKED_MS_F64] += now() - since;',
    becomes: '',
  },
  {
    id: 'handlers-take-no-time',
    rule: 'Per subscription, the metrics tell its ledger, how its handler fares, how long it takes, and how long events wait for it.',
    file: 'shared/dispatch.js',
    text: 'subscription.time(HANDLER_F64, ms);',
    becomes: '',
  },
  {
    id: 'high-is-told-at-each-look',
    rule: 'The notice `laneHighWatermark` tells of a lane that has come to hold more than its share, once, until it is low again.',
    file: 'main/lane-metrics.js',
    text: 'depthBytes >= mark && !high.has(rank)',
    becomes: 'depthBytes >= mark',
  },
  {
    id: 'listeners-stay',
    rule: LISTENERS,
    file: 'main/notices.js',
    text: 'this.#emitter.off(name, guarded);',
    becomes: '',
  },
  {
    id: 'listeners-break-the-bus',
    rule: LISTENERS,
    file: 'main/notices.js',
    text: 'this.#emitter.on(name, guarded);',
    becomes: 'this.#emitter.on(name, listener);',
  },
];
