/**
 * NATS core with a server on this machine. Each thread has a connection, each wire a subject of its own. A tick is 64 bytes
 * that are written and read by hand, which is twice as fast as JSON.
 */
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { END, isBatch, isEnd } from '../producer.js';
import { TICK_BYTES, TickBytes } from '../tick-bytes.js';
import type { Carrier } from './crew.js';
import { startNats } from './nats-server.js';
import { streamScenarios } from './streams.js';

interface Wire {
  readonly port: number;
  readonly subject: string;
}

let connection: Promise<NatsConnection> | undefined;

function connectOnce({ port }: Wire): Promise<NatsConnection> {
  return (connection ??= connect({ servers: `127.0.0.1:${port}` }));
}

export const carrier: Carrier<Wire> = {
  module: 'nats',
  // From 4,000 to 40,000 it made no difference.
  window: { size: 10_000, ackEvery: 2_000 },

  async open() {
    const server = await startNats();
    if ('absent' in server) return server;
    const { port, stop } = server;
    let subjects = 0;
    const nextWire = (): Wire => ({ port, subject: `ticks.${subjects++}` });
    return {
      toWorkers(count) {
        const wire = nextWire();
        return { inlets: new Array<Wire>(count).fill(wire), outlets: () => [wire] };
      },
      between() {
        const wire = nextWire();
        return { outlet: wire, inlet: wire };
      },
      close: stop,
    };
  },

  async openOutlet(wire, symbols) {
    const { subject } = wire;
    const nats = await connectOnce(wire);
    const tick = new TickBytes(symbols, 1);
    return {
      send(message) {
        if (isBatch(message)) throw new Error('NATS has no batches');
        if (isEnd(message)) {
          nats.publish(subject);
          return;
        }
        tick.write(message, 0);
        // A copy: the client keeps what it is given until it has written it.
        nats.publish(subject, new Uint8Array(tick.floats.buffer.slice(0)));
      },
      close: () => nats.close(),
    };
  },

  async openInlet(wire, take, symbols) {
    const nats = await connectOnce(wire);
    const tick = new TickBytes(symbols, 1);
    const bytes = new Uint8Array(tick.floats.buffer);
    nats.subscribe(wire.subject, {
      callback(error, message) {
        if (error !== null) throw error;
        if (message.data.length < TICK_BYTES) {
          take(END);
          return;
        }
        bytes.set(message.data);
        take(tick.read(0));
      },
    });
    await nats.flush(); // the server knows of it
  },
};

export const scenarios = streamScenarios(carrier, ['one-to-one', 'fan-out-1-to-4', 'pipeline-3', 'many-to-one']);
