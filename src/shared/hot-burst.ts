/**
 * The loop that almost every delivery runs in. It is compiled for one reader, so that its decoders and its handler are
 * the only ones that the engine ever sees there: it inlines both, and an event that the handler does not keep need not
 * be made at all. Bench: one-to-one.
 *
 * It does what Dispatcher does for a delivery about which nothing is special, in the order D1 to D6 of delivery.ts. The
 * deliveries that are timed, and those behind a gap, it leaves to the Dispatcher, and what becomes of one that waits for a
 * promise or has failed. Test: test/interleaving/delivery kills it before each of its stores.
 */
import { instantiate } from './codec.js';
import type { BurstControl } from './dispatch.js';
import { ConsumerWord, HEADER_BYTES, LENGTH_SHIFT, Outcome, OUTCOME_SHIFT, TYPE_MASK } from './layout.js';
import type { Reader } from './reader.js';

/** Deliveries of a reader from which on compiling a loop for it pays: some 0.2 ms. */
export const HOT_DELIVERIES = 512;

/** How the last delivery of a run goes on, which has begun and has no outcome. */
export interface Unfinished {
  readonly how: 'failed' | 'waits';
  /** What the handler has thrown, or returned. */
  readonly value: unknown;
  /** Whether the handler was not even called. */
  readonly undecodable: boolean;
}

/** What the loop asks the Dispatcher for. */
export interface HotBurstSupport {
  readonly bells: Int32Array;
  readonly control: BurstControl;
  isThenable(value: unknown): boolean;
  /** Behind a delivery whose handler has asked for a signal. */
  tidy(): void;
  /** The run ends with a delivery that is not over. */
  leave(unfinished: Unfinished): void;
}

/**
 * Makes up to `limit` deliveries, but only of what lies before the position `end`, until something more urgent has come or
 * something special. @returns How many were started.
 */
export type HotBurst = (limit: number, end: number) => number;

export function compileHotBurst(reader: Reader, support: HotBurstSupport): HotBurst {
  const { subscription, lane, decoders, owns, accepts, tag, rank } = reader;
  const { handler, predicate, words, stats } = subscription;
  const [delivery] = subscription.deliveries;
  const { control } = support;
  const scope: Record<string, unknown> = { ...support, reader, handler, predicate, words, stats, delivery };
  const wanted = decoders.flatMap((decoder, type) => (decoder === null ? [] : [type]));
  for (const type of wanted) {
    scope[`decode${type}`] = decoders[type];
    scope[`owns${type}`] = owns?.[type];
    scope[`accepts${type}`] = accepts?.[type];
  }
  const skip = 'reader.position = position = next; reader.last = at; continue;';
  const filter = `{ outcome = ${Outcome.filtered}; break; }`;
  const deliveryOf = (type: number): string => `case ${type}: {
          ${owns === null ? '' : `if (!owns${type}(memory, payload)) { ${skip} }`}
          started++;
          delivery.at = at;
          delivery.position = position;
          words[${delivery.positionIndex}] = position; // D1
          words[${delivery.laneIndex}] = ${tag};
          stage = 1;
          ${accepts === null ? '' : `if (!accepts${type}(memory, payload)) ${filter}`}
          const event = decode${type}(memory, payload);
          stage = 2;
          ${predicate === undefined ? '' : `if (!predicate(event)) ${filter}`}
          result = handler(event, context);
          break;
        }`;
  // BELL is read plainly: an old value is found out with the next burst, whose start has an Atomics.load.
  const source = `'use strict';
const { context, publishes } = delivery;
const { memory } = reader.lane;
const { i32 } = memory;
return function deliver(limit, end) {
  const { bell } = control;
  let position = reader.position;
  let full = (reader.flushed + ${reader.flushBytes}) | 0;
  let started = 0;
  let stage = 0;
  try {
    while (started < limit && position !== end) {
      const at = position & ${lane.mask};
      const payload = at + ${HEADER_BYTES};
      const header = i32[at >> 2];
      const next = (position + ((header >>> ${LENGTH_SHIFT}) << 3)) | 0;
      let outcome = ${Outcome.processed};
      let result;
      switch (header & ${TYPE_MASK}) {
        ${wanted.map(deliveryOf).join('\n        ')}
        case ${reader.gapType}:
          return started;
        default:
          ${skip}
      }
      if ((result !== undefined && isThenable(result)) || publishes.pending) {
        leave({ how: 'waits', value: result, undecodable: false });
        return started;
      }
      stage = 0;
      const counter = ${reader.outcomesF64} + outcome;
      const before = stats[counter];
      stats[${delivery.beforeF64}] = before; // D2
      words[${delivery.laneIndex}] = ${tag} | (outcome << ${OUTCOME_SHIFT}); // D3
      stats[counter] = before + 1; // D4
      words[${reader.settledIndex}] = next; // D5
      words[${delivery.laneIndex}] = 0; // D6
      reader.position = position = next;
      reader.last = at;
      if (delivery.controller !== undefined) tidy();
      if (bells[${ConsumerWord.BELL_INDEX}] !== bell${control.isGuarded(rank) ? ` || control.overtaken(${rank})` : ''}) break;
      if (((position - full) | 0) >= 0) {
        reader.giveBack();
        full = (reader.flushed + ${reader.flushBytes}) | 0;
      }
    }
  } catch (error) {
    if (stage === 0) throw error;
    leave({ how: 'failed', value: error, undecodable: stage === 1 });
  }
  return started;
};`;
  return instantiate(source, scope, 'burst') as HotBurst;
}
