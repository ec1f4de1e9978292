/** The stages that run in the pool: market data → features → prediction → proposed signal → approved or rejected. */
import type { EventOf, HandlerContext, TypeOf } from 'lanebus';
import type { TradingCatalog } from 'lanebus/catalogs/trading';

type Event<T extends TypeOf<TradingCatalog>> = EventOf<TradingCatalog, T>;
type Context = HandlerContext<TradingCatalog>;

const MIN_CONFIDENCE = 0.5;

/** One feature: how much more is wanted than offered at the best prices, from -1 to 1. */
export function calculateFeatures(book: Event<'MARKET_DATA_L2'>, context: Context): Promise<void> {
  const { exchangeTimeNs, timeNs, symbol, bidPrice0, askPrice0, bidSize0, askSize0 } = book;
  const mid = (bidPrice0 + askPrice0) / 2;
  const values = Float64Array.of((bidSize0 - askSize0) / (bidSize0 + askSize0));
  const origin = { exchangeTimeNs, timeNs, symbol };
  return context.publish({ type: 'FEATURES_CALCULATED', ...origin, featureSet: 'imbalance-1', mid, values });
}

let predictionId = 0n;

export function predict(features: Event<'FEATURES_CALCULATED'>, context: Context): Promise<void> {
  const { exchangeTimeNs, timeNs, symbol, values } = features;
  const [imbalance] = values;
  return context.publish({
    ...{ type: 'PREDICTION_GENERATED', exchangeTimeNs, timeNs, symbol, predictionId: ++predictionId },
    ...{ model: 'follow-the-book', horizonNs: 1_000_000_000n },
    ...{ expectedReturn: imbalance / 10_000, confidence: Math.abs(imbalance) },
  });
}

let signalId = 0n;

export function propose(prediction: Event<'PREDICTION_GENERATED'>, context: Context): Promise<void> | undefined {
  const { timeNs, symbol, predictionId, expectedReturn, confidence } = prediction;
  if (confidence < MIN_CONFIDENCE) return undefined;
  const [side, limitPrice] = expectedReturn > 0 ? (['BUY', Infinity] as const) : (['SELL', 0] as const);
  const signal = { timeNs, signalId: ++signalId, symbol, side, predictionId, quantity: 1, limitPrice };
  return context.publish({ type: 'TRADE_SIGNAL_PROPOSED', ...signal, strategy: 'follow-the-book' });
}

let halted = false;

/** Risk. One subscription to both types, so that it has one state. */
export function judge(
  event: Event<'TRADE_SIGNAL_PROPOSED' | 'SYSTEM_STATE_CHANGE'>,
  context: Context,
): Promise<void> | undefined {
  if (event.type === 'SYSTEM_STATE_CHANGE') {
    halted = event.to === 'HALTED';
    return undefined;
  }
  const { timeNs, signalId, symbol, side, quantity, limitPrice } = event;
  const signal = { timeNs, signalId, symbol, side };
  if (halted) return context.publish({ type: 'TRADE_SIGNAL_REJECTED', ...signal, reason: 'HALTED' });
  return context.publish({ type: 'TRADE_SIGNAL_APPROVED', ...signal, quantity, limitPrice });
}
