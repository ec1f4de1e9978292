/**
 * A random graph of lanes, event types, subscriptions and publishers, all from one seed. Every thread makes the same
 * graph from the same seed, so nothing of it has to be sent.
 *
 * Waiting for room must not go round in a circle, or the bus refuses it rightly: a subscription derives events for a
 * `block` lane only if the lane comes after all that it reads, in an order of the lanes that has nothing to do with their
 * urgency. Some graphs are knotted on purpose; there a refusal is an outcome like another.
 */
import { SeededRandom } from '../random.js';

const POLICIES = ['block', 'spill', 'dropNewest', 'reject'] as const;
const KEY_KINDS = ['symbol', 'text', 'enum', 'i32', 'u32', 'u8', 'f64', 'i64', 'u64'] as const;
/** Export names of the handler module are numbered up to this. */
const MAX_SUBSCRIPTIONS = 9;
export const MAX_KEYS = 12;
/** Events derive from events that derive from events, and no further. */
export const MAX_DEPTH = 3;

export interface LanePlan {
  readonly name: string;
  readonly whenFull: (typeof POLICIES)[number];
  readonly capacityBytes: number;
  readonly urgent: boolean;
  /** Its place in the order in which one may wait for the other. */
  readonly place: number;
}

export interface TypePlan {
  readonly index: number;
  readonly name: string;
  /** Index of its lane, the most urgent first. */
  readonly lane: number;
  readonly keyKind: (typeof KEY_KINDS)[number];
  /** Whether the catalog names its key. */
  readonly keyed: boolean;
  readonly fixedWidth: boolean;
}

/** Whether a handler looks at what becomes of an event that it derives: `rethrows` and `catches` await it. */
export type Look = 'rethrows' | 'catches' | 'never';

export interface DerivePlan {
  readonly from: number;
  readonly to: number;
  /** For one event in so many. */
  readonly oneIn: number;
  readonly times: number;
  readonly look: Look;
}

export type FilterPlan = 'range' | 'set' | 'key' | 'predicate' | undefined;

export interface SubscriptionPlan {
  readonly index: number;
  readonly types: readonly number[];
  /** 0 for a function on the bus's own thread. */
  readonly threads: number;
  readonly concurrency: number;
  readonly order: 'key' | 'none';
  /** The field that the subscription names as its key. */
  readonly key: 'key' | 'group' | undefined;
  readonly lag: 'block' | 'conflate';
  readonly maxKeys: number | undefined;
  readonly filter: FilterPlan;
  readonly style: 'sync' | 'async' | 'mixed';
  /** Its handler fails for one event in so many; 0 = never. */
  readonly failsOneIn: number;
  readonly derives: readonly DerivePlan[];
  /** After how many offered events it is made, ended, and paused for some turns of the event loop. */
  readonly comesAt: number | undefined;
  readonly goesAt: number | undefined;
  readonly pauses: readonly { readonly at: number; readonly turns: number }[];
}

export interface GraphPlan {
  readonly seed: number;
  readonly threads: number;
  readonly starvation: false | { readonly events: number };
  readonly knotted: boolean;
  /** Most urgent first. */
  readonly lanes: readonly LanePlan[];
  readonly types: readonly TypePlan[];
  readonly keys: number;
  readonly subscriptions: readonly SubscriptionPlan[];
  /** Events that each publisher on the bus's thread offers. */
  readonly publishers: readonly number[];
  /** Events that handlers derive, at most. */
  readonly maxDerived: number;
}

export function planGraph(seed: number): GraphPlan {
  const random = new SeededRandom(seed);
  const threads = 1 + random.below(3);
  const knotted = random.below(10) === 0;
  const lanes = planLanes(random, knotted);
  const types = planTypes(random, lanes);
  const keys = 1 + random.below(MAX_KEYS);
  const publishers = Array.from({ length: 1 + random.below(3) }, () => 60 + random.below(240));
  const planned = publishers.reduce((sum, events) => sum + events, 0);
  const witnessed = random.below(3) > 0;
  const bones = { seed, threads, knotted, lanes, types, keys, publishers, maxDerived: 2 * planned };
  const subscriptions = Array.from({ length: 2 + random.below(MAX_SUBSCRIPTIONS - 2) }, (_, index) =>
    planSubscription(random, bones, index + 1, planned, witnessed),
  );
  return {
    ...bones,
    starvation: random.below(3) === 0 ? { events: 1 + random.below(20) } : false,
    subscriptions: witnessed ? [witness(types), ...subscriptions] : subscriptions,
  };
}

function planLanes(random: SeededRandom, knotted: boolean): LanePlan[] {
  const places = shuffle(random, range(2 + random.below(3)));
  return places.map((place, rank) => ({
    name: `lane${rank}`,
    whenFull: knotted || random.below(2) === 0 ? 'block' : random.pick(POLICIES),
    capacityBytes: knotted ? 1024 : 1024 << random.below(3),
    urgent: random.below(3) === 0,
    place,
  }));
}

function planTypes(random: SeededRandom, lanes: readonly LanePlan[]): TypePlan[] {
  const count = 3 + random.below(4);
  const inOrder = random.below(3) > 0;
  return range(count).map((index) => {
    const place = Math.floor((index * lanes.length) / count);
    const keyKind = random.pick(KEY_KINDS);
    return {
      index,
      name: `E${index}`,
      lane: inOrder ? lanes.findIndex((lane) => lane.place === place) : random.below(lanes.length),
      keyKind,
      keyed: random.below(3) > 0,
      fixedWidth: keyKind !== 'text' && random.below(3) > 0,
    };
  });
}

/** Sees every event of every type, in order: what it has not seen was not published. */
function witness(types: readonly TypePlan[]): SubscriptionPlan {
  return {
    index: 0,
    types: types.map(({ index }) => index),
    threads: 0,
    concurrency: 1,
    order: 'key',
    key: undefined,
    lag: 'block',
    maxKeys: undefined,
    filter: undefined,
    style: 'sync',
    failsOneIn: 0,
    derives: [],
    comesAt: undefined,
    goesAt: undefined,
    pauses: [],
  };
}

type Bones = Omit<GraphPlan, 'subscriptions' | 'starvation'>;

function planSubscription(
  random: SeededRandom,
  graph: Bones,
  index: number,
  planned: number,
  witnessed: boolean,
): SubscriptionPlan {
  const threads = random.below(3) === 0 ? 0 : 1 + random.below(graph.threads);
  const fixed = graph.types.filter(({ fixedWidth }) => fixedWidth);
  const conflates = fixed.length > 0 && random.below(4) === 0;
  const pool = (conflates ? fixed : graph.types).map((type) => type.index);
  const types = shuffle(random, pool).slice(0, 1 + random.below(3));
  const concurrency = conflates || random.below(2) === 0 ? 1 : 2 + random.below(7);
  const order = !conflates && random.below(3) === 0 ? 'none' : 'key';
  const isKeyed = types.every((type) => graph.types[type].keyed);
  const style = random.pick(['sync', 'async', 'mixed'] as const);
  const comesAt = random.below(6) === 0 ? random.below(planned) : undefined;
  return {
    index,
    types,
    threads,
    concurrency,
    order,
    key: isKeyed && random.below(2) === 0 ? undefined : random.pick(['key', 'group'] as const),
    lag: conflates ? 'conflate' : 'block',
    maxKeys: conflates && random.below(3) === 0 ? 1 + random.below(3) : undefined,
    filter: random.below(3) === 0 ? random.pick(['range', 'set', 'key', 'predicate'] as const) : undefined,
    style,
    failsOneIn: random.below(3) === 0 ? 2 + random.below(10) : 0,
    derives: range(random.below(3)).flatMap(() => planDerive(random, graph, types, style, witnessed) ?? []),
    comesAt,
    goesAt: random.below(6) === 0 ? (comesAt ?? 0) + random.below(planned) : undefined,
    pauses: range(random.below(4) === 0 ? 1 + random.below(3) : 0).map(() => ({
      at: random.below(planned),
      turns: 1 + random.below(30),
    })),
  };
}

function planDerive(
  random: SeededRandom,
  { types, lanes, knotted }: Bones,
  wanted: readonly number[],
  style: SubscriptionPlan['style'],
  witnessed: boolean,
): DerivePlan | undefined {
  const from = random.pick(wanted);
  const look = style === 'async' ? random.pick(['rethrows', 'catches', 'never'] as const) : 'never';
  const last = Math.max(...wanted.map((type) => lanes[types[type].lane].place));
  const targets = types.filter(({ index, lane }) => {
    const { whenFull, place } = lanes[lane];
    const canWait = whenFull === 'block' && !knotted && place <= last;
    const canBeRefused = whenFull === 'reject' || (whenFull === 'block' && knotted);
    // A refusal that nobody looks at is known by its absence only.
    return index > from && !canWait && (!canBeRefused || look !== 'never' || witnessed);
  });
  if (targets.length === 0) return undefined;
  return {
    from,
    to: random.pick(targets).index,
    oneIn: 1 + random.below(5),
    times: 1 + random.below(knotted ? 8 : 3),
    look,
  };
}

/** For whoever has to understand a failure. */
export function describeGraph(plan: GraphPlan): string {
  const { seed, threads, keys, knotted, starvation, lanes, types, subscriptions, publishers } = plan;
  const show = (what: object): string => JSON.stringify(what).replaceAll('"', '');
  return [
    `graph ${seed}: ${threads} threads, ${keys} keys${knotted ? ', knotted' : ''}, starvation ${JSON.stringify(starvation)}, publishers of ${publishers.join(', ')} events`,
    ...lanes.map((lane) => `  lane ${show(lane)}`),
    ...types.map((type) => `  type ${show(type)}`),
    ...subscriptions.map((subscription) => `  subscription ${show(subscription)}`),
  ].join('\n');
}

export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function shuffle<T>(random: SeededRandom, values: readonly T[]): T[] {
  const left = [...values];
  return values.map(() => left.splice(random.below(left.length), 1)[0]);
}
