/** An engine on the test's own thread: lanes, subscriptions and a pump, without a pool and without a bus. */
import { setImmediate as turn } from 'node:timers/promises';
import type { HandlerContext, HandlerLogger } from '../../src/shared/api.js';
import { defineEvents } from '../../src/shared/catalog.js';
import type { GateSpec, SubscriptionSpec } from '../../src/shared/control.js';
import { Engine } from '../../src/shared/engine.js';
import { bytes, i32, optional } from '../../src/shared/fields.js';
import { ConsumerBlock, HEADER_BYTES, ProducerBlock } from '../../src/shared/layout.js';
import type { LaneSpec } from '../../src/shared/outbox.js';
import type { PumpOptions } from '../../src/shared/pump.js';
import { type Producer, SubscriptionRecord } from '../../src/main/record.js';

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
  urgent: false,
} as const;

export type TestLane = LaneSpec & { readonly capacityBytes: number };

/** Control is urgent, market and log are not. */
export function lanesWith(changes: Partial<Record<'control' | 'market' | 'log', Partial<TestLane>>> = {}): TestLane[] {
  return [
    { ...LANE, name: 'control', maxPriority: 9, urgent: true, ...changes.control },
    { ...LANE, name: 'market', maxPriority: 89, ...changes.market },
    { ...LANE, name: 'log', maxPriority: Infinity, ...changes.log },
  ];
}

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
  }

  /** Makes a subscription's books and opens its gates, but runs nothing: the test is the reader. */
  register(types: readonly TestEvent['type'][]): SubscriptionRecord {
    const id = this.records.length + 1;
    const record = new SubscriptionRecord({
      id,
      name: `subscription ${id}`,
      types: CATALOG.types.filter(({ name }) => types.includes(name as TestEvent['type'])),
      handler: () => undefined,
      thread: this.#thread,
      lanes: this.lanes,
      producers: this.#producers,
      options: { name: undefined, timeoutMs: 0, graceMs: 0, signal: undefined },
    });
    record.readFromStart(this.producer);
    record.state = 'active';
    this.records.push(record);
    this.engine.openGates([this.gateOf(record)], false);
    return record;
  }

  subscribe(
    types: TestEvent['type'] | readonly TestEvent['type'][],
    handler: TestHandler,
    redeliveries: SubscriptionSpec['redeliveries'] = [],
  ): SubscriptionRecord {
    const record = this.register(typeof types === 'string' ? [types] : types);
    this.attach(record, handler, redeliveries);
    return record;
  }

  attach(record: SubscriptionRecord, handler: TestHandler, redeliveries: SubscriptionSpec['redeliveries'] = []): void {
    const spec: SubscriptionSpec = {
      id: record.id,
      name: record.name,
      types: record.types.map(({ index }) => index),
      block: record.block.source,
      reads: record.reads.map(({ index }) => index),
      redeliveries,
    };
    this.engine.attach(spec, handler, keepingLog(this.lines));
  }

  gateOf({ id, name, types, ranks, block }: SubscriptionRecord): GateSpec {
    return {
      id,
      name,
      types: types.map(({ index }) => index),
      ranks,
      block: block.source,
      consumer: this.consumer.source,
      consumerId: 0,
    };
  }

  publish(type: TestEvent['type'], n: number, body?: Uint8Array): Promise<void> {
    return this.engine.outbox.publish(body === undefined ? { type, n } : { type, n, body });
  }

  start(): void {
    this.#running = this.engine.pump.run();
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
    await this.stopped();
  }
}

export function producerOf(lanes: readonly TestLane[], index: number, thread: number): Producer {
  const block = ProducerBlock.create({
    capacities: lanes.map(({ capacityBytes }) => capacityBytes),
    types: CATALOG.types.length,
    symbols: 16,
    nameBytes: 256,
  });
  return { index, thread, block, dead: false };
}

/** Body of an event whose record has so many bytes. */
export function bodyFor(recordBytes: number): Uint8Array {
  return new Uint8Array(recordBytes - HEADER_BYTES - CATALOG.types[0].fixedBytes);
}
