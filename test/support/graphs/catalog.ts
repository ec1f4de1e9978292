/** A random graph in the bus's own terms. */
import {
  type BusOptions,
  type Catalog,
  defineEvents,
  enumOf,
  type EventDefinition,
  f64,
  i32,
  i64,
  optional,
  type SubscribeOptions,
  symbol,
  text,
  u32,
  u64,
  u8,
} from 'lanebus';
import { conditionsOf, KEY_NAMES } from './events.js';
import type { GraphPlan, SubscriptionPlan, TypePlan } from './plan.js';

const KEY_FIELDS = {
  symbol,
  text,
  enum: () => enumOf(KEY_NAMES[0], ...KEY_NAMES.slice(1)),
  i32,
  u32,
  u8,
  f64,
  i64,
  u64,
} as const;

export function catalogOf({ types }: GraphPlan): Catalog {
  return defineEvents(Object.fromEntries(types.map((type) => [type.name, define(type)])) as never);
}

function define({ lane, keyKind, keyed, fixedWidth }: TypePlan): EventDefinition {
  return {
    priority: lane,
    ...(keyed && { key: 'key' }),
    payload: {
      id: u32(),
      depth: u8(),
      key: KEY_FIELDS[keyKind](),
      group: u8(),
      part: i32(),
      note: optional(f64()),
      ...(!fixedWidth && { body: text() }),
    },
  };
}

const NO_DEFAULTS = { control: false, execution: false, signal: false, market: false, log: false } as const;

/** A lane's priority is its index. */
export function lanesOf({ lanes }: GraphPlan): BusOptions['lanes'] {
  const given = lanes.map(({ name, whenFull, capacityBytes, urgent }, rank) => {
    const maxPriority = rank === lanes.length - 1 ? Infinity : rank;
    return [name, { maxPriority, whenFull, capacityBytes, maxRecordBytes: capacityBytes / 4, urgent }] as const;
  });
  return { ...NO_DEFAULTS, ...Object.fromEntries(given) };
}

/** Without a predicate: that is a function, here or in a module. */
export function optionsOf(plan: GraphPlan, subscription: SubscriptionPlan): SubscribeOptions {
  const { index, threads, concurrency, order, key, lag, maxKeys } = subscription;
  const conditions = conditionsOf(plan, subscription);
  return {
    name: `subscription ${index}`,
    ...(threads > 0 && { threads }),
    concurrency,
    order,
    ...(key !== undefined && { key }),
    lag,
    ...(maxKeys !== undefined && { maxKeys }),
    ...(conditions !== undefined && { filter: conditions }),
  };
}
