/**
 * The engine of one thread together with the modules whose handlers it runs: a pool thread's, and for the inline backend
 * the bus's own thread's.
 */
import type { HandlerLogger } from './api.js';
import { invoke, type WorkerControl, type WorkerSubscriptionSpec } from './control.js';
import type { Engine } from './engine.js';
import { ErrorCode, LanebusError } from './errors.js';
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
  /** Those that are on their way here, and those among them that are not wanted any more. */
  readonly #attaching = new Set<number>();
  readonly #unwanted = new Set<number>();
  #hasEnded = false;

  /** @param log Of the thread. */
  constructor(engine: Engine, thread: number, log: Logger) {
    this.engine = engine;
    this.#thread = thread;
    this.#log = log;
  }

  /**
   * Imports the handler's module, lets it set itself up, and starts to run the subscription.
   * @throws as `loadHandler`; SETUP_FAILED; THREAD_LOST when that was not wanted any more before it was done
   */
  async attach(spec: WorkerSubscriptionSpec): Promise<void> {
    this.#attaching.add(spec.id);
    try {
      await this.#attach(spec);
    } finally {
      this.#attaching.delete(spec.id);
      this.#unwanted.delete(spec.id);
    }
  }

  async #attach(spec: WorkerSubscriptionSpec): Promise<void> {
    this.engine.expect(spec);
    const handler = await this.#unlessUnwanted(spec, loadHandler(spec.handler));
    const predicate =
      spec.predicate && ((await this.#unlessUnwanted(spec, loadHandler(spec.predicate))) as AnyPredicate);
    const log = this.#logOf(spec.name);
    const hooks = await this.#unlessUnwanted(spec, loadHooks(spec.handler));
    const state = spec.checkpoints && (await this.#unlessUnwanted(spec, loadStateHooks(spec.handler)));
    const life = new ModuleLife(spec, hooks, this.#thread, log);
    const checkpoints = state && { snapshot: state.snapshot, fatal: log.fatal.bind(log) };
    await life.begin(state);
    if (this.#isUnwanted(spec)) await life.end();
    await this.#unlessUnwanted(spec, undefined);
    this.#lives.set(spec.id, life);
    this.engine.attach(spec, { handler, predicate, checkpoints }, log);
  }

  /** Gives up a subscription that is being attached: as soon as its module comes back, it is let go. */
  cancel(id: number): void {
    if (this.#attaching.has(id)) this.#unwanted.add(id);
  }

  #isUnwanted({ id }: WorkerSubscriptionSpec): boolean {
    return this.#hasEnded || this.#unwanted.has(id);
  }

  async #unlessUnwanted<T>(spec: WorkerSubscriptionSpec, step: T | Promise<T>): Promise<T> {
    const done = await step;
    if (!this.#isUnwanted(spec)) return done;
    this.engine.forgetExpected(spec.id);
    throw new LanebusError(
      ErrorCode.THREAD_LOST,
      `subscription "${spec.name}" was given up before its module was ready`,
    );
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

  /** Lets every module tear itself down, when the pump has ended, and attaches none any more. */
  async end(): Promise<void> {
    this.#hasEnded = true;
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
