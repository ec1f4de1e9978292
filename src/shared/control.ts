/**
 * What threads say to each other besides events: the control plane. The main thread calls, a pool thread answers, over
 * Comlink on a MessagePort. All of it is plain data and shared memory; no event ever goes this way.
 */
import type { RestartReason, WorkerHandler } from './api.js';
import type { CatalogDescription } from './catalog.js';
import type { CheckpointSource } from './checkpoint-block.js';
import type { Division } from './division.js';
import type { ErrorRecord } from './errors.js';
import type { FilterSpec } from './filters.js';
import type { LoggerOptions } from './logger.js';
import type { LaneSpec, ProducerSnapshot } from './outbox.js';
import type { PumpOptions } from './pump.js';
import type { Skipped } from './replay.js';
import type { LocalSetup } from './subscription.js';

/** A publishing thread's lanes, as readers are told of them. */
export interface ProducerSpec {
  /** Index among the blocks in use; free again when the lanes of a dead thread are drained. */
  readonly index: number;
  /** Index of the thread that publishes: 0 is the bus's own. */
  readonly thread: number;
  readonly block: SharedArrayBuffer;
}

/** What a thread reads of a producer for a subscription. */
export interface ReadSpec {
  /** Index of the producer. */
  readonly producer: number;
  /** Blocks by rank, where records are claimed, or conflated. */
  readonly claims?: Readonly<Record<number, SharedArrayBuffer>>;
  readonly conflations?: Readonly<Record<number, ConflationSpec>>;
}

export interface ConflationSpec {
  readonly block: SharedArrayBuffer;
  readonly progress: SharedArrayBuffer;
}

/**
 * A subscription, as a thread that runs it is told of it. Its `id` is of the subscription on this thread: each thread that
 * shares it has one of its own. Its block is seeded with where to start in each lane.
 */
export interface SubscriptionSpec extends LocalSetup {
  readonly division: Division;
  /** Of this incarnation, and of those before it that may still run: see claims.ts. */
  readonly claimant: number;
  readonly fenced: readonly number[];
  readonly filter: FilterSpec | undefined;
  readonly reads: readonly ReadSpec[];
  /** Where main makes deliveries again, if it has done so yet. */
  readonly retries: RetriesSpec | undefined;
  /** Deliveries that were in flight when their thread died: lane by address, position in it. */
  readonly redeliveries: readonly Redelivery[];
  /** Undefined where it has none. */
  readonly checkpoints?: CheckpointSpec | undefined;
}

/** Lanes of main's that are one subscription's own: see retries.ts. */
export interface RetriesSpec {
  readonly producer: ProducerSpec;
  readonly read: ReadSpec;
}

/** What a thread must know of a subscription's checkpoints. */
export interface CheckpointSpec extends CheckpointSource {
  /** Deliveries from one to the next. */
  readonly every: number;
  /** Deliveries since the last one that killed their thread, and are not to do so again. */
  readonly skipped: readonly Skipped[];
  /** Whether none is taken any more, since each ends the thread. */
  readonly isBarred: boolean;
}

export interface Redelivery {
  readonly address: number;
  readonly position: number;
  readonly attempt: number;
  /** Whether the death may have been its fault: it is delivered alone. */
  readonly suspect: boolean;
}

export interface WorkerSubscriptionSpec extends SubscriptionSpec {
  readonly handler: WorkerHandler;
  readonly predicate: WorkerHandler | undefined;
  /** What `setup` is told. */
  readonly life: Life;
  /** Longest time for `setup` and `restore`, and for `teardown`, which is not called if undefined; 0 = no limit. */
  readonly setupMs: number;
  readonly teardownMs: number | undefined;
}

/** One of the lives of a subscription on a thread. */
export interface Life {
  /** The subscription, over all its threads. */
  readonly subscription: { readonly id: number; readonly name: string; readonly types: readonly string[] };
  readonly incarnation: number;
  readonly lastEnd: RestartReason | undefined;
  readonly stateLost: boolean;
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
  readonly division: Division;
  /** Where it conflates: the block for each lane of each producer, by address. */
  readonly conflations: Readonly<Record<number, SharedArrayBuffer>>;
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

export type RehearsalSetup = Pick<WorkerSetup, 'catalog' | 'lanes' | 'pump' | 'logger'>;

/** What the main thread asks of a thread's engine, its own or a pool thread's; see Engine for what each does. */
export interface EngineControl {
  halt(id: number): Promise<void>;
  detach(id: number, cuts: ReadonlyMap<number, number>): void;
  openGates(gates: readonly GateSpec[], seed: boolean): ProducerSnapshot;
  closeGates(ids: readonly number[]): ProducerSnapshot;
  snapshot(): ProducerSnapshot;
  addProducer(producer: ProducerSpec, readers: readonly { readonly id: number; readonly read: ReadSpec }[]): void;
  removeProducer(index: number): void;
  addRetries(id: number, retries: RetriesSpec): void;
  checkpoint(id: number): void;
  abort(id: number, flight: number): void;
  refuse(id: number, flight: number, position: number, reason: string): void;
  wired(): void;
  stop(): void;
}

/** What only a pool thread is asked: it finds its handlers by itself. */
export interface WorkerControl extends EngineControl {
  /** Imports handler modules ahead of any set-up, and checks their exports. */
  learn(handlers: readonly WorkerHandler[]): Promise<void>;
  /** Does once what the set-up of this bus's threads takes, so that it is fast when it is asked for. */
  rehearse(setup: RehearsalSetup): void;
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

export interface ReadyWord {
  readonly ready: typeof READY;
  readonly threadId: number;
  /** The kernel's number of the thread, where it can be known. */
  readonly kernelThread: number | undefined;
}
