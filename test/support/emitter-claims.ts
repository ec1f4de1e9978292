/** What an emitter of a bus does as one of Node does: each claim as a script that is played on both, and what it notes. */
import { EventEmitter, on, once } from 'node:events';
import type { BusEventEmitter } from 'lanebus';
import type { C, Signal } from './handlers/catalog.js';

export interface Stage {
  readonly emitter: BusEventEmitter<C>;
  /** Resolves when everything that was emitted has been told. */
  readonly settle: () => Promise<void>;
}

export interface Claim {
  /** Plays on either. What it notes in `log` is compared. */
  readonly play: (stage: Stage, log: unknown[]) => Promise<void>;
  readonly notes: readonly unknown[];
}

export const payload = (n: number): { n: number; symbol: string } => ({ n, symbol: 'ESH4' });

/** One of Node: everything is told when `emit` returns. */
export function nodeStage(): Stage {
  return { emitter: new EventEmitter() as unknown as BusEventEmitter<C>, settle: () => Promise.resolve() };
}

const namesOf = (listeners: readonly unknown[]): unknown[] => listeners.map((listener) => nameOf(listener));
const nameOf = (listener: unknown): unknown => (listener as { name?: string }).name;
const codeOf = (call: () => unknown): unknown => {
  try {
    call();
    return 'nothing thrown';
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).message;
  }
};

/** By the first cell of the table "As Node does" in docs/event-emitter.md. */
export const claims: Readonly<Record<string, Claim>> = {
  'Listeners run in the order in which they were added; `prependListener` puts one in front': {
    async play({ emitter, settle }, log) {
      emitter.on('SIGNAL', ({ n }) => log.push(`first ${n}`));
      emitter.addListener('SIGNAL', ({ n }) => log.push(`second ${n}`));
      emitter.prependListener('SIGNAL', ({ n }) => log.push(`front ${n}`));
      emitter.emit('SIGNAL', payload(1));
      emitter.emit('SIGNAL', payload(2));
      await settle();
    },
    notes: ['front 1', 'first 1', 'second 1', 'front 2', 'first 2', 'second 2'],
  },
  'A listener that was added twice runs twice; `off` takes its newest entry away': {
    async play({ emitter, settle }, log) {
      const twice = ({ n }: Signal): void => void log.push(`twice ${n}`);
      emitter.on('SIGNAL', twice);
      emitter.on('SIGNAL', ({ n }) => log.push(`between ${n}`));
      emitter.on('SIGNAL', twice);
      emitter.emit('SIGNAL', payload(1));
      await settle();
      emitter.off('SIGNAL', twice);
      emitter.emit('SIGNAL', payload(2));
      await settle();
      emitter.removeListener('SIGNAL', twice);
      emitter.removeListener('SIGNAL', twice);
      emitter.emit('SIGNAL', payload(3));
      await settle();
    },
    notes: ['twice 1', 'between 1', 'twice 1', 'twice 2', 'between 2', 'between 3'],
  },
  'A `once` listener hears one event, whether more wait or it emits one itself; `prependOnceListener` puts it in front':
    {
      async play({ emitter, settle }, log) {
        emitter.once('SIGNAL', ({ n }) => {
          log.push(`once ${n}`);
          emitter.emit('SIGNAL', payload(9));
        });
        emitter.prependOnceListener('SIGNAL', ({ n }) => log.push(`front ${n}`));
        emitter.emit('SIGNAL', payload(1));
        emitter.emit('SIGNAL', payload(2));
        await settle();
        log.push(emitter.listenerCount('SIGNAL'));
        emitter.once('SIGNAL', ({ n }) => log.push(`again ${n}`));
        emitter.emit('SIGNAL', payload(3));
        await settle();
      },
      notes: ['front 1', 'once 1', 0, 'again 3'],
    },
  '`off` takes a `once` listener away by the function that was given': {
    async play({ emitter, settle }, log) {
      const heard = (): void => void log.push('heard');
      emitter.once('SIGNAL', heard);
      emitter.off('SIGNAL', heard);
      log.push(emitter.emit('SIGNAL', payload(1)));
      await settle();
    },
    notes: [false],
  },
  'A listener that is removed while an event is told hears that event still, and no later one': {
    async play({ emitter, settle }, log) {
      const removed = ({ n }: Signal): void => void log.push(`removed ${n}`);
      emitter.on('SIGNAL', ({ n }) => {
        log.push(`remover ${n}`);
        emitter.off('SIGNAL', removed);
      });
      emitter.on('SIGNAL', removed);
      emitter.emit('SIGNAL', payload(1));
      emitter.emit('SIGNAL', payload(2));
      await settle();
    },
    notes: ['remover 1', 'removed 1', 'remover 2'],
  },
  'A listener that is added while an event is told hears the next one first': {
    async play({ emitter, settle }, log) {
      emitter.once('SIGNAL', () => {
        emitter.on('SIGNAL', ({ n }) => log.push(`added ${n}`));
      });
      emitter.on('SIGNAL', ({ n }) => log.push(`there ${n}`));
      emitter.emit('SIGNAL', payload(1));
      emitter.emit('SIGNAL', payload(2));
      await settle();
    },
    notes: ['there 1', 'there 2', 'added 2'],
  },
  'All listeners of an event get the same object, and the emitter as `this`': {
    async play({ emitter, settle }, log) {
      emitter.on('SIGNAL', function (this: unknown, event) {
        log.push(this === emitter);
        event.n = 7;
      });
      emitter.on('SIGNAL', ({ n }) => log.push(n));
      emitter.emit('SIGNAL', payload(1));
      await settle();
    },
    notes: [true, 7],
  },
  '`emit` returns whether the name has a listener': {
    async play({ emitter, settle }, log) {
      const listener = (): void => undefined;
      log.push(emitter.emit('SIGNAL', payload(1)));
      emitter.on('SIGNAL', listener);
      log.push(emitter.emit('SIGNAL', payload(2)), emitter.emit('ORDER', payload(3)));
      await settle();
      emitter.off('SIGNAL', listener);
      log.push(emitter.emit('SIGNAL', payload(4)));
      await settle();
    },
    notes: [false, true, false, false],
  },
  'A listener that throws keeps those behind it from that event, and from no other': {
    async play({ emitter, settle }, log) {
      emitter.on('SIGNAL', ({ n }) => log.push(`before ${n}`));
      emitter.on('SIGNAL', ({ n }) => {
        if (n === 1) throw new Error('no');
      });
      emitter.on('SIGNAL', ({ n }) => log.push(`behind ${n}`));
      codeOf(() => emitter.emit('SIGNAL', payload(1)));
      emitter.emit('SIGNAL', payload(2));
      await settle();
    },
    notes: ['before 1', 'before 2', 'behind 2'],
  },
  "A listener's promise is not awaited, and its rejection is an unhandled one": {
    async play({ emitter, settle }, log) {
      const others = process.listeners('unhandledRejection');
      process.removeAllListeners('unhandledRejection');
      const unhandled = once(process, 'unhandledRejection');
      try {
        const asynchronous: (() => unknown)[] = [
          () => new Promise(() => undefined),
          () => Promise.reject(new Error('late')),
        ];
        for (const listener of asynchronous) emitter.on('SIGNAL', listener);
        emitter.emit('SIGNAL', payload(1));
        await settle();
        const [error] = (await unhandled) as [Error];
        log.push(error.message);
      } finally {
        for (const other of others) process.on('unhandledRejection', other);
      }
    },
    notes: ['late'],
  },
  "`'newListener'` is told before a listener is added, `'removeListener'` after one is removed, with the function that was given":
    {
      play({ emitter }, log) {
        const heard = (): void => undefined;
        emitter.on('newListener', (name, listener) => {
          log.push(`new ${String(name)} ${listener.name}, then ${emitter.listenerCount('SIGNAL')}`);
        });
        emitter.on('removeListener', (name, listener) => {
          log.push(`removed ${String(name)} ${listener.name}, then ${emitter.listenerCount('SIGNAL')}`);
        });
        emitter.once('SIGNAL', heard);
        emitter.on('SIGNAL', heard);
        emitter.off('SIGNAL', heard);
        emitter.removeAllListeners('SIGNAL');
        return Promise.resolve();
      },
      notes: [
        'new removeListener , then 0',
        'new SIGNAL heard, then 0',
        'new SIGNAL heard, then 1',
        'removed SIGNAL heard, then 1',
        'removed SIGNAL heard, then 0',
      ],
    },
  "`emit('error', error)` throws the error when nobody listens to it, and is told on the spot otherwise": {
    play({ emitter }, log) {
      log.push(codeOf(() => emitter.emit('error', new Error('mine'))));
      log.push(codeOf(() => emitter.emit('error', 'a text')));
      emitter.once('error', (error) => log.push(`told ${(error as Error).message}`));
      log.push(emitter.emit('error', new Error('yours')));
      log.push(codeOf(() => emitter.emit('error', new Error('nobody again'))));
      return Promise.resolve();
    },
    notes: ['mine', 'ERR_UNHANDLED_ERROR', 'told yours', true, 'nobody again'],
  },
  '`removeAllListeners` of one name, or of all': {
    async play({ emitter, settle }, log) {
      for (const name of ['SIGNAL', 'ORDER', 'SIGNAL'] as const) emitter.on(name, () => log.push(name));
      emitter.removeAllListeners('SIGNAL');
      emitter.emit('SIGNAL', payload(1));
      emitter.emit('ORDER', payload(1));
      await settle();
      log.push(emitter.eventNames());
      emitter.removeAllListeners();
      log.push(emitter.emit('ORDER', payload(2)), emitter.eventNames());
      await settle();
    },
    notes: ['ORDER', ['ORDER'], false, []],
  },
  '`eventNames`, `listenerCount`, `listeners` and `rawListeners` tell of the listeners as they are now': {
    play({ emitter }, log) {
      const first = (): void => undefined;
      const second = (): void => undefined;
      emitter.on('ORDER', second).once('SIGNAL', first).on('SIGNAL', second);
      log.push(emitter.eventNames(), emitter.listenerCount('SIGNAL'), emitter.listenerCount('HALT'));
      log.push(namesOf(emitter.listeners('SIGNAL')), emitter.listeners('SIGNAL')[0] === first);
      log.push(emitter.rawListeners('SIGNAL')[0] === first, emitter.rawListeners('SIGNAL')[1] === second);
      emitter.listeners('SIGNAL').pop();
      emitter.off('SIGNAL', first);
      log.push(emitter.listeners('SIGNAL').length, emitter.listeners('HALT'));
      return Promise.resolve();
    },
    notes: [['ORDER', 'SIGNAL'], 2, 0, ['first', 'second'], true, false, true, 1, []],
  },
  'What adds or takes away returns the emitter; what is no function is refused, and nothing is added': {
    play({ emitter }, log) {
      const listener = (): void => undefined;
      log.push(emitter.on('SIGNAL', listener).prependListener('SIGNAL', listener).off('SIGNAL', listener) === emitter);
      log.push(emitter.removeAllListeners().setMaxListeners(20) === emitter, emitter.getMaxListeners());
      log.push(codeOf(() => emitter.on('SIGNAL', 'listener' as never)));
      log.push(
        codeOf(() => emitter.once('SIGNAL', undefined as never)),
        emitter.eventNames(),
      );
      return Promise.resolve();
    },
    notes: [true, true, 20, 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE', []],
  },
  'It is an `EventEmitter`; `once` and `on` of `node:events` take it': {
    async play({ emitter }, log) {
      log.push(emitter instanceof EventEmitter);
      const next = once(emitter, 'SIGNAL') as Promise<[Signal]>;
      emitter.emit('SIGNAL', payload(1));
      const [{ n }] = await next;
      log.push(n);
      const events = on(emitter, 'SIGNAL');
      for (const each of [2, 3]) emitter.emit('SIGNAL', payload(each));
      for await (const [event] of events as AsyncIterable<[Signal]>) {
        log.push(event.n);
        if (event.n === 3) break;
      }
      const failing = once(emitter, 'SIGNAL').catch((error: unknown) => (error as Error).message);
      emitter.emit('error', new Error('ended'));
      log.push(await failing, emitter.eventNames());
    },
    notes: [true, 1, 2, 3, 'ended', []],
  },
};
