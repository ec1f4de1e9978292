/**
 * What a successor inherits: where each subscription of a dead thread goes on, and what becomes of the delivery that was
 * in flight. Decided from the dead thread's blocks, which nobody writes any more.
 */
import type { RestartReason } from '../shared/api.js';
import { recover } from '../shared/dispatch.js';
import { LaneView } from '../shared/lane.js';
import { Outcome } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import { distance } from '../shared/sequence.js';
import type { SubscriptionRecord } from './record.js';
import type { Late } from './watchdog.js';

export interface Death {
  readonly reason: RestartReason;
  /** The deliveries for which the thread was terminated. */
  readonly late: readonly Late[];
  readonly maxCrashes: number;
}

/** Moves a subscription to a fresh block. */
export function inherit(record: SubscriptionRecord, death: Death, log: Logger): void {
  const inFlight = finish(record);
  if (inFlight === undefined) {
    record.moveOn(undefined);
    // A redelivery that had not started again keeps its attempt.
    if (record.redelivery !== undefined && !isStillDue(record, record.redelivery)) record.redelivery = undefined;
    return;
  }
  const { address, position, attempt } = inFlight;
  const { redelivery } = record;
  const before = redelivery?.address === address && redelivery.position === position ? redelivery.crashes : 0;
  const crashes = before + (death.reason === 'crash' ? 1 : 0);
  const late = death.late.some((one) => one.record === record && one.tag === address + 1 && one.position === position);
  const poison = death.reason === 'crash' && crashes >= death.maxCrashes;
  if (!late && !poison) {
    record.moveOn(undefined);
    record.redelivery = { address, position, attempt: attempt + 1, crashes };
    return;
  }
  const rank = address % record.lanes.length;
  record.moveOn({ address, next: viewOf(record, address).next(position) });
  record.countFailure(rank, late ? Outcome.timedOut : Outcome.failed);
  record.redelivery = undefined;
  log.error(
    { subscription: record.name, lane: record.lanes[rank].name, attempt, crashes },
    late ? `delivery timed out after ${record.options.timeoutMs} ms` : `poison event: its thread died ${crashes} times`,
  );
}

/** Completes an outcome that the dead thread had decided. @returns The delivery that has none. */
export function finish(record: SubscriptionRecord): ReturnType<typeof recover> {
  return recover(record.block, record.lanes.length, (address, position) => viewOf(record, address).next(position));
}

function isStillDue(record: SubscriptionRecord, { address, position }: { address: number; position: number }): boolean {
  return distance(record.block.words[record.block.settledIndex(address)], position) <= 0;
}

/** The lane that a subscription reads at an address. */
function viewOf(record: SubscriptionRecord, address: number): LaneView {
  const index = Math.floor(address / record.lanes.length);
  const producer = record.reads.find((read) => read.index === index);
  if (producer === undefined) throw new RangeError(`subscription "${record.name}" reads no producer ${index}`);
  return new LaneView(producer.block, address % record.lanes.length);
}
