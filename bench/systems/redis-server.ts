import { join } from 'node:path';
import type { Absence } from '../scenario.js';
import { type Server, startServer } from '../server.js';

const SOCKET = 'redis.sock';

/** Redis on a Unix socket, which takes less time than a port, and with nothing on disk. */
export async function startRedis(): Promise<(Pick<Server, 'stop'> & { readonly path: string }) | Absence> {
  const options = ['--port', '0', '--unixsocket', SOCKET, '--save', '', '--appendonly', 'no'];
  const server = await startServer(['redis-server', ...options], /ready to accept connections/i, 'redis-server');
  if ('absent' in server) return server;
  const { folder, stop } = server;
  return { path: join(folder, SOCKET), stop };
}
