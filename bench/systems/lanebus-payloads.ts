/** Events of one kind of payload through Lanebus's public interface alone, with its default lanes. */
import { createBus, workerHandlers } from 'lanebus';
import { type PayloadConnection, payloadScenarios } from '../payload-scenarios.js';
import { makeEvent, payloadChecker } from '../payloads.js';
import type { Measurement, Parameters } from '../scenario.js';
import { kindOf } from '../scenarios/payloads.js';
import { symbolsOf, type Tally } from '../ticks.js';
import { catalog } from './lanebus-payloads-catalog.js';
import type * as consumer from './lanebus-payloads-consumer.js';
import { checkLedger } from './lanebus.js';

/** A subscription on a pool thread, and the two ways to send it events. */
function connect(parameters: Parameters): PayloadConnection {
  const { drop = -1 } = parameters;
  const kind = kindOf(parameters);
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads: 1, logger: false });
  const handlers = workerHandlers<typeof consumer>(new URL('./lanebus-payloads-consumer.js', import.meta.url));
  const events = bus.subscribe(['TICK', 'DEPTH', 'NOTE', 'ORDER', 'END'], handlers.onEvent);
  let onResult: ((tally: Tally) => void) | undefined;
  bus.subscribe('RESULT', (result) => onResult?.(result));
  let owed = 0;

  const end = async (): Promise<Tally> => {
    const { waiting } = bus.metrics().lanes.market;
    if (waiting > 0) throw new Error(`${waiting} events have not found room at once`);
    owed++;
    const result = new Promise<Tally>((resolve) => {
      onResult = resolve;
    });
    await bus.publish({ type: 'END' });
    return result;
  };

  const send = (count: number): void => {
    for (let at = 0; at < count; at++) {
      if (at !== drop) void bus.publish(makeEvent(kind, at, symbols));
    }
    owed += count;
  };

  const run = async (count: number): Promise<Tally> => {
    for (let at = 0; at < count; at++) {
      if (at === drop) continue;
      const event = makeEvent(kind, at, symbols);
      if (bus.tryPublish(event) === 'full') await bus.publish(event);
    }
    owed += count;
    return end();
  };

  /** Runs a measurement of the bus; throws when the ledger does not say what was sent. */
  const around = async (measure: () => Promise<Measurement>): Promise<Measurement> => {
    await bus.start();
    try {
      const measurement = await measure();
      await bus.drain();
      checkLedger(events, owed);
      return measurement;
    } finally {
      await bus.stop();
    }
  };
  return { around, send, run, end, check: payloadChecker(kind, symbols) };
}

export const scenarios = payloadScenarios(connect);
