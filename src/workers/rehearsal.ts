import type { RehearsalSetup } from '../shared/control.js';
import { Engine } from '../shared/engine.js';
import { CircuitBlock, ConsumerBlock, MIN_CAPACITY_BYTES, ProducerBlock, SubscriptionBlock } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import { ReturnReader } from '../shared/returns.js';

/**
 * Has a spare thread do once, on small blocks of its own, what a take-over will ask of it: V8 then has parsed and compiled
 * the engine and each type's codec. It takes 5 to 10 ms here, which a take-over is spared.
 */
export function rehearse({ catalog, lanes, pump }: RehearsalSetup, log: Logger): void {
  const types = catalog.types.map((_, index) => index + 1);
  const { source } = ProducerBlock.create({
    capacities: lanes.map(() => MIN_CAPACITY_BYTES),
    types: types.length,
    symbols: 1,
    nameBytes: 1,
  });
  const own = { index: 0, thread: 1, block: source };
  const consumer = ConsumerBlock.create().source;
  const engine = new Engine(
    { thread: 1, catalog, lanes, pump, consumer, own, producers: [own], gates: [] },
    log.warn.bind(log),
  );
  const block = SubscriptionBlock.create({ lanes: lanes.length, addresses: lanes.length, flights: 1 }).source;
  const division = { index: 0, of: 1, mode: 'ordered', keys: undefined, holds: undefined } as const;
  const failures = {
    member: 0,
    circuit: CircuitBlock.create().source,
    maxFailures: 0,
    returns: new ReturnReader(types.length, MIN_CAPACITY_BYTES, consumer).spec,
    keepsOrder: false,
    held: [],
  };
  const subscription = { id: 0, name: 'rehearsal', types, block, division, claimant: 1, fenced: [], filter: undefined };
  engine.attach(
    { ...subscription, failures, once: false, reads: [{ producer: 0 }], retries: undefined, redeliveries: [] },
    { handler: () => undefined, predicate: undefined },
    log,
  );
}
