/**
 * Topology: one producer (the main thread) → one consumer (a worker thread), with events of several kinds of payload: 64
 * and 256 bytes in fields of fixed width, a text of 1 KB, and a nested object as an application has it.
 *
 * `payloads` asks how many a second arrive, `publish-cost` how long the producer's thread is busy with each. That is the
 * median of many bursts that fit into the lane, or the window, while the consumer reads along: the whole of the publish,
 * the making of a fresh object included, and no wait.
 */
import { type Kind, KINDS } from '../payloads.js';
import { nativeSystems } from '../native-systems.js';
import type { Parameters, Scenario, System } from '../scenario.js';

/** How many events of each kind are worth some tenths of a second, and how many bytes a record has at most. */
const SIZES: Readonly<
  Record<Kind, { readonly lanebus: number; readonly postMessage: number; readonly burst: number }>
> = {
  'fixed-64': { lanebus: 2_000_000, postMessage: 120_000, burst: 8_000 },
  'fixed-256': { lanebus: 500_000, postMessage: 40_000, burst: 4_000 },
  'text-1k': { lanebus: 500_000, postMessage: 120_000, burst: 2_000 },
  any: { lanebus: 100_000, postMessage: 40_000, burst: 2_000 },
};

const BURSTS = { lanebus: 120, postMessage: 30 } as const;

export function kindOf({ kind }: Parameters): Kind {
  return KINDS[kind];
}

function systems(parametersOf: (kind: Kind, isLanebus: boolean, quick: boolean) => Parameters): System[] {
  return KINDS.flatMap((kind, index): System[] => [
    {
      name: `lanebus-${kind}`,
      module: 'lanebus-payloads',
      subject: true,
      case: kind,
      parameters: (quick) => ({ kind: index, symbols: 16, ...parametersOf(kind, true, quick) }),
    },
    {
      name: `post-message-${kind}`,
      module: 'post-message-payloads',
      case: kind,
      parameters: (quick) => ({ kind: index, symbols: 16, ...parametersOf(kind, false, quick) }),
    },
  ]);
}

export const payloads: Scenario = {
  name: 'payloads',
  question: 'one producer, one worker consumer, events of several kinds of payload: events a second',
  unit: 'events/s',
  better: 'higher',
  systems: systems((kind, isLanebus, quick) => {
    const { lanebus, postMessage } = SIZES[kind];
    const events = (isLanebus ? lanebus : postMessage) / (quick ? 2 : 1);
    return { events, warmup: events / 2, slices: quick ? 2 : 5 };
  }),
  targets: [
    { title: '`any` payload ÷ postMessage of the same object', of: { ratio: 'post-message-any' }, atLeast: 5 },
    { title: 'text of 1 KB ÷ postMessage', of: { ratio: 'post-message-text-1k' }, atLeast: 5 },
  ],
  rounds: { full: 5, quick: 2 },
};

export const publishCost: Scenario = {
  name: 'publish-cost',
  question: "one producer, one worker consumer, bursts with room: ns of the producer's own time for an event",
  unit: 'ns/event',
  better: 'lower',
  systems: systems((kind, isLanebus, quick) => {
    const { burst } = SIZES[kind];
    const bursts = (isLanebus ? BURSTS.lanebus : BURSTS.postMessage) / (quick ? 3 : 1);
    return { events: bursts * burst, warmup: (bursts * burst) / 3, burst };
  }).concat(
    nativeSystems(
      (quick) => {
        const { burst } = SIZES['fixed-64'];
        const events = burst * (quick ? 100 : 300);
        return { symbols: 16, events, warmup: events / 2, burst };
      },
      { as: 'fixed-64', case: 'fixed-64' },
    ),
  ),
  rounds: { full: 5, quick: 2 },
};
