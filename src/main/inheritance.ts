/**
 * What a successor inherits: where each subscription of a dead thread goes on, and what becomes of the delivery that was
 * in flight. Decided from the dead thread's blocks, which nobody writes any more.
 */
import type { RestartReason } from '../shared/api.js';
import type { InFlight } from '../shared/delivery.js';
import { Outcome } from '../shared/layout.js';
import type { Logger } from '../shared/logger.js';
import type { FailureDesk } from './failure-desk.js';
import type { Member, Redelivery } from './member.js';
import type { Late } from './watchdog.js';

/**
 * As often may a delivery be one of several suspects before it is taken for the culprit. One at a time (quarantine.ts)
 * there is no doubt; it comes again only where a suspect waits for room beside others.
 */
const MAX_DOUBTS = 4;

export interface Death {
  readonly reason: RestartReason;
  /** The deliveries for which the thread was terminated; none where it could not be told which one held the thread. */
  readonly late: readonly Late[];
  readonly maxCrashes: number;
  /** Whether the thread may still run: it was given up before it had exited. */
  readonly lingers: boolean;
  /** Who may have caused it, if none was late. */
  readonly suspicion: Suspicion;
}

/** What kind of delivery may have caused a death, and how many there were. */
export interface Suspicion {
  readonly of: keyof typeof KINDS;
  readonly count: number;
}

/** The first kind of which there are any holds the suspects. */
const KINDS = {
  /** In its handler's synchronous part: nothing else can have run. */
  running: ({ running }: InFlight) => running,
  /** Waits for a promise: what it has set going may have run. One that waits for room has done its work. */
  working: ({ running, awaitsRoom }: InFlight) => !running && !awaitsRoom,
  any: () => true,
} as const;

/** @param inFlight All deliveries in flight on the thread. */
export function suspect(inFlight: readonly InFlight[]): Suspicion {
  for (const of of ['running', 'working'] as const) {
    const count = inFlight.filter(KINDS[of]).length;
    if (count > 0) return { of, count };
  }
  return { of: 'any', count: inFlight.length };
}

type Place = Pick<Redelivery, 'address' | 'position'>;

function isSame(a: Place, b: Place): boolean {
  return a.address === b.address && a.position === b.position;
}

/** Moves a subscription's member to a fresh block. */
export function inherit(member: Member, death: Death, log: Logger, desk: FailureDesk): void {
  const { record } = member;
  const decided: (() => void)[] = [];
  const repeated: Redelivery[] = [];
  const inFlight = member.finish(death.lingers);
  desk.drain(member);
  const { circuit } = record;
  const { index } = member.division;
  for (const one of inFlight) {
    const { address, position, attempt } = one;
    const before = member.redeliveries.find((redelivery) => isSame(redelivery, one));
    const { outcome, ...next } = judge(member, one, before, death);
    if (outcome === undefined) {
      repeated.push({ address, position, attempt: attempt + 1, ...next });
      continue;
    }
    member.checkpoints?.skip({ address, position });
    const rank = address % record.lanes.length;
    if (member.isReplay(one)) {
      decided.push(() => {
        log.fatal(
          { subscription: record.name, lane: record.lanes[rank].name, crashes: next.crashes },
          'a delivery that is shown again ends its thread: the state goes on without it',
        );
      });
      continue;
    }
    circuit.failed(circuit.isProbedBy(index));
    desk.bury(member, { address, position, attempt, crashes: next.crashes, outcome });
    member.pass(address, position, outcome);
    decided.push(() => {
      log.error(
        { subscription: record.name, lane: record.lanes[rank].name, attempt, crashes: next.crashes },
        outcome === Outcome.timedOut
          ? `delivery timed out after ${record.options.timeoutMs} ms`
          : `poison event: its thread died ${next.crashes} times`,
      );
    });
  }
  if (member.checkpoints?.bar(death.maxCrashes) === true) {
    const { name } = record;
    log.fatal({ subscription: name }, 'taking a checkpoint ends the thread each time: there will be no more of them');
  }
  circuit.orphaned(index);
  record.moveOn(member);
  member.liveAgain(death.reason);
  for (const tell of decided) tell();
  // Those that have not started again, because another lane came first, keep their attempts.
  const kept = member.redeliveries.filter(
    (redelivery) => !inFlight.some((one) => isSame(redelivery, one)) && member.isStillDue(redelivery),
  );
  member.redeliveries = [...kept, ...repeated];
}

/** What becomes of a delivery that was in flight: an outcome, or another attempt. */
function judge(
  member: Member,
  one: InFlight,
  before: Redelivery | undefined,
  { reason, late, suspicion, maxCrashes }: Death,
): Pick<Redelivery, 'crashes' | 'doubts' | 'suspect'> & { outcome: Outcome | undefined } {
  const isLate = late.some(
    ({ member: whose, flight, tag, position }) =>
      whose === member && flight === one.flight && tag === one.address + 1 && position === one.position,
  );
  const isSuspect = late.length === 0 && KINDS[suspicion.of](one);
  const isDoubtful = isSuspect && suspicion.count > 1;
  const crashes = (before?.crashes ?? 0) + (isSuspect && reason === 'crash' ? 1 : 0);
  const doubts = (before?.doubts ?? 0) + (isDoubtful ? 1 : 0);
  const isGuilty = isSuspect && (!isDoubtful || doubts > MAX_DOUBTS);
  const told = { crashes, doubts, suspect: isDoubtful || (before?.suspect ?? false) };
  if (isLate) return { ...told, outcome: Outcome.timedOut };
  if (reason === 'crash') return { ...told, outcome: isGuilty && crashes >= maxCrashes ? Outcome.failed : undefined };
  return { ...told, outcome: isDoubtful && isGuilty ? Outcome.timedOut : undefined };
}
