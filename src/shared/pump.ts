/**
 * The loop of a thread that runs handlers: read the most urgent lane that has news, turn the event loop now and then,
 * park when there is nothing. The bus's own thread runs one for its function handlers, each pool thread one.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { realNow } from './clock.js';
import { type BurstControl, Dispatcher } from './dispatch.js';
import { type ConsumerBlock, ConsumerWord } from './layout.js';
import { PARKED, Parker, ring } from './parking.js';
import type { AnyReader } from './reader.js';
import type { LocalSubscription } from './subscription.js';

/** Deliveries of one reader before the others of its lane, and the more urgent lanes, are looked at again. */
const BURST = 256;
/** Time after which the event loop is turned, so that handlers' timers and I/O and the control port live. In ms. */
const SLICE_MS = 2;
/** Looks at the lanes between two looks at the clock while spinning. */
const LOOKS_PER_READING = 16;
/** A sleep of less than this many spins was not worth it: being woken alone takes one or two. */
const SHORT_SLEEP_SPINS = 4;
/** Turns of the microtask queue in which an async handler may end before the event loop is turned. */
const MICROTASK_TURNS = 16;
/** Poll interval while some publishing thread may still ring this thread's predecessor. In ms. */
const POLL_MS = 1;

export interface Starvation {
  /** Infinity = no bound of this kind. */
  readonly events: number;
  readonly ms: number;
}

export interface PumpOptions {
  /** Which lanes bump BELL, by rank. */
  readonly urgent: readonly boolean[];
  /** Longest time to look for news before parking, in µs. */
  readonly spinMicros: number;
  /** Turn for a waiting lane after so many events, or so many ms, of more urgent ones; false = never. */
  readonly starvation: false | Starvation;
}

const microtask = Promise.resolve();

/** The readers of one lane class, and which of them is next. */
interface Group {
  readonly rank: number;
  readonly readers: AnyReader[];
  next: number;
  /** More urgent groups whose lanes do not bump BELL: to be looked at after every event. */
  readonly guards: Group[];
  /** Deliveries of this thread, and the time, when this group last had its turn or no news. */
  servedAt: number;
  servedMs: number;
}

export class Pump implements BurstControl {
  bell = 0;
  sliceEnd = 0;
  sliceOver = false;
  /** Whether every publisher knows this thread's doorbell; until then parking would miss some. */
  wired = false;
  /** Called when the loop itself has failed, not a handler; without it, the thread fails. */
  onFault: ((error: unknown) => Promise<void>) | undefined;
  /** Told how long each burst has held the thread, in ms: asked for where nobody else can see it. */
  onBurst: ((subscription: LocalSubscription, deliveries: number, ms: number) => void) | undefined;
  readonly dispatcher: Dispatcher;
  readonly #block: ConsumerBlock;
  readonly #starvation: Starvation | false;
  readonly #flush: (() => void) | undefined;
  /** Deliveries that the next burst may make before some waiting lane is due. */
  #allowed = BURST;
  readonly #maxSpinMicros: number;
  readonly #parker: Parker;
  readonly #groups: readonly Group[];
  /** Readers that have room to give back before this slice is over. No Set: `clear` allocates on the old heap. */
  readonly #owing: AnyReader[] = [];
  #waiting = 0;
  #delivered = 0;
  #spinMicros: number;
  #stopping = false;
  readonly #endings: (() => void)[] = [];

  /** @param flush Makes visible what this thread's own lanes put off: its own handlers are not to wait for that. */
  constructor(block: ConsumerBlock, options: PumpOptions, flush?: () => void) {
    this.#block = block;
    this.#starvation = options.starvation;
    this.#flush = flush;
    this.#maxSpinMicros = options.spinMicros;
    this.#spinMicros = options.spinMicros;
    this.#parker = new Parker(block.words, ConsumerWord.DOORBELL_INDEX);
    this.dispatcher = new Dispatcher(block.words, this);
    const groups: Group[] = [];
    options.urgent.forEach((_, rank) => {
      const guards = groups.filter((group) => !options.urgent[group.rank]);
      groups.push({ rank, readers: [], next: 0, guards, servedAt: 0, servedMs: 0 });
    });
    this.#groups = groups;
  }

  add(reader: AnyReader): void {
    this.#groups[reader.rank].readers.push(reader);
    this.wake();
  }

  remove(reader: AnyReader): void {
    const { readers } = this.#groups[reader.rank];
    const index = readers.indexOf(reader);
    if (index >= 0) readers.splice(index, 1);
    const owed = this.#owing.indexOf(reader);
    if (owed >= 0) this.#owing.splice(owed, 1);
  }

  /** Whether it sleeps until somebody wakes it, or has ended. */
  get isAtRest(): boolean {
    return this.#stopping || Atomics.load(this.#block.words, ConsumerWord.DOORBELL_INDEX) === PARKED;
  }

  /** Deliveries whose handler has returned a promise that has not settled. */
  get awaited(): number {
    return this.#waiting;
  }

  /** Makes the loop look again: something other than an event has happened on this thread. */
  wake(): void {
    ring(this.#block.words, ConsumerWord.DOORBELL_INDEX);
  }

  stop(): void {
    this.#stopping = true;
    this.wake();
  }

  owe(reader: AnyReader): void {
    if (!this.#owing.includes(reader)) this.#owing.push(reader);
  }

  deliveryStarted(): void {
    this.#waiting++;
  }

  deliveryEnded(): void {
    this.#waiting--;
    for (const look of this.#endings.splice(0)) look();
    this.wake();
  }

  /** Resolves when no delivery of the subscription waits for a promise. */
  async ended(subscription: LocalSubscription): Promise<void> {
    while (subscription.waiting > 0) {
      await new Promise<void>((resolve) => this.#endings.push(resolve));
    }
  }

  isGuarded(rank: number): boolean {
    return this.#groups[rank].guards.length > 0;
  }

  overtaken(rank: number): boolean {
    const { guards } = this.#groups[rank];
    if (guards.length === 0) return false;
    this.#flush?.();
    return guards.some(hasWork);
  }

  /** Resolves after `stop`, at the next event boundary. A delivery that waits for a promise is left as it is. */
  async run(): Promise<void> {
    const { stats } = this.#block;
    stats[ConsumerWord.STARTED_F64] = realNow();
    stats[ConsumerWord.BUSY_SINCE_F64] = realNow();
    let turnDue = realNow() + SLICE_MS;
    while (!this.#stopping) {
      this.#block.words[ConsumerWord.TURNS_INDEX] += 1;
      try {
        // A steady trickle ends every slice early and every spin: the loop must be turned all the same.
        if (this.#slice() || (this.#waiting > 0 && (await this.#settleMicrotasks())) || realNow() >= turnDue) {
          await turn();
          turnDue = realNow() + SLICE_MS;
        } else if (!this.#spin()) {
          await this.#park();
        }
      } catch (error) {
        if (this.onFault === undefined) throw error;
        await this.onFault(error);
      }
    }
    this.#busyUntil(realNow());
  }

  /** Reads until nothing is left or the slice is over. @returns Whether something is left. */
  #slice(): boolean {
    const isLeft = this.#read();
    for (let reader = this.#owing.pop(); reader !== undefined; reader = this.#owing.pop()) reader.giveBack();
    return isLeft;
  }

  #read(): boolean {
    this.sliceEnd = realNow() + SLICE_MS;
    this.sliceOver = false;
    let bursts = 0;
    for (;;) {
      this.bell = Atomics.load(this.#block.words, ConsumerWord.BELL_INDEX);
      this.#flush?.();
      const starving = this.#starvation === false ? undefined : this.#starving(this.#starvation);
      const group = starving ?? this.#nextGroup();
      if (group === undefined) {
        this.#skip();
        return false;
      }
      this.#run(group, starving === undefined ? this.#allowed : 1);
      if (this.#isSliceOver(++bursts)) {
        this.#skip(); // others may wait for that room, however long this thread stays busy
        return true;
      }
    }
  }

  /** The most urgent group that has work. Called in each look of a spin: no closures. */
  #nextGroup(): Group | undefined {
    const groups = this.#groups;
    for (let rank = 0; rank < groups.length; rank++) {
      const { readers } = groups[rank];
      for (let at = 0; at < readers.length; at++) if (readers[at].canRun) return groups[rank];
    }
    return undefined;
  }

  /** Lets subscriptions that cannot run go past what is not for them: they hold their lanes' room only for what is. */
  #skip(): void {
    for (const { readers } of this.#groups) {
      for (const reader of readers) {
        if ((reader.hasNews || reader.isAwaited) && reader.subscription.skips) reader.skip();
      }
    }
  }

  /** A burst that ran slow handlers says so itself; for fast ones the clock is read now and then. */
  #isSliceOver(bursts: number): boolean {
    return this.sliceOver || ((bursts & 15) === 0 && realNow() >= this.sliceEnd);
  }

  /** Gives the group's next reader that can run its burst. */
  #run(group: Group, limit: number): void {
    const { readers } = group;
    for (let tried = 0; tried < readers.length; tried++) {
      if (group.next >= readers.length) group.next = 0;
      const reader = readers[group.next++];
      if (!reader.canRun) continue;
      const begun = this.onBurst === undefined ? 0 : realNow();
      const deliveries = this.dispatcher.burst(reader, limit);
      this.#delivered += deliveries;
      this.onBurst?.(reader.subscription, deliveries, realNow() - begun);
      group.servedAt = this.#delivered;
      return;
    }
  }

  /** The least urgent group that has waited as long as the starvation bound allows. Sets how long the others may wait. */
  #starving({ events, ms }: Starvation): Group | undefined {
    const time = realNow();
    let starving: Group | undefined;
    this.#allowed = Math.min(BURST, events);
    for (const group of this.#groups) {
      const waited = this.#delivered - group.servedAt;
      // News that a subscription in flight keeps from running waits too: else an async handler would starve its own lanes.
      if (waited === 0 || !hasNews(group)) {
        group.servedAt = this.#delivered;
        group.servedMs = time;
      } else if (waited >= events || time - group.servedMs >= ms) {
        if (hasWork(group)) starving = group;
      } else {
        this.#allowed = Math.min(this.#allowed, events - waited);
      }
    }
    return starving;
  }

  /** Lets async handlers that are about to end do so, without the cost of a turn. @returns Whether that gave work. */
  async #settleMicrotasks(): Promise<boolean> {
    const time = realNow();
    while (this.#waiting > 0 && realNow() - time < SLICE_MS) {
      for (let turns = 0; turns < MICROTASK_TURNS && !this.#groups.some(hasWork); turns++) await microtask;
      if (!this.#groups.some(hasWork)) return false;
      if (this.#slice()) return true;
    }
    return this.#waiting > 0;
  }

  /** Looks for news for a while before parking: to be woken costs more, and costs the publisher too. See `#park`. */
  #spin(): boolean {
    if (this.#spinMicros < 1 || this.#waiting > 0) return false;
    const end = realNow() + this.#spinMicros / 1e3;
    do {
      for (let looks = 0; looks < LOOKS_PER_READING; looks++) {
        if (this.#nextGroup() !== undefined) return true;
      }
    } while (realNow() < end);
    return false;
  }

  async #park(): Promise<void> {
    this.#parker.announce();
    if (this.#stopping || this.#groups.some(hasWork) || this.#groups.some(isAwaited)) {
      this.#parker.cancel();
      return;
    }
    const parkedAt = realNow();
    this.#busyUntil(parkedAt);
    const poll = this.wired
      ? undefined
      : setTimeout(() => {
          this.wake();
        }, POLL_MS);
    await this.#parker.wait();
    clearTimeout(poll);
    const wokenAt = realNow();
    this.#block.stats[ConsumerWord.BUSY_SINCE_F64] = wokenAt;
    // A short sleep would have been a short spin; after long ones, spinning only burns a core.
    const short = wokenAt - parkedAt < (SHORT_SLEEP_SPINS * this.#maxSpinMicros) / 1e3;
    this.#spinMicros = short ? this.#maxSpinMicros : this.#spinMicros / 2;
  }

  #busyUntil(time: number): void {
    const { stats } = this.#block;
    const since = stats[ConsumerWord.BUSY_SINCE_F64];
    stats[ConsumerWord.BUSY_SINCE_F64] = 0;
    stats[ConsumerWord.BUSY_F64] += Math.max(0, time - since);
  }
}

/** News of a lane without records: a publisher has found it full. It rings after it has said so, as after a commit. */
function isAwaited(group: Group): boolean {
  return group.readers.some((reader) => reader.isAwaited);
}

function hasNews(group: Group): boolean {
  return group.readers.some((reader) => reader.hasNews);
}

function hasWork(group: Group): boolean {
  return group.readers.some((reader) => reader.canRun);
}
