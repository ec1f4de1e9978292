/**
 * BullMQ with a Redis on this machine: a tick is a job of a queue, which a BullMQ worker in a thread takes one after another.
 * With more than one at once it does not keep their order.
 */
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { isBatch, type Message } from '../producer.js';
import type { Carrier } from './crew.js';
import { startRedis } from './redis-server.js';
import { streamScenarios } from './streams.js';

interface Wire {
  /** Of the Redis's socket. */
  readonly path: string;
  readonly queue: string;
}

const JOB = 'tick';
/** What has been handled is of no use to anybody. */
const JOB_OPTIONS = { removeOnComplete: true, removeOnFail: true } as const;

function connect(path: string): Redis {
  return new Redis({ path, maxRetriesPerRequest: null });
}

export const carrier: Carrier<Wire> = {
  module: 'bullmq',
  window: { size: 2_000, ackEvery: 400 },

  async open() {
    const server = await startRedis();
    if ('absent' in server) return server;
    const { path, stop } = server;
    let queues = 0;
    const nextWire = (): Wire => ({ path, queue: `ticks-${queues++}` });
    return {
      toWorkers(count) {
        const wires = Array.from({ length: count }, nextWire);
        return { inlets: wires, outlets: () => wires };
      },
      between() {
        const wire = nextWire();
        return { outlet: wire, inlet: wire };
      },
      close: stop,
    };
  },

  openOutlet({ path, queue: name }) {
    const connection = connect(path);
    const queue = new Queue<Message>(name, { connection });
    return {
      send(message) {
        if (isBatch(message)) void queue.addBulk(message.map((data) => ({ name: JOB, data, opts: JOB_OPTIONS })));
        else void queue.add(JOB, message, JOB_OPTIONS);
      },
      async close() {
        await queue.close();
        connection.disconnect();
      },
    };
  },

  async openInlet({ path, queue }, take) {
    const handle = (job: { readonly data: Message }): Promise<void> => {
      take(job.data);
      return Promise.resolve();
    };
    const worker = new Worker<Message>(queue, handle, { connection: connect(path) });
    await worker.waitUntilReady();
  },
};

export const scenarios = streamScenarios(carrier, ['one-to-one', 'one-to-one-batch']);
