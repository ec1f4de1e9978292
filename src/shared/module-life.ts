/**
 * The life of a subscription on a pool thread, as its module is told of it: `setup` before the first delivery, `teardown`
 * when it leaves a thread that goes on or is stopped. A thread that is terminated tells its modules nothing.
 */
import { types } from 'node:util';
import type { SetupInfo } from '../shared/api.js';
import { CheckpointBlock } from '../shared/checkpoint-block.js';
import { unpackCopy } from '../shared/codec-values.js';
import type { WorkerSubscriptionSpec } from '../shared/control.js';
import { ErrorCode, LanebusError } from '../shared/errors.js';
import type { Logger } from '../shared/logger.js';
import type { Hooks, StateHooks } from './modules.js';

export class ModuleLife {
  readonly #spec: WorkerSubscriptionSpec;
  readonly #hooks: Hooks;
  readonly #info: SetupInfo;
  readonly #log: Logger;

  constructor(spec: WorkerSubscriptionSpec, hooks: Hooks, thread: number, log: Logger) {
    const { subscription, incarnation, lastEnd, stateLost } = spec.life;
    this.#spec = spec;
    this.#hooks = hooks;
    this.#log = log;
    this.#info = { incarnation, lastEnd, stateLost, subscription, thread, log };
  }

  /** First `setup`, then `restore`, if there is a state: a module may need what it sets up to restore it. @throws SETUP_FAILED */
  async begin(state: StateHooks | undefined): Promise<void> {
    const { setup } = this.#hooks;
    const { checkpoints } = this.#spec;
    if (setup !== undefined) await this.#prepare('setup', () => setup(this.#info));
    if (state === undefined || checkpoints === undefined) return;
    const block = new CheckpointBlock(checkpoints);
    if (block.hasState) await this.#prepare('restore', () => state.restore(unpackCopy(block.current.readState())));
  }

  /** A module that fails to clean up, or takes too long, keeps nobody from leaving it. */
  async end(): Promise<void> {
    const { teardown } = this.#hooks;
    const { teardownMs } = this.#spec;
    if (teardown === undefined || teardownMs === undefined) return;
    try {
      // Nothing that a module does keeps a thread for ever.
      const inTime = await within(Math.max(1, teardownMs), () => teardown(this.#info));
      if (!inTime) this.#log.warn({}, `teardown() has not ended within graceMs (${teardownMs} ms)`);
    } catch (error) {
      this.#log.error({ err: error }, 'teardown() failed');
    }
  }

  async #prepare(name: string, call: () => unknown): Promise<void> {
    const { handler, life, setupMs } = this.#spec;
    const what = `handler module ${handler.module}: ${name}() for subscription "${life.subscription.name}"`;
    let inTime: boolean;
    try {
      inTime = await within(setupMs, call);
    } catch (cause) {
      const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
      throw new LanebusError(ErrorCode.SETUP_FAILED, `${what} failed: ${text}`, { cause });
    }
    if (!inTime) {
      throw new LanebusError(ErrorCode.SETUP_FAILED, `${what} has not ended within startTimeoutMs (${setupMs} ms)`);
    }
  }
}

/** Awaits what a call returns. @returns Whether it came to an end within so many ms; 0 = no limit. */
async function within(ms: number, call: () => unknown): Promise<boolean> {
  const result = call();
  if (!types.isPromise(result) && typeof (result as { then?: unknown } | null)?.then !== 'function') return true;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    if (ms > 0) timer = setTimeout(resolve, ms, false);
  });
  try {
    return await Promise.race([Promise.resolve(result).then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
