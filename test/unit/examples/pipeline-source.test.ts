import { afterAll, describe, expect, it } from 'vitest';
import { parseOptions, UsageError } from '../../../examples/market-data/options.js';
import type { MboEvent } from '../../../examples/market-data/pipeline/catalog.js';
import { canonical, digestOf } from '../../../examples/market-data/pipeline/final-state.js';
import { copiesOf, feedSource, simulatedSource, type Source } from '../../../examples/market-data/pipeline/source.js';
import { TickSize } from '../../../examples/market-data/pipeline/tick-size.js';
import { instrumentsOf } from '../../../examples/market-data/simulator.js';
import { csvOf, FeedFiles, someEvents } from './feed-files.js';

const files = new FeedFiles();

afterAll(() => {
  files.remove();
});

function tick(text: string): TickSize {
  const size = TickSize.parse(text);
  if (size === undefined) throw new Error(`${text} was refused`);
  return size;
}

async function eventsOf({ bursts }: Source, count = Infinity): Promise<MboEvent[]> {
  const events: MboEvent[] = [];
  for await (const burst of bursts) {
    events.push(...burst);
    if (events.length >= count) break;
  }
  return events;
}

describe('a tick size', () => {
  it('turns every price of an exchange into its number of ticks and back, without an error', () => {
    for (const text of ['0.25', '0.00005', '0.1', '0.01', '2', '0.000000001']) {
      for (const ticks of [0, 1, 7, 3_333, 22_111, 19_230_001, -3]) {
        const price = Number((BigInt(ticks) * decimal(text)).toString()) / 1e9;
        expect(tick(text).ticksOf(price)).toBe(ticks);
      }
    }
  });

  /** The number times 10^9. */
  function decimal(text: string): bigint {
    return BigInt(Math.round(Number(text) * 1e9));
  }

  it('refuses a price between two ticks, however close, and one of too many ticks', () => {
    expect(tick('0.25').ticksOf(4_800.1)).toBeUndefined();
    expect(tick('0.25').ticksOf(4_800.250_000_000_001)).toBeUndefined();
    expect(tick('0.25').ticksOf(2 ** 29)).toBeUndefined();
    expect(tick('0.25').ticksOf(2 ** 29 - 0.25)).toBe(2 ** 31 - 1);
  });

  it('is a decimal number above 0', () => {
    for (const text of ['0', '0.0', '-1', '', '.5', '1.', '1e-2', 'x', '1000000', '0.0000000001']) {
      expect(TickSize.parse(text), text).toBeUndefined();
    }
    expect(tick('0.25').toString()).toBe('0.25');
  });

  it('is known for the instruments of the simulated exchange', () => {
    const sizes = instrumentsOf(4).map((instrument) => TickSize.of(instrument).toString());
    expect(sizes).toEqual(['0.25', '1', '0.1', '2']);
  });
});

describe('the source of a pipeline', () => {
  it('publishes each event of a feed under every symbol before the next event', async () => {
    const given = someEvents(3_000);
    const source = await feedSource(files.write('es.csv', csvOf(given)), 3);
    expect(source.instruments).toEqual(['es', 'es-2', 'es-3']);
    const events = await eventsOf(source);
    expect(events).toHaveLength(9_000);
    expect(events.map(({ instrument }) => instrument)).toEqual(given.flatMap(() => source.instruments));
    const { orderId, action, side, size, flags, price, tsEventNs } = given[1_234];
    const timeUs = Number(tsEventNs / 1_000n);
    for (const event of events.slice(3 * 1_234, 3 * 1_235)) {
      expect(event).toMatchObject({ index: 1_234, timeUs, orderId, action, side, size, flags, price: price * 4 });
    }
  });

  it('does not hold a feed of many symbols in memory: no burst is much longer than a thousand events', async () => {
    const source = await feedSource(files.write('long.csv', csvOf(someEvents(3_000))), 64);
    for await (const burst of source.bursts) expect(burst.length).toBeLessThan(1_024 + 64);
  });

  it('hands out the events before a price that is no multiple of the tick, and then names its line', async () => {
    const path = files.write('off.csv', csvOf(someEvents(50).with(40, { ...someEvents(1)[0], price: 4_800.1 })));
    const events: MboEvent[] = [];
    const { bursts } = await feedSource(path, 2);
    const read = async (): Promise<void> => {
      for await (const burst of bursts) events.push(...burst);
    };
    await expect(read()).rejects.toThrow(
      `feed ${JSON.stringify(path)}, line 42: expected price to be a multiple of the tick 0.25 (see --tick), found "4800.1"`,
    );
    expect(events).toHaveLength(80);
  });

  it('numbers the events of each simulated instrument by itself', async () => {
    const source = simulatedSource(3, 3);
    const events = await eventsOf(source, 5_000);
    for (const name of source.instruments) {
      const indexes = events.filter(({ instrument }) => instrument === name).map(({ index }) => index);
      expect(indexes).toEqual(indexes.map((_, at) => at));
      expect(indexes.length).toBeGreaterThan(500);
    }
  });

  it('leaves a single copy its name', () => {
    expect(copiesOf('ESH4', 1)).toEqual(['ESH4']);
  });
});

describe('the canonical text of a result', () => {
  it('does not depend on the order in which anything was reported', () => {
    const one = { b: { book: { y: 2, x: [[1, 2]] } }, a: { risk: { z: -0 } } };
    const two = { a: { risk: { z: 0 } }, b: { book: { x: [[1, 2]], y: 2 } } };
    expect(canonical(one, 'state')).toBe('{"a":{"risk":{"z":0}},"b":{"book":{"x":[[1,2]],"y":2}}}');
    expect(canonical(two, 'state')).toBe(canonical(one, 'state'));
    expect(digestOf({})).toBe('44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a');
  });

  it('has integers only', () => {
    for (const value of [0.5, NaN, Infinity, 2 ** 53, undefined, null, 'text']) {
      expect(() => canonical({ a: { book: { x: value } } }, 'state')).toThrow('state.a.book.x is');
    }
  });
});

describe('the command line of the pipeline', () => {
  const parse = (...args: string[]) => parseOptions(args, () => undefined);

  it('has one symbol for a feed, and as many instruments as ever on the simulated exchange', () => {
    expect(parse('--pipeline', '--feed', 'day.csv')).toMatchObject({ pipeline: true, instruments: 1, rate: 0 });
    expect(parse('--pipeline')).toMatchObject({ pipeline: true, instruments: 8, rate: 50_000 });
    expect(parse('--pipeline', '--feed', 'day.csv', '--instruments', '64')).toMatchObject({ instruments: 64 });
  });

  it('takes a tick size for a feed only', () => {
    expect(parse('--pipeline', '--feed', 'day.csv', '--tick', '0.01').tick?.toString()).toBe('0.01');
    for (const args of [['--pipeline'], ['--feed', 'day.csv']]) {
      expect(() => parse(...args, '--tick', '0.5')).toThrow(UsageError);
      expect(() => parse(...args, '--tick', '0.5')).toThrow('--tick 0.5 needs both --pipeline and --feed');
    }
    expect(() => parse('--pipeline', '--feed', 'day.csv', '--tick', '0')).toThrow(/'--tick <size>'.*'0'.*above 0/);
  });
});
