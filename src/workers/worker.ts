/**
 * What Piscina runs in a pool thread: one long task, which ends when the bus stops or the thread is replaced.
 * The main thread calls over the port (control.ts); events come through shared memory only.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { type MessagePort, threadId } from 'node:worker_threads';
import * as Comlink from 'comlink';
import type { WorkerHandler } from '../shared/api.js';
import { type ControlPort, READY, type ReadyWord, type RehearsalSetup, type WorkerSetup } from '../shared/control.js';
import { Engine } from '../shared/engine.js';
import { toErrorRecord } from '../shared/errors.js';
import { createLogger } from '../shared/logger.js';
import { ModuleHost } from '../shared/module-host.js';
import { loadHandler } from '../shared/modules.js';
import { kernelThreadId } from '../shared/thread-time.js';
import { rehearse } from './rehearsal.js';

export default async function work({ port }: { readonly port: MessagePort }): Promise<void> {
  const host = await new Promise<ModuleHost>((resolve) => {
    let made: ModuleHost | undefined;

    const exposed: ControlPort = {
      async call(method, args) {
        try {
          if (method === 'setUp') {
            const [setup] = args as [WorkerSetup];
            made = hostFor(setup);
            // Every module is imported and set up before the first event is read: a late failure would come in mid-feed.
            for (const spec of setup.subscriptions) made.engine.expect(spec);
            for (const spec of setup.subscriptions) await made.attach(spec);
            resolve(made);
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
          if (made === undefined) throw new Error(`"${method}" was called before "setUp"`);
          return { value: await made.call(method, args) };
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
  await host.engine.pump.run();
  await host.end();
}

function hostFor(setup: WorkerSetup): ModuleHost {
  const { thread } = setup;
  const log = createLogger(setup.logger, { name: 'lanebus', thread });
  return new ModuleHost(new Engine(setup, log.warn.bind(log)), thread, log);
}
