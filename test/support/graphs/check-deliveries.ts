/**
 * What each handler was called with: which events, in which order, how many at a time. Each check yields a line for every
 * broken promise.
 */
import { groupBy, type History, type Part, type Stream } from './history.js';
import type { Call, Offer, Place } from './journal.js';

export function* checkDeliveries(history: History): Generator<string> {
  yield* checkPlaces(history);
  for (const part of history.parts) {
    const said = (line: string): string => `${part.metrics.name}: ${line}`;
    for (const line of checkCalls(history, part)) yield said(line);
    for (const line of checkOrder(history, part)) yield said(line);
    for (const line of checkInFlight(history, part)) yield said(line);
    if (part.isKnown && part.plan.lag === 'block') for (const line of checkExactlyOnce(history, part)) yield said(line);
  }
}

/** An event has one place, the same for all who see it, and tells the place of the event that it derives from. */
function* checkPlaces({ run, plan }: History): Generator<string> {
  const places = new Map<number, Place>();
  const text = (place: Place | undefined): string =>
    place === undefined ? 'none' : `${place.publisher}/${place.lane}/${place.sequence}`;
  for (const call of run.calls) {
    const known = places.get(call.id);
    places.set(call.id, call);
    if (known !== undefined && text(known) !== text(call)) {
      yield `event ${call.id} has the places ${text(known)} and ${text(call)}`;
    }
  }
  for (const { id, publisher, lane, cause, attempt, intact, thread, subscription } of run.calls) {
    const offer = run.offers.at(id);
    if (offer === undefined || !intact) {
      yield `subscription ${subscription}: event ${id} has wrong bytes`;
      continue;
    }
    const where = `event ${id} on thread ${thread}`;
    if (publisher !== offer.publisher || lane !== plan.types[offer.type].lane) {
      yield `${where} is said to come from ${publisher}/${lane}, it was offered by ${offer.publisher}`;
    }
    const expected = offer.parent === undefined ? undefined : places.get(offer.parent);
    if (text(expected) !== text(cause)) yield `${where} has the cause ${text(cause)} instead of ${text(expected)}`;
    if (attempt !== 1) yield `${where} is attempt ${attempt}`;
  }
}

/** No call twice, none that should not have been made, none without an end. */
function* checkCalls(history: History, part: Part): Generator<string> {
  const { plan, metrics, calls } = part;
  const seen = new Set<number>();
  for (const { id, endedAt, thread } of calls) {
    const offer = history.offer(id);
    if (seen.has(id)) yield `event ${id} is delivered twice`;
    seen.add(id);
    if (endedAt === Infinity) yield `event ${id} has not ended`;
    if (!plan.types.includes(offer.type)) yield `event ${id} of type ${offer.type} is delivered`;
    else if (history.isKnown(offer.type) && !history.isWanted(part, offer)) {
      yield `event ${id} (${offer.told}) is delivered though it was not published or does not pass the filter`;
    }
    if (!metrics.threads.includes(thread))
      yield `event ${id} runs on thread ${thread}, not on ${metrics.threads.join()}`;
  }
  const threads = plan.threads === 0 ? [0] : [...new Set(metrics.threads)].filter((thread) => thread > 0);
  if (threads.length !== Math.max(1, plan.threads)) yield `runs on threads ${metrics.threads.join()}`;
}

function* checkOrder(history: History, part: Part): Generator<string> {
  const { plan, calls } = part;
  const last = new Map<string, Call>();
  const owners = new Map<string, number>();
  const shares = plan.threads > 1 || plan.concurrency > 1;
  for (const call of calls) {
    const { publisher, lane, id, thread, sequence } = call;
    const key = history.keyOf(part, history.offer(id));
    if (plan.order === 'key') {
      const owner = owners.get(key) ?? thread;
      owners.set(key, owner);
      if (owner !== thread) yield `key "${key}" runs on threads ${owner} and ${thread}`;
    }
    if (shares && plan.order === 'none') continue;
    const perKey = plan.lag === 'conflate' || plan.concurrency > 1;
    const order = perKey ? `${publisher} ${lane} ${key}` : `${publisher} ${lane} ${thread}`;
    const before = last.get(order);
    last.set(order, call);
    if (before === undefined || (before.id < id && before.sequence < sequence)) continue;
    yield `${order}: event ${id} (sequence ${sequence}) comes after ${before.id} (sequence ${before.sequence})`;
  }
}

/** At most `concurrency` on each thread, and one of a key. */
function* checkInFlight(history: History, part: Part): Generator<string> {
  const { plan, calls } = part;
  let flying: Call[] = [];
  for (const call of calls) {
    flying = flying.filter(({ endedAt }) => endedAt > call.startedAt);
    flying.push(call);
    const here = flying.filter(({ thread }) => thread === call.thread);
    if (here.length > plan.concurrency)
      yield `has ${here.map(({ id }) => id).join()} in flight on thread ${call.thread}`;
    if (plan.order === 'none') continue;
    const key = history.keyOf(part, history.offer(call.id));
    const same = flying.filter(({ id }) => history.keyOf(part, history.offer(id)) === key);
    if (same.length > 1) yield `has ${same.map(({ id }) => id).join()} of key "${key}" in flight`;
  }
}

/**
 * Of each stream, or of each key in it where only those are kept in order, a subscription sees a run without holes: from
 * the first event on if it was there, at the latest from the first that was offered after it was ready, to the last one
 * if it stays.
 */
function* checkExactlyOnce(history: History, part: Part): Generator<string> {
  const { plan, readyAt, staysToTheEnd } = part;
  const shares = plan.threads > 1 || plan.concurrency > 1;
  if (shares && plan.order === 'none' && !staysToTheEnd) return;
  const seen = new Set(part.calls.map(({ id }) => id));
  for (const stream of part.streams) {
    for (const [key, offers] of splitByKey(history, part, stream, shares && plan.order === 'key')) {
      const wanted = offers.filter((offer) => history.isWanted(part, offer));
      const first = wanted.findIndex(({ id }) => seen.has(id));
      const begin = first >= 0 ? first : wanted.length;
      const end = staysToTheEnd ? wanted.length : wanted.findLastIndex(({ id }) => seen.has(id)) + 1;
      const missing = wanted.filter(({ id }, at) => !seen.has(id) && at < end && (at >= begin || id >= readyAt));
      if (missing.length === 0) continue;
      const which = missing.map(({ id }) => id);
      yield `does not see ${which.length} of ${wanted.length} events of ${stream.publisher}/${stream.lane} ${key}: ${which.slice(0, 10).join()}`;
    }
  }
}

export function splitByKey(
  history: History,
  part: Part,
  { offers }: Stream,
  isSplit = true,
): ReadonlyMap<string, readonly Offer[]> {
  return groupBy(offers, (offer) => (isSplit ? `key "${history.keyOf(part, offer)}"` : ''));
}
