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
import { loadHandler } from './modules.js';
import { rehearse } from './rehearsal.js';

export default async function work({ port }: { readonly port: MessagePort }): Promise<void> {
  const engine = await new Promise<Engine>((resolve) => {
    let worker: { readonly engine: Engine; readonly logger: Logger } | undefined;

    const exposed: ControlPort = {
      async call(method, args) {
        try {
          if (method === 'setUp') {
            const [setup] = args as [WorkerSetup];
            worker = setUp(setup);
            // Every module is imported before the first event is read: a late failure would come in mid-feed.
            for (const spec of setup.subscriptions) worker.engine.expect(spec);
            for (const spec of setup.subscriptions) await attach(worker, spec);
            resolve(worker.engine);
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
          if (method !== 'attach') return { value: await invoke(worker.engine, method, args) };
          await attach(worker, args[0] as WorkerSubscriptionSpec);
          return { value: undefined };
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
}

function setUp(setup: WorkerSetup): { engine: Engine; logger: Logger } {
  const logger = createLogger(setup.logger, { name: 'lanebus', thread: setup.thread });
  return { engine: new Engine(setup, logger.warn.bind(logger)), logger };
}

async function attach(worker: { engine: Engine; logger: Logger }, spec: WorkerSubscriptionSpec): Promise<void> {
  worker.engine.expect(spec);
  const handler = await loadHandler(spec.handler);
  const predicate = spec.predicate && ((await loadHandler(spec.predicate)) as AnyPredicate);
  worker.engine.attach(spec, { handler, predicate }, worker.logger.child({ subscription: spec.name }));
}
