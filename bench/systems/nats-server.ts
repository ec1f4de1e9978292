import type { Absence } from '../scenario.js';
import { type Server, startServer } from '../server.js';

/** NATS core on a port that is free. */
export function startNats(): Promise<Server | Absence> {
  return startServer(
    ['nats-server', '--addr', '127.0.0.1', '--port', '-1'],
    /Listening for client connections on .*:(\d+)$/,
    "Debian's package nats-server",
  );
}
