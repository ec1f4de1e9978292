/**
 * Subscriptions over the lives of their threads: how each comes to its thread, is paused, judged and taken away, whatever
 * happens to that thread meanwhile (succession.ts).
 */
import type { ThreadMetrics } from '../shared/api.js';
import type { Catalog } from '../shared/catalog.js';
import { Engine, nudge } from '../shared/engine.js';
import { Outcome } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import { snapshotOf } from '../shared/outbox.js';
import type { AnyHandler } from '../shared/reader.js';
import { finish } from './inheritance.js';
import type { ResolvedOptions } from './options.js';
import type { SubscriptionRecord } from './record.js';
import { rethrowUnlessLost } from './slot.js';
import { Succession } from './succession.js';
import type { Late } from './watchdog.js';
import { Wiring } from './wiring.js';

/** Subscriptions that have ended and are still shown in the metrics. */
const MAX_ENDED = 100;

export class Incarnations {
  readonly wiring: Wiring;
  /** Of the bus's own thread. */
  readonly engine: Engine;
  readonly #succession: Succession;
  readonly #log: Logger;

  constructor(catalog: Catalog, options: ResolvedOptions, log: Logger) {
    this.wiring = new Wiring(catalog, options);
    this.#succession = new Succession(this.wiring, options, log);
    this.#log = log;
    const [own] = this.wiring.slots;
    this.engine = new Engine(this.wiring.engineSetup(own), log.warn.bind(log));
    this.engine.wired();
    own.engine = this.engine;
    own.told = true;
  }

  /** Starts all threads at once. Rejects with the first error; the caller stops what has started. */
  async start(): Promise<void> {
    const records = this.wiring.records.filter((record) => !record.ended);
    for (const record of records) {
      for (const producer of this.wiring.producers) record.readFromStart(producer);
      record.activate();
    }
    this.engine.openGates(
      records.map((record) => this.wiring.gate(record)),
      false,
    );
    for (const record of records) if (record.thread === 0) this.#attachHere(record);
    void this.engine.pump.run();
    await this.#succession.start();
  }

  /** Brings a subscription made while the bus runs to its thread. Resolves when it is owed everything from then on. */
  async attach(record: SubscriptionRecord): Promise<void> {
    const slot = this.wiring.slots[record.thread];
    const { consumerId } = slot;
    const gate = this.wiring.gate(record);
    const opened = this.wiring.slots.map(async (publisher) => {
      const { producer } = publisher;
      if (publisher.told) record.read(producer, (await publisher.ask('openGates', [gate], true)).published);
      else if (!producer.dead) record.readFromStart(producer);
    });
    // A thread that is lost meanwhile has published its last, and its successor knows of us: nothing later is missed.
    await Promise.all(opened.map((open) => open.catch(rethrowUnlessLost)));
    record.activate();
    if (slot.consumerId !== consumerId) this.#succession.rewire(slot, [record]);
    if (slot.index === 0) this.#attachHere(record);
    else if (slot.told) await slot.tell('attach', this.wiring.subscriptionSpec(record));
    // If the thread was not told, or is lost by now, the subscription is part of its (successor's) set-up.
    await slot.running;
  }

  /**
   * Ends a subscription: what has not started ends `discarded`.
   * @returns Whether it has ended; false when the bus stopped first, which ends the rest.
   */
  async detach(record: SubscriptionRecord): Promise<boolean> {
    record.end();
    const slot = this.wiring.slots[record.thread];
    nudge(slot.consumer.words);
    for (;;) {
      try {
        if (!(await slot.isRunning())) {
          await this.#cut(record);
          record.discardRest();
          break;
        }
        // Once it is halted it reads nothing more, so nothing behind a later cut can have been delivered.
        await slot.ask('halt', record.id);
        const cuts = await this.#cut(record);
        await slot.ask('detach', record.id, cuts);
        break;
      } catch (error) {
        rethrowUnlessLost(error);
        if (this.#succession.closing) return false;
      }
    }
    this.forget(record);
    return true;
  }

  /** Closes a subscription's books: it reads nothing any more. */
  forget(record: SubscriptionRecord): void {
    record.state = 'ended';
    for (const slot of this.wiring.slots) void slot.tell('closeGates', record.id);
    const [oldest, ...others] = this.wiring.records.filter(({ ended }) => ended);
    if (others.length >= MAX_ENDED) this.wiring.records.splice(this.wiring.records.indexOf(oldest), 1);
  }

  /** Lets the subscription's next delivery wait, or start again. Nothing happens to one that ends. */
  pause(record: SubscriptionRecord, paused: boolean): void {
    if (record.state === 'ending' || record.ended) return;
    record.pause(paused);
    nudge(this.wiring.slots[record.thread].consumer.words);
  }

  /** Aborts the signal of the subscription's delivery. */
  abort(record: SubscriptionRecord): void {
    void this.wiring.slots[record.thread].tell('abort', record.id);
  }

  /** Ends deliveries that have passed their deadline and their grace. */
  condemn(thread: number, late: readonly Late[]): void {
    if (thread === 0) {
      for (const { record } of late) this.engine.giveUp(record.id);
      return;
    }
    this.#succession.condemn(this.wiring.slots[thread], late);
  }

  /** Stops all threads at their next event boundary, or terminates those that do not come to one. */
  async stop(graceMs: number): Promise<void> {
    this.engine.pump.stop();
    await this.#succession.stop(graceMs);
  }

  /** Gives every delivery that is left its outcome, after `stop`. */
  discardRest(): void {
    this.engine.forsake();
    this.engine.outbox.abandon().forEach((types, rank) => {
      for (const record of this.wiring.records) {
        if (record.ended) continue;
        const wanted = types.filter((index) => record.types.some((type) => type.index === index));
        record.count(rank, Outcome.discarded, wanted.length);
      }
    });
    for (const slot of this.wiring.pool) this.#succession.close(slot);
    for (const record of this.wiring.records) {
      if (record.ended) continue;
      finish(record);
      record.discardRest();
    }
  }

  threads(): ThreadMetrics[] {
    return this.wiring.slots.map((slot) => slot.metrics());
  }

  set state(state: ThreadMetrics['state']) {
    this.wiring.slots[0].state = state;
  }

  #attachHere(record: SubscriptionRecord): void {
    const log = this.#log.child({ thread: 0, subscription: record.name });
    const handler = record.handler as AnyHandler;
    this.engine.attach(this.wiring.subscriptionSpec(record), handler, log);
  }

  /** Where all producers stand: nothing behind that is owed to the ending subscription. By lane address. */
  async #cut(record: SubscriptionRecord): Promise<Map<number, number>> {
    const cuts = new Map<number, number>();
    await Promise.all(
      record.reads.map(async (producer) => {
        const slot = this.wiring.slots[producer.thread];
        const at = producer.dead || !slot.told ? snapshotOf(producer.block) : await slot.ask('snapshot');
        record.cut(producer, at);
        for (const rank of record.ranks) cuts.set(record.address(producer, rank), at.cursors[rank]);
      }),
    );
    return cuts;
  }
}
