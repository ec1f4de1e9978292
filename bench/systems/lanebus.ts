/** Lanebus through its public interface alone, with the default lanes and the ledger that is always on. */
import { createBus, type Subscription, workerHandlers } from 'lanebus';
import type { Measurement, Parameters, SystemScenarios } from '../scenario.js';
import { MemoryRecorder } from '../scenarios/soak.js';
import { eventsSent, measureThroughput, type Streaming } from '../throughput.js';
import { checkTally, makeTick, symbolsOf, type Tally } from '../ticks.js';
import { catalog } from './lanebus-catalog.js';
import type * as consumer from './lanebus-consumer.js';

/** A long-running producer lets its event loop turn: with a lane that always has room, `await` alone never does. */
const TURN_MASK = 0xffff;

/** A bus, and one subscription to its ticks on a pool thread. */
function connect(parameters: Parameters) {
  const { drop = -1, awaited = 0 } = parameters;
  const symbols = symbolsOf(parameters);
  const bus = createBus(catalog, { threads: 1, logger: false });
  const handlers = workerHandlers<typeof consumer>(new URL('./lanebus-consumer.js', import.meta.url));
  const ticks = bus.subscribe(['TICK', 'END'], handlers.onEvent);
  let onResult: ((tally: Tally) => void) | undefined;
  bus.subscribe('RESULT', (result) => onResult?.(result));

  const tryEach = async (events: number, onTurn?: () => void): Promise<void> => {
    for (let at = 0; at < events; at++) {
      if (at === drop) continue;
      const tick = makeTick(at, symbols);
      if (bus.tryPublish(tick) === 'full') await bus.publish(tick);
      if (onTurn !== undefined && (at & TURN_MASK) === TURN_MASK) {
        await new Promise(setImmediate);
        onTurn();
      }
    }
  };
  const awaitEach = async (events: number): Promise<void> => {
    for (let at = 0; at < events; at++) {
      if (at !== drop) await bus.publish(makeTick(at, symbols));
    }
  };
  const publishAll = awaited === 1 ? awaitEach : tryEach;

  const stream = {
    async run(events: number, onTurn?: () => void): Promise<Tally> {
      const result = new Promise<Tally>((resolve) => {
        onResult = resolve;
      });
      await publishAll(events, onTurn);
      await bus.publish({ type: 'END' });
      return result;
    },
    check(tally: Tally, events: number): void {
      checkTally(tally, events, symbols);
    },
  } satisfies Streaming<Tally>;
  return { bus, ticks, stream };
}

/** Throws unless the subscription owed and processed so many events, by the ledger. */
export function checkLedger(ticks: Subscription, expected: number): void {
  const { name, exact, processed, owed } = ticks.metrics();
  if (exact && processed === expected && owed === expected) return;
  throw new Error(`${name}: owed ${owed}, processed ${processed}, exact ${exact}; expected ${expected}`);
}

async function oneToOne(parameters: Parameters): Promise<Measurement> {
  const { bus, ticks, stream } = connect(parameters);
  await bus.start();
  try {
    const measurement = await measureThroughput(parameters, stream);
    await bus.drain();
    const sent = eventsSent(parameters, measurement);
    checkLedger(ticks, sent.events + sent.streams);
    return measurement;
  } finally {
    await bus.stop();
  }
}

async function soak(parameters: Parameters): Promise<Measurement> {
  const { events } = parameters;
  const memory = new MemoryRecorder();
  const { bus, ticks, stream } = connect(parameters);
  await bus.start();
  try {
    const startedAt = performance.now();
    stream.check(
      await stream.run(events, () => {
        memory.tick();
      }),
      events,
    );
    const seconds = (performance.now() - startedAt) / 1000;
    await bus.drain();
    checkLedger(ticks, events + 1);
    return { value: events / seconds, ...memory.report() };
  } finally {
    await bus.stop();
  }
}

export const scenarios: SystemScenarios = { 'one-to-one': oneToOne, soak };
