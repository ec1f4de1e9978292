import { defineEvents, enumOf, f64, symbol, text, u64, type EventOf, type HandlerFunction } from 'lanebus';

export const catalog = defineEvents({
  HALT: { priority: 1, payload: { reason: text(), source: symbol() } },
  TICK: { priority: 30, key: 'symbol', payload: { symbol: symbol(), price: f64(), size: f64() } },
  ORDER: { priority: 15, payload: { id: u64(), side: enumOf('buy', 'sell') } },
});

export const onTick: HandlerFunction<typeof catalog, 'TICK'> = async (event, context) => {
  const price: number = event.price;
  if (price < 0 && !context.signal.aborted)
    await context.publish({ type: 'HALT', reason: 'price', source: event.symbol });
};
export const onOrder = (event: EventOf<typeof catalog, 'ORDER'>): void => {
  const id: bigint = event.id;
  const side: 'buy' | 'sell' = event.side;
  void [id, side];
};
