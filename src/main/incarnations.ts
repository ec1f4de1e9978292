/**
 * Subscriptions over the lives of their threads: how each comes to its thread, is paused, judged and taken away, whatever
 * happens to that thread meanwhile (succession.ts).
 */
import type { ThreadMetrics } from '../shared/api.js';
import type { Catalog } from '../shared/catalog.js';
import { Engine, nudge } from '../shared/engine.js';
import { ModuleHost } from '../shared/module-host.js';
import type { LanebusError } from '../shared/errors.js';
import { Outcome } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import { type ProducerSnapshot, snapshotOf } from '../shared/outbox.js';
import type { AnyHandler, AnyPredicate, LocalSubscription } from '../shared/subscription.js';
import { Breakers } from './breakers.js';
import { MemoryDeadLetterStore } from './dead-letter-store.js';
import { DeadLetterOffice, toDeadLetter } from './dead-letters.js';
import { describeDeadlock, findDeadlock } from './deadlocks.js';
import { FailureDesk } from './failure-desk.js';
import type { Member } from './member.js';
import type { NoticeBoard } from './notices.js';
import type { ResolvedOptions } from './options.js';
import { isRetries, type SubscriptionRecord } from './record.js';
import { after, inTime } from './pool.js';
import { rethrowUnlessLost, type Slot } from './slot.js';
import { Succession } from './succession.js';
import type { Late } from './watchdog.js';
import { isWorkerHandler } from './worker-handlers.js';
import { Wiring } from './wiring.js';

/** For a module to come back, where the options allow it less. */
const MIN_PATIENCE_MS = 100;
/** What holds up the bus's own thread for less is nobody's business. In ms. */
const LONG_BURST_MS = 1;
/** Subscriptions that have ended and are still shown in the metrics. */
const MAX_ENDED = 100;

export class Incarnations {
  readonly wiring: Wiring;
  /** Of the bus's own thread. */
  readonly engine: Engine;
  readonly #host: ModuleHost;
  /** Until the pump of that thread has ended. */
  #pumping: Promise<void> | undefined;
  readonly deadLetters: DeadLetterOffice;
  readonly desk: FailureDesk;
  readonly breakers: Breakers;
  readonly #succession: Succession;
  readonly #log: Logger;
  readonly #options: ResolvedOptions;
  readonly #notices: NoticeBoard;
  /** Called to end a subscription that fails too often. */
  onDisabled: (record: SubscriptionRecord) => void = () => undefined;
  /** Called when a thread may have something to do that no event of the bus's own thread has brought. */
  onActivity: () => void = () => undefined;
  /** Whether a delivery is just being refused. */
  #breaking = false;

  constructor(catalog: Catalog, options: ResolvedOptions, log: Logger, notices: NoticeBoard) {
    this.wiring = new Wiring(catalog, options);
    const { maxDeadLetters, deadLetterStore, symbols } = options;
    const store = deadLetterStore ?? new MemoryDeadLetterStore(maxDeadLetters);
    this.deadLetters = new DeadLetterOffice(store, maxDeadLetters, log, (letter) => {
      if (notices.isHeard('deadLetter')) notices.post('deadLetter', toDeadLetter(letter));
    });
    this.breakers = new Breakers(
      this.wiring.records,
      log,
      notices,
      (record) => {
        this.nudge(record);
      },
      (record) => {
        this.onDisabled(record);
      },
    );
    this.desk = new FailureDesk(this.wiring, symbols, this.deadLetters, log, () => {
      this.breakers.look();
    });
    this.#succession = new Succession(this.wiring, options, log, notices, this.desk, () => {
      this.onActivity();
    });
    this.#log = log;
    this.#options = options;
    this.#notices = notices;
    const [own] = this.wiring.slots;
    this.engine = new Engine(this.wiring.engineSetup(own), log.warn.bind(log));
    this.engine.pump.onFault = (error) => this.#survive(error);
    this.engine.pump.onBurst = (subscription, deliveries, ms) => {
      if (ms >= LONG_BURST_MS) this.#tellOverrun(subscription, deliveries, ms);
    };
    this.engine.wired();
    this.#host = new ModuleHost(this.engine, own.index, log.child({ thread: own.index }));
    own.host = this.#host;
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
      records.flatMap((record) => record.members.map((member) => this.wiring.gate(member))),
      false,
    );
    await this.#attachAllHere();
    this.#pumping = this.engine.pump.run();
    void this.#runDesk();
    await this.#succession.start();
  }

  /** Takes what comes back from the threads, as long as the bus runs. */
  async #runDesk(): Promise<void> {
    for (;;) {
      try {
        await this.desk.run();
        return;
      } catch (error) {
        await this.#survive(error);
      }
    }
  }

  /** What is the bus's own fault must not end the process it runs in. */
  async #survive(error: unknown): Promise<void> {
    const { errorBackoffMs } = this.#options;
    this.#log.fatal({ err: error, errorBackoffMs }, 'the bus itself has failed, and goes on after errorBackoffMs');
    await after(errorBackoffMs, () => undefined);
  }

  /** Brings a subscription made while the bus runs to its thread. Resolves when it is owed everything from then on. */
  async attach(record: SubscriptionRecord): Promise<void> {
    const seen = record.members.map((member) => ({ member, consumerId: this.#slotOf(member).consumerId }));
    for (const producer of this.wiring.producers) if (!producer.dead) record.prepare(producer);
    const gates = record.members.map((member) => this.wiring.gate(member));
    const opened = this.wiring.slots.map(async (publisher) => {
      const { producer, index } = publisher;
      // The bus's own thread at once, not a turn later: all that it publishes from now on is owed, and `drain` waits for it.
      if (index === 0) record.read(producer, this.engine.openGates(gates, true).published);
      else if (publisher.told) record.read(producer, (await publisher.ask('openGates', gates, true)).published);
      else if (!producer.dead) record.readFromStart(producer);
    });
    // A thread that is lost meanwhile has published its last, and its successor knows of us: nothing later is missed.
    await Promise.all(opened.map((open) => open.catch(rethrowUnlessLost)));
    record.activate();
    await Promise.all(
      seen.map(async ({ member, consumerId }) => {
        const slot = this.#slotOf(member);
        if (slot.consumerId !== consumerId) this.#succession.rewire(slot, [member]);
        if (!isWorkerHandler(record.handler)) this.#attachFunction(member);
        else if (slot.told) await this.#attachThere(slot, member);
        // If the thread was not told, or is lost by now, the subscription is part of its (successor's) set-up.
        await slot.running;
      }),
    );
    this.#succession.spares.learn();
    this.onActivity();
  }

  /**
   * Ends a subscription: what has not started ends `discarded`.
   * @returns Whether it has ended; false when the bus stopped first, which ends the rest.
   */
  async detach(record: SubscriptionRecord): Promise<boolean> {
    record.end();
    this.desk.silence(record);
    for (const member of record.members) nudge(this.#slotOf(member).consumer.words);
    // Once all are halted they read nothing more, so nothing behind a later cut can have been delivered.
    let cuts: ReadonlyMap<number, number> | undefined;
    const left = new Set(record.members);
    for (;;) {
      try {
        if (cuts === undefined) {
          await Promise.all(record.members.map((member) => this.#halt(member)));
          cuts = await this.#cut(record);
        }
        for (const member of left) {
          await this.#discard(member, cuts);
          left.delete(member);
        }
        break;
      } catch (error) {
        rethrowUnlessLost(error);
        if (this.#succession.closing) return false;
      }
    }
    await this.desk.end(record);
    this.forget(record);
    return true;
  }

  /** Closes a subscription's books: it reads nothing any more. */
  forget(record: SubscriptionRecord): void {
    record.state = 'ended';
    record.close();
    this.breakers.forget(record);
    const ids = record.members.map(({ id }) => id);
    for (const slot of this.wiring.slots) void slot.tell('closeGates', ids);
    const [oldest, ...others] = this.wiring.records.filter(({ ended }) => ended);
    if (others.length >= MAX_ENDED) this.wiring.records.splice(this.wiring.records.indexOf(oldest), 1);
  }

  /** Lets the subscription's next delivery wait, or start again. Nothing happens to one that ends. */
  pause(record: SubscriptionRecord, paused: boolean): void {
    if (record.state === 'ending' || record.ended) return;
    if (!paused) this.breakers.reset(record);
    record.pause(paused);
    this.nudge(record);
  }

  /** Lets the subscription's threads see that its state has changed. */
  nudge(record: SubscriptionRecord): void {
    this.onActivity();
    for (const member of record.members) nudge(this.#slotOf(member).consumer.words);
  }

  /** Aborts the signal of a delivery. */
  abort(member: Member, flight: number): void {
    void this.#slotOf(member).tell('abort', member.id, flight);
  }

  /** Looks for handlers that wait for each other's room, and refuses one of each cycle what it has published. */
  breakDeadlocks(): void {
    if (this.#breaking) return;
    const cycle = findDeadlock(this.wiring);
    if (cycle === undefined) return;
    const [{ member, flight, position }] = cycle;
    const refused = this.#slotOf(member).tell('refuse', member.id, flight, position, describeDeadlock(cycle));
    // Where there is one there may be more, and the next one soon.
    this.#breaking = true;
    void refused
      .then(() => after(1, () => undefined))
      .then(() => {
        this.#breaking = false;
        this.breakDeadlocks();
      });
  }

  /** Ends deliveries that have passed their deadline and their grace. */
  condemn(thread: number, late: readonly Late[]): void {
    if (thread === 0) {
      for (const { member, flight } of late) this.engine.giveUp(member.id, flight);
      return;
    }
    this.#succession.condemn(this.wiring.slots[thread], late);
  }

  /** Stops all threads at their next event boundary, or terminates those that do not come to one. */
  async stop(graceMs: number): Promise<void> {
    this.engine.pump.stop();
    await this.#succession.stop(graceMs);
    await this.#pumping;
    await this.#host.end();
  }

  /** Gives every delivery that is left its outcome, after `stop`. */
  async discardRest(): Promise<void> {
    this.desk.silenceAll();
    this.breakers.stop();
    this.engine.forsake();
    this.engine.outbox.abandon().forEach((types, rank) => {
      for (const record of this.wiring.records) {
        if (record.ended) continue;
        const wanted = types.filter((index) => record.types.some((type) => type.index === index));
        record.count(rank, Outcome.discarded, wanted.length);
      }
    });
    for (const producer of this.wiring.producers) {
      if (producer.thread > 0 && !producer.final) this.#succession.close(producer);
      this.#succession.cutOff(producer);
    }
    for (const record of this.wiring.records) {
      if (record.ended) continue;
      for (const member of record.members) member.finish(this.#slotOf(member).thread?.hasExited === false);
      record.discardRest();
    }
    await this.desk.endAll();
    await this.deadLetters.close();
  }

  threads(): ThreadMetrics[] {
    return this.wiring.slots.map((slot) => slot.metrics());
  }

  /** Warm threads that can be taken now. */
  get spares(): number {
    return this.#succession.spares.ready;
  }

  /** Whether nothing more happens before a handler's promise settles, or time has passed, as far as this thread can know. */
  get isAtRest(): boolean {
    return this.engine.pump.isAtRest && this.desk.isAtRest;
  }

  set state(state: ThreadMetrics['state']) {
    this.wiring.slots[0].state = state;
  }

  #slotOf(member: Member): Slot {
    return this.wiring.slots[member.thread];
  }

  /** Attaches what the bus's own thread runs. Modules first: one that fails does so before anything is delivered. */
  async #attachAllHere(): Promise<void> {
    const members = this.wiring.membersOn(0);
    const ofModules = members.filter(({ record }) => isWorkerHandler(record.handler));
    const specs = ofModules.map((member) => this.wiring.subscriptionSpec(member));
    const attach = async (): Promise<undefined> => {
      for (const spec of specs) await this.#host.attach(spec);
    };
    const names = ofModules.map(({ record }) => record.name).join(', ');
    const what = `the bus's own thread did not import its handlers (${names})`;
    const late = await inTime(attach(), this.#options.startTimeoutMs, what);
    if (late !== undefined) throw late;
    for (const member of members) if (!ofModules.includes(member)) this.#attachFunction(member);
  }

  #attachFunction(member: Member): void {
    const { handler, options } = member.record;
    const handling = { handler: handler as AnyHandler, predicate: options.predicate as AnyPredicate | undefined };
    this.#host.attachFunction(this.wiring.subscriptionSpec(member), handling);
  }

  /** On the bus's own thread a handler that does not come back keeps the watchdog from its look, too. */
  #tellOverrun({ id }: LocalSubscription, deliveries: number, ms: number): void {
    const record = this.wiring.membersOn(0).find((member) => member.id === id)?.record;
    if (record === undefined || record.options.timeoutMs === 0 || ms < record.options.timeoutMs) return;
    const { name, options } = record;
    const { timeoutMs } = options;
    const notice = { subscription: { id: record.id, name }, durationMs: ms, deliveries, timeoutMs };
    this.#log.warn(
      notice,
      `"${name}" has held the bus's own thread for ${Math.round(ms)} ms: nobody can be stopped there`,
    );
    this.#notices.post('handlerOverran', notice);
  }

  /** @throws THREAD_LOST when the thread does not come back from the module: it is replaced, and goes on without. */
  async #attachThere(slot: Slot, member: Member): Promise<void> {
    const { startTimeoutMs, graceMs } = this.#options;
    // `setup` and `restore` may take `startTimeoutMs` each, and say so themselves when that was not enough.
    const ms = startTimeoutMs === 0 ? 0 : 2 * startTimeoutMs + Math.max(MIN_PATIENCE_MS, graceMs);
    const attached = slot.tell('attach', this.wiring.subscriptionSpec(member));
    const late = await this.#bound(slot, attached, ms, `subscription "${member.record.name}"`);
    if (late === undefined) return;
    slot.host?.cancel(member.id);
    throw late;
  }

  /**
   * Waits for a call of which a module's own code is part, and replaces a thread that does not come back from there.
   * @returns An error if it was.
   */
  async #bound(slot: Slot, called: Promise<unknown>, ms: number, whose: string): Promise<LanebusError | undefined> {
    const { consumerId } = slot;
    const what = `${whose}: pool thread ${slot.index} did not come back from its module`;
    // A handler that takes long in its synchronous part is the watchdog's business: the thread has not come to us yet.
    const isBusy = (): boolean =>
      this.wiring.membersOn(slot.index).some(({ inFlight }) => inFlight.some(({ running }) => running));
    for (;;) {
      const late = await inTime(
        called.then(() => undefined),
        ms,
        what,
      );
      if (late === undefined) return undefined;
      if (isBusy()) continue;
      called.catch(() => undefined);
      if (slot.host !== undefined) return late; // the bus's own thread stays, whatever a module does
      if (slot.consumerId === consumerId) this.#succession.condemn(slot, []);
      this.#log.error({ thread: slot.index, err: late }, 'a thread is replaced');
      return late;
    }
  }

  async #halt(member: Member): Promise<void> {
    const slot = this.#slotOf(member);
    if (await slot.isRunning()) await slot.ask('halt', member.id);
  }

  async #discard(member: Member, cuts: ReadonlyMap<number, number>): Promise<void> {
    const slot = this.#slotOf(member);
    if (!(await slot.isRunning())) {
      member.record.discardRestOf(member);
      return;
    }
    const detached = slot.ask('detach', member.id, cuts);
    // `teardown` may take `graceMs`.
    const ms = 2 * Math.max(MIN_PATIENCE_MS, this.#options.graceMs);
    const late = await this.#bound(slot, detached, ms, `subscription "${member.record.name}"`);
    if (late === undefined) return;
    member.forgoesTeardown = true;
    await detached; // rejects: the successor is asked
  }

  /** Where all producers stand: nothing behind that is owed to the ending subscription. By lane address. */
  async #cut(record: SubscriptionRecord): Promise<Map<number, number>> {
    const cuts = new Map<number, number>();
    const lanes = record.lanes.length;
    await Promise.all(
      record.reads.map(async (producer) => {
        const slot = this.wiring.slots[Math.max(0, producer.thread)];
        const isGone = isRetries(producer) || producer.dead || !slot.told;
        const at = isGone ? snapshotOf(producer.block) : await this.#snapshot(slot, record);
        const { cursors } = record.cut(producer, at);
        for (const rank of record.ranks) cuts.set(producer.index * lanes + rank, cursors[rank]);
      }),
    );
    return cuts;
  }

  /** What is conflated is not read up to a position: there the publisher stops at once. */
  async #snapshot(slot: Slot, { members, options }: SubscriptionRecord): Promise<ProducerSnapshot> {
    if (options.mode !== 'conflated') return slot.ask('snapshot');
    return slot.ask(
      'closeGates',
      members.map(({ id }) => id),
    );
  }
}
