/** The application, written against the interface of a bus: which backend carries it is somebody else's business. */
import { type EventBus, type TypeOf, workerHandlers } from 'lanebus';
import { type TradingCatalog, tradingCatalog } from 'lanebus/catalogs/trading';
import { bookAt } from './books.js';

const MAX_POSITION = 5;

/** Trades on `steps` changes of a book, each carried through before the next. @returns A summary, one line each. */
export async function trade(bus: EventBus<TradingCatalog>, steps: number): Promise<string[]> {
  const counts = new Map<string, number>();
  let position = 0;
  let book = bookAt(0);

  const stages = workerHandlers<typeof import('./stages.js')>(new URL('./stages.js', import.meta.url));
  bus.subscribe('MARKET_DATA_L2', stages.calculateFeatures);
  bus.subscribe('FEATURES_CALCULATED', stages.predict);
  bus.subscribe('PREDICTION_GENERATED', stages.propose);
  bus.subscribe(['TRADE_SIGNAL_PROPOSED', 'SYSTEM_STATE_CHANGE'], stages.judge);

  bus.subscribe('TRADE_SIGNAL_APPROVED', function exchange({ signalId, symbol, side, quantity, timeNs }, context) {
    const lastPrice = side === 'BUY' ? book.askPrice0 : book.bidPrice0;
    const order = { orderId: signalId, signalId, symbol, side, exchangeTimeNs: timeNs, timeNs };
    const fill = { lastQuantity: quantity, lastPrice, filledQuantity: quantity, remainingQuantity: 0, fee: 0 };
    return context.publish({ type: 'EXECUTION_REPORT', ...order, status: 'FILLED', ...fill });
  });
  bus.subscribe('EXECUTION_REPORT', function account({ side, lastQuantity, timeNs }, context) {
    position += side === 'BUY' ? lastQuantity : -lastQuantity;
    if (Math.abs(position) < MAX_POSITION) return undefined;
    const measured = { value: Math.abs(position), limit: MAX_POSITION };
    return context.publish({
      ...{ type: 'POTENTIAL_HALT_TRIGGER', trigger: 'POSITION', source: 'account' },
      ...{ timeNs, ...measured },
    });
  });
  bus.subscribe('POTENTIAL_HALT_TRIGGER', function halt({ timeNs, value, limit }, context) {
    const change = { component: 'system', from: 'RUNNING', to: 'HALTED', reason: `${value} of ${limit}` } as const;
    return context.publish({ type: 'SYSTEM_STATE_CHANGE', timeNs, ...change });
  });
  const types = tradingCatalog.types.map(({ name }) => name as TypeOf<TradingCatalog>);
  bus.subscribe(types, function count({ type }) {
    counts.set(type, (counts.get(type) ?? 0) + 1);
  });

  await bus.start();
  for (let step = 0; step < steps; step++) {
    book = bookAt(step);
    await bus.publish(book);
    await bus.drain();
  }
  const { drained } = await bus.stop();
  const lines = types.flatMap((type) => (counts.has(type) ? [`${type} ${counts.get(type)}`] : []));
  return [...lines, `position ${position}, everything delivered: ${drained}`];
}
