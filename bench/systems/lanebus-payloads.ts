/** Events of one kind of payload through Lanebus's public interface alone, with its default lanes. */
import { createBus, workerHandlers } from 'lanebus';
import { makeEvent, payloadChecker } from '../payloads.js';
import { measurePublishCost } from '../publish-cost.js';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { kindOf } from '../scenarios/payloads.js';
import { measureThroughput } from '../throughput.js';
import { symbolsOf, type Tally } from '../ticks.js';
import { catalog } from './lanebus-payloads-catalog.js';
import type * as consumer from './lanebus-payloads-consumer.js';
import { checkLedger } from './lanebus.js';

/** A subscription on a pool thread, and the two ways to send it what it owes an answer for. */
function connect(parameters: Parameters) {
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
    owed++;
    const result = new Promise<Tally>((resolve) => {
      onResult = resolve;
    });
    await bus.publish({ type: 'END' });
    return result;
  };
  return {
    check: payloadChecker(kind, symbols),
    end,

    /** All of it has room. */
    send(count: number): void {
      for (let at = 0; at < count; at++) {
        if (at !== drop) void bus.publish(makeEvent(kind, at, symbols));
      }
      owed += count;
    },

    async run(count: number): Promise<Tally> {
      for (let at = 0; at < count; at++) {
        if (at === drop) continue;
        const event = makeEvent(kind, at, symbols);
        if (bus.tryPublish(event) === 'full') await bus.publish(event);
      }
      owed += count;
      return end();
    },

    async start(): Promise<void> {
      await bus.start();
    },

    /** Throws when the ledger does not say what was sent, or something has waited that should not. */
    async checkLedger(): Promise<void> {
      await bus.drain();
      checkLedger(events, owed);
    },

    get waiting(): number {
      return bus.metrics().lanes.market.waiting;
    },

    async stop(): Promise<void> {
      await bus.stop();
    },
  };
}

async function payloads(parameters: Parameters): Promise<Measurement> {
  const connection = connect(parameters);
  await connection.start();
  try {
    const measurement = await measureThroughput(parameters, connection);
    await connection.checkLedger();
    return measurement;
  } finally {
    await connection.stop();
  }
}

async function publishCost(parameters: Parameters): Promise<Measurement> {
  const connection = connect(parameters);
  await connection.start();
  try {
    const measurement = await measurePublishCost(parameters, {
      ...connection,
      send(count) {
        connection.send(count);
        if (connection.waiting > 0) throw new Error(`a burst of ${count} events has not found room`);
      },
    });
    await connection.checkLedger();
    return measurement;
  } finally {
    await connection.stop();
  }
}

export const scenarios: SystemScenarios = { payloads, 'publish-cost': publishCost };
