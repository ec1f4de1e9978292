/** What handlers are told of events that they do not get: passed over for a newer one, or refused by a full lane. */
import { splitByKey } from './check-deliveries.js';
import { judge } from './events.js';
import type { History, Part } from './history.js';
import type { Call, Offer } from './journal.js';

export function* checkLosses(history: History): Generator<string> {
  for (const part of history.parts) {
    const { plan, metrics } = part;
    const lines = plan.lag === 'conflate' ? checkConflation(history, part) : checkGaps(history, part);
    for (const line of lines) yield `${metrics.name}: ${line}`;
  }
}

/** Each call's place among all events of its key follows from the number skipped; the last one is the key's newest. */
function* checkConflation(history: History, part: Part): Generator<string> {
  const { plan, calls, isKnown, readyAt, staysToTheEnd, metrics } = part;
  if (calls.some(({ missed }) => missed > 0) || metrics.missed > 0) yield 'is told of gaps';
  // Where keys are lost, or the predicate fails in the place of a call, events are skipped that nobody is told of.
  if (!isKnown || readyAt > 0 || plan.maxKeys !== undefined) return;
  const byId = new Map(calls.map((call) => [call.id, call]));
  for (const stream of part.streams) {
    for (const [key, offers] of splitByKey(history, part, stream)) {
      const published = offers.filter((offer) => history.isPublished(offer));
      let position = -1;
      for (const [at, { id }] of published.entries()) {
        const call = byId.get(id);
        if (call === undefined) continue;
        position += call.skipped + 1;
        const isRight = plan.filter === undefined ? position === at : position <= at;
        if (!isRight)
          yield `${key}: event ${id}, number ${at}, comes with ${call.skipped} skipped, as number ${position}`;
        position = at;
      }
      const newest = published.at(-1);
      if (!staysToTheEnd || newest === undefined || byId.has(newest.id)) continue;
      if (judge(history.plan, plan, newest) === 'passes')
        yield `${key}: the newest event ${newest.id} is not delivered`;
    }
  }
}

/** Each thread is told of each gap in a lane by the first call after it, and only by that. */
function* checkGaps(history: History, part: Part): Generator<string> {
  const { plan, calls, metrics, streams } = part;
  if (calls.some(({ skipped }) => skipped > 0)) yield 'is told of skipped events';
  for (const thread of metrics.threads) {
    const told = calls.filter((call) => call.thread === thread).reduce((sum, { missed }) => sum + missed, 0);
    if (told > metrics.missed)
      yield `thread ${thread} is told of ${told} missed events, the metrics of ${metrics.missed}`;
  }
  if (!seesGaps(part)) return;
  const dropped = droppedOf(history, part);
  if (metrics.missed !== dropped) yield `has missed ${metrics.missed} of ${dropped} dropped events`;
  if (plan.concurrency > 1 || (plan.threads > 1 && plan.order === 'none')) return; // told in the order of claims
  for (const { publisher, lane, offers } of streams) {
    for (const thread of metrics.threads) {
      const own = new Map<number, Call>();
      for (const call of calls) if (call.thread === thread) own.set(call.id, call);
      let gap = 0;
      for (const offer of offers) {
        const { id } = offer;
        if (isDropped(history, offer)) gap++;
        const call = own.get(id);
        if (call === undefined) continue;
        if (call.missed !== gap)
          yield `${publisher}/${lane}: event ${id} comes with ${call.missed} missed instead of ${gap}`;
        gap = 0;
      }
    }
  }
}

/** Whether the events that lanes have dropped were all told to those of whom that can be said: who was there all the time. */
export function areGapsTold(history: History): boolean {
  return history.parts.every((part) => !seesGaps(part) || part.metrics.missed === droppedOf(history, part));
}

function seesGaps({ plan, isKnown, readyAt, staysToTheEnd }: Part): boolean {
  return plan.lag === 'block' && isKnown && readyAt === 0 && staysToTheEnd;
}

function droppedOf(history: History, { streams }: Part): number {
  return streams.flatMap(({ offers }) => offers.filter((offer) => isDropped(history, offer))).length;
}

function isDropped(history: History, offer: Offer): boolean {
  // A batch that is refused because of another lane is not dropped.
  const { whenFull } = history.plan.lanes[history.laneOf(offer)];
  return whenFull === 'dropNewest' && !history.isPublished(offer) && offer.told !== 'rejected';
}
