// `toEventEmitter`: what is as Node does is played on both and compared; each difference is shown. Both are tables in the docs.
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import {
  backends,
  type BusEventEmitter,
  type BusOptions,
  type DeadLetter,
  type EventBus,
  toEventEmitter,
} from 'lanebus';
import { describe, expect, it, vi } from 'vitest';
import { parsePage, tableOf } from '../support/documents/markdown.js';
import { claims, nodeStage, payload } from '../support/emitter-claims.js';
import type { C, Signal } from '../support/handlers/catalog.js';
import type * as derive from '../support/handlers/derive.js';
import { expectExact, handlersOf, newBus, range } from './buses.js';

const page = parsePage(
  'docs/event-emitter.md',
  readFileSync(new URL('../../docs/event-emitter.md', import.meta.url), 'utf8'),
);
const rowsIn = (title: string): string[] => tableOf(page, title).rows.map(([name]) => name);

interface Setting {
  readonly backend: BackendName;
  readonly bus: EventBus<C>;
  readonly emitter: BusEventEmitter<C>;
  readonly log: unknown[];
  /** Another bus of the same backend, with other options. */
  readonly start: (options: BusOptions) => Promise<Setting>;
}

type BackendName = keyof typeof backends;
const BACKENDS = Object.keys(backends) as BackendName[];

async function started(backend: BackendName, options: BusOptions = {}): Promise<Setting> {
  const bus = newBus({ ...options, backend });
  await bus.start();
  return { backend, bus, emitter: toEventEmitter(bus), log: [], start: (others) => started(backend, others) };
}

describe('as Node does', () => {
  it('is all that the docs claim', () => {
    expect(rowsIn('As Node does')).toEqual(Object.keys(claims));
  });

  it.each(Object.entries(claims))('of Node itself: %s', async (_, { play, notes }) => {
    const log: unknown[] = [];
    await play(nodeStage(), log);
    expect(log).toEqual(notes);
  });
});

describe.each(BACKENDS)('as Node does, %s', (backend) => {
  it.each(Object.entries(claims))('%s', async (_, { play, notes }) => {
    const { bus, emitter, log } = await started(backend);
    const settle = async (): Promise<void> => {
      await bus.drain();
    };
    await play({ emitter, settle }, log);
    await settle();
    expect(log).toEqual(notes);
    expectExact(await bus.stop());
  });
});

const differences: Readonly<Record<string, (setting: Setting) => Promise<void>>> = {
  async 'When listeners run'({ bus, emitter, log }) {
    emitter.on('SIGNAL', ({ n }) => log.push(n));
    expect(emitter.emit('SIGNAL', payload(1))).toBe(true);
    log.push('emitted');
    await bus.drain();
    expect(log).toEqual(['emitted', 1]);
  },

  async 'An `emit` inside a listener'({ bus, emitter, log }) {
    emitter.on('SIGNAL', ({ n }) => {
      log.push(`${n} begins`);
      if (n === 1) emitter.emit('SIGNAL', payload(2));
      log.push(`${n} ends`);
    });
    emitter.emit('SIGNAL', payload(1));
    await bus.drain();
    expect(log).toEqual(['1 begins', '1 ends', '2 begins', '2 ends']);
  },

  async 'Order between names'({ bus, emitter, log }) {
    for (const name of ['SIGNAL', 'HALT'] as const) emitter.on(name, () => log.push(name));
    await bus.drain(); // each of them begins to listen by itself
    emitter.emit('SIGNAL', payload(1));
    emitter.emit('HALT', { n: 1, reason: 'first' });
    await bus.drain();
    expect(log).toEqual(['HALT', 'SIGNAL']);
  },

  async 'What is emitted'({ bus, emitter }) {
    emitter.emit('SIGNAL', payload(1));
    const again: Signal = { type: 'SIGNAL', ...payload(2) };
    emitter.emit('SIGNAL', again);
    const emit = (...args: unknown[]): boolean => (emitter as unknown as NodeJS.EventEmitter).emit(...(args as ['']));
    for (const args of [[5], [null], ['text'], [payload(1), payload(2)], [{ n: 1 }], [{ ...payload(1), more: 1 }]]) {
      expect(() => emit('SIGNAL', ...args), JSON.stringify(args)).toThrow(
        expect.objectContaining({ code: 'ERR_LANEBUS_INVALID_EVENT' }) as Error,
      );
    }
    expect(() => emit('SIGNAL', payload(1), payload(2))).toThrow(
      'emit "SIGNAL": got 2 values; accepted: one payload, an object of fields',
    );
    await bus.drain();
    expect(bus.metrics().lanes.signal).toMatchObject({ published: 2 });
  },

  async 'What listeners get'({ bus, emitter, log }) {
    const given = payload(1);
    emitter.on('SIGNAL', (event) => log.push(event));
    emitter.emit('SIGNAL', given);
    expect(given).toEqual(payload(1));
    given.n = 2;
    await bus.drain();
    expect(log).toEqual([{ type: 'SIGNAL', n: 1, symbol: 'ESH4' }]);
  },

  async Names({ bus, emitter }) {
    const named = emitter as unknown as NodeJS.EventEmitter;
    const unknown = expect.objectContaining({ code: 'ERR_LANEBUS_UNKNOWN_TYPE' }) as Error;
    expect(() => named.on('SIGNALS', () => undefined)).toThrow(unknown);
    expect(() => named.emit('SIGNALS', {})).toThrow(unknown);
    expect(named.eventNames()).toEqual([]);
    const own = Symbol('own');
    const heard = vi.fn();
    named.on(own, heard);
    expect(named.emit(own, 1, 2)).toBe(true);
    expect(heard.mock.calls).toEqual([[1, 2]]);
    await bus.drain();
  },

  async 'Who hears of it'({ bus, emitter, log }) {
    const other = toEventEmitter(bus);
    const subscription = bus.subscribe('SIGNAL', ({ n }) => void log.push(`bus ${n}`));
    bus.subscribe('TICK', handlersOf<typeof derive>('derive').derive);
    other.on('SIGNAL', ({ n }) => log.push(`other ${n}`));
    expect(emitter.emit('SIGNAL', payload(1))).toBe(false);
    await Promise.all([subscription.ready, bus.drain()]);
    expect(log.sort()).toEqual(['bus 1', 'other 1']);

    emitter.on('SIGNAL', ({ n }) => log.push(`emitter ${n}`));
    await bus.publish({ type: 'SIGNAL', ...payload(2) });
    await bus.drain();
    expect(log.splice(0).sort()).toEqual(['bus 1', 'bus 2', 'emitter 2', 'other 1', 'other 2']);
    // From a pool thread.
    await bus.publish({ type: 'TICK', ...payload(3), price: 1 });
    await bus.drain();
    expect(log.sort()).toEqual(['bus 3', 'emitter 3', 'other 3']);
  },

  async '`emit` after a `once` listener was addressed'({ bus, emitter, log }) {
    emitter.once('SIGNAL', ({ n }) => log.push(n));
    expect([1, 2].map((n) => emitter.emit('SIGNAL', payload(n)))).toEqual([true, true]);
    await bus.drain();
    expect(log).toEqual([1]);
    expect(bus.metrics().subscriptions).toMatchObject([{ owed: 2, processed: 1, discarded: 1 }]);
  },

  async 'A listener added or removed between `emit` and delivery'({ bus, emitter, log }) {
    const early = ({ n }: Signal): void => void log.push(`early ${n}`);
    emitter.on('SIGNAL', early);
    emitter.emit('SIGNAL', payload(1));
    emitter.on('SIGNAL', ({ n }) => log.push(`late ${n}`));
    emitter.off('SIGNAL', early);
    await bus.drain();
    expect(log).toEqual(['late 1']);
    emitter.emit('SIGNAL', payload(2));
    emitter.removeAllListeners('SIGNAL');
    emitter.on('SIGNAL', ({ n }) => log.push(`new ${n}`));
    await bus.drain();
    expect(log).toEqual(['late 1']);
    expect(bus.metrics().subscriptions).toMatchObject([{ processed: 1, discarded: 1 }, { owed: 0 }]);
  },

  async 'A listener that throws'({ bus, emitter, log }) {
    emitter.on('SIGNAL', ({ n }) => {
      throw new TypeError(`no ${n}`);
    });
    expect(emitter.emit('SIGNAL', payload(1))).toBe(true);
    await bus.drain();
    await turn(); // nobody listens to 'error' yet
    const told = new Promise<[unknown, DeadLetter | undefined]>((resolve) => {
      emitter.on('error', (error, letter) => {
        resolve([error, letter]);
      });
    });
    // A failure elsewhere on the bus is not the emitter's.
    bus.subscribe('ORDER', () => {
      throw new Error('elsewhere');
    });
    await bus.publish({ type: 'ORDER', ...payload(0) });
    await bus.drain();
    emitter.emit('SIGNAL', payload(2));
    const [error, letter] = await told;
    expect(error).toMatchObject({ name: 'TypeError', message: 'no 2' });
    expect(error).toBeInstanceOf(Error);
    expect(letter).toMatchObject({ type: 'SIGNAL', reason: 'failed', event: payload(2) });
    await bus.drain();
    expect(bus.deadLetters.list({ subscription: 'emitter SIGNAL' }).map(({ event }) => event.n)).toEqual([1, 2]);
    expect(log).toEqual([]);
  },

  async Retries({ log, start }) {
    const { bus, emitter } = await start({ retry: { attempts: 2, backoffMs: 0 } });
    let failures = 1;
    emitter.once('SIGNAL', ({ n }) => log.push(`once ${n}`));
    emitter.on('SIGNAL', ({ n }) => log.push(`before ${n}`));
    emitter.on('SIGNAL', ({ n }) => {
      if (failures-- > 0) throw new Error('busy');
      log.push(`behind ${n}`);
    });
    emitter.emit('SIGNAL', payload(1));
    await bus.drain();
    expect(log).toEqual(['once 1', 'before 1', 'before 1', 'behind 1']);
    expectExact(bus.metrics());
  },

  async 'A subscription that is given up'({ start }) {
    const { bus, emitter } = await start({ maxFailures: 1 });
    const failing = (): void => {
      throw new Error('always');
    };
    emitter.on('SIGNAL', failing);
    emitter.emit('SIGNAL', payload(1));
    await vi.waitUntil(() => bus.metrics().subscriptions.every(({ state }) => state === 'ended'));
    expect(emitter.listeners('SIGNAL')).toEqual([failing]);
    expect(emitter.emit('SIGNAL', payload(2))).toBe(false);
    emitter.on('SIGNAL', () => undefined);
    expect(emitter.emit('SIGNAL', payload(3))).toBe(true);
    await bus.drain();
  },

  async 'A full lane'({ log, start }) {
    const tiny = { maxPriority: 29, capacityBytes: 1_024 } as const;
    for (const whenFull of ['block', 'reject'] as const) {
      const { bus, emitter } = await start({ lanes: { signal: { ...tiny, whenFull } } });
      let heard = 0;
      emitter.on('SIGNAL', () => heard++);
      let emitted = 0;
      const flood = (): never => {
        for (;;) {
          emitter.emit('SIGNAL', payload(emitted));
          emitted++;
        }
      };
      expect(flood).toThrow(expect.objectContaining({ code: 'ERR_LANEBUS_LANE_FULL' }) as Error);
      await bus.drain();
      expect(emitted).toBeGreaterThan(10);
      expect(heard).toBe(emitted);
      expect(bus.metrics().lanes.signal).toMatchObject({ published: emitted, rejected: 1 });
    }
    const dropping = await start({ lanes: { signal: { ...tiny, whenFull: 'dropNewest' } } });
    const spilling = await start({ lanes: { signal: { ...tiny, whenFull: 'spill' } } });
    for (const { bus, emitter } of [dropping, spilling]) {
      emitter.on('SIGNAL', ({ n }) => log.push(n));
      const taken = range(200).filter((n) => emitter.emit('SIGNAL', payload(n)));
      await bus.drain();
      expect(log.splice(0)).toEqual(taken);
      const { published, dropped } = bus.metrics().lanes.signal;
      expect([published, dropped]).toEqual([taken.length, 200 - taken.length]);
      if (bus === spilling.bus) expect(dropped).toBe(0);
      else expect(dropped).toBeGreaterThan(0);
    }
  },

  async 'Before `start`, and after `stop`'({ log, backend }) {
    const bus = newBus({ backend });
    const emitter = toEventEmitter(bus);
    const listener = ({ n }: Signal): void => void log.push(n);
    emitter.on('SIGNAL', listener);
    expect(() => emitter.emit('SIGNAL', payload(1))).toThrow(
      expect.objectContaining({ code: 'ERR_LANEBUS_NOT_STARTED' }) as Error,
    );
    await bus.start();
    emitter.emit('SIGNAL', payload(2));
    await bus.stop();
    expect(log).toEqual([2]);
    const stopped = expect.objectContaining({ code: 'ERR_LANEBUS_STOPPED' }) as Error;
    expect(() => emitter.emit('SIGNAL', payload(3))).toThrow(stopped);
    expect(() => emitter.on('ORDER', () => undefined)).toThrow(stopped);
    expect(emitter.off('SIGNAL', listener).eventNames()).toEqual([]);
  },
};

describe('other than Node', () => {
  it('is all that the docs list', () => {
    expect(rowsIn('Different').map((name) => name.replace(/^\*\*|\*\*$/g, ''))).toEqual(Object.keys(differences));
  });
});

describe.each(BACKENDS)('other than Node, %s', (backend) => {
  it.each(Object.entries(differences))('%s', async (_, show) => {
    const setting = await started(backend);
    await show(setting);
    expectExact(await setting.bus.stop());
  });
});
