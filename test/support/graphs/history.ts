/** What a run came to, as far as that can be known without asking the bus: which events were published, who saw what. */
import type { DrainReport, LaneMetrics, MetricsSnapshot, SubscriptionMetrics } from 'lanebus';
import { judge, keyOf } from './events.js';
import type { Call, Offer, Told } from './journal.js';
import type { GraphPlan, SubscriptionPlan } from './plan.js';
import type { Subscribed } from './script.js';

/** A run up to the end of its drain. */
export interface Run {
  readonly plan: GraphPlan;
  readonly offers: readonly Offer[];
  readonly calls: readonly Call[];
  readonly subscribed: ReadonlyMap<number, Subscribed>;
  readonly drained: DrainReport;
  readonly metrics: MetricsSnapshot;
}

/** Events of one thread in one lane, in the order in which they were published. */
export interface Stream {
  readonly publisher: number;
  readonly lane: number;
  readonly offers: readonly Offer[];
}

/** One subscription's part of the run. */
export interface Part {
  readonly plan: SubscriptionPlan;
  readonly metrics: SubscriptionMetrics;
  /** In the order of their starts. */
  readonly calls: readonly Call[];
  /** Events offered before it was ready; 0 for one that was there from the start. */
  readonly readyAt: number;
  readonly staysToTheEnd: boolean;
  /** What was offered of its types, by thread and lane. */
  readonly streams: readonly Stream[];
  /** Whether it is known which of those were published. */
  readonly isKnown: boolean;
}

export class History {
  readonly run: Run;
  readonly plan: GraphPlan;
  readonly parts: readonly Part[];
  /** Types of which some offers may have been published or not. */
  readonly #unknown: ReadonlySet<number>;
  readonly #published: ReadonlySet<number>;
  readonly #children: ReadonlyMap<number | undefined, readonly Offer[]>;

  constructor(run: Run) {
    const { plan, calls, offers } = run;
    this.run = run;
    this.plan = plan;
    const witnesses = plan.subscriptions.filter(seesAll);
    const seen = new Set(
      calls.filter(({ subscription }) => witnesses.some(isNumbered(subscription))).map(({ id }) => id),
    );
    const witnessed = new Set(witnesses.flatMap(({ types }) => types));
    const isPublished = (offer: Offer): boolean | undefined =>
      this.#wasPublished(offer) ?? (witnessed.has(offer.type) ? seen.has(offer.id) : undefined);
    this.#published = new Set(offers.filter(isPublished).map(({ id }) => id));
    this.#unknown = new Set(offers.filter((offer) => isPublished(offer) === undefined).map(({ type }) => type));
    this.#children = groupBy(offers, ({ parent }) => parent);
    this.parts = plan.subscriptions.flatMap((subscription) => this.#part(subscription) ?? []);
  }

  /** Whether the event went into its lane. Only to be asked where it is known. */
  isPublished({ id }: Pick<Offer, 'id'>): boolean {
    return this.#published.has(id);
  }

  isKnown(type: number): boolean {
    return !this.#unknown.has(type);
  }

  /** What its handler is to be called with. */
  isWanted({ plan }: Part, offer: Offer): boolean {
    return this.isPublished(offer) && judge(this.plan, plan, offer) === 'passes';
  }

  /** Where events replace each other, keys of two types are two keys. */
  keyOf({ plan }: Part, offer: Offer): string {
    const key = keyOf(this.plan, plan, offer);
    return plan.lag === 'conflate' ? `type ${offer.type} ${key}` : key;
  }

  offer(id: number): Offer {
    return this.run.offers[id];
  }

  childrenOf(id: number): readonly Offer[] {
    return this.#children.get(id) ?? [];
  }

  laneOf({ type }: Pick<Offer, 'type'>): number {
    return this.plan.types[type].lane;
  }

  lane(rank: number): LaneMetrics {
    return this.run.metrics.lanes[this.plan.lanes[rank].name];
  }

  /** What the publisher was told, or what its lane leaves no doubt about; undefined where both may be. */
  #wasPublished({ told, type }: Offer): boolean | undefined {
    const verdicts: Readonly<Record<Exclude<Told, 'untold'>, boolean>> = {
      published: true,
      dropped: false,
      rejected: false,
      deadlocked: false,
      misinformed: false,
    };
    if (told !== 'untold') return verdicts[told];
    const { whenFull } = this.plan.lanes[this.plan.types[type].lane];
    return whenFull === 'spill' || (whenFull === 'block' && !this.plan.knotted) ? true : undefined;
  }

  #part(plan: SubscriptionPlan): Part | undefined {
    const { subscribed, metrics, calls, offers } = this.run;
    const known = subscribed.get(plan.index);
    const own = metrics.subscriptions.find(({ id }) => id === known?.id);
    if (known === undefined || own === undefined) return undefined;
    const wanted = offers.filter(({ type }) => plan.types.includes(type));
    const streams = [...groupBy(wanted, (offer) => `${offer.publisher} ${this.laneOf(offer)}`).values()].map(
      (stream) => ({ publisher: stream[0].publisher, lane: this.laneOf(stream[0]), offers: stream }),
    );
    return {
      plan,
      metrics: own,
      calls: calls.filter(({ subscription }) => subscription === plan.index),
      readyAt: known.readyAt,
      staysToTheEnd: plan.goesAt === undefined,
      streams,
      isKnown: plan.types.every((type) => this.isKnown(type)),
    };
  }
}

/** Whether a subscription's handler is called with every event of its types. */
function seesAll({ lag, filter, comesAt, goesAt }: SubscriptionPlan): boolean {
  return lag === 'block' && filter === undefined && comesAt === undefined && goesAt === undefined;
}

function isNumbered(index: number): (plan: SubscriptionPlan) => boolean {
  return (plan) => plan.index === index;
}

/** Values with the same name together, in their order. */
export function groupBy<K, V>(values: readonly V[], nameOf: (value: V) => K): ReadonlyMap<K, readonly V[]> {
  const groups = new Map<K, V[]>();
  for (const value of values) {
    const name = nameOf(value);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [value]);
    else group.push(value);
  }
  return groups;
}
