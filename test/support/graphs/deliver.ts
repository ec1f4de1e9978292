/** What every handler of a random graph does with an event, on whichever thread it runs. */
import { setImmediate as turn } from 'node:timers/promises';
import type { HandlerContext } from 'lanebus';
import { type GraphEvent, isIntact, makeEvent, mix } from './events.js';
import type { Journal, Told } from './journal.js';
import { type GraphPlan, MAX_DEPTH, range, type SubscriptionPlan } from './plan.js';

export type Context = HandlerContext;

/** What a thread knows of the graph that it takes part in. */
export interface Stage {
  readonly plan: GraphPlan;
  readonly journal: Journal;
  /** Called before a handler does what it is to do: may hold it up, or end its thread. */
  readonly meddle?: (subscription: SubscriptionPlan, event: GraphEvent, context: Context) => Promise<void> | undefined;
}

export function deliver(
  stage: Stage,
  subscription: SubscriptionPlan,
  event: GraphEvent,
  context: Context,
): void | Promise<void> {
  const { index, style, failsOneIn } = subscription;
  const call = note(stage, subscription, event, context);
  const fails = failsOneIn > 0 && mix(event.id, index) % failsOneIn === 0;
  const meddled = stage.meddle?.(subscription, event, context);
  if (meddled !== undefined) return meddled.then(() => deliverLater(stage, subscription, event, context, call, fails));
  if (style === 'async' || (style === 'mixed' && mix(event.id, index + 100) % 2 === 0)) {
    return deliverLater(stage, subscription, event, context, call, fails);
  }
  for (const { derived } of derive(stage, subscription, event, context)) void context.publish(derived as never);
  stage.journal.ended(call, fails);
  if (fails) throw planned(event);
}

async function deliverLater(
  stage: Stage,
  subscription: SubscriptionPlan,
  event: GraphEvent,
  context: Context,
  call: number,
  fails: boolean,
): Promise<void> {
  const { journal } = stage;
  let refusal: unknown;
  for (let turns = (mix(event.id, subscription.index + 200) % 4) - 1; turns > 0; turns--) await turn();
  for (const { derived, look, answer } of derive(stage, subscription, event, context)) {
    const published = context.publish(derived as never);
    if (look === 'never') continue;
    try {
      await published;
      if (answer !== undefined) journal.tell(derived.id, answer);
    } catch (error) {
      journal.tell(derived.id, reasonOf(error));
      if (look === 'rethrows') refusal ??= error;
    }
  }
  journal.ended(call, fails || refusal !== undefined);
  if (refusal !== undefined) throw refusal as Error;
  if (fails) throw planned(event);
}

/** What a publisher is told by the rejection of its promise. */
export function reasonOf(error: unknown): Told {
  switch ((error as { code?: unknown }).code) {
    case 'ERR_LANEBUS_LANE_FULL':
      return 'rejected';
    case 'ERR_LANEBUS_DEADLOCK':
      return 'deadlocked';
    default:
      return 'misinformed';
  }
}

/** What a publisher is told by a promise that resolves. */
export function answerOf({ types, lanes }: GraphPlan, type: number): Told | undefined {
  return lanes[types[type].lane].whenFull === 'dropNewest' ? undefined : 'published';
}

/** The events that follow from this one, each made when its turn has come: numbers are in the order of the offers. */
function* derive(
  { plan, journal }: Stage,
  { index, derives }: SubscriptionPlan,
  event: GraphEvent,
  { thread }: Context,
): Generator<{ derived: GraphEvent; look: 'rethrows' | 'catches' | 'never'; answer: Told | undefined }> {
  const { id, key, depth, type } = journal.seedOf(event.id);
  if (depth >= MAX_DEPTH) return;
  for (const [rule, { from, to, oneIn, times, look }] of derives.entries()) {
    if (from !== type || mix(id, 300 + index * 10 + rule) % oneIn !== 0) continue;
    for (const time of range(times)) {
      const child = { type: to, key: (key + time) % plan.keys, depth: depth + 1 };
      if (!journal.mayDerive()) return;
      const number = journal.offer({ ...child, publisher: thread, parent: id, by: index });
      yield { derived: makeEvent(plan, { ...child, id: number }), look, answer: answerOf(plan, to) };
    }
  }
}

function note(
  { plan, journal }: Stage,
  { index }: SubscriptionPlan,
  event: GraphEvent,
  { publisher, lane, sequence, thread, skipped, missed, attempt, cause }: Context,
): number {
  const laneOf = (name: string): number => plan.lanes.findIndex((one) => one.name === name);
  return journal.started({
    subscription: index,
    id: event.id,
    thread,
    publisher,
    lane: laneOf(lane),
    sequence,
    skipped,
    missed,
    attempt,
    intact: event.id < journal.offered && isIntact(plan, journal.seedOf(event.id), event),
    cause: cause && { publisher: cause.publisher, lane: laneOf(cause.lane), sequence: cause.sequence },
  });
}

function planned({ id }: GraphEvent): Error {
  return new Error(`the handler fails for event ${id}, as planned`);
}
