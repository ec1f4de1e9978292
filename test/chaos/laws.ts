/** What must hold however threads die. Each check yields a line for every broken promise. */
import type { DeadLetter, Ledger, SubscriptionMetrics } from 'lanebus';
import { judge, keyOf } from '../support/graphs/events.js';
import { groupBy } from '../support/graphs/history.js';
import type { Call, Offer } from '../support/graphs/journal.js';
import type { SubscriptionPlan } from '../support/graphs/plan.js';
import { failuresOf } from './faults.js';
import { isTidy, type Ran } from './run.js';

export function* checkLaws(ran: Ran): Generator<string> {
  yield* checkEnd(ran);
  yield* checkLanes(ran);
  for (const plan of ran.plan.graph.subscriptions) {
    const known = ran.subscribed.get(plan.index);
    const metrics = ran.metrics.subscriptions.find(({ id }) => id === known?.id);
    if (known === undefined || metrics === undefined) continue;
    const calls = ran.calls.filter(({ subscription }) => subscription === plan.index);
    const letters = ran.letters.filter(({ subscription }) => subscription.id === metrics.id);
    const checks = [
      checkLedger(metrics),
      checkLetters(metrics, letters),
      checkAttempts(ran, plan, calls),
      checkOrder(ran, plan, calls),
    ];
    if (ran.drained !== undefined && known.readyAt === 0 && plan.goesAt === undefined)
      checks.push(checkNothingLost(ran, plan, metrics, calls, letters));
    for (const lines of checks) for (const line of lines) yield `${metrics.name}: ${line}`;
  }
}

function* checkEnd({ plan, drained, metrics, leftThreads }: Ran): Generator<string> {
  if (leftThreads > 0) yield `${leftThreads} threads are left after the stop`;
  if (drained === undefined) return;
  if (!drained.drained) yield `the drain ends with ${drained.pending} pending: ${JSON.stringify(metrics)}`;
  else if (!isTidy(metrics, plan)) yield `lanes of dead threads are left: ${JSON.stringify(metrics.lanes)}`;
}

/** What is published, dropped or rejected is what publishers were told; of a thread that died, it may be more. */
function* checkLanes({ plan, offers, metrics, drained }: Ran): Generator<string> {
  if (drained === undefined) return;
  for (const [rank, { name }] of plan.graph.lanes.entries()) {
    const mine = offers.filter(({ type }) => plan.graph.types[type].lane === rank);
    const { published, dropped, rejected } = metrics.lanes[name];
    const spills = plan.graph.lanes[rank].whenFull === 'spill';
    const isSure = ({ publisher }: Offer): boolean => publisher === 0 || !spills;
    const told = (what: string): number => mine.filter((offer) => offer.told === what && isSure(offer)).length;
    const wrong = (what: string): string =>
      `lane "${name}": published ${published}, dropped ${dropped}, rejected ${rejected} of ${mine.length}: ${what}`;
    if (published + dropped + rejected > mine.length) yield wrong('too many');
    if (published < told('published')) yield wrong(`publishers were told of ${told('published')} published`);
    const fromMain = mine.filter(({ publisher }) => publisher === 0).length;
    if (published + dropped + rejected < fromMain) yield wrong(`the bus's own thread has offered ${fromMain}`);
  }
}

function* checkLedger(metrics: SubscriptionMetrics): Generator<string> {
  for (const [name, ledger] of [['all', metrics] as const, ...Object.entries(metrics.lanes)]) {
    if (!ledger.exact || ledger.pending !== 0 || ledger.owed !== endedOf(ledger))
      yield `the ledger of ${name} is not exact: ${JSON.stringify(ledger)}`;
  }
}

/** Each delivery that has failed or timed out is a dead letter, once. */
function* checkLetters({ failed, timedOut }: SubscriptionMetrics, letters: readonly DeadLetter[]): Generator<string> {
  const late = letters.filter(({ reason }) => reason === 'timedOut').length;
  if (late !== timedOut || letters.length - late !== failed)
    yield `has ${failed} failed and ${timedOut} timed out, and letters of ${letters.length - late} and ${late}`;
  const ids = letters.map(({ event }) => event.id);
  if (new Set(ids).size !== ids.length) yield `has two letters of one event: ${ids.join()}`;
  for (const { event, attempts, started } of letters) {
    if (attempts > started) yield `letter of event ${String(event.id)}: ${attempts} attempts, ${started} started`;
  }
}

/** A delivery comes again only with the next attempts, and only where its thread has died. */
function* checkAttempts(
  { metrics, plan: { graph } }: Ran,
  plan: SubscriptionPlan,
  calls: readonly Call[],
): Generator<string> {
  const attempts = failuresOf(graph, plan).retry?.attempts ?? 1;
  const deaths = metrics.threads.map(({ restarts }) => restarts.crash + restarts.timeout);
  for (const [id, tries] of groupBy(calls, (call) => call.id)) {
    for (const [at, call] of tries.entries()) {
      const before = tries[at - 1] as Call | undefined;
      if (!call.intact) yield `event ${id} has wrong bytes`;
      if (before === undefined) {
        if (call.attempt > 1 && deaths[call.thread] === 0 && plan.order !== 'none')
          yield `event ${id} begins with attempt ${call.attempt} on a thread that never died`;
        continue;
      }
      if (call.attempt <= before.attempt) yield `event ${id} is delivered twice as attempt ${call.attempt}`;
      if (deaths[before.thread] === 0 && at >= attempts)
        yield `event ${id} is delivered again though thread ${before.thread} never died`;
    }
  }
}

/** Of each publisher and lane, an event begins for the first time when all earlier ones of its key have begun for the last time. */
function* checkOrder(
  { plan: { graph }, offers }: Ran,
  plan: SubscriptionPlan,
  calls: readonly Call[],
): Generator<string> {
  if (plan.order === 'none') return;
  const { retry } = failuresOf(graph, plan);
  // Those that are tried again come later, unless their keys wait for them.
  const inOrder =
    retry === undefined || retry.keepOrder === true ? calls : calls.filter(({ attempt }) => attempt === 1);
  const streams = groupBy(inOrder, ({ id, publisher, lane }) => {
    const type = plan.lag === 'conflate' ? offers[id].type : '';
    return `${publisher}/${lane} ${type} ${keyOf(graph, plan, offers[id])}`;
  });
  for (const [name, stream] of streams) {
    let newest = -1;
    for (const { id, attempt } of stream) {
      if (id < newest) yield `${name}: event ${id} (attempt ${attempt}) begins after ${newest}`;
      newest = Math.max(newest, id);
    }
  }
}

function* checkNothingLost(
  { plan: { graph, faults }, offers }: Ran,
  plan: SubscriptionPlan,
  metrics: SubscriptionMetrics,
  calls: readonly Call[],
  letters: readonly DeadLetter[],
): Generator<string> {
  const mine = offers.filter(({ type }) => plan.types.includes(type));
  // What a pool thread holds in the overflow of a `spill` lane dies with it, and is counted as dropped.
  const maySpill = ({ publisher, type }: Offer): boolean =>
    publisher > 0 && graph.lanes[graph.types[type].lane].whenFull === 'spill';
  const sure = mine.filter((offer) => offer.told === 'published' && !maySpill(offer));
  const unsure = mine.filter(
    (offer) => offer.told === 'untold' || (offer.told === 'published' && maySpill(offer)),
  ).length;
  if (metrics.owed < sure.length || metrics.owed > sure.length + unsure)
    yield `is owed ${metrics.owed}; published are ${sure.length} and perhaps ${unsure} more`;
  if (plan.lag === 'conflate') return;
  const called = new Set(calls.map(({ id }) => id));
  const { processed, failed, timedOut } = metrics;
  const ended = processed + failed + timedOut;
  // A predicate that fails, and an event that is poison before its handler was called, end without a call.
  // So do those that found no room to wait in behind one of their key.
  const unstarted = letters.filter(({ started }) => started === 0).length;
  const silent = mine.filter((offer) => judge(graph, plan, offer) === 'fails').length + faults.length + unstarted;
  if (ended < called.size || ended > called.size + silent)
    yield `has ${ended} ended (${processed} processed, ${failed} failed, ${timedOut} timed out); ${called.size} were called`;
  const missing = sure.filter((offer) => judge(graph, plan, offer) === 'passes' && !called.has(offer.id));
  const allowed = failed + timedOut; // dead before the journal had it, as often as maxCrashes
  if (missing.length > allowed)
    yield `never sees ${missing
      .map(({ id }) => id)
      .slice(0, 10)
      .join()}`;
}

function endedOf({ processed, failed, timedOut, conflated, discarded, filtered }: Ledger): number {
  return processed + failed + timedOut + conflated + discarded + filtered;
}
