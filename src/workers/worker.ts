/**
 * What Piscina runs in a pool thread: one long task, which ends when the bus stops or the thread is replaced.
 * The main thread calls over the port (control.ts); events come through shared memory only.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { type MessagePort, threadId } from 'node:worker_threads';
import * as Comlink from 'comlink';
import type { WorkerHandler } from '../shared/api.js';
import {
  type ControlPort,
  invoke,
  READY,
  type ReadyWord,
  type RehearsalSetup,
  type WorkerSetup,
  type WorkerSubscriptionSpec,
} from '../shared/control.js';
import { Engine } from '../shared/engine.js';
import { toErrorRecord } from '../shared/errors.js';
import { kernelThreadId } from '../shared/thread-time.js';
import { createLogger, type Logger } from '../shared/logger.js';
import type { AnyPredicate } from '../shared/subscription.js';
import { ModuleLife } from './life.js';
import { loadHandler, loadHooks, loadStateHooks } from './modules.js';
import { rehearse } from './rehearsal.js';

interface PoolWorker {
  readonly engine: Engine;
  readonly logger: Logger;
  readonly thread: number;
  /** The subscriptions that run here. */
  readonly lives: Map<number, ModuleLife>;
}

export default async function work({ port }: { readonly port: MessagePort }): Promise<void> {
  const { engine, lives } = await new Promise<PoolWorker>((resolve) => {
    let worker: PoolWorker | undefined;

    const exposed: ControlPort = {
      async call(method, args) {
        try {
          if (method === 'setUp') {
            const [setup] = args as [WorkerSetup];
            worker = setUp(setup);
            // Every module is imported and set up before the first event is read: a late failure would come in mid-feed.
            for (const spec of setup.subscriptions) worker.engine.expect(spec);
            for (const spec of setup.subscriptions) await attach(worker, spec);
            resolve(worker);
            return { value: undefined };
          }
          if (method === 'learn') {
            await Promise.all((args[0] as WorkerHandler[]).map(loadHandler));
            return { value: undefined };
          }
          if (method === 'rehearse') {
            const [setup] = args as [RehearsalSetup];
            rehearse(setup, createLogger(setup.logger, {}));
            return { value: undefined };
          }
          if (worker === undefined) throw new Error(`"${method}" was called before "setUp"`);
          if (method === 'attach') {
            await attach(worker, args[0] as WorkerSubscriptionSpec);
            return { value: undefined };
          }
          const value = await invoke(worker.engine, method, args);
          if (method === 'detach') await end(worker, args[0] as number);
          return { value };
        } catch (error) {
          return { error: toErrorRecord(error) };
        }
      },
    };
    Comlink.expose(exposed, port);
    port.postMessage({ ready: READY, threadId, kernelThread: kernelThreadId() } satisfies ReadyWord);
  });
  // After a turn, so that the answer to `setUp` is on its way even if the very first handler hangs.
  await turn();
  await engine.pump.run();
  await Promise.all([...lives.values()].map((life) => life.end()));
}

function setUp(setup: WorkerSetup): PoolWorker {
  const logger = createLogger(setup.logger, { name: 'lanebus', thread: setup.thread });
  const engine = new Engine(setup, logger.warn.bind(logger));
  return { engine, logger, thread: setup.thread, lives: new Map() };
}

async function attach({ engine, logger, thread, lives }: PoolWorker, spec: WorkerSubscriptionSpec): Promise<void> {
  engine.expect(spec);
  const handler = await loadHandler(spec.handler);
  const predicate = spec.predicate && ((await loadHandler(spec.predicate)) as AnyPredicate);
  const log = logger.child({ subscription: spec.name });
  const life = new ModuleLife(spec, await loadHooks(spec.handler), thread, log);
  const state = spec.checkpoints && (await loadStateHooks(spec.handler));
  const checkpoints = state && { snapshot: state.snapshot, fatal: log.fatal.bind(log) };
  await life.begin(state);
  lives.set(spec.id, life);
  engine.attach(spec, { handler, predicate, checkpoints }, log);
}

async function end({ lives }: PoolWorker, id: number): Promise<void> {
  const life = lives.get(id);
  lives.delete(id);
  await life?.end();
}
