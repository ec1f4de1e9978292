/** A round trip through Lanebus's public interface alone: two pool threads, or the bus's own thread and one of the pool. */
import { createBus, type EventBus, type Subscription, workerHandlers } from 'lanebus';
import { measureAnswers, toMeasurement, type RoundTripsResult } from '../round-trips.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { measureIdle } from '../scenarios/idle-cost.js';
import { symbolsOf } from '../ticks.js';
import { catalog, makePing } from './lanebus-ping-pong-catalog.js';
import type * as pool from './lanebus-ping-pong-pool.js';
import { checkLedger } from './lanebus.js';
import { withParameters } from './module-parameters.js';

type Bus = EventBus<typeof catalog>;
type Handlers = ReturnType<typeof workerHandlers<typeof pool>>;

async function pingPong(parameters: Parameters): Promise<Measurement> {
  const { threads, spinMicros } = parameters;
  const bus = createBus(catalog, { threads, spinMicros, logger: false });
  const handlers = handlersOf(parameters);
  const pings = bus.subscribe('PING', handlers.answer);
  const measure = threads === 1 ? fromMain(bus, parameters) : inPool(bus, handlers, parameters);
  return run(bus, pings, parameters, measure);
}

/** Both subscriptions are there, one on each thread; the bus is as it comes. */
async function idleCost(parameters: Parameters): Promise<Measurement> {
  const { threads } = parameters;
  const bus = createBus(catalog, { threads, logger: false });
  const handlers = handlersOf(parameters);
  const pings = bus.subscribe('PING', handlers.answer);
  const makeTrips = inPool(bus, handlers, parameters);
  return run(bus, pings, parameters, () => measureIdle(parameters, makeTrips));
}

async function run(
  bus: Bus,
  pings: Subscription,
  { warmup, events }: Parameters,
  measure: () => Promise<Measurement>,
): Promise<Measurement> {
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

function handlersOf(parameters: Parameters): Handlers {
  return workerHandlers<typeof pool>(
    withParameters(new URL('./lanebus-ping-pong-pool.js', import.meta.url), parameters),
  );
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

function inPool(bus: Bus, { ask }: Handlers, parameters: Parameters): () => Promise<Measurement> {
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

export const scenarios: SystemScenarios = { 'ping-pong': pingPong, 'idle-cost': idleCost };
