/** A BroadcastChannel of Node's own: whoever has opened its name gets what any other posts to it. */
import { BroadcastChannel } from 'node:worker_threads';
import type { Message } from '../producer.js';
import type { Carrier } from './crew.js';
import { streamScenarios } from './streams.js';

export const carrier: Carrier<string> = {
  module: 'broadcast-channel',
  // From 1,000 to 40,000 it made no difference.
  window: { size: 10_000, ackEvery: 2_000 },

  open() {
    let channels = 0;
    const nextName = () => `lanebus bench ${process.pid} ${channels++}`;
    return {
      toWorkers(count) {
        const name = nextName();
        return { inlets: new Array<string>(count).fill(name), outlets: () => [name] };
      },
      between() {
        const name = nextName();
        return { outlet: name, inlet: name };
      },
      close: () => undefined,
    };
  },

  openOutlet(name) {
    const channel = new BroadcastChannel(name);
    return {
      send(message) {
        channel.postMessage(message);
      },
      close() {
        channel.close();
      },
    };
  },

  openInlet(name, take) {
    new BroadcastChannel(name).onmessage = (event) => {
      take((event as { readonly data: Message }).data);
    };
  },
};

export const scenarios = streamScenarios(carrier, [
  'one-to-one',
  'one-to-one-batch',
  'fan-out-1-to-4',
  'pipeline-3',
  'many-to-one',
]);
