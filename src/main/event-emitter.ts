/**
 * A bus behind the interface of Node's EventEmitter, for code that has one. It is one: its list of listeners, and all that
 * Node does with it, is Node's own. Only `emit` goes to the bus, and one subscription for each name that has listeners comes
 * back from there. What is claimed, and what differs, is in docs/event-emitter.md; test/contract/event-emitter holds both.
 */
import { EventEmitter } from 'node:events';
import type { DeadLetter, EventBus } from '../shared/api.js';
import type { Catalog, EventOf, TypeOf } from '../shared/catalog.js';
import { ErrorCode, fromErrorRecord, LanebusError } from '../shared/errors.js';
import { describeValue } from '../shared/refusal.js';

/** What an emitter tells besides the bus's events, on the spot, as Node does. A type of one of these names is out of its reach. */
interface OwnEvents {
  /** What was emitted as `'error'`; or what a delivery to this emitter has failed with for good, and its dead letter. */
  error: [error: unknown, letter?: DeadLetter];
  newListener: [name: string | symbol, listener: (...args: never[]) => void];
  removeListener: [name: string | symbol, listener: (...args: never[]) => void];
}

/** The event types of a catalog that an emitter can emit and listen to. */
export type EmitterTypeOf<C extends Catalog> = Exclude<TypeOf<C>, keyof OwnEvents>;

/** What an emitter has listeners for: those types, and its own `'error'`, `'newListener'` and `'removeListener'`. */
export type EmitterNameOf<C extends Catalog> = EmitterTypeOf<C> | keyof OwnEvents;

/** A listener of an event, or of one of the emitter's own. What it returns is not used. */
export type EmitterListener<C extends Catalog, N extends EmitterNameOf<C>> = N extends keyof OwnEvents
  ? (...args: OwnEvents[N]) => void
  : (event: EventOf<C, Extract<N, TypeOf<C>>>) => void;

type PayloadOf<C extends Catalog, T extends TypeOf<C>> = Omit<EventOf<C, T>, 'type'>;

/** What follows the type in `emit`: the payload, which may be left out where every field of it may. */
export type EmitterPayload<C extends Catalog, T extends TypeOf<C>> =
  Partial<PayloadOf<C, T>> extends PayloadOf<C, T> ? [payload?: PayloadOf<C, T>] : [payload: PayloadOf<C, T>];

/**
 * An emitter of a bus's events. Listeners run on the bus's own thread, in order, later than `emit`: they are deliveries of
 * one subscription for each type. A real `EventEmitter`, so `once` and `on` of `node:events` take it.
 */
export interface BusEventEmitter<C extends Catalog> {
  /**
   * Adds a listener, which hears what is delivered from then on: all that this thread publishes from now on, and, on a
   * running bus, what other threads publish from a moment later. @throws ERR_LANEBUS_UNKNOWN_TYPE; ERR_LANEBUS_STOPPED
   */
  on<N extends EmitterNameOf<C>>(name: N, listener: EmitterListener<C, N>): this;
  /** Is `on`. */
  addListener<N extends EmitterNameOf<C>>(name: N, listener: EmitterListener<C, N>): this;
  /** Adds a listener in front of the others. */
  prependListener<N extends EmitterNameOf<C>>(name: N, listener: EmitterListener<C, N>): this;
  /** Adds a listener that is taken away before its first event is told to it. */
  once<N extends EmitterNameOf<C>>(name: N, listener: EmitterListener<C, N>): this;
  /** Adds such a listener in front of the others. */
  prependOnceListener<N extends EmitterNameOf<C>>(name: N, listener: EmitterListener<C, N>): this;
  /** Takes the newest of its entries away. With a name's last listener its subscription ends: what waits is `discarded`. */
  off<N extends EmitterNameOf<C>>(name: N, listener: EmitterListener<C, N>): this;
  /** Is `off`. */
  removeListener<N extends EmitterNameOf<C>>(name: N, listener: EmitterListener<C, N>): this;
  /** Takes all listeners of a name away, or of all names. */
  removeAllListeners(name?: EmitterNameOf<C>): this;
  /**
   * Offers an event to the bus, for everybody who is subscribed there, and never waits. @returns Whether it is on its way to
   * a listener of this emitter; false as well where a `dropNewest` lane has dropped it.
   * @throws ERR_LANEBUS_LANE_FULL when its lane has no room under `block` or `reject`; ERR_LANEBUS_STOPPED when the bus is
   * stopped; ERR_LANEBUS_UNKNOWN_TYPE; ERR_LANEBUS_INVALID_EVENT; ERR_LANEBUS_RECORD_TOO_LARGE;
   * ERR_LANEBUS_SYMBOL_TABLE_FULL; ERR_LANEBUS_NOT_STARTED
   */
  emit<T extends EmitterTypeOf<C>>(type: T, ...payload: EmitterPayload<C, T>): boolean;
  /** Tells one of the emitter's own events on the spot. As Node does, it throws an `'error'` that nobody listens to. */
  emit<N extends keyof OwnEvents>(name: N, ...args: OwnEvents[N]): boolean;
  /** Tells how many listeners a name has, or how often it has this one. */
  listenerCount<N extends EmitterNameOf<C>>(name: N, listener?: EmitterListener<C, N>): number;
  /** Copies the list of a name's listeners, as they were given. */
  listeners<N extends EmitterNameOf<C>>(name: N): EmitterListener<C, N>[];
  /** Copies the list of a name's listeners, those of `once` in what wraps them. */
  rawListeners<N extends EmitterNameOf<C>>(name: N): EmitterListener<C, N>[];
  /** Lists the names that have listeners. */
  eventNames(): EmitterNameOf<C>[];
  /** Sets from how many listeners of a name on Node warns of a leak; 0 = never. */
  setMaxListeners(count: number): this;
  /** Tells that number: 10 unless it was set. */
  getMaxListeners(): number;
}

/**
 * Makes an emitter in front of a bus, for code that is written against `EventEmitter`. Each has listeners of its own. It
 * needs no closing: without listeners it has no subscription.
 */
export function toEventEmitter<C extends Catalog>(bus: EventBus<C>): BusEventEmitter<C> {
  return new BusEmitter(bus) as unknown as BusEventEmitter<C>;
}

type Listener = Parameters<EventEmitter['on']>[1];

const OWN_EVENTS = Object.keys({ error: 0, newListener: 0, removeListener: 0 } satisfies Record<keyof OwnEvents, 0>);

class BusEmitter extends EventEmitter {
  readonly #bus: EventBus<Catalog>;
  /** How to end what brings a name's events, for each name that has listeners. */
  readonly #sources = new Map<string | symbol, () => void>();
  /** Subscriptions that have not ended yet: whose dead letters are ours. */
  readonly #subscriptions = new Set<number>();

  constructor(bus: EventBus<Catalog>) {
    super();
    this.#bus = bus;
  }

  override on(name: string | symbol, listener: Listener): this {
    return this.#change(name, () => super.on(name, listener));
  }

  override addListener(name: string | symbol, listener: Listener): this {
    return this.on(name, listener);
  }

  override prependListener(name: string | symbol, listener: Listener): this {
    return this.#change(name, () => super.prependListener(name, listener));
  }

  override off(name: string | symbol, listener: Listener): this {
    return this.removeListener(name, listener);
  }

  override removeListener(name: string | symbol, listener: Listener): this {
    try {
      return super.removeListener(name, listener);
    } finally {
      this.#closeUnheard();
    }
  }

  override removeAllListeners(name?: string | symbol): this {
    try {
      // Node tells "no name" from "the name undefined" by the number of arguments.
      return name === undefined ? super.removeAllListeners() : super.removeAllListeners(name);
    } finally {
      this.#closeUnheard();
    }
  }

  override emit(name: string | symbol, ...args: unknown[]): boolean {
    if (isOwn(name)) return super.emit(name, ...args);
    const outcome = this.#bus.tryPublish({ ...payloadIn(name, args), type: name });
    switch (outcome) {
      case 'published':
        return this.#sources.has(name);
      case 'dropped':
        return false;
      case 'full':
        throw new LanebusError(
          ErrorCode.LANE_FULL,
          `emit ${describeValue(name)}: its lane has no room, and emit cannot wait; await bus.publish, or give the lane more capacityBytes or whenFull 'spill'`,
        );
      case 'closed':
        throw new LanebusError(
          ErrorCode.STOPPED,
          `emit ${describeValue(name)}: the bus has been stopped; a stopped bus is not started again`,
        );
    }
  }

  /** Adds a listener. Its source comes first, so that a listener which nothing would ever reach is not added. */
  #change(name: string | symbol, add: () => this): this {
    if (!this.#sources.has(name)) this.#open(name);
    try {
      return add();
    } finally {
      this.#closeUnheard();
    }
  }

  #open(name: string | symbol): void {
    if (name === 'error') this.#sources.set(name, this.#bus.on('deadLetter', this.#onDeadLetter));
    else if (!isOwn(name)) this.#subscribe(name);
  }

  #subscribe(type: string): void {
    const subscription = this.#bus.subscribe(
      type,
      (event) => {
        super.emit(type, event);
      },
      { name: `emitter ${type}` },
    );
    const { id } = subscription;
    const close = (): void => {
      subscription.unsubscribe();
    };
    this.#sources.set(type, close);
    this.#subscriptions.add(id);
    void subscription.ended.then(() => {
      this.#subscriptions.delete(id);
      // Ended by the bus, which has stopped it or given it up: `emit` must not say that anybody listens.
      if (this.#sources.get(type) === close) this.#sources.delete(type);
    });
  }

  /** Ends the sources that nobody listens to: of any name, as a 'removeListener' listener may take others away. */
  #closeUnheard(): void {
    for (const [name, close] of this.#sources) {
      if (this.listenerCount(name) > 0) continue;
      this.#sources.delete(name);
      close();
    }
  }

  readonly #onDeadLetter = (letter: DeadLetter): void => {
    if (!this.#subscriptions.has(letter.subscription.id)) return;
    const { error, type, reason } = letter;
    super.emit(
      'error',
      error === undefined ? new Error(`delivery of ${describeValue(type)}: ${reason}`) : fromErrorRecord(error),
      letter,
    );
  };
}

function isOwn(name: string | symbol): name is keyof OwnEvents | symbol {
  return typeof name === 'symbol' || OWN_EVENTS.includes(name);
}

/** @throws INVALID_EVENT for what an event could not carry: nothing is left out silently. */
function payloadIn(type: string, args: readonly unknown[]): object {
  const [payload = {}] = args;
  if (args.length > 1 || typeof payload !== 'object' || payload === null) {
    const given = args.length > 1 ? `${args.length} values` : describeValue(payload);
    throw new LanebusError(
      ErrorCode.INVALID_EVENT,
      `emit ${describeValue(type)}: got ${given}; accepted: one payload, an object of fields`,
    );
  }
  return payload;
}
