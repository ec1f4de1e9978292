import type { EventOf } from 'lanebus';
import type { TradingCatalog } from 'lanebus/catalogs/trading';

const BEGIN_NS = 1_718_116_200_000_000_000n;
const STEP_NS = 250_000_000n;
const TICK = 0.25;

/** The book at a step: its price climbs slowly, and what is wanted and offered at the best prices swings. */
export function bookAt(step: number): EventOf<TradingCatalog, 'MARKET_DATA_L2'> {
  const swing = (step * 7) % 10;
  const timeNs = BEGIN_NS + BigInt(step) * STEP_NS;
  const bid = 4_808 + Math.floor(step / 10) * TICK;
  const ask = bid + TICK;
  return {
    ...{ type: 'MARKET_DATA_L2', exchangeTimeNs: timeNs, timeNs, symbol: 'ESH4', sequence: BigInt(step) },
    ...{ bidPrice0: bid, bidPrice1: bid - TICK, bidPrice2: bid - 2 * TICK, bidPrice3: NaN, bidPrice4: NaN },
    ...{ bidSize0: 4 + swing, bidSize1: 20, bidSize2: 40, bidSize3: 0, bidSize4: 0 },
    ...{ askPrice0: ask, askPrice1: ask + TICK, askPrice2: ask + 2 * TICK, askPrice3: NaN, askPrice4: NaN },
    ...{ askSize0: 10 - swing, askSize1: 20, askSize2: 40, askSize3: 0, askSize4: 0 },
  };
}
