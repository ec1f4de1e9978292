/**
 * What a successor inherits: where each subscription of a dead thread goes on, and what becomes of the delivery that was
 * in flight. Decided from the dead thread's blocks, which nobody writes any more.
 */
import type { RestartReason } from '../shared/api.js';
import { type InFlight, recover } from '../shared/dispatch.js';
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
  /** The one whose handler was running; undefined when all that were in flight waited for promises. */
  readonly suspect?: SubscriptionRecord | undefined;
}

/** Moves a subscription to a fresh block. */
export function inherit(record: SubscriptionRecord, death: Death, log: Logger): void {
  const inFlight = finish(record);
  const before = record.redeliveries.find(
    ({ address, position }) => address === inFlight?.address && position === inFlight.position,
  );
  const verdict = inFlight === undefined ? undefined : judge(record, inFlight, before?.crashes ?? 0, death);
  const next = inFlight && verdict?.outcome && viewOf(record, inFlight.address).next(inFlight.position);
  record.moveOn(inFlight && next !== undefined ? { address: inFlight.address, next } : undefined);
  // Those that have not started again, because another lane came first, keep their attempts.
  const kept = record.redeliveries.filter((one) => one !== before && isStillDue(record, one));
  record.redeliveries = kept;
  if (inFlight === undefined || verdict === undefined) return;

  const { address, position, attempt } = inFlight;
  const { outcome, crashes } = verdict;
  if (outcome === undefined) {
    record.redeliveries = [...kept, { address, position, attempt: attempt + 1, crashes }];
    return;
  }
  const rank = address % record.lanes.length;
  record.countFailure(rank, outcome);
  log.error(
    { subscription: record.name, lane: record.lanes[rank].name, attempt, crashes },
    outcome === Outcome.timedOut
      ? `delivery timed out after ${record.options.timeoutMs} ms`
      : `poison event: its thread died ${crashes} times`,
  );
}

/** What becomes of a delivery that was in flight: an outcome, or another attempt. */
function judge(
  record: SubscriptionRecord,
  { address, position }: InFlight,
  crashesBefore: number,
  { reason, late, suspect = record, maxCrashes }: Death,
): { outcome: Outcome | undefined; crashes: number } {
  const suspected = reason === 'crash' && suspect === record;
  const crashes = crashesBefore + (suspected ? 1 : 0);
  const isLate = late.some((one) => one.record === record && one.tag === address + 1 && one.position === position);
  if (isLate) return { outcome: Outcome.timedOut, crashes };
  return { outcome: suspected && crashes >= maxCrashes ? Outcome.failed : undefined, crashes };
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
