/**
 * What a successor inherits: where each subscription of a dead thread goes on, and what becomes of the delivery that was
 * in flight. Decided from the dead thread's blocks, which nobody writes any more.
 */
import type { RestartReason } from '../shared/api.js';
import type { InFlight } from '../shared/delivery.js';
import { Outcome, SubscriptionWord } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import type { Member, Redelivery } from './member.js';
import type { Late } from './watchdog.js';

export interface Death {
  readonly reason: RestartReason;
  /** The deliveries for which the thread was terminated. */
  readonly late: readonly Late[];
  readonly maxCrashes: number;
  /** Whether the thread may still run: it was given up before it had exited. */
  readonly lingers: boolean;
  /** Whether a handler was running; if not, all that were in flight waited for promises, and each is a suspect. */
  readonly hasRunning: boolean;
}

/** Moves a subscription's member to a fresh block. */
export function inherit(member: Member, death: Death, log: Logger): void {
  const { record } = member;
  const decided: (() => void)[] = [];
  const repeated: Redelivery[] = [];
  const isSame = (a: Omit<Redelivery, 'attempt' | 'crashes'>, b: Omit<Redelivery, 'attempt' | 'crashes'>): boolean =>
    a.address === b.address && a.position === b.position;
  const inFlight = member.finish(death.lingers);
  for (const one of inFlight) {
    const { address, position, attempt } = one;
    const before = member.redeliveries.find((redelivery) => isSame(redelivery, one));
    const { outcome, crashes } = judge(member, one, before?.crashes ?? 0, death);
    if (outcome === undefined) {
      repeated.push({ address, position, attempt: attempt + 1, crashes });
      continue;
    }
    member.checkpoints?.skip({ address, position });
    const rank = address % record.lanes.length;
    if (member.isReplay(one)) {
      decided.push(() => {
        log.fatal(
          { subscription: record.name, lane: record.lanes[rank].name, crashes },
          'a delivery that is shown again ends its thread: the state goes on without it',
        );
      });
      continue;
    }
    member.pass(address, position, outcome);
    decided.push(() => {
      record.count(rank, outcome);
      member.block.words[SubscriptionWord.CONSECUTIVE_INDEX] += 1;
      log.error(
        { subscription: record.name, lane: record.lanes[rank].name, attempt, crashes },
        outcome === Outcome.timedOut
          ? `delivery timed out after ${record.options.timeoutMs} ms`
          : `poison event: its thread died ${crashes} times`,
      );
    });
  }
  if (member.checkpoints?.bar(death.maxCrashes) === true) {
    const { name } = record;
    log.fatal({ subscription: name }, 'taking a checkpoint ends the thread each time: there will be no more of them');
  }
  record.moveOn(member);
  member.liveAgain(death.reason);
  for (const count of decided) count();
  // Those that have not started again, because another lane came first, keep their attempts.
  const kept = member.redeliveries.filter(
    (redelivery) => !inFlight.some((one) => isSame(redelivery, one)) && member.isStillDue(redelivery),
  );
  member.redeliveries = [...kept, ...repeated];
}

/** What becomes of a delivery that was in flight: an outcome, or another attempt. */
function judge(
  member: Member,
  { flight, address, position, running }: InFlight,
  crashesBefore: number,
  { reason, late, hasRunning, maxCrashes }: Death,
): { outcome: Outcome | undefined; crashes: number } {
  const suspected = reason === 'crash' && (running || !hasRunning);
  const crashes = crashesBefore + (suspected ? 1 : 0);
  const isLate = late.some(
    (one) => one.member === member && one.flight === flight && one.tag === address + 1 && one.position === position,
  );
  if (isLate) return { outcome: Outcome.timedOut, crashes };
  return { outcome: suspected && crashes >= maxCrashes ? Outcome.failed : undefined, crashes };
}
