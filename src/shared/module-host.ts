/**
 * The engine of one thread together with the modules whose handlers it runs: a pool thread's, and for the inline backend
 * the bus's own thread's.
 */
import type { HandlerLogger } from './api.js';
import { invoke, type WorkerControl, type WorkerSubscriptionSpec } from './control.js';
import type { Engine } from './engine.js';
import type { Logger } from './logger.js';
import { ModuleLife } from './module-life.js';
import { loadHandler, loadHooks, loadStateHooks } from './modules.js';
import type { AnyPredicate, Handling } from './subscription.js';

export class ModuleHost implements Pick<WorkerControl, 'attach'> {
  readonly engine: Engine;
  readonly #thread: number;
  readonly #log: Logger;
  /** The subscriptions that run here, of modules. */
  readonly #lives = new Map<number, ModuleLife>();

  /** @param log Of the thread. */
  constructor(engine: Engine, thread: number, log: Logger) {
    this.engine = engine;
    this.#thread = thread;
    this.#log = log;
  }

  /** Imports the handler's module, lets it set itself up, and starts to run the subscription. @throws as `loadHandler`; SETUP_FAILED */
  async attach(spec: WorkerSubscriptionSpec): Promise<void> {
    this.engine.expect(spec);
    const handler = await loadHandler(spec.handler);
    const predicate = spec.predicate && ((await loadHandler(spec.predicate)) as AnyPredicate);
    const log = this.#logOf(spec.name);
    const life = new ModuleLife(spec, await loadHooks(spec.handler), this.#thread, log);
    const state = spec.checkpoints && (await loadStateHooks(spec.handler));
    const checkpoints = state && { snapshot: state.snapshot, fatal: log.fatal.bind(log) };
    await life.begin(state);
    this.#lives.set(spec.id, life);
    this.engine.attach(spec, { handler, predicate, checkpoints }, log);
  }

  /** Runs a subscription whose handler is at hand. */
  attachFunction(spec: WorkerSubscriptionSpec, handling: Handling): void {
    this.engine.attach(spec, handling, this.#logOf(spec.name));
  }

  /** As the engine's; then its module's `teardown`, which is awaited. */
  async detach(id: number, cuts: ReadonlyMap<number, number>): Promise<void> {
    this.engine.detach(id, cuts);
    const life = this.#lives.get(id);
    this.#lives.delete(id);
    await life?.end();
  }

  /** Lets every module tear itself down, when the pump has ended. */
  async end(): Promise<void> {
    await Promise.all([...this.#lives.values()].map((life) => life.end()));
    this.#lives.clear();
  }

  /** Does what the bus asks of the thread. */
  call(method: keyof WorkerControl, args: readonly unknown[]): unknown {
    return invoke(method === 'attach' || method === 'detach' ? this : this.engine, method, args);
  }

  #logOf(subscription: string): HandlerLogger & Logger {
    return this.#log.child({ subscription });
  }
}
