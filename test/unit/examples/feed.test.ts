import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import type { MboEvent } from '../../../examples/market-data/catalog.js';
import { FeedError, instrumentOf, openFeed } from '../../../examples/market-data/feed.js';
import { csvOf, FeedFiles, HEADER, rowOf, someEvents } from './feed-files.js';

const files = new FeedFiles();
const ROW = '1703422805243925307,1703462400000000000,6412777162812,A,B,4799.00,2,40,682';

afterAll(() => {
  files.remove();
});

async function read(path: string): Promise<MboEvent[]> {
  const events: MboEvent[] = [];
  for await (const batch of await openFeed(path)) events.push(...batch);
  return events;
}

/** The rows that were handed out before the feed broke, and the message. */
async function readBroken(path: string): Promise<{ rows: number; message: string }> {
  let rows = 0;
  try {
    for await (const batch of await openFeed(path)) rows += batch.length;
  } catch (error) {
    if (!(error instanceof FeedError)) throw error;
    expect(error.message).not.toMatch(/\n/);
    expect(error.message).toContain(JSON.stringify(path));
    return { rows, message: error.message };
  }
  throw new Error('the feed was accepted');
}

describe('openFeed', () => {
  it('gives every row of a csv file as an event', async () => {
    const events = someEvents(3_000).map((event) => ({ ...event, instrument: 'ES-day' }));
    expect(await read(files.write('ES-day.csv', csvOf(events)))).toEqual(events);
  });

  it('reads gzip whatever the name of the file', async () => {
    const events = someEvents(3_000).map((event) => ({ ...event, instrument: 'packed' }));
    const packed = gzipSync(csvOf(events));
    expect(await read(files.write('packed.csv.gz', packed))).toEqual(events);
    expect(await read(files.write('packed', packed))).toEqual(events);
  });

  it('keeps times and order ids above 2^53 exact, up to 2^64 - 1', async () => {
    const path = files.write(
      'big.csv',
      `${HEADER}\n18446744073709551615,9007199254740993,18446744073709551614,A,B,1,1,0,0\n`,
    );
    const [event] = await read(path);
    expect(event).toMatchObject({
      tsEventNs: 18446744073709551615n,
      tsRecvNs: 9007199254740993n,
      orderId: 18446744073709551614n,
    });
  });

  it('accepts CRLF, a byte order mark, a last line without its end, and a header alone', async () => {
    expect(await read(files.write('crlf.csv', `${HEADER}\r\n${ROW}\r\n${ROW}\r\n`))).toHaveLength(2);
    expect(await read(files.write('bom.csv', `\ufeff${HEADER}\n${ROW}\n`))).toHaveLength(1);
    expect(await read(files.write('open.csv', `${HEADER}\n${ROW}\n${ROW}`))).toHaveLength(2);
    expect(await read(files.write('none.csv', `${HEADER}\n`))).toHaveLength(0);
  });

  it('accepts negative prices and prices with an exponent', async () => {
    const rows = [ROW.replace('4799.00', '-37.63'), ROW.replace('4799.00', '5e-7')];
    const events = await read(files.write('prices.csv', [HEADER, ...rows].join('\n')));
    expect(events.map((event) => event.price)).toEqual([-37.63, 5e-7]);
  });

  it.each([
    ['a column too many', `${ROW},1`, 'expected 9 columns', 'found 10'],
    ['a column too few', ROW.slice(0, ROW.lastIndexOf(',')), 'expected 9 columns', 'found 8'],
    ['an empty line', '', 'expected 9 columns', 'found 1'],
    ['an unknown action', ROW.replace(',A,', ',R,'), 'expected action to be one of A, C, M, F, T', 'found "R"'],
    ['an unknown side', ROW.replace(',B,', ',b,'), 'expected side to be one of B, A, N', 'found "b"'],
    ['an order without a side', ROW.replace(',B,', ',N,'), 'expected side to be B or A, as action A', 'found "N"'],
    [
      'a price that is no number',
      ROW.replace('4799.00', 'NaN'),
      'expected price to be a finite decimal',
      'found "NaN"',
    ],
    ['an infinite price', ROW.replace('4799.00', '1e999'), 'expected price to be a finite decimal', 'found "1e999"'],
    ['an empty price', ROW.replace('4799.00', ''), 'expected price to be a finite decimal', 'found ""'],
    ['a size with a fraction', ROW.replace(',2,40,', ',2.5,40,'), 'expected size to be an integer', 'found "2.5"'],
    [
      'a size over u32',
      ROW.replace(',2,40,', ',4294967296,40,'),
      'expected size to be an integer',
      'found "4294967296"',
    ],
    ['negative flags', ROW.replace(',40,', ',-1,'), 'expected flags to be an integer', 'found "-1"'],
    ['a hexadecimal sequence', ROW.replace(/682$/, '0x2aa'), 'expected sequence to be an integer', 'found "0x2aa"'],
    [
      'a time with a blank',
      ROW.replace(/^/, ' '),
      'expected ts_event_ns to be an integer',
      'found " 1703422805243925307"',
    ],
    [
      'an order id over u64',
      ROW.replace('6412777162812', '18446744073709551616'),
      'expected order_id to be',
      '551616"',
    ],
    ['a time in exponent form', ROW.replace('1703462400000000000', '1.7e18'), 'expected ts_recv_ns to be', '"1.7e18"'],
    ['a quoted value', ROW.replace('A', '"A"'), 'expected action to be one of', 'found "\\"A\\""'],
  ])('refuses %s, naming the line, after the rows before it', async (name, row, expected, found) => {
    const path = files.write(`${name}.csv`, [HEADER, ROW, ROW, row, ROW, ''].join('\n'));
    const { rows, message } = await readBroken(path);
    expect(message).toContain('line 4: ');
    expect(message).toContain(expected);
    expect(message).toContain(found);
    expect(rows).toBe(2);
  });

  it('names the line of a bad row far into a gzipped feed', async () => {
    const events = someEvents(20_000);
    const lines = csvOf(events).split('\n');
    lines[17_777] = lines[17_777].replace(/,[AB],/, ',?,');
    const { rows, message } = await readBroken(files.write('far.csv.gz', gzipSync(lines.join('\n'))));
    expect(message).toContain('line 17778: expected ');
    expect(rows).toBe(17_776);
  });

  it('refuses another header', async () => {
    const header = HEADER.replace('order_id', 'id');
    const { message } = await readBroken(files.write('header.csv', `${header}\n${ROW}\n`));
    expect(message).toContain(`line 1: expected the header ${HEADER}, found "ts_event_ns,ts_recv_ns,id,`);
  });

  it('refuses a missing file, a directory, and an empty file, plain or gzipped', async () => {
    expect((await readBroken(`${files.folder}/missing.csv`)).message).toContain('line 1: expected a file, found none');
    expect((await readBroken(files.folder)).message).toContain('line 1: expected a file, found a directory');
    expect((await readBroken(files.write('empty.csv', ''))).message).toContain('found an empty file');
    expect((await readBroken(files.write('empty.csv.gz', gzipSync('')))).message).toContain('found an empty file');
  });

  it('refuses a file called .gz that is no gzip', async () => {
    const { message } = await readBroken(files.write('plain.csv.gz', `${HEADER}\n${ROW}\n`));
    expect(message).toContain('line 1: expected gzip data');
  });

  it('refuses a cut gzip at the first line that did not arrive whole', async () => {
    const packed = gzipSync(csvOf(someEvents(20_000)));
    const { rows, message } = await readBroken(files.write('cut.csv.gz', packed.subarray(0, packed.length / 2)));
    expect(message).toContain(`line ${rows + 2}: expected the rest of the gzip data, found the end of the file`);
    expect(rows).toBeGreaterThan(1_000);
  });

  it('refuses a gzip whose checksum does not fit', async () => {
    const packed = gzipSync(`${HEADER}\n${ROW}\n`);
    packed[packed.length - 8] ^= 1;
    const { message } = await readBroken(files.write('sum.csv.gz', packed));
    expect(message).toContain('expected intact gzip data, found damaged data (incorrect data check)');
  });

  it('refuses a line without end before it fills the memory', async () => {
    const path = files.write('long.csv', `${HEADER}\n${ROW}\n${'7'.repeat(1_000_000)}`);
    const { message } = await readBroken(path);
    expect(message).toContain('line 3: expected a line of at most 4096 characters');
  });

  it('keeps control characters of a broken feed from the terminal', async () => {
    const { message } = await readBroken(files.write('control.csv', '\u001b[31m\u009b\u2028\n'));
    expect(message).toMatch(/^[ -~]*$/);
  });
});

describe('instrumentOf', () => {
  it('is the name of the file without folder and extension', () => {
    expect(instrumentOf('data/es-mbo-20231225.csv.gz')).toBe('es-mbo-20231225');
    expect(instrumentOf('es.csv')).toBe('es');
    expect(instrumentOf('es.v2.gz')).toBe('es.v2');
    expect(instrumentOf('es')).toBe('es');
  });
});

describe('rowOf', () => {
  it('writes what openFeed reads', () => {
    expect(rowOf(someEvents(1)[0]).split(',')).toHaveLength(HEADER.split(',').length);
  });
});
