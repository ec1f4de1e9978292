import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { problemsOf } from '../../examples/market-data/pipeline/problems.js';
import type { PipelineResult } from '../../examples/market-data/pipeline/result.js';
import { csvOf, FeedFiles, HEADER, someEvents } from '../unit/examples/feed-files.js';
import { referenceBook } from '../unit/examples/reference-book.js';

const PROGRAM = fileURLToPath(new URL('../../build/examples/market-data/main.js', import.meta.url));
const REAL_FEED = fileURLToPath(new URL('../../../shared/data/es-mbo-20231225.csv.gz', import.meta.url));
const SUBSCRIPTIONS = ['book', 'features', 'prediction', 'signal', 'execution', 'risk', 'halts', 'reports'];
const STAGES = SUBSCRIPTIONS.slice(0, 6);
/** Of the feed below under four symbols. A change of the model changes it; a machine, a Node version or a number of threads does not. */
const DIGEST = '27b8161bd008415b83fbb43f4e8ccb496ec36ee828684f7b8123ec6f37a3969f';
const files = new FeedFiles();
const events = someEvents(40_000);
const feed = files.write('day.csv.gz', gzipSync(csvOf(events)));

afterAll(() => {
  files.remove();
});

/** Runs the program to its end; `onOutput` sees everything that it has written so far. */
async function run(args: readonly string[], onOutput?: (output: string, interrupt: () => void) => void) {
  const program = spawn(process.execPath, [PROGRAM, '--pipeline', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  const interrupt = (): void => {
    program.kill('SIGINT');
  };
  program.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    onOutput?.(output, interrupt);
  });
  program.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const [code] = (await once(program, 'close')) as [number | null];
  return { code, output, errors };
}

async function runJson(...args: string[]): Promise<PipelineResult> {
  const { code, output, errors } = await run([...args, '--json']);
  expect(errors).toBe('');
  expect(code).toBe(0);
  const result = JSON.parse(output) as PipelineResult;
  expectExact(result);
  return result;
}

/** Every event is counted at both ends of each stage, by the bus and by the handlers. */
function expectExact(result: PipelineResult): void {
  const { stages, orders, ledger, instruments, halts } = result;
  expect(Object.keys(ledger)).toEqual(SUBSCRIPTIONS);
  expect(Object.keys(stages)).toEqual(STAGES);
  expect(stages.book.received).toBe(result.events);
  expect(stages.features.received).toBe(stages.book.published);
  expect(stages.prediction.received).toBe(stages.features.published);
  expect(stages.signal.received).toBe(stages.prediction.published);
  expect(stages.execution.received).toBe(stages.signal.published + stages.risk.published);
  expect(stages.risk.received).toBe(stages.execution.published);
  expect(orders).toMatchObject({ signals: stages.signal.published, fills: stages.risk.published });
  for (const [name, { received }] of Object.entries(stages)) {
    // Its events, and a SNAPSHOT of every instrument.
    const owed = received + instruments;
    expect(ledger[name], name).toMatchObject({ owed, processed: owed, pending: 0, exact: true });
  }
  expect(ledger.halts).toMatchObject({ owed: halts, processed: halts, exact: true });
  expect(ledger.reports).toMatchObject({ owed: 6 * instruments, processed: 6 * instruments, exact: true });
  expect(createHash('sha256').update(sorted(result.state)).digest('hex')).toBe(result.resultDigest);
}

/** JSON with the names of all objects sorted. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

describe('the pipeline on the simulated exchange', () => {
  it('comes to one result on any number of threads, and to another with another seed', async () => {
    const args = ['--seconds', '2', '--rate', '20000', '--instruments', '3', '--seed', '11'];
    const one = await runJson(...args, '--threads', '1');
    const two = await runJson(...args, '--threads', '2');
    expect(one).toMatchObject({ events: 40_000, threads: 1, instruments: 3, seed: 11, interrupted: false });
    expect(two.resultDigest).toBe(one.resultDigest);
    const other = await runJson(...args.with(-1, '12'), '--threads', '2');
    expect(other.resultDigest).not.toBe(one.resultDigest);
  });

  it('loses nothing when it publishes as fast as the bus takes events', async () => {
    const result = await runJson('--seconds', '1', '--rate', '0', '--threads', '2');
    expect(result.events).toBeGreaterThan(50_000);
  });

  it('writes a line a second and a summary when it is not on a terminal', async () => {
    const { code, output, errors } = await run(['--seconds', '2', '--rate', '20000', '--instruments', '2']);
    expect(errors).toBe('');
    expect(code).toBe(0);
    expect(output).toMatch(/^[0-9.]+ s {2}[0-9,]+ events {2}[0-9,]+ events\/s {2}waiting: /);
    expect(output).toMatch(/40,000 events in [0-9.]+ s: [0-9,]+ events\/s/);
    expect(output).toMatch(/orders sent, [0-9,]+ refused because of a HALT/);
    expect(output).toMatch(/profit and loss -?[0-9.]+ ticks/);
    expect(output).toMatch(/result digest [0-9a-f]{64}/);
    for (const stage of STAGES) expect(output).toMatch(new RegExp(`^ ${stage} +[0-9,]+ +[0-9,]+ +[0-9,]+ *$`, 'm'));
    for (const name of SUBSCRIPTIONS) expect(output).toMatch(new RegExp(`^ ${name} .* yes *$`, 'm'));
  });

  it('stops on SIGINT with the result of what was published until then', async () => {
    let interrupted = false;
    const { code, output, errors } = await run(['--seconds', '600', '--rate', '1000'], (text, interrupt) => {
      if (!interrupted && text.includes('events/s')) interrupt();
      interrupted ||= text.includes('events/s');
    });
    expect(errors).toBe('');
    expect(code).toBe(0);
    expect(output).toContain('· interrupted');
    for (const name of SUBSCRIPTIONS) expect(output).toMatch(new RegExp(`^ ${name} .* yes *$`, 'm'));
  });
});

describe('the pipeline on a feed', () => {
  it('comes to one result on 1, 2 and 4 threads, on every run, on every machine', async () => {
    for (const threads of [1, 2, 4, 1, 2, 4]) {
      const result = await runJson('--feed', feed, '--threads', threads.toString(), '--instruments', '4');
      expect(result).toMatchObject({ events: 4 * events.length, threads, instruments: 4, interrupted: false });
      expect(result.halts).toBeGreaterThan(0);
      expect(result.orders.refused).toBeGreaterThan(0);
      expect(result.resultDigest).toBe(DIGEST);
    }
  });

  it.each([1, 2, 4])('comes to the same result on %i threads though they are killed all the time', async (threads) => {
    const args = ['--feed', feed, '--instruments', '4', '--threads', String(threads), '--kill-every', '13000'];
    const { code, output, errors } = await run([...args, '--json']);
    expect(errors).toBe('');
    expect(code).toBe(0);
    const result = JSON.parse(output) as PipelineResult;
    expect(result).toMatchObject({ kills: 12, resultDigest: DIGEST });
    expect(result.restarts).toBeGreaterThan(0);
    // Repeats of events that were in flight are deliveries too: each is counted, and none has failed.
    for (const ledger of Object.values(result.ledger)) {
      expect(ledger).toMatchObject({ processed: ledger.owed, failed: 0, pending: 0, exact: true });
    }
  });

  it('ends with the book of the feed, in ticks', async () => {
    const { state } = await runJson('--feed', feed, '--threads', '2');
    const { actions, topBids, topAsks, liveOrders, bidLevels, askLevels, tradedVolume } = referenceBook(events);
    const inTicks = (levels: typeof topBids) => levels.map(([price, size]) => [price * 4, size]);
    const levels = { topBids: inTicks(topBids), topAsks: inTicks(topAsks), bidLevels, askLevels };
    expect(state.day?.book).toMatchObject({ ...actions, ...levels, liveOrders, tradedVolume });
  });

  it('ends the same for each of many symbols as for one', async () => {
    const single = await runJson('--feed', feed, '--threads', '1');
    const many = await runJson('--feed', feed, '--threads', '2', '--instruments', '9');
    expect(many).toMatchObject({ events: 9 * events.length, instruments: 9, halts: 9 * single.halts });
    expect(Object.keys(many.state)).toHaveLength(9);
    for (const state of Object.values(many.state)) expect(state).toEqual(single.state.day);
  });

  it('is done with nothing when the feed has a header only', async () => {
    const result = await runJson('--feed', files.write('none.csv', `${HEADER}\n`));
    expect(result).toMatchObject({ events: 0, halts: 0, orders: { signals: 0 }, pnl: { position: 0, net: 0 } });
  });

  it('ends with exit code 2 and one line at a price that is no multiple of the tick', async () => {
    const { code, output, errors } = await run(['--feed', feed, '--tick', '0.5', '--json']);
    expect(errors).toMatch(/^market-data: feed "[^"]+", line [0-9]+: [^\n]* multiple of the tick 0.5 [^\n]*\n$/);
    expect(output).toBe('');
    expect(code).toBe(2);
  });
});

describe.runIf(existsSync(REAL_FEED))('the pipeline on a real day', () => {
  it('comes to one result on 1, 2 and 4 threads', async () => {
    const results: PipelineResult[] = [];
    for (const threads of [1, 2, 4]) results.push(await runJson('--feed', REAL_FEED, '--threads', threads.toString()));
    expect(new Set(results.map(({ resultDigest }) => resultDigest)).size).toBe(1);
    const [{ state, halts, orders }] = results;
    expect(Object.values(state)[0]?.book).toMatchObject({ received: 68_792, topOfBookChanges: 29_110 });
    expect(halts).toBeGreaterThan(0);
    expect(orders.refused).toBeGreaterThan(0);
  });

  it('comes to that result for each of 64 symbols', { timeout: 120_000 }, async () => {
    const single = await runJson('--feed', REAL_FEED, '--threads', '1');
    const many = await runJson('--feed', REAL_FEED, '--threads', '2', '--instruments', '64');
    expect(Object.keys(many.state)).toHaveLength(64);
    for (const state of Object.values(many.state)) expect(state).toEqual(Object.values(single.state)[0]);
  });
});

describe('a result of the pipeline', () => {
  it('has a problem for every count that does not fit', async () => {
    const result = await runJson('--seconds', '1', '--rate', '30000', '--instruments', '2');
    expect(problemsOf(result)).toEqual([]);
    const { stages, orders, ledger, state, events: published, halts } = result;
    const tampered: readonly [string, Partial<PipelineResult>][] = [
      ['events that book has received', { events: published + 1 }],
      ['events that features has received', { stages: { ...stages, book: { received: published, published: 1 } } }],
      ['signals that execution has acted upon', { orders: { ...orders, signals: orders.signals - 1 } }],
      ['orders that were filled', { orders: { ...orders, sent: orders.sent + 1 } }],
      ['fills that risk has answered', { stages: { ...stages, risk: { ...stages.risk, published: 0 } } }],
      ['HALTs that the main thread has received', { halts: halts + 1 }],
      ['the ledger of risk is not exact', { ledger: { ...ledger, risk: { ...ledger.risk, exact: false } } }],
      ['deliveries that risk has processed', { ledger: { ...ledger, risk: { ...ledger.risk, processed: 0 } } }],
      ['instruments that book has reported', { state: { ...state, [Object.keys(state)[0]]: {} } }],
    ];
    for (const [problem, changes] of tampered) {
      expect(problemsOf({ ...result, ...changes }).join('\n')).toContain(problem);
    }
  });
});
