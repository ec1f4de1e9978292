/**
 * The events of a random graph. All of an event follows from its type, number, key and depth, so whoever gets it can tell
 * whether a byte is wrong, and whether a filter should have let it pass.
 */
import { type GraphPlan, MAX_KEYS, range, type SubscriptionPlan, type TypePlan } from './plan.js';

export interface GraphEvent {
  readonly type: string;
  /** Among all events that are offered, in the order of the offers of each thread. */
  readonly id: number;
  /** How many events it derives from. */
  readonly depth: number;
  readonly key: string | number | bigint;
  /** A coarser key. */
  readonly group: number;
  readonly part: number;
  readonly note?: number | undefined;
  readonly body?: string;
}

/** What an event is made of. */
export interface Seed {
  readonly id: number;
  readonly type: number;
  /** Number of its key. */
  readonly key: number;
  readonly depth: number;
}

export const KEY_NAMES = range(MAX_KEYS).map((key) => `K${key}`);
const GROUPS = 3;

export function makeEvent(plan: GraphPlan, { id, type, key, depth }: Seed): GraphEvent {
  const { name, keyKind, fixedWidth } = plan.types[type];
  const event = { type: name, id, depth, key: keyValue(keyKind, key), group: key % GROUPS, part: partOf(id) };
  return {
    ...event,
    ...(id % 3 === 0 && { note: id / 3 + 0.25 }),
    ...(!fixedWidth && { body: 'é'.repeat(id % 2) + 'x'.repeat(mix(id, 1) % 40) }),
  };
}

export function isIntact(plan: GraphPlan, seed: Seed, event: GraphEvent): boolean {
  const made = makeEvent(plan, seed);
  const fields = ['type', 'id', 'depth', 'key', 'group', 'part', 'note', 'body'] as const;
  return fields.every((field) => event[field] === made[field]);
}

/** Values that look alike but are of different kinds are different keys. */
function keyValue(kind: TypePlan['keyKind'], key: number): string | number | bigint {
  switch (kind) {
    case 'symbol':
    case 'enum':
      return KEY_NAMES[key];
    case 'text':
      return key % 4 === 3 ? `Ké${key}` : KEY_NAMES[key];
    case 'i32':
      return key - 5;
    case 'u32':
      return 0xffff_ffff - key;
    case 'u8':
      return key;
    case 'f64':
      return key % 2 === 0 ? key : key + 0.5;
    case 'i64':
      return BigInt(key) - (1n << 40n);
    case 'u64':
      return BigInt(key);
  }
}

/** What a subscription takes for an event's key: its kind and value. */
export function keyOf(plan: GraphPlan, subscription: SubscriptionPlan, { type, key }: Seed): string {
  const value = subscription.key === 'group' ? key % GROUPS : keyValue(plan.types[type].keyKind, key);
  return `${typeof value} ${value}`;
}

function partOf(id: number): number {
  return (mix(id, 2) % 5) - 2;
}

/** The declarative filter of a subscription, if it has one. */
export function conditionsOf(plan: GraphPlan, { filter, types }: SubscriptionPlan): object | undefined {
  switch (filter) {
    case 'range':
      return { part: { min: -1 } };
    case 'set':
      return { part: [0, 2], group: [0, 1] };
    case 'key': {
      const [{ keyKind }, ...others] = types.map((type) => plan.types[type]);
      return others.length > 0 || keyKind === 'text'
        ? { depth: { max: 1 } }
        : { key: [keyValue(keyKind, 0), keyValue(keyKind, 2)] };
    }
    default:
      return undefined;
  }
}

export type Verdict = 'passes' | 'is filtered' | 'fails';

/** What is to become of an event at a subscription's filter. */
export function judge(plan: GraphPlan, subscription: SubscriptionPlan, seed: Seed): Verdict {
  const { id, key, depth } = seed;
  const part = partOf(id);
  const passes = ((): boolean => {
    switch (subscription.filter) {
      case 'range':
        return part >= -1;
      case 'set':
        return (part === 0 || part === 2) && key % GROUPS < 2;
      case 'key': {
        const conditions = conditionsOf(plan, subscription);
        return conditions !== undefined && 'depth' in conditions ? depth <= 1 : key === 0 || key === 2;
      }
      case 'predicate':
        return id % 3 !== 0;
      case undefined:
        return true;
    }
  })();
  if (subscription.filter === 'predicate' && id % 31 === 7) return 'fails';
  return passes ? 'passes' : 'is filtered';
}

/** The predicate of every subscription that has one. */
export function predicate({ id }: GraphEvent): boolean {
  if (id % 31 === 7) throw new Error(`the predicate fails for event ${id}, as planned`);
  return id % 3 !== 0;
}

/** A number from 0 to below 2^32 that looks random and is always the same. */
export function mix(a: number, b: number): number {
  let mixed = Math.imul(a ^ Math.imul(b + 1, 0x9e3779b1), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
