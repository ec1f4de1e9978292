/** Publishers on the bus's own thread: each offers its events in one way after the other. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Catalog, EventBus, EventOf } from 'lanebus';
import type { SeededRandom } from '../random.js';
import { answerOf, reasonOf, type Stage } from './deliver.js';
import { makeEvent } from './events.js';
import { range } from './plan.js';

type AnyEvent = EventOf<Catalog>;

interface Offered {
  readonly id: number;
  readonly type: number;
  readonly event: AnyEvent;
}

/** Gives an event its number. Called where the event is published, so that numbers are in the order of the offers. */
type Make = () => Offered;

export class Publisher {
  readonly #bus: EventBus<Catalog>;
  readonly #stage: Stage;
  readonly #random: SeededRandom;

  constructor(bus: EventBus<Catalog>, stage: Stage, random: SeededRandom) {
    this.#bus = bus;
    this.#stage = stage;
    this.#random = random;
  }

  /** Resolves when all were admitted or refused. @param afterEach Called after each run of events. */
  async run(events: number, afterEach: () => void): Promise<void> {
    const random = this.#random;
    const ways = [this.#oneByOne, this.#allAtOnce, this.#tryEach, this.#asBatch];
    for (let left = events; left > 0;) {
      const count = Math.min(left, 1 + random.below(random.below(3) === 0 ? 40 : 6));
      left -= count;
      await random.pick(ways).call(
        this,
        range(count).map(() => this.#choose()),
      );
      if (random.below(3) === 0) await turn();
      afterEach();
    }
  }

  #choose(): Make {
    const { plan, journal } = this.#stage;
    const random = this.#random;
    // Earlier types more often: others derive from them.
    const type = Math.min(random.below(plan.types.length), random.below(plan.types.length));
    const seed = { type, key: random.below(plan.keys), depth: 0 };
    return () => {
      const id = journal.offer({ ...seed, publisher: 0, parent: undefined, by: undefined });
      return { id, type, event: makeEvent(plan, { ...seed, id }) as unknown as AnyEvent };
    };
  }

  async #oneByOne(makes: readonly Make[]): Promise<void> {
    for (const make of makes) await this.#publish(make());
  }

  async #allAtOnce(makes: readonly Make[]): Promise<void> {
    await Promise.all(makes.map((make) => this.#publish(make())));
  }

  async #tryEach(makes: readonly Make[]): Promise<void> {
    for (const make of makes) {
      const { id, event } = make();
      const outcome = this.#bus.tryPublish(event);
      this.#stage.journal.tell(id, outcome === 'full' ? 'rejected' : outcome === 'closed' ? 'misinformed' : outcome);
    }
    await turn();
  }

  async #asBatch(makes: readonly Make[]): Promise<void> {
    const batch = makes.map((make) => make());
    await this.#tell(batch, this.#bus.publishBatch(batch.map(({ event }) => event)));
  }

  #publish(offered: Offered): Promise<void> {
    return this.#tell([offered], this.#bus.publish(offered.event));
  }

  /** Keeps what the publisher of these events is told. */
  async #tell(batch: readonly Offered[], published: Promise<void>): Promise<void> {
    const { plan, journal } = this.#stage;
    try {
      await published;
      for (const { id, type } of batch) {
        const answer = answerOf(plan, type);
        if (answer !== undefined) journal.tell(id, answer);
      }
    } catch (error) {
      for (const { id } of batch) journal.tell(id, reasonOf(error));
    }
  }
}
