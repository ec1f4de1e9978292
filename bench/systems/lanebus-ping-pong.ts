/** A round trip through Lanebus's public interface alone: two pool threads, or the bus's own thread and one of the pool. */
import { createBus, type EventBus, workerHandlers } from 'lanebus';
import { measureAnswers, toMeasurement, type RoundTripsResult } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { symbolsOf } from '../ticks.js';
import { catalog, makePing } from './lanebus-ping-pong-catalog.js';
import type * as pool from './lanebus-ping-pong-pool.js';
import { checkLedger } from './lanebus.js';
import { withParameters } from './module-parameters.js';

type Bus = EventBus<typeof catalog>;

async function pingPong(parameters: Parameters): Promise<Measurement> {
  const { warmup, events, threads, spinMicros } = parameters;
  const bus = createBus(catalog, { threads, spinMicros, logger: false });
  const module = withParameters(new URL('./lanebus-ping-pong-pool.js', import.meta.url), parameters);
  const handlers = workerHandlers<typeof pool>(module);
  const pings = bus.subscribe('PING', handlers.answer);
  const measure = threads === 1 ? fromMain(bus, parameters) : inPool(bus, handlers, parameters);
  await bus.start();
  try {
    const measurement = await measure();
    await bus.drain();
    checkLedger(pings, warmup + events);
    return measurement;
  } finally {
    await bus.stop();
  }
}

/** @returns What starts it, once the bus has. */
function fromMain(bus: Bus, parameters: Parameters): () => Promise<Measurement> {
  const symbols = symbolsOf(parameters);
  const trips = measureAnswers(parameters, (sequence) => {
    void bus.publish(makePing(sequence, symbols));
  });
  bus.subscribe('PONG', ({ sequence }) => {
    trips.take(sequence);
  });
  return () => {
    trips.start();
    return trips.measurement;
  };
}

function inPool(
  bus: Bus,
  { ask }: ReturnType<typeof workerHandlers<typeof pool>>,
  parameters: Parameters,
): () => Promise<Measurement> {
  bus.subscribe(['START', 'PONG'], ask);
  const result = new Promise<RoundTripsResult>((resolve) => {
    bus.subscribe('RESULT', (event) => {
      resolve(event.result);
    });
  });
  return async () => {
    await bus.publish({ type: 'START' });
    return toMeasurement(await result, parameters);
  };
}

export const scenarios: SystemScenarios = { 'ping-pong': pingPong };
