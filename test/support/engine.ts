/** An engine on the test's own thread: lanes, subscriptions and a pump, without a pool and without a bus. */
import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import type { HandlerContext, HandlerLogger } from '../../src/shared/api.js';
import { defineEvents } from '../../src/shared/catalog.js';
import type { GateSpec, SubscriptionSpec } from '../../src/shared/control.js';
import { Engine } from '../../src/shared/engine.js';
import { bytes, i32, optional } from '../../src/shared/fields.js';
import { ConsumerBlock, HEADER_BYTES, ProducerBlock } from '../../src/shared/layout.js';
import type { PumpOptions } from '../../src/shared/pump.js';
import type { AnyPredicate } from '../../src/shared/subscription.js';
import { MemoryDeadLetterStore } from '../../src/main/dead-letter-store.js';
import { DeadLetterOffice } from '../../src/main/dead-letters.js';
import { FAILURE_DEFAULTS } from '../../src/main/failure-options.js';
import { FailureDesk } from '../../src/main/failure-desk.js';
import type { ResolvedLane } from '../../src/main/lane-options.js';
import type { Slot } from '../../src/main/slot.js';
import type { Member } from '../../src/main/member.js';
import { isRetries, type Producer, SubscriptionRecord } from '../../src/main/record.js';
import type { ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';

const payload = { n: i32(), body: optional(bytes()) };

/** One type or two for each lane of `LANES`. */
export const CATALOG = defineEvents({
  HALT: { priority: 1, payload },
  TICK: { priority: 30, payload },
  BAR: { priority: 40, payload },
  NOTE: { priority: 95, payload },
});

export interface TestEvent {
  readonly type: 'HALT' | 'TICK' | 'BAR' | 'NOTE';
  readonly n: number;
  readonly body?: Uint8Array;
}

export type TestHandler = (event: TestEvent, context: HandlerContext<typeof CATALOG>) => unknown;

const LANE = {
  capacityBytes: 1 << 16,
  maxRecordBytes: 1 << 15,
  whenFull: 'block',
  timeoutMs: 0,
  spillWatermarkBytes: 1 << 20,
  highWatermark: 1,
  urgent: false,
} as const;

export type TestLane = ResolvedLane;

/** Control is urgent, market and log are not. */
export function lanesWith(changes: Partial<Record<'control' | 'market' | 'log', Partial<TestLane>>> = {}): TestLane[] {
  return [
    { ...LANE, name: 'control', minPriority: -Infinity, maxPriority: 9, urgent: true, ...changes.control },
    { ...LANE, name: 'market', minPriority: 10, maxPriority: 89, ...changes.market },
    { ...LANE, name: 'log', minPriority: 90, maxPriority: Infinity, ...changes.log },
  ];
}

/** As `subscribe` resolves none at all: one delivery after the other, of every event. */
const OPTIONS: ResolvedSubscribeOptions = {
  name: undefined,
  timeoutMs: 0,
  graceMs: 0,
  signal: undefined,
  threads: 1,
  concurrency: 1,
  mode: 'ordered',
  keys: undefined,
  maxKeys: 16,
  filter: undefined,
  predicate: undefined,
  once: false,
  holds: undefined,
  checkpointEvery: undefined,
  maxCheckpointBytes: 1 << 20,
  ...FAILURE_DEFAULTS,
};

/** The field `n` as the key of every type. */
export const KEYS: ResolvedSubscribeOptions['keys'] = Object.fromEntries(
  CATALOG.types.map(({ index }) => [index, 'n']),
);

export interface LogLine {
  readonly level: string;
  readonly fields: Record<string, unknown>;
  readonly text: string | undefined;
}

/** A logger that keeps its lines. */
export function keepingLog(lines: LogLine[]): HandlerLogger {
  const at =
    (level: string) =>
    (fields: object, text?: string): void => {
      lines.push({ level, fields: fields as Record<string, unknown>, text });
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export interface EngineOptions {
  readonly lanes?: readonly TestLane[];
  readonly starvation?: PumpOptions['starvation'];
  /** 0 is the bus's own thread, the default. */
  readonly thread?: number;
  /** How many producers its subscriptions can read. */
  readonly producers?: number;
  /** Where positions and sequences of its lanes start. */
  readonly position?: number;
  readonly sequence?: number;
}

export class TestEngine {
  readonly engine: Engine;
  readonly lanes: readonly TestLane[];
  readonly producer: Producer;
  readonly consumer = ConsumerBlock.create();
  readonly lines: LogLine[] = [];
  readonly records: SubscriptionRecord[] = [];
  /** What becomes of the deliveries that come back, once the engine runs. */
  readonly desk: FailureDesk;
  readonly letters: DeadLetterOffice;
  readonly #desk = ConsumerBlock.create();
  readonly #thread: number;
  readonly #producers: number;
  #running: Promise<void> | undefined;

  constructor({ lanes = lanesWith(), starvation = false, thread = 0, producers = 1, ...start }: EngineOptions = {}) {
    this.lanes = lanes;
    this.#thread = thread;
    this.#producers = producers;
    this.producer = producerOf(lanes, 0, thread);
    lanes.forEach((_, rank) => {
      this.producer.block.startLaneAt(rank, start.position ?? 0, start.sequence ?? 0);
    });
    const own = { index: 0, thread, block: this.producer.block.source };
    this.engine = new Engine(
      {
        thread,
        catalog: CATALOG.description,
        lanes,
        pump: { urgent: lanes.map(({ urgent }) => urgent), spinMicros: 0, starvation },
        consumer: this.consumer.source,
        own,
        producers: [own],
        gates: [],
      },
      (fields, text) => {
        this.lines.push({ level: 'warn', fields: fields as Record<string, unknown>, text });
      },
    );
    this.engine.wired();
    const slot = {
      consumer: this.consumer,
      tell: (method: 'addRetries', ...args: Parameters<Engine['addRetries']>): Promise<void> => {
        this.engine[method](...args);
        return Promise.resolve();
      },
    };
    const slots = Array.from({ length: thread + 1 }, () => slot as unknown as Slot);
    const log = pino({ enabled: false });
    this.letters = new DeadLetterOffice(new MemoryDeadLetterStore(1_000), 0, log, () => undefined);
    this.desk = new FailureDesk(
      { records: this.records, slots, desk: this.#desk },
      { max: 16, maxBytes: 256 },
      this.letters,
      log,
    );
  }

  /** Makes a subscription's books and opens its gates, but runs nothing: the test is the reader. */
  register(types: readonly TestEvent['type'][], options: Partial<ResolvedSubscribeOptions> = {}): SubscriptionRecord {
    const id = this.records.length + 1;
    const record = new SubscriptionRecord({
      id,
      name: `subscription ${id}`,
      types: CATALOG.types.filter(({ name }) => types.includes(name as TestEvent['type'])),
      typeCount: CATALOG.types.length,
      handler: () => undefined,
      threads: [this.#thread],
      lanes: this.lanes,
      producers: this.#producers,
      desk: this.#desk.source,
      options: { ...OPTIONS, ...options },
    });
    record.readFromStart(this.producer);
    record.state = 'active';
    this.records.push(record);
    this.engine.openGates(
      record.members.map((member) => this.gateOf(member)),
      false,
    );
    return record;
  }

  subscribe(
    types: TestEvent['type'] | readonly TestEvent['type'][],
    handler: TestHandler,
    options: Partial<ResolvedSubscribeOptions> = {},
  ): SubscriptionRecord {
    const record = this.register(typeof types === 'string' ? [types] : types, options);
    this.attach(record, handler);
    return record;
  }

  /** Runs a subscription that was registered, with what its member has to deliver again. */
  attach(record: SubscriptionRecord, handler: TestHandler): void {
    const predicate = record.options.predicate as AnyPredicate | undefined;
    for (const member of record.members) {
      this.engine.attach(specOf(member), { handler, predicate }, keepingLog(this.lines));
    }
  }

  gateOf(member: Member): GateSpec {
    const { id, record, block, division, conflationSources } = member;
    return {
      id,
      name: record.name,
      types: record.types.map(({ index }) => index),
      ranks: record.ranks,
      block: block.source,
      consumer: this.consumer.source,
      consumerId: 0,
      division,
      conflations: conflationSources,
    };
  }

  publish(type: TestEvent['type'], n: number, body?: Uint8Array): Promise<void> {
    return this.engine.outbox.publish(body === undefined ? { type, n } : { type, n, body });
  }

  start(): void {
    this.#running = this.engine.pump.run();
    void this.desk.run();
  }

  /** Resolves when every subscription has come to the end of its lanes. */
  async drained(): Promise<void> {
    do await turn();
    while (!this.records.every((record) => record.drained));
  }

  /** Resolves when the pump has stopped, whoever told it to. */
  async stopped(): Promise<void> {
    await this.#running;
  }

  async stop(): Promise<void> {
    this.engine.stop();
    this.desk.silenceAll();
    await this.stopped();
  }
}

function specOf(member: Member): SubscriptionSpec {
  const { id, record, block, division, claimant, fenced, redeliveries } = member;
  const { name, types, options, retries } = record;
  const reads = record.reads.filter((producer) => !isRetries(producer));
  return {
    id,
    name,
    types: types.map(({ index }) => index),
    block: block.source,
    division,
    claimant,
    fenced,
    filter: options.filter,
    once: options.once,
    failures: member.failureSetup,
    retries: retries?.specFor(member),
    reads: reads.map((producer) => member.readSpec(producer)),
    redeliveries,
  };
}

export function producerOf(lanes: readonly TestLane[], index: number, thread: number): Producer {
  const block = ProducerBlock.create({
    capacities: lanes.map(({ capacityBytes }) => capacityBytes),
    types: CATALOG.types.length,
    symbols: 16,
    nameBytes: 256,
  });
  return { index, thread, block, dead: false, final: false };
}

/** Body of an event whose record has so many bytes. */
export function bodyFor(recordBytes: number): Uint8Array {
  return new Uint8Array(recordBytes - HEADER_BYTES - CATALOG.types[0].fixedBytes);
}
