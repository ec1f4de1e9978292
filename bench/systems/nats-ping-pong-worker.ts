import { parentPort, workerData } from 'node:worker_threads';
import { connect } from '@nats-io/transport-node';
import type { Tick } from '../ticks.js';
import { SUBJECT } from './nats-ping-pong.js';

const connection = await connect({ servers: `127.0.0.1:${workerData as number}` });
connection.subscribe(SUBJECT, {
  callback(error, request) {
    if (error !== null) throw error;
    request.respond(JSON.stringify(request.json<Tick>()));
  },
});
await connection.flush(); // the server knows of it
parentPort?.postMessage('ready');
