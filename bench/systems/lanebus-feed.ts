/** The feed through Lanebus's public interface alone, with the example's catalog and the default lanes. */
import { createBus, workerHandlers } from 'lanebus';
import { catalog } from '../../examples/market-data/catalog.js';
import { dayChecker, daysOf, readDay } from '../feed.js';
import type { Outcome, Parameters, SystemScenarios } from '../scenario.js';
import { eventsSent, measureThroughput } from '../throughput.js';
import type * as consumer from './lanebus-feed-consumer.js';
import { checkLedger } from './lanebus.js';
import { withParameters } from './module-parameters.js';

async function feed(parameters: Parameters): Promise<Outcome> {
  const { way, drop = -1 } = parameters;
  const rows = await readDay();
  if ('absent' in rows) return rows;
  const bus = createBus(catalog, { threads: 1, logger: false });
  const module = withParameters(new URL('./lanebus-feed-consumer.js', import.meta.url), { way });
  const market = bus.subscribe(['MBO', 'END'], workerHandlers<typeof consumer>(module).onEvent);
  let found: object[] = [];
  let onReport: (() => void) | undefined;
  bus.subscribe('REPORT', ({ summary }) => {
    found.push(summary as object);
    onReport?.();
  });

  const run = async (events: number): Promise<readonly object[]> => {
    found = [];
    const days = daysOf(events, rows);
    const reported = new Promise<void>((resolve) => {
      onReport = () => {
        if (found.length === days.length) resolve();
      };
    });
    let sent = 0;
    for (const count of days) {
      for (let row = 0; row < count; row++, sent++) {
        if (sent !== drop && bus.tryPublish(rows[row]) === 'full') await bus.publish(rows[row]);
      }
      await bus.publish({ type: 'END', published: count });
    }
    await reported;
    return found;
  };

  await bus.start();
  try {
    const measurement = await measureThroughput(parameters, { run, check: dayChecker(parameters, rows) });
    await bus.drain();
    const sent = eventsSent(parameters, measurement);
    const { warmup, events, slices } = parameters;
    const warmups = sent.streams - slices;
    const ends = warmups * daysOf(warmup, rows).length + slices * daysOf(events, rows).length;
    checkLedger(market, sent.events + ends);
    return measurement;
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { feed };
