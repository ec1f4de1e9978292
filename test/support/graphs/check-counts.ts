/** Whether the bus's counts agree with what publishers were told and handlers did. */
import type { Ledger, SubscriptionMetrics } from 'lanebus';
import type { Ending } from './drive.js';
import { judge } from './events.js';
import type { History, Part } from './history.js';
import type { Offer, Told } from './journal.js';

export function* checkCounts(history: History): Generator<string> {
  yield* checkLanes(history);
  for (const part of history.parts) {
    for (const line of checkLedger(history, part)) yield `${part.metrics.name}: ${line}`;
  }
}

/** The drain ends, the stop leaves nothing, and what the drain has found is not changed by it. */
export function* checkEnd({ history, stopped, last }: Ending): Generator<string> {
  const { plan, run } = history;
  const { drained, metrics } = run;
  if (!drained.drained || drained.pending !== 0) yield `the drain ends with ${drained.pending} pending`;
  if (!stopped.drained || stopped.discarded + stopped.releasedPublishers > 0) {
    yield `stop has drained: ${stopped.drained}, discarded ${stopped.discarded}, released ${stopped.releasedPublishers}`;
  }
  const running = last.threads.filter(({ thread, state }) => thread > 0 && state !== 'stopped');
  if (running.length > 0 || last.threads.length !== plan.threads + 1)
    yield `threads are left: ${JSON.stringify(running)}`;
  for (const { thread, incarnation } of last.threads) if (incarnation > 0) yield `thread ${thread} was replaced`;
  const count = ({ owed, processed, failed, discarded }: SubscriptionMetrics): string =>
    [owed, processed, failed, discarded].join();
  for (const before of metrics.subscriptions) {
    const after = stopped.subscriptions.find(({ id }) => id === before.id);
    if (after === undefined || count(before) !== count(after))
      yield `${before.name}: counts have changed after the drain`;
  }
}

function* checkLanes(history: History): Generator<string> {
  const { plan, run } = history;
  for (const [rank, { name, whenFull }] of plan.lanes.entries()) {
    const offers = run.offers.filter((offer) => history.laneOf(offer) === rank);
    const told = (...what: readonly Told[]): number => offers.filter((offer) => what.includes(offer.told)).length;
    const { published, dropped, rejected, depthEvents, waiting, spilled } = history.lane(rank);
    const counts = `published ${published}, dropped ${dropped}, rejected ${rejected} of ${offers.length}`;
    const wrong = (what: string): string => `lane "${name}" (${whenFull}): ${counts}: ${what}`;
    if (published + dropped + rejected !== offers.length) yield wrong('does not add up');
    if (told('misinformed') > 0) yield wrong(`${told('misinformed')} were refused with another error`);
    if (told('deadlocked') > 0 && !plan.knotted)
      yield wrong(`${told('deadlocked')} deadlocks in a graph without knots`);
    const untold = told('untold');
    const isWithin = (count: number, least: number): boolean => count >= least && count <= least + untold;
    if (!isWithin(published, told('published'))) yield wrong(`publishers were told of ${told('published')}`);
    if (!isWithin(dropped, told('dropped'))) yield wrong(`publishers were told of ${told('dropped')} dropped`);
    const refused = told('rejected', 'deadlocked');
    if (!isWithin(rejected, refused)) yield wrong(`publishers were told of ${refused} rejected`);
    const allKnown = plan.types.every(({ index, lane }) => lane !== rank || history.isKnown(index));
    const known = offers.filter((offer) => history.isPublished(offer)).length;
    if (allKnown && published !== known) yield wrong(`${known} were published`);
    // A notice of dropped events may be on its way still: it is no event.
    if ((whenFull !== 'dropNewest' && depthEvents > 0) || waiting + spilled > 0)
      yield wrong(`${depthEvents} deep, ${waiting} waiting, ${spilled} spilled`);
  }
}

function* checkLedger(history: History, part: Part): Generator<string> {
  const { plan, metrics } = part;
  for (const [name, ledger] of [['all', metrics] as const, ...Object.entries(metrics.lanes)]) {
    const text = `the ledger of ${name}, ${show(ledger)},`;
    if (!ledger.exact || ledger.pending !== 0 || ledger.owed !== sumOf(ledger)) yield `${text} is not exact`;
    const rank = history.plan.lanes.findIndex((lane) => lane.name === name);
    const isHere = (offer: Offer): boolean => rank < 0 || history.laneOf(offer) === rank;
    for (const line of checkOutcomes(history, part, ledger, isHere)) yield `${text} ${line}`;
  }
  if (metrics.redelivered > 0) yield `has ${metrics.redelivered} redeliveries`;
  const state = plan.goesAt === undefined ? 'active' : 'ended';
  if (metrics.state !== state) yield `is ${metrics.state} instead of ${state}`;
}

function* checkOutcomes(
  history: History,
  part: Part,
  ledger: Ledger,
  isHere: (offer: Offer) => boolean,
): Generator<string> {
  const { plan, calls, readyAt, staysToTheEnd, isKnown } = part;
  const mine = calls.filter(({ id }) => isHere(history.offer(id)));
  const failing = mine.filter((call) => call.failed || hasLostChild(history, plan.index, call.id)).length;
  const isWhole = readyAt === 0 && staysToTheEnd && isKnown;
  const conflates = plan.lag === 'conflate';
  const offers = part.streams.flatMap((stream) => stream.offers).filter(isHere);
  const published = offers.filter((offer) => history.isPublished(offer));
  const judged = (verdict: string): number =>
    published.filter((offer) => judge(history.plan, plan, offer) === verdict).length;
  const skipped = mine.reduce((sum, call) => sum + call.skipped, 0);

  const { processed, failed, timedOut, conflated, discarded, filtered, owed } = ledger;
  // A predicate that fails ends a delivery before its handler is called.
  const isSilent = plan.filter !== 'predicate';
  if (processed !== mine.length - failing) yield `has not ${mine.length - failing} processed`;
  if (isSilent ? failed !== failing : failed < failing) yield `has not ${failing} failed`;
  if (timedOut > 0) yield 'has timed out';
  if (conflates ? conflated < skipped : conflated > 0) yield `has not ${skipped} conflated`;
  if (conflates && plan.filter === undefined && readyAt === 0 && staysToTheEnd && conflated !== skipped) {
    yield `has not exactly ${skipped} conflated`;
  }
  if (discarded > 0 && staysToTheEnd && plan.maxKeys === undefined) yield 'has discarded';
  if (filtered > 0 && plan.filter === undefined) yield 'has filtered';
  if (isKnown && owed > published.length) yield `is owed more than the ${published.length} published`;
  if (isKnown && staysToTheEnd && owed < published.filter(({ id }) => id >= readyAt).length) yield 'is owed too little';
  if (!isWhole) return;
  if (owed !== published.length) yield `is not owed the ${published.length} published`;
  if (conflates) return;
  if (filtered !== judged('is filtered')) yield `has not ${judged('is filtered')} filtered`;
  if (failed !== failing + judged('fails')) yield `has not ${failing + judged('fails')} failed, with its predicate's`;
}

/** Whether a handler has derived an event from this one that was refused, and did not look: that fails its delivery. */
function hasLostChild(history: History, subscription: number, id: number): boolean {
  return history.childrenOf(id).some((child) => {
    const { whenFull } = history.plan.lanes[history.laneOf(child)];
    return (
      child.by === subscription && child.told === 'untold' && whenFull !== 'dropNewest' && !history.isPublished(child)
    );
  });
}

function sumOf({ processed, failed, timedOut, conflated, discarded, filtered }: Ledger): number {
  return processed + failed + timedOut + conflated + discarded + filtered;
}

function show({ owed, processed, failed, timedOut, conflated, discarded, filtered, pending }: Ledger): string {
  return JSON.stringify({ owed, processed, failed, timedOut, conflated, discarded, filtered, pending });
}
