/**
 * What a Node user has without Lanebus: `postMessage`, from the main thread on the worker's own port, between workers on a
 * channel for each two of them.
 */
import { MessageChannel, type MessagePort, parentPort, type Worker } from 'node:worker_threads';
import type { Message } from '../producer.js';
import type { WindowSize } from '../window.js';
import type { Carrier } from './crew.js';
import { streamScenarios } from './streams.js';

/** Its best of those from 2,000 to 500,000; without any, the port's queue grows without bound and it is no faster. */
export const WINDOW: WindowSize = { size: 10_000, ackEvery: 2_000 };

/** `'parent'` is the port that a worker has anyway. */
type Port = Worker | MessagePort | 'parent';

export const carrier: Carrier<Port> = {
  module: 'post-message',
  window: WINDOW,

  open: () => ({
    toWorkers: (count) => ({
      inlets: new Array<Port>(count).fill('parent'),
      outlets: (workers) => workers.slice(0, count),
    }),
    between() {
      const { port1, port2 } = new MessageChannel();
      return { outlet: port1, inlet: port2 };
    },
    close: () => undefined,
  }),

  openOutlet(port) {
    if (port === 'parent') throw new Error('a worker sends to other workers');
    return {
      send(message) {
        port.postMessage(message);
      },
      close: () => undefined,
    };
  },

  openInlet(port, take) {
    const inlet = port === 'parent' ? parentPort : port;
    inlet?.on('message', (message: Message) => {
      take(message);
    });
  },
};

export const scenarios = streamScenarios(carrier, [
  'one-to-one',
  'one-to-one-batch',
  'fan-out-1-to-4',
  'fan-out-keyed',
  'pipeline-3',
  'many-to-one',
]);
