import { EventEmitter } from 'node:events';
import { types } from 'node:util';
import type { BusNotices, NoticeListener } from '../shared/api.js';
import type { Logger } from '../shared/logger.js';
import { didYouMean, problem, throwProblems } from './option-checks.js';

type Name = keyof BusNotices;

/** All that a bus tells of. */
const NOTICES = Object.keys({
  threadRestarted: 0,
  handlerOverran: 0,
  deadLetter: 0,
  subscriptionDisabled: 0,
  circuitOpened: 0,
  circuitClosed: 0,
  laneHighWatermark: 0,
} satisfies Record<Name, 0>) as readonly Name[];

/**
 * What the bus tells about itself, apart from its events. A listener is called when whatever the bus is just doing is done, so
 * that it can neither hold that up nor break it.
 */
export class NoticeBoard {
  readonly #log: Logger;
  readonly #emitter = new EventEmitter().setMaxListeners(0);

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @returns What takes the listener away again. @throws OPTIONS */
  on<N extends Name>(name: N, listener: NoticeListener<N>): () => void {
    const hint = typeof name === 'string' ? didYouMean(name, NOTICES) : '';
    throwProblems(
      [
        ...(NOTICES.includes(name) ? [] : [problem(['notice'], name, `${NOTICES.join(' or ')}${hint}`)]),
        ...(typeof listener === 'function' ? [] : [problem(['listener'], listener, 'a function')]),
      ],
      'on',
    );
    const failed = (error: unknown): void => {
      this.#log.error({ err: error, notice: name }, 'listener failed');
    };
    const guarded = (notice: BusNotices[N]): void => {
      try {
        const result = listener(notice);
        if (types.isPromise(result)) result.catch(failed);
      } catch (error) {
        failed(error);
      }
    };
    this.#emitter.on(name, guarded);
    return () => {
      this.#emitter.off(name, guarded);
    };
  }

  isHeard(name: Name): boolean {
    return this.#emitter.listenerCount(name) > 0;
  }

  post<N extends Name>(name: N, notice: BusNotices[N]): void {
    if (!this.isHeard(name)) return;
    queueMicrotask(() => {
      this.#emitter.emit(name, notice);
    });
  }
}
