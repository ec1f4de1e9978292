// Handlers that publish to each other, or to themselves, on lanes of their own.
import { defineEvents, type EventOf, type HandlerContext, i32 } from 'lanebus';

/** `ttl`: how often an event is still passed on. `n`: its key. */
const payload = { ttl: i32(), n: i32() };

/** Five types for a cycle, and one, F, for what leaves it. */
export const catalog = defineEvents({
  A: { priority: 30, key: 'n', payload },
  B: { priority: 31, key: 'n', payload },
  C: { priority: 32, key: 'n', payload },
  D: { priority: 33, key: 'n', payload },
  E: { priority: 34, key: 'n', payload },
  F: { priority: 35, key: 'n', payload },
});
export type C = typeof catalog;
export type Type = 'A' | 'B' | 'C' | 'D' | 'E' | 'F';
type Event = EventOf<C, Type>;
type Context = HandlerContext<C>;

/** A handler that passes each event on, one for one or two for one. */
export const passOn =
  (type: Type, copies: number) =>
  async ({ ttl, n }: Event, context: Context): Promise<void> => {
    if (ttl === 0) return;
    for (let copy = 0; copy < copies; copy++) await context.publish({ type, ttl: ttl - 1, n: n + copy });
  };

export const [oneToA, oneToB, oneToC, oneToD, oneToE] = (['A', 'B', 'C', 'D', 'E'] as const).map((type) =>
  passOn(type, 1),
);
export const [twoToA, twoToB] = (['A', 'B'] as const).map((type) => passOn(type, 2));

/** More records than a lane of 1 KiB holds. */
const CROWD = 30;

/** Publishes so many for one; the first of them is passed on in turn, as long as its `ttl` allows. */
export const crowd =
  (type: Type) =>
  async ({ ttl, n }: Event, context: Context): Promise<void> => {
    if (ttl === 0 || n !== 0) return;
    for (let copy = 0; copy < CROWD; copy++) await context.publish({ type, ttl: ttl - 1, n: copy });
  };
export const [crowdToA, crowdToB, crowdToC, crowdToD, crowdToE] = (['A', 'B', 'C', 'D', 'E'] as const).map(crowd);

/** Does not await, and returns before anything is admitted. */
export function twoToALater({ ttl, n }: Event, context: Context): void {
  for (let copy = 0; copy < 2 && ttl > 0; copy++) void context.publish({ type: 'A', ttl: ttl - 1, n: n + copy });
}

/** Two for one; what is refused is told as an F with the length of the message as `ttl`, and forgotten. */
export async function twoToAOrF({ ttl, n }: Event, context: Context): Promise<void> {
  for (let copy = 0; copy < 2 && ttl > 0; copy++) {
    try {
      await context.publish({ type: 'A', ttl: ttl - 1, n: n + copy });
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_LANEBUS_DEADLOCK') throw error;
      await context.publish({ type: 'F', ttl: (error as Error).message.length, n });
    }
  }
}

/** Several for each, after a while: the lane behind it is full most of the time. */
export async function manyToB({ n }: Event, context: Context): Promise<void> {
  for (let copy = 0; copy < 5; copy++) void context.publish({ type: 'B', ttl: copy, n });
  await Promise.resolve();
}

/** Publishes without awaiting, and holds its thread for a moment afterwards. */
export function busyToC({ ttl, n }: Event, context: Context): void {
  void context.publish({ type: 'C', ttl, n });
  const end = performance.now() + 0.2;
  while (performance.now() < end);
}

export async function slowly(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
