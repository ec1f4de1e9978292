/**
 * A publishing thread's own lanes: from an event object to a committed record. The bus's thread has one, and each pool
 * thread for what its handlers publish. Used by its own thread only.
 */
import { isDeepStrictEqual } from 'node:util';
import { Admission, type AdmissionConfig, type Held, Scratch, type Ticket, type Ticketed } from './admission.js';
import type { PublishOutcome } from './api.js';
import type { Catalog, EventType } from './catalog.js';
import { PublishClock } from './clock.js';
import { compileEncoder, compilePublish, type Encoder, type PublishFunction, unknownTypeError } from './codec.js';
import { asError, ErrorCode, LanebusError } from './errors.js';
import { type Gate, Lane, type LaneConfig, type Publisher, redoOf } from './lane.js';
import { LaneWord, type ProducerBlock } from './layout.js';
import { SymbolWriter } from './symbols.js';

export interface LaneSpec extends LaneConfig, AdmissionConfig {
  /** Least urgent priority that this lane carries; lanes are ordered by it. */
  readonly maxPriority: number;
}

/** Index of the lane that carries a priority. */
export function laneOf(lanes: readonly LaneSpec[], priority: number): number {
  return lanes.findIndex((lane) => priority <= lane.maxPriority);
}

/** Where the events of one type go. */
interface Route {
  readonly typeIndex: number;
  readonly admission: Admission;
  /** Into the lane; commits. */
  readonly publish: PublishFunction;
  /** Into the lane, to be committed with others. */
  readonly encode: Encoder;
  /** Into the scratch memory, for what finds no room. */
  readonly encodeAside: Encoder;
}

/** Compiles an encoder with the first event that needs it. */
function lazily(compile: () => Encoder): Encoder {
  let encoder: Encoder | undefined;
  return (event) => (encoder ??= compile())(event);
}

/**
 * What `publish` returns when the event went into its lane at once: always this one promise, so that publishing
 * allocates nothing. Only when a turn of the event loop has lasted long does it return one that resolves with the next
 * turn, so that a loop which awaits each publish starves nobody. Rejected alternatives: docs/decisions/0002.
 */
export const ADMITTED: Promise<void> = Promise.resolve();

/** What a producer had published at one moment. */
export interface ProducerSnapshot {
  /** End of each lane. */
  readonly cursors: readonly number[];
  /** Events by type index. */
  readonly published: readonly number[];
}

export class Outbox {
  readonly #catalog: Catalog;
  readonly #lanes: readonly LaneSpec[];
  readonly #block: ProducerBlock;
  readonly #routes = new Map<unknown, Route>();
  readonly #symbols: SymbolWriter;
  readonly #admissions: readonly Admission[];
  readonly #scratch = new Scratch();
  readonly #publisher: Publisher;
  /** The delivery whose handler publishes now. */
  #deriving: Ticketed | undefined;
  /** Type of the former event and its route: events of one type come in runs, a Map look-up each is dear. */
  #lastType: unknown;
  #lastRoute: Route | undefined;
  /** Set while the bus takes nothing; thrown as it is. */
  #refusal: LanebusError | undefined;
  /** Whether what handlers publish is taken all the same. */
  #admitsDerived = false;

  constructor(
    catalog: Catalog,
    block: ProducerBlock,
    lanes: readonly LaneSpec[],
    owner: string,
    mortal: boolean,
    warn: (fields: object, message: string) => void,
  ) {
    this.#catalog = catalog;
    this.#lanes = lanes;
    this.#block = block;
    const publisher: Publisher = { clock: new PublishClock(), mortal, origin: undefined, onWake: undefined };
    this.#publisher = publisher;
    this.#symbols = new SymbolWriter(block.symbols, owner);
    this.#admissions = lanes.map(
      (lane, rank) => new Admission(new Lane(block, rank, lane, publisher), rank, lane, publisher, warn),
    );
  }

  /** Called when an event of this thread has woken one that was parked. */
  set onWake(listener: () => void) {
    this.#publisher.onWake = listener;
  }

  get lanes(): readonly Lane[] {
    return this.#admissions.map((admission) => admission.lane);
  }

  publish(event: unknown): Promise<void> {
    try {
      const route = this.#route(event);
      const { admission } = route;
      if (admission.idle && route.publish(event as object)) return this.#admitted();
      return this.#full(route, event);
    } catch (error) {
      this.#countRefused(event);
      return Promise.reject(asError(error));
    }
  }

  /** `publish` for the handler of a delivery: the event tells where it comes from. */
  derive(event: unknown, delivery: Ticketed): Promise<void> {
    const publisher = this.#publisher;
    this.#deriving = delivery;
    publisher.origin = delivery;
    try {
      return this.publish(event);
    } finally {
      publisher.origin = undefined;
      this.#deriving = undefined;
    }
  }

  tryPublish(event: unknown): PublishOutcome {
    try {
      const route = this.#route(event);
      const { admission } = route;
      if (admission.idle && route.publish(event as object)) return 'published';
      switch (admission.config.whenFull) {
        case 'dropNewest':
          return this.#retry(route, event) ? 'published' : 'dropped';
        case 'spill':
          admission.hold([this.#hold(route, event)]);
          return 'published';
        case 'block':
        case 'reject':
          if (!admission.idle) route.encodeAside(event as object);
          admission.count('REJECTED_F64', 1);
          return 'full';
      }
    } catch (error) {
      if (error === this.#refusal && this.#refusal?.code === ErrorCode.STOPPED) return 'closed';
      this.#countRefused(event);
      throw error;
    }
  }

  /** All events are read and checked before the first becomes visible. */
  publishBatch(events: readonly unknown[]): Promise<void> {
    const batch = new Map<Admission, { types: number[]; held: Held[]; dropped: number[] }>();
    let last: Admission | undefined;
    let part: { types: number[]; held: Held[]; dropped: number[] } = { types: [], held: [], dropped: [] };
    try {
      for (const event of events) {
        const route = this.#route(event);
        const { admission } = route;
        if (admission !== last) {
          last = admission;
          const known = batch.get(admission);
          part = known ?? { types: [], held: [], dropped: [] };
          if (known === undefined) {
            batch.set(admission, part);
            admission.resume();
          }
        }
        // A smaller event may fit where one did not: it would overtake that one, or the notice that it was dropped.
        const inOrder = admission.idle && part.held.length + part.dropped.length === 0;
        if (inOrder && route.encode(event as object) >= 0) part.types.push(route.typeIndex);
        else if (admission.holds) part.held.push(this.#hold(route, event));
        else if (admission.config.whenFull === 'dropNewest') part.dropped.push(route.typeIndex);
        else throw admission.fullError(`: none of the batch's ${events.length} events was published`);
      }
      // Before the first lane's part becomes visible: an event may have published on another one while it was read.
      for (const [{ lane }, { types }] of batch) lane.checkClaims(types.length);
    } catch (error) {
      for (const admission of batch.keys()) admission.lane.rollback();
      for (const event of events) this.#countRefused(event);
      return Promise.reject(asError(error));
    }
    const waits: Promise<void>[] = [];
    for (const [admission, { types, held, dropped }] of batch) {
      admission.lane.commitAll(types);
      for (const typeIndex of dropped) admission.drop(typeIndex);
      if (held.length > 0) waits.push(this.#wait(admission, held));
    }
    return waits.length === 0 ? this.#admitted() : Promise.all(waits).then(() => undefined);
  }

  /** Adds or replaces readers, lane by lane. @returns Where each lane stood at that moment. */
  openGates(gates: readonly (readonly Gate[])[]): ProducerSnapshot {
    gates.forEach((added, rank) => {
      if (added.length === 0) return;
      const ids = new Set(added.map((gate) => gate.id));
      const { lane } = this.#admissions[rank];
      lane.setGates([...lane.gates.filter((gate) => !ids.has(gate.id)), ...added]);
      lane.wakeForRoom();
    });
    return this.snapshot();
  }

  /** Takes readers away: the lanes wait for them no longer. */
  closeGates(ids: readonly number[]): ProducerSnapshot {
    for (const { lane } of this.#admissions) {
      lane.setGates(lane.gates.filter((gate) => !ids.includes(gate.id)));
      lane.wakeForRoom();
    }
    return this.snapshot();
  }

  snapshot(): ProducerSnapshot {
    this.flush();
    return snapshotOf(this.#block);
  }

  /** Makes visible what the lanes have put off, see Lane.commit. */
  flush(): void {
    for (const { lane } of this.#admissions) lane.flush();
  }

  /** Takes no events until `open`: whoever publishes, or waits to, gets the error. */
  refuse(error: LanebusError): void {
    this.#refusal = error;
    this.#admitsDerived = false;
    this.#lastRoute = undefined;
    for (const admission of this.#admissions) admission.release(() => true, error);
  }

  open(): void {
    this.#refusal = undefined;
  }

  /**
   * Takes no more events, but for those of deliveries that were owed before, until `refuse`; waiting publishers are released
   * with the error. @returns How many were waiting.
   */
  close(error: LanebusError): number {
    this.#refusal = error;
    this.#admitsDerived = true;
    this.#lastRoute = undefined;
    const isFromOutside = ({ delivery }: Ticket): boolean => delivery === undefined;
    return this.#admissions.reduce((sum, admission) => sum + admission.release(isFromOutside, error), 0);
  }

  /** Releases the publishers that a delivery waits for with an error. */
  refuseFor(delivery: Ticketed, error: LanebusError): void {
    for (const admission of this.#admissions) admission.refuseFor(delivery, error);
  }

  /** Lets nothing that a delivery has published keep it from ending. */
  renounce(delivery: Ticketed): void {
    for (const admission of this.#admissions) admission.renounce(delivery);
  }

  /** Gives up what a `spill` lane still holds. @returns Type indexes of the events, lane by lane. */
  abandon(): number[][] {
    return this.#admissions.map((admission) => admission.abandon());
  }

  /** Whether the event of this `publish` was admitted at once: nothing waits but whoever awaits the promise. */
  wasAdmitted(published: Promise<void>): boolean {
    return published === ADMITTED || this.#publisher.clock.isTurn(published);
  }

  #admitted(): Promise<void> {
    const { clock, mortal } = this.#publisher;
    // A pool thread's pump turns the event loop by itself.
    return clock.overdue && !mortal ? clock.turn() : ADMITTED;
  }

  #route(event: unknown): Route {
    const type = (event as { type?: unknown } | null | undefined)?.type;
    if (type === this.#lastType && this.#lastRoute !== undefined) return this.#lastRoute;
    return this.#newRoute(event, type);
  }

  #newRoute(event: unknown, type: unknown): Route {
    if (this.#refusal !== undefined && !(this.#admitsDerived && this.#deriving !== undefined)) throw this.#refusal;
    if (typeof event !== 'object' || event === null) {
      throw new LanebusError(ErrorCode.INVALID_EVENT, `event is ${String(event)}: expected an object with a "type"`);
    }
    const route = this.#routes.get(type) ?? this.#makeRoute(type);
    if (this.#refusal !== undefined) return route; // for this one only: the next one may be refused
    this.#lastType = type;
    this.#lastRoute = route;
    return route;
  }

  /** With the first event of a type: a thread that takes over would wait for what it may never publish. */
  #makeRoute(name: unknown): Route {
    const type = this.#catalog.typeNamed(name as string);
    if (type === undefined) throw unknownTypeError(name, this.#catalog);
    const admission = this.#admissionFor(type);
    const { lane } = admission;
    const encodeAside = lazily(() => compileEncoder(type, this.#symbols, this.#scratch));
    const route = {
      typeIndex: type.index,
      admission,
      publish: compilePublish(type, this.#symbols, lane, this.#publisher),
      encode: lazily(() => compileEncoder(type, this.#symbols, lane)),
      encodeAside: (event: object): number => {
        this.#scratch.lane = lane;
        return encodeAside(event);
      },
    };
    this.#routes.set(name, route);
    return route;
  }

  #admissionFor({ priority }: EventType): Admission {
    return this.#admissions[laneOf(this.#lanes, priority)];
  }

  /** Counts an event that was refused with an error, if it is known which lane it was for. */
  #countRefused(event: unknown): void {
    try {
      const type = (event as { type?: unknown } | null | undefined)?.type;
      const known = this.#catalog.typeNamed(type as string);
      if (known !== undefined) this.#admissionFor(known).count('REJECTED_F64', 1);
    } catch {
      // Its type is a getter that throws, which the caller is told: it belongs to no lane.
    }
  }

  /** Encodes an event that finds no room into bytes of its own. */
  #hold(route: Route, event: unknown): Held {
    route.encodeAside(event as object);
    const { origin } = this.#publisher;
    return {
      typeIndex: route.typeIndex,
      payload: this.#scratch.copy(),
      origin: origin && { publisher: origin.publisher, rank: origin.rank, sequence: origin.sequence },
      ticket: undefined,
      last: false,
    };
  }

  /** Publishes behind a gap that can be told of now, or drops the event. @returns Whether it was published. */
  #retry({ admission, publish, encodeAside, typeIndex }: Route, event: unknown): boolean {
    if (admission.resume() && publish(event as object)) return true;
    // A bad event is refused, whatever the room: while the lane is behind a gap nothing has looked at it yet.
    if (!admission.idle) encodeAside(event as object);
    admission.drop(typeIndex);
    return false;
  }

  #full(route: Route, event: unknown): Promise<void> {
    const { admission } = route;
    switch (admission.config.whenFull) {
      case 'reject':
        throw admission.fullError();
      case 'dropNewest':
        this.#retry(route, event);
        return ADMITTED;
      case 'block':
      case 'spill':
        return this.#wait(admission, [this.#hold(route, event)]);
    }
  }

  #wait(admission: Admission, held: Held[]): Promise<void> {
    if (admission.config.whenFull === 'spill') {
      admission.hold(held);
      return ADMITTED;
    }
    return new Promise((resolve, reject) => {
      const ticket = admission.ticket(resolve, reject, this.#deriving);
      for (const one of held) one.ticket = ticket;
      held[held.length - 1].last = true;
      admission.hold(held);
    });
  }
}

/** Where a producer stands, whatever it is just doing: see `Lane.commit` for what it may have left half-done. */
export function snapshotOf(block: ProducerBlock): ProducerSnapshot {
  for (let former = read(block); ;) {
    const latter = read(block);
    if (isDeepStrictEqual(former, latter)) return latter; // a double collect, see `frozen`
    former = latter;
  }
}

function read(block: ProducerBlock): ProducerSnapshot {
  const published = [...block.published];
  const cursors = block.control.map((control, rank) => {
    const cursor = Atomics.load(control, LaneWord.CURSOR_INDEX);
    const redo = redoOf(block, rank, cursor);
    if (redo !== undefined) published[redo.typeIndex] = redo.published;
    return cursor;
  });
  return { cursors, published };
}
