/**
 * What threads say to each other besides events: the control plane. The main thread calls, a pool thread answers, over
 * Comlink on a MessagePort. All of it is plain data and shared memory; no event ever goes this way.
 */
import type { WorkerHandler } from './api.js';
import type { CatalogDescription } from './catalog.js';
import type { ErrorRecord } from './errors.js';
import type { LoggerOptions } from './logger.js';
import type { LaneSpec, ProducerSnapshot } from './outbox.js';
import type { PumpOptions } from './pump.js';

/** A publishing thread's lanes, as readers are told of them. */
export interface ProducerSpec {
  /** Index among the blocks in use; free again when the lanes of a dead thread are drained. */
  readonly index: number;
  /** Index of the thread that publishes: 0 is the bus's own. */
  readonly thread: number;
  readonly block: SharedArrayBuffer;
}

/** A subscription, as the thread that runs it is told of it. */
export interface SubscriptionSpec {
  readonly id: number;
  readonly name: string;
  /** Type indexes. */
  readonly types: readonly number[];
  /** Seeded with where to start in each lane. */
  readonly block: SharedArrayBuffer;
  /** Indexes of the producers to read. */
  readonly reads: readonly number[];
  /** Lanes, by address, whose next delivery was in flight when its thread died. */
  readonly redeliveries: readonly { readonly address: number; readonly attempt: number }[];
}

export interface WorkerSubscriptionSpec extends SubscriptionSpec {
  readonly handler: WorkerHandler;
}

/** A reader, as the producer is told of it. */
export interface GateSpec {
  readonly id: number;
  readonly name: string;
  /** Type indexes that it wants, and the lanes that carry them. */
  readonly types: readonly number[];
  readonly ranks: readonly number[];
  readonly block: SharedArrayBuffer;
  /** Block of the thread that reads, and its number: structured clone makes a new object of the same memory each time. */
  readonly consumer: SharedArrayBuffer;
  readonly consumerId: number;
}

export interface EngineSetup {
  readonly thread: number;
  readonly catalog: CatalogDescription;
  readonly lanes: readonly LaneSpec[];
  readonly pump: PumpOptions;
  readonly consumer: SharedArrayBuffer;
  /** This thread's own lanes; among `producers` too if it reads them. */
  readonly own: ProducerSpec;
  readonly producers: readonly ProducerSpec[];
  readonly gates: readonly GateSpec[];
}

export interface WorkerSetup extends EngineSetup {
  readonly logger: LoggerOptions | false;
  readonly subscriptions: readonly WorkerSubscriptionSpec[];
}

/** What the main thread asks of a thread's engine, its own or a pool thread's; see Engine for what each does. */
export interface EngineControl {
  halt(id: number): Promise<void>;
  detach(id: number, cuts: ReadonlyMap<number, number>): void;
  openGates(gates: readonly GateSpec[], seed: boolean): ProducerSnapshot;
  closeGates(id: number): void;
  snapshot(): ProducerSnapshot;
  addProducer(producer: ProducerSpec, readers: readonly number[]): void;
  removeProducer(index: number): void;
  abort(id: number): void;
  wired(): void;
  stop(): void;
}

/** What only a pool thread is asked: it finds its handlers by itself. */
export interface WorkerControl extends EngineControl {
  /** Imports all handler modules, then starts to read. */
  setUp(setup: WorkerSetup): Promise<void>;
  attach(spec: WorkerSubscriptionSpec): Promise<void>;
}

/** Calls a method by its name. The names come from this package's own threads only. */
export function invoke(control: object, method: string, args: readonly unknown[]): unknown {
  return Reflect.apply(Reflect.get(control, method) as (...args: unknown[]) => unknown, control, args);
}

/** An answer as it crosses the port. Errors are records, since Comlink would drop their code. */
export type Answer = { readonly value: unknown } | { readonly error: ErrorRecord };

/** The one function that the port exposes. */
export interface ControlPort {
  call(method: keyof WorkerControl, args: readonly unknown[]): Promise<Answer>;
}

/** First word on the port: the thread is ready to be called. Calls made before would be lost. */
export const READY = 'lanebus:ready';
