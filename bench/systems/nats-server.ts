import type { Absence } from '../scenario.js';
import { type Server, startServer } from '../server.js';

/** NATS core on a port of the loopback that is free. */
export async function startNats(): Promise<(Pick<Server, 'stop'> & { readonly port: number }) | Absence> {
  const server = await startServer(
    ['nats-server', '--addr', '127.0.0.1', '--port', '-1'],
    /Listening for client connections on .*:(\d+)$/,
    'nats-server',
  );
  if ('absent' in server) return server;
  const { ready, stop } = server;
  return { port: Number(ready[1]), stop };
}
