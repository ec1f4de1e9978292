/** The subscriptions of a random graph: which are there from the start, come, go and pause while it runs. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Catalog, EventBus, Handler, SubscribeOptions, Subscription, WorkerHandlers } from 'lanebus';
import type * as handlers from '../handlers/graph.js';
import { optionsOf } from './catalog.js';
import { deliver, type Stage } from './deliver.js';
import { predicate } from './events.js';
import type { SubscriptionPlan } from './plan.js';

/** One thing that happens to a subscription. */
interface Act {
  /** Due when so many events have been offered. */
  readonly at: number;
  readonly run: () => void;
}

/** The bus's own number of a subscription, and how many events had been offered when it was ready. */
export interface Subscribed {
  readonly id: number;
  /** 0 for one that was there before the start. */
  readonly readyAt: number;
}

export class Script {
  /** By index of the plan. */
  readonly subscribed = new Map<number, Subscribed>();
  readonly #bus: EventBus<Catalog>;
  readonly #stage: Stage;
  readonly #handlers: WorkerHandlers<typeof handlers>;
  readonly #failures: (plan: SubscriptionPlan) => SubscribeOptions;
  readonly #subscriptions = new Map<number, Subscription>();
  /** The next one last. */
  readonly #acts: Act[];
  /** What is not over: pauses, and subscriptions that come or go. */
  readonly #underWay: Promise<unknown>[] = [];

  /** @param failures What happens where a subscription's handler fails. */
  constructor(
    bus: EventBus<Catalog>,
    stage: Stage,
    workers: WorkerHandlers<typeof handlers>,
    failures: (plan: SubscriptionPlan) => SubscribeOptions = () => ({}),
  ) {
    this.#failures = failures;
    this.#bus = bus;
    this.#stage = stage;
    this.#handlers = workers;
    const { subscriptions } = stage.plan;
    for (const plan of subscriptions) if (plan.comesAt === undefined) this.#subscribe(plan, 0);
    this.#acts = subscriptions.flatMap((plan) => this.#actsOf(plan)).sort((a, b) => b.at - a.at);
  }

  /** Does what is due after so many offered events. */
  advance(offered: number): void {
    for (let act = this.#acts.at(-1); act !== undefined && act.at <= offered; act = this.#acts.at(-1)) {
      this.#acts.pop();
      act.run();
    }
  }

  /** Does what is left, and waits for the end of all that is under way. */
  async finish(): Promise<void> {
    this.advance(Infinity);
    while (this.#underWay.length > 0) await this.#underWay.pop();
  }

  /** Lets nothing more happen: the bus is being stopped. */
  cancel(): void {
    this.#acts.length = 0;
    // One that is just coming is told that it is too late.
    for (const act of this.#underWay) act.catch(() => undefined);
  }

  #actsOf(plan: SubscriptionPlan): Act[] {
    const { index, comesAt, goesAt, pauses } = plan;
    const acts: Act[] = pauses.map(({ at, turns }) => ({
      at,
      run: () => this.#underWay.push(this.#pause(index, turns)),
    }));
    if (comesAt !== undefined) acts.push({ at: comesAt, run: () => this.#underWay.push(this.#come(plan)) });
    if (goesAt !== undefined) acts.push({ at: goesAt, run: () => this.#underWay.push(this.#go(index)) });
    return acts;
  }

  #subscribe(plan: SubscriptionPlan, readyAt: number): Subscription {
    const { index, types, threads, filter } = plan;
    const stage = this.#stage;
    const names = types.map((type) => stage.plan.types[type].name);
    const runsHere = threads === 0;
    const handler = runsHere
      ? (event: handlers.GraphEvent, context: handlers.Context) => deliver(stage, plan, event, context)
      : this.#handlers[`handle${index}` as 'handle1'];
    const options = {
      ...optionsOf(stage.plan, plan),
      ...this.#failures(plan),
      ...(filter === 'predicate' && { filter: runsHere ? predicate : this.#handlers.predicate }),
    };
    const subscription = this.#bus.subscribe(names, handler as unknown as Handler, options);
    this.#subscriptions.set(index, subscription);
    this.subscribed.set(index, { id: subscription.id, readyAt });
    return subscription;
  }

  async #come(plan: SubscriptionPlan): Promise<void> {
    const subscription = this.#subscribe(plan, Infinity);
    await subscription.ready;
    this.subscribed.set(plan.index, { id: subscription.id, readyAt: this.#stage.journal.offered });
  }

  async #go(index: number): Promise<void> {
    const subscription = this.#subscriptions.get(index);
    subscription?.unsubscribe();
    await subscription?.ended;
  }

  async #pause(index: number, turns: number): Promise<void> {
    this.#subscriptions.get(index)?.pause();
    for (let left = turns; left > 0; left--) await turn();
    this.#subscriptions.get(index)?.resume();
  }
}
