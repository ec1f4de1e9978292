/** The errors that the comments of the public interface name: each is thrown as they say, and none is that they do not say. */
import {
  backends,
  busOptionsFrom,
  createBus,
  defineEvents,
  enumOf,
  environment,
  ErrorCode,
  f64,
  fromGetters,
  jsonFile,
  mergeEvents,
  optional,
  toEventEmitter,
  workerHandlers,
} from 'lanebus';
import type { BusOptions, EventBus, EventOf, Handler } from 'lanebus';
import { lmdbDeadLetters } from 'lanebus/dead-letters-lmdb';
import { createTestBus } from 'lanebus/testing';
import { describe, expect, it } from 'vitest';
import { codesIn, docstringsOf } from '../support/documents/docstrings.js';
import { publicNames } from '../support/documents/interface.js';
import { readText } from '../support/documents/pages.js';
import { type C, catalog } from '../support/handlers/catalog.js';
import type * as hooks from '../support/handlers/hooks.js';
import type * as record from '../support/handlers/record.js';
import { handlersOf, newBus } from './buses.js';

const docstrings = docstringsOf(publicNames());

/** Calls that must fail, by what is called: as a user who made that mistake would write them, were it not for the compiler. */
type Failing = Readonly<Partial<Record<keyof typeof ErrorCode, () => unknown>>>;

const tick = (symbol: string) => ({ type: 'TICK', n: 1, symbol, price: 1 }) as const;
const large = { type: 'HALT', n: 1, reason: 'x'.repeat(1_000) } as const;
const untyped = (value: unknown): never => value as never;
const unknownType = untyped('TOCK');
const wrong = untyped({ wrong: 1 });
const ignore = (): undefined => undefined;

/** A bus that runs, with room for one symbol and for a few events, which a handler that does not come back holds. */
async function started(): Promise<EventBus<C>> {
  const small = { capacityBytes: 1024, maxRecordBytes: 512 };
  const bus = newBus({
    spares: 0,
    symbols: { max: 1 },
    lanes: { control: small, market: { ...small, whenFull: 'reject' } },
  });
  bus.subscribe('TICK', ignore).pause();
  await bus.start();
  await bus.publish(tick('A'));
  return bus;
}

async function stopped(): Promise<EventBus<C>> {
  const bus = newBus();
  await bus.stop();
  return bus;
}

async function full(): Promise<EventBus<C>> {
  const bus = await started();
  while (bus.tryPublish(tick('A')) === 'published');
  return bus;
}

function startWith(handler: Handler<C, 'TICK'>, options?: BusOptions): Promise<void> {
  const bus = newBus({ spares: 0, ...options });
  bus.subscribe('TICK', handler);
  return bus.start();
}

async function publishing(
  publish: (bus: EventBus<C>, event: never) => unknown,
  get: () => Promise<EventBus<C>>,
  event: unknown,
) {
  return publish(await get(), untyped(event));
}

/** `emit` of an emitter of the bus. */
function emit(bus: EventBus<C>, { type, ...payload }: EventOf<C>): boolean {
  return toEventEmitter(bus).emit(type, payload as never);
}

/** What every way to publish refuses. */
function refusals(publish: (bus: EventBus<C>, event: never) => unknown): Failing {
  return {
    UNKNOWN_TYPE: () => publishing(publish, started, { type: 'TOCK' }),
    INVALID_EVENT: () => publishing(publish, started, { type: 'TICK' }),
    RECORD_TOO_LARGE: () => publishing(publish, started, large),
    SYMBOL_TABLE_FULL: () => publishing(publish, started, tick('B')),
    NOT_STARTED: () => publish(newBus(), untyped(tick('A'))),
  };
}

const { quiet } = handlersOf<typeof record>('record');
const broken = (name: string) => handlersOf<typeof record>(`broken/${name}`).onTick;
const noStore = { deadLetterStore: lmdbDeadLetters({ path: 'package.json' }) };

const FAILING: Readonly<Record<string, Failing>> = {
  createBus: { OPTIONS: () => createBus(defineEvents({}), wrong) },
  'Backend.createBus': { OPTIONS: () => backends.inline.createBus(defineEvents({}), wrong) },
  defineEvents: { CATALOG: () => defineEvents({ TICK: { priority: -1, payload: {} } }) },
  mergeEvents: {
    CATALOG: () =>
      mergeEvents(defineEvents({ A: { priority: 1, payload: {} } }), defineEvents({ A: { priority: 1, payload: {} } })),
  },
  enumOf: { CATALOG: () => enumOf('A', 'A') },
  optional: { CATALOG: () => optional(untyped(optional(f64()))) },
  busOptionsFrom: { OPTIONS: () => busOptionsFrom(new Map([['pubsub.threads', 'two']])) },
  environment: { OPTIONS: () => environment('1') },
  jsonFile: { OPTIONS: () => jsonFile('') },
  fromGetters: { OPTIONS: () => fromGetters(wrong) },
  'lanebus/testing#createTestBus': { OPTIONS: () => createTestBus(catalog, wrong) },
  workerHandlers: { OPTIONS: () => workerHandlers('no URL') },
  'lanebus/dead-letters-lmdb#lmdbDeadLetters': {
    OPTIONS: () => lmdbDeadLetters(wrong),
    DEAD_LETTER_STORE: () => newBus(noStore).start(),
  },
  'EventBus.on': { OPTIONS: () => newBus().on(untyped('deadLeter'), ignore) },
  'BusEventEmitter.on': {
    UNKNOWN_TYPE: () => toEventEmitter(newBus()).on(unknownType, untyped(ignore)),
    STOPPED: async () => toEventEmitter(await stopped()).on('TICK', ignore),
  },
  'BusEventEmitter.emit': {
    ...refusals(emit),
    LANE_FULL: () => publishing(emit, full, tick('A')),
    STOPPED: () => publishing(emit, stopped, tick('A')),
  },
  'EventBus.start': {
    MODULE_NOT_FOUND: () => startWith(broken('nowhere')),
    MODULE_FAILED: () => startWith(broken('throws')),
    EXPORT_NOT_FOUND: () => startWith(handlersOf<{ onTock: typeof record.onTick }>('record').onTock),
    SETUP_FAILED: () => {
      const bus = newBus({ spares: 0, env: { SETUP: 'fail' } });
      bus.subscribe('JOB', handlersOf<typeof hooks>('hooks').onJob);
      return bus.start();
    },
    THREAD_LOST: () => startWith(broken('exits')),
    DEAD_LETTER_STORE: () => startWith(quiet, noStore),
    ALREADY_STARTED: async () => (await started()).start(),
    STOPPED: async () => (await stopped()).start(),
  },
  'EventBus.publish': {
    ...refusals((bus, event) => bus.publish(event)),
    LANE_FULL: async () => (await full()).publish(tick('A')),
    STOPPED: async () => (await stopped()).publish(tick('A')),
  },
  'EventBus.tryPublish': refusals((bus, event) => bus.tryPublish(event)),
  'EventBus.publishBatch': {
    ...refusals((bus, event) => bus.publishBatch([event])),
    LANE_FULL: async () => (await full()).publishBatch([tick('A')]),
    STOPPED: async () => (await stopped()).publishBatch([tick('A')]),
  },
  'EventBus.subscribe': {
    OPTIONS: () => newBus().subscribe('TICK', ignore, wrong),
    UNKNOWN_TYPE: () => newBus().subscribe(unknownType, ignore),
    DUPLICATE_HANDLER: () => {
      const bus = newBus();
      bus.subscribe('TICK', ignore);
      bus.subscribe('TICK', ignore);
    },
    STOPPED: async () => (await stopped()).subscribe('TICK', ignore),
  },
  'EventBus.events': {
    OPTIONS: () => newBus().events('TICK', wrong),
    UNKNOWN_TYPE: () => newBus().events(unknownType),
    STOPPED: async () => (await stopped()).events('TICK'),
  },
  'EventBus.once': {
    OPTIONS: () => newBus().once('TICK', wrong),
    UNKNOWN_TYPE: () => newBus().once(unknownType),
    STOPPED: async () => {
      const bus = newBus();
      const next = bus.once('TICK');
      await bus.stop();
      return next;
    },
  },
  'EventBus.unsubscribe': { UNKNOWN_TYPE: () => newBus().unsubscribe(unknownType, ignore) },
  'EventBus.resume': {
    OPTIONS: () => {
      newBus().resume(wrong);
    },
  },
  'EventBus.drain': { OPTIONS: () => newBus().drain(wrong), NOT_STARTED: () => newBus().drain() },
  'EventBus.stop': { OPTIONS: () => newBus().stop(wrong) },
  'Subscription.ready': {
    STOPPED: async () => {
      const bus = newBus();
      const { ready } = bus.subscribe('TICK', ignore);
      await bus.stop();
      return ready;
    },
  },
  'DeadLetters.count': { OPTIONS: () => newBus().deadLetters.count(wrong) },
  'DeadLetters.list': { OPTIONS: () => newBus().deadLetters.list(wrong) },
  'DeadLetters.get': { OPTIONS: () => newBus().deadLetters.get(-1) },
  'DeadLetters.replay': {
    OPTIONS: () => newBus().deadLetters.replay(1, wrong),
    NOT_STARTED: () => newBus().deadLetters.replay(1),
  },
  'DeadLetters.purge': { OPTIONS: () => newBus().deadLetters.purge(wrong) },
  'DeadLetters.export': { OPTIONS: () => [...newBus().deadLetters.export(wrong)] },
};

/** Those that take more than a call, and the test that makes them fail. */
const ELSEWHERE: Readonly<Record<string, { readonly code: ErrorCode; readonly test: string }>> = {
  'HandlerContext.publish': { code: ErrorCode.DEADLOCK, test: 'test/contract/cycles.test.ts' },
};

describe('an error', () => {
  const failing = Object.entries(FAILING).flatMap(([of, calls]) =>
    Object.entries(calls).map(([name, call]) => ({ of, code: ErrorCode[name as keyof typeof ErrorCode], call })),
  );

  it.each(failing)('is the one that the comment names: $of, $code', async ({ code, call }) => {
    // In a promise, since some throw and some reject.
    await expect(Promise.resolve().then(call)).rejects.toMatchObject({ name: 'LanebusError', code });
  });

  it('that a comment names is one of those above, and those above are named', () => {
    const named = docstrings.flatMap(({ of, text }) => [...new Set(codesIn(text))].map((code) => `${of}: ${code}`));
    const elsewhere = Object.entries(ELSEWHERE).map(([of, { code }]) => `${of}: ${code}`);
    expect(named.sort()).toEqual([...failing.map(({ of, code }) => `${of}: ${code}`), ...elsewhere].sort());
    for (const { code, test } of Object.values(ELSEWHERE)) expect(readText(test)).toContain(code);
  });

  it('of any code is named by whatever reports it', () => {
    const named = new Set(docstrings.flatMap(({ text }) => codesIn(text)));
    // Never of a call: shared memory comes from the bus itself.
    const internal = [ErrorCode.FOREIGN_BLOCK];
    expect([...named, ...internal].sort()).toEqual(Object.values(ErrorCode).sort());
  });
});
