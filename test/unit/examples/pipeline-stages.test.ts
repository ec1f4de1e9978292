import { describe, expect, it } from 'vitest';
import { BookStage } from '../../../examples/market-data/pipeline/book.js';
import type {
  FeaturesEvent,
  FillEvent,
  MboEvent,
  PipelineContext,
  PredictionEvent,
  QuoteEvent,
  SignalEvent,
} from '../../../examples/market-data/pipeline/catalog.js';
import { Checksum } from '../../../examples/market-data/pipeline/checksum.js';
import { ExecutionStage } from '../../../examples/market-data/pipeline/execution.js';
import { FeaturesStage, ONE } from '../../../examples/market-data/pipeline/features.js';
import { PredictionStage } from '../../../examples/market-data/pipeline/prediction.js';
import { RiskStage } from '../../../examples/market-data/pipeline/risk.js';
import { SignalStage } from '../../../examples/market-data/pipeline/signal.js';
import { InstrumentStage, stageModule } from '../../../examples/market-data/pipeline/stage.js';

const MINUTE_US = 60_000_000;
const QUOTE = { instrument: 'ES', index: 7, timeUs: 1_000, bid: 100, ask: 101, bidSize: 4, askSize: 9 };

function quote(changes: Partial<QuoteEvent> = {}): QuoteEvent {
  return { type: 'QUOTE', ...QUOTE, ...changes };
}

function mbo(changes: Partial<MboEvent>): MboEvent {
  const order = { orderId: 1n, action: 'A', side: 'B', price: 100, size: 4, flags: 130 } as const;
  return { type: 'MBO', instrument: 'ES', index: 0, timeUs: 1_000, ...order, ...changes };
}

describe('the book stage', () => {
  const ask = { orderId: 2n, side: 'A', price: 101, size: 9 } as const;

  it('quotes each new top of the book, and only that', () => {
    const stage = new BookStage();
    expect(stage.apply(mbo({}))).toBeUndefined();
    expect(stage.apply(mbo({ ...ask, index: 7 }))).toEqual(quote());
    expect(stage.apply(mbo({ orderId: 3n, price: 99, index: 8 }))).toBeUndefined();
    expect(stage.apply(mbo({ action: 'T', price: 100, index: 9 }))).toBeUndefined();
    expect(stage.apply(mbo({ action: 'C', size: 1, index: 10 }))).toEqual(quote({ index: 10, bidSize: 3 }));
    expect(stage.state()).toMatchObject({ A: 3, C: 1, T: 1, liveOrders: 3, topOfBookChanges: 3, unquoted: 1 });
  });

  it('does not quote a snapshot, an empty side, or sides that meet or cross', () => {
    const stage = new BookStage();
    expect(stage.apply(mbo({ flags: 40 }))).toBeUndefined();
    expect(stage.apply(mbo({ ...ask, flags: 40 }))).toBeUndefined();
    expect(stage.apply(mbo({ orderId: 3n, price: 101 }))).toBeUndefined();
    expect(stage.apply(mbo({ action: 'M', orderId: 3n, price: 102 }))).toBeUndefined();
    expect(stage.apply(mbo({ action: 'C', orderId: 2n, size: 9 }))).toBeUndefined();
    expect(stage.state()).toMatchObject({ topOfBookChanges: 5, unquoted: 5 });
  });
});

describe('the features stage', () => {
  it('starts its averages at the first middle and moves them by a sixteenth and a 256th of the distance', () => {
    const stage = new FeaturesStage();
    const first = { spread: 1, emaShort: 201 * ONE, emaLong: 201 * ONE, volatility: 0 };
    expect(stage.apply(quote())).toMatchObject({ type: 'FEATURES', ...QUOTE, ...first });
    expect(stage.apply(quote({ bid: 110, ask: 112 }))).toMatchObject({
      spread: 2,
      emaShort: 201 * ONE + Math.trunc((21 * ONE) / 16),
      emaLong: 201 * ONE + Math.trunc((21 * ONE) / 256),
      volatility: 21 ** 2,
    });
  });

  it('cuts the imbalance towards zero, on either side', () => {
    const stage = new FeaturesStage();
    expect(stage.apply(quote({ bidSize: 2, askSize: 1 })).imbalance).toBe(21_845);
    expect(stage.apply(quote({ bidSize: 1, askSize: 2 })).imbalance).toBe(-21_845);
    expect(stage.apply(quote({ bidSize: 3, askSize: 3 })).imbalance).toBe(0);
  });

  it('forgets a move after 64 quotes', () => {
    const stage = new FeaturesStage();
    stage.apply(quote());
    expect(stage.apply(quote({ bid: 101, ask: 102 })).volatility).toBe(4);
    for (let n = 0; n < 63; n++) expect(stage.apply(quote({ bid: 101, ask: 102 })).volatility).toBe(4);
    expect(stage.apply(quote({ bid: 101, ask: 102 })).volatility).toBe(0);
  });
});

describe('the prediction stage', () => {
  it('weighs imbalance, trend and the recent move in integers', () => {
    const features: FeaturesEvent = {
      ...quote(),
      type: 'FEATURES',
      spread: 1,
      imbalance: -20_000,
      emaShort: 200 * ONE,
      emaLong: 202 * ONE,
      volatility: 3,
    };
    const move = Math.trunc((249 * -20_000 + 33 * -2 * ONE + 37 * ONE) / 256);
    expect(new PredictionStage().apply(features)).toEqual({ ...QUOTE, type: 'PREDICTION', move, volatility: 3 });
  });
});

describe('the signal stage', () => {
  function predicted(move: number, volatility = 0): PredictionEvent {
    return { ...quote(), type: 'PREDICTION', move: move * ONE, volatility };
  }

  it('tells a direction when it changes: in on a strong move, out when it is over', () => {
    const stage = new SignalStage();
    const told = [0.5, 0.8, 0.9, 0.1, -0.1, -0.2, -0.8, 0.8, 0].map((move) => stage.apply(predicted(move))?.direction);
    expect(told).toEqual([undefined, 1, undefined, undefined, 0, undefined, -1, 1, 0]);
  });

  it('stays out, but does not get out, when quotes move too fast', () => {
    const stage = new SignalStage();
    expect(stage.apply(predicted(2, 25))).toBeUndefined();
    expect(stage.apply(predicted(2, 24))).toMatchObject({ ...QUOTE, type: 'SIGNAL', direction: 1 });
    expect(stage.apply(predicted(2, 25))).toBeUndefined();
  });
});

function signal(direction: number, changes: Partial<SignalEvent> = {}): SignalEvent {
  return { ...quote(), type: 'SIGNAL', direction, ...changes };
}

const origin = (index: number) => ({ instrument: 'ES', index, timeUs: 1_000 });
const clear = (index: number) => ({ type: 'CLEAR', ...origin(index) }) as const;
const halt = (index: number, untilUs: number) =>
  ({ type: 'HALT', ...origin(index), reason: 'fills', value: 31, limit: 30, untilUs }) as const;

describe('the execution stage', () => {
  it('buys at the ask and sells at the bid, as much as there is, and pays for it', () => {
    const stage = new ExecutionStage();
    const bought = { quantity: 5, price: 101, position: 5, cash: -5 * 10_100 - 40 };
    expect(stage.apply(signal(1))).toEqual({ ...QUOTE, type: 'FILL', ...bought });
    expect(stage.apply(clear(7))).toBeUndefined();
    // From long to short takes ten, and the bid has four.
    const sold = { quantity: -4, price: 100, position: 1, cash: bought.cash + 4 * 10_000 - 32 };
    expect(stage.apply(signal(-1, { index: 8 }))).toMatchObject(sold);
    expect(stage.state()).toMatchObject({ signals: 2, orders: 2, fills: 2, partial: 1, contracts: 9, fees: 72 });
  });

  it('holds signals until the fill before them is answered, and then goes on with them in order', () => {
    const stage = new ExecutionStage();
    stage.apply(signal(1));
    expect(stage.apply(signal(0, { index: 8, bidSize: 9 }))).toBeUndefined();
    expect(stage.apply(signal(-1, { index: 9, bidSize: 9 }))).toBeUndefined();
    expect(stage.state()).toMatchObject({ signals: 1, orders: 1 });
    expect(stage.apply(clear(7))).toMatchObject({ index: 8, position: 0 });
    expect(stage.apply(clear(8))).toMatchObject({ index: 9, position: -5 });
  });

  it('refuses orders after a HALT, held ones too, until its exchange time', () => {
    const stage = new ExecutionStage();
    stage.apply(signal(1));
    stage.apply(signal(0, { index: 8, timeUs: 2_000 }));
    expect(stage.apply(halt(7, 5_000))).toBeUndefined();
    expect(stage.apply(signal(-1, { index: 9, timeUs: 4_999 }))).toBeUndefined();
    // Wants what it has: no order.
    expect(stage.apply(signal(1, { index: 10, timeUs: 4_999 }))).toBeUndefined();
    expect(stage.state()).toMatchObject({ signals: 4, orders: 1, refused: 2, halts: 1, position: 5 });
    expect(stage.apply(signal(0, { index: 11, timeUs: 5_000, bidSize: 5 }))).toMatchObject({ position: 0 });
  });

  it('throws for an answer to a fill that it does not wait for', () => {
    const stage = new ExecutionStage();
    expect(() => stage.apply(clear(7))).toThrow('CLEAR of ES answers fill 7; expected: none');
    stage.apply(signal(1));
    expect(() => stage.apply(halt(6, 5_000))).toThrow('HALT of ES answers fill 6; expected: 7');
  });
});

describe('the risk stage', () => {
  function fill(changes: Partial<FillEvent>): FillEvent {
    return { ...quote(), type: 'FILL', quantity: 5, price: 101, position: 0, cash: 0, ...changes };
  }

  it('clears fills while the result stays near its peak', () => {
    const stage = new RiskStage();
    // Worth 20,100 half ticks of 50: 50 up.
    expect(stage.apply(fill({ position: 1, cash: -10_000 }))).toEqual(clear(7));
    expect(stage.apply(fill({ cash: -4_950 }))).toEqual(clear(7));
    expect(stage.state()).toMatchObject({ equity: -4_950, peak: 50, worstDrawdown: 5_000, halts: 0 });
  });

  it('halts when the result falls too far below its peak, and measures from there on', () => {
    const stage = new RiskStage();
    stage.apply(fill({ cash: 50 }));
    const untilUs = 1_000 + 5 * MINUTE_US;
    const breach = { reason: 'drawdown', value: 5_001, limit: 5_000, untilUs };
    expect(stage.apply(fill({ cash: -4_951 }))).toEqual({ type: 'HALT', ...origin(7), ...breach });
    expect(stage.apply(fill({ cash: -9_951 }))).toEqual(clear(7));
  });

  it('halts on the 31st fill within a minute, and counts anew', () => {
    const stage = new RiskStage();
    stage.apply(fill({ timeUs: 0 }));
    for (let n = 0; n < 29; n++) expect(stage.apply(fill({ timeUs: MINUTE_US - 1 }))).toMatchObject({ type: 'CLEAR' });
    // The first one is a minute old by now.
    expect(stage.apply(fill({ timeUs: MINUTE_US }))).toMatchObject({ type: 'CLEAR' });
    expect(stage.apply(fill({ timeUs: MINUTE_US }))).toMatchObject({
      type: 'HALT',
      reason: 'fills',
      value: 31,
      limit: 30,
    });
    expect(stage.apply(fill({ timeUs: MINUTE_US }))).toMatchObject({ type: 'CLEAR' });
  });
});

describe('a stage', () => {
  it('counts what it receives and publishes, whatever the instrument is called', () => {
    const states = ['ES', 'NQ'].map((instrument) => {
      const stage = new InstrumentStage(new ExecutionStage());
      stage.apply(signal(1, { instrument }));
      stage.apply({ ...clear(7), instrument });
      return stage.state();
    });
    expect(states[0]).toMatchObject({ received: 2, published: 1 });
    expect(states[1]).toEqual(states[0]);
  });

  it('ends with another checksum when it has published something else, or in another order, on the way', () => {
    const nothing = { state: () => ({}), snapshot: () => undefined, restore: () => undefined };
    const checksums = [[1, 2], [2, 1], [1, 3], [1]].map((values) => {
      const apply = ({ value }: { readonly value: number }) => clear(value);
      const stage = new InstrumentStage<{ type: string; index: number; value: number }>({ apply, ...nothing });
      values.forEach((value, index) => stage.apply({ type: 'QUOTE', index, value }));
      return stage.state().checksum;
    });
    expect(new Set(checksums).size).toBe(4);
  });

  it('recognises events and answers that come a second time, and does nothing about them', () => {
    const stage = new InstrumentStage(new ExecutionStage());
    expect(stage.apply(signal(1))).toMatchObject({ type: 'FILL', index: 7 });
    const before = stage.state();
    expect(stage.apply(signal(1))).toBeUndefined();
    expect(stage.state()).toEqual(before);
    expect(stage.apply(clear(7))).toBeUndefined();
    expect(stage.apply(clear(7))).toBeUndefined();
    expect(stage.state()).toMatchObject({ received: 2, published: 1, cleared: 1 });
  });

  it('goes on from a checkpoint as if it had never stopped', () => {
    const apply = (stage: InstrumentStage<QuoteEvent>, from: number, to: number): unknown[] =>
      Array.from({ length: to - from }, (_, n) => {
        const index = from + n;
        return stage.apply(quote({ index, bid: 100 + (index % 7), ask: 110 + (index % 5) }));
      });
    const whole = new InstrumentStage<QuoteEvent>(new FeaturesStage());
    const first = new InstrumentStage<QuoteEvent>(new FeaturesStage());
    const second = new InstrumentStage<QuoteEvent>(new FeaturesStage());
    const published = apply(whole, 0, 200);
    apply(first, 0, 120);
    second.restore(structuredClone(first.snapshot()));
    expect(apply(second, 120, 200)).toEqual(published.slice(120));
    expect(second.state()).toEqual(whole.state());
  });

  it('keeps each instrument apart, and answers SNAPSHOT with its state, known or not', () => {
    const published: unknown[] = [];
    const context = { publish: (event: unknown) => void published.push(event) } as unknown as PipelineContext;
    const { onEvent: handler } = stageModule('features', () => new FeaturesStage());
    handler(quote({ instrument: 'ES' }), context);
    handler(quote({ instrument: 'NQ', bid: 10, ask: 11 }), context);
    for (const instrument of ['ES', 'NQ', 'YM']) handler({ type: 'SNAPSHOT', instrument }, context);
    const report = { type: 'REPORT', stage: 'features' };
    expect(published.slice(2)).toMatchObject([
      { ...report, instrument: 'ES', state: { received: 1, emaShort: 201 * ONE } },
      { ...report, instrument: 'NQ', state: { received: 1, emaShort: 21 * ONE } },
      { ...report, instrument: 'YM', state: { received: 0, emaShort: 0 } },
    ]);
  });
});

describe('a checksum', () => {
  function checksumOf(...values: (number | string)[]): number {
    const checksum = new Checksum();
    for (const value of values) {
      if (typeof value === 'number') checksum.addInteger(value);
      else checksum.addText(value);
    }
    return checksum.value;
  }

  it('depends on each value, its sign, its high digits and the order', () => {
    const series = [[1, 2], [2, 1], [1, -2], [1, 2 + 2 ** 40], [1], [1, 2, 0], ['HALT'], ['HALF'], []];
    expect(new Set(series.map((values) => checksumOf(...values))).size).toBe(series.length);
    expect(checksumOf(1, 2)).toBe(checksumOf(1, 2));
  });

  it('is the same for 0 and -0', () => {
    expect(checksumOf(-0)).toBe(checksumOf(0));
  });
});
